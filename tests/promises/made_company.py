"""A small company with a contract of its own for every kind of table, and a CRM that has users and a price list only.

The models are plain tables with the columns that tell the kinds apart, so a test edits GP with an update.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from emulator import Emulator
from loader.contract import JOURNAL_TABLES
from loader.push.reconciling import COLUMN_TYPES, COLUMNS, RECORD_TYPES, RECORDS
from loader.warehouse.connect import connect
from sample import organisation
from tests.conftest import PROJECT, Built, known_contract
from tests.made_contract import Yaml, node
from tests.promises.conftest import KNOWN, KeptOpen, known_target
from tests.promises.end_state import keep_crm, put_back_crm

STAYING = ("systemuser", "team", "businessunit", "transactioncurrency", "pricelevel", "organization")
"""What CRM has before the first push."""
NEW, DRAFT = {"statecode": 0, "statuscode": 1}, {"statecode": 2, "statuscode": 0}
SNAPSHOT = {COLUMNS: COLUMN_TYPES, RECORDS: RECORD_TYPES}
SETTING = "createproductswithoutparentinactivestate"


def look_up(table: str, match: Yaml, called: str, **words: Any) -> Yaml:
    return {"lookup": {"table": table, "match": match, "called": called, **words}}


UNIT_OF = {"name": "uomid", "uomscheduleid.name": "uomid__schedule"}
CLOSE = {"name": "FulfillSalesOrder", "parameter": "OrderClose", "type": "orderclose", "bind": "salesorderid"}
ORDER_STATES = {
    "editable": NEW,
    "locked": [1],
    "closed": [2, 3, 4],
    "actions": {"3": CLOSE, "2": {**CLOSE, "name": "CancelSalesOrder"}},
    "cancelled": {"statecode": 2, "statuscode": 4},
}
ORDER = {"version": 2, "table": "salesorder", "noun": "order", "match_on": ["name"], "sop_mode": True}
ORDER_COLUMNS: dict[str, Any] = {
    "name": "varchar(300)",
    "customerid": ("varchar(20)", look_up("account", {"accountnumber": "customerid"}, "account")),
    "pricelevelid": ("varchar(100)", look_up("pricelevel", {"name": "pricelevelid"}, "price_level")),
    "description": "varchar(2000)",
    "statecode": "int",
    "statuscode": "int",
}
LINE_COLUMNS: dict[str, Any] = {
    "lineitemnumber": "int",
    "isproductoverridden": "int",
    "productid": (
        "varchar(100)",
        look_up("product", {"productnumber": "productid"}, "product", active={"statecode": [0]}),
    ),
    "uomid": ("varchar(100)", look_up("uom", UNIT_OF, "uom")),
    "uomid__schedule": "varchar(100)",
    "quantity": "decimal(19,5)",
    "ispriceoverridden": "int",
    "priceperunit": "decimal(19,5)",
}

NODES = (
    node(
        "crm_uomschedule",
        {
            "table": "uomschedule",
            "noun": "unit schedule",
            "match_on": ["name"],
            "children": {
                "model": "crm_uom",
                "via": "uomscheduleid",
                "match_on": ["name"],
                "delete": False,
                "made_by_parent": {"column": "name__is_base", "called": "base_unit"},
            },
        },
        {"name": "varchar(200)", "baseuomname": "varchar(100)", "description": "varchar(2000)"},
    ),
    node(
        "crm_uom",
        {"table": "uom"},
        {
            "uomscheduleid": "varchar(200)",
            "name": "varchar(100)",
            "name__is_base": "int",
            "quantity": "decimal(19,5)",
            "baseuom": (
                "varchar(100)",
                look_up("uom", {"name": "baseuom", "uomscheduleid.name": "uomscheduleid"}, "base_unit"),
            ),
        },
    ),
    node(
        "crm_product",
        {
            "table": "product",
            "noun": "product",
            "match_on": ["productnumber"],
            "create_unless": {"column": "statecode__gp_inactive", "reason": "inactive"},
            "state": {
                "editable": NEW,
                "locked": [1, 2],
                "born": {"setting": SETTING, "true": NEW, "false": DRAFT},
                "cancelled": {"statecode": 1, "statuscode": 2},
            },
        },
        {
            "productnumber": "varchar(100)",
            "name": "varchar(100)",
            "defaultuomscheduleid": (
                "varchar(200)",
                look_up("uomschedule", {"name": "defaultuomscheduleid"}, "unit_schedule"),
            ),
            "defaultuomid": (
                "varchar(100)",
                look_up("uom", {"name": "defaultuomid", "uomscheduleid.name": "defaultuomscheduleid"}, "uom"),
            ),
            "quantitydecimal": "int",
            "productstructure": "int",
            "statecode": "int",
            "statuscode": "int",
            "statecode__gp_inactive": "int",
        },
    ),
    node(
        "crm_account",
        {
            "table": "account",
            "noun": "account",
            "match_on": ["accountnumber"],
            "adopt_by": ["name", "address1_postalcode"],
            "create_unless": {"column": "statecode__gp_inactive", "reason": "inactive"},
            "state": {"editable": NEW, "cancelled": {"statecode": 1, "statuscode": 2}},
        },
        {
            "accountnumber": "varchar(20)",
            "name": "varchar(160)",
            "address1_postalcode": "varchar(20)",
            "telephone1": "varchar(50)",
            "parentaccountid": (
                "varchar(20)",
                look_up("account", {"accountnumber": "parentaccountid"}, "parent_account"),
            ),
            "ownerid": (
                "varchar(100)",
                {
                    **look_up("systemuser", {"new_gpsalespersonid": "ownerid"}, "owner", missing="leave"),
                    "only_at": "create",
                },
            ),
            "statecode": "int",
            "statuscode": "int",
            "statecode__gp_inactive": "int",
        },
    ),
    node(
        "crm_salesorder",
        {
            **ORDER,
            "state": ORDER_STATES,
            "share_with": {"owner_of": "customerid"},
            "children": {"model": "crm_salesorderdetail", "via": "salesorderid", "match_on": ["lineitemnumber"]},
        },
        ORDER_COLUMNS,
    ),
    node("crm_salesorderdetail", {"table": "salesorderdetail"}, {"salesorderid": "varchar(300)", **LINE_COLUMNS}),
    node(
        "crm_salesorder_ended",
        {
            **ORDER,
            "create": "never",
            "sought_by": "name__gp",
            "state": ORDER_STATES,
            "children": {"model": "crm_salesorderdetail_ended", "via": "salesorderid", "match_on": ["lineitemnumber"]},
        },
        {**ORDER_COLUMNS, "name__gp": "varchar(21)"},
    ),
    node("crm_salesorderdetail_ended", {"table": "salesorderdetail"}, {"salesorderid": "varchar(300)", **LINE_COLUMNS}),
    node(
        "crm_invoice",
        {
            "table": "invoice",
            "noun": "invoice",
            "match_on": ["name"],
            "sop_mode": True,
            "state": {"editable": {"statecode": 0, "statuscode": 4}, "locked": [2, 3], "born": NEW},
            "children": {"model": "crm_invoicedetail", "via": "invoiceid", "match_on": ["lineitemnumber"]},
        },
        {
            **ORDER_COLUMNS,
            "salesorderid": ("varchar(300)", look_up("salesorder", {"name": "salesorderid"}, "order", missing="clear")),
        },
    ),
    node("crm_invoicedetail", {"table": "invoicedetail"}, {"invoiceid": "varchar(300)", **LINE_COLUMNS}),
    node(
        "crm_productpricelevel",
        {"table": "productpricelevel", "noun": "price", "match_on": ["pricelevelid", "productid", "uomid"]},
        {
            "pricelevelid": ("varchar(100)", look_up("pricelevel", {"name": "pricelevelid"}, "price_level")),
            "productid": ("varchar(100)", look_up("product", {"productnumber": "productid"}, "product")),
            "uomid": ("varchar(100)", look_up("uom", UNIT_OF, "uom")),
            "uomid__schedule": "varchar(100)",
            "amount": "decimal(19,5)",
        },
    ),
)
LIST = "EXTPRCLVL"

ROWS: dict[str, list[tuple[object, ...]]] = {
    "crm_uomschedule": [("CABLE", "Foot", "By the foot"), ("EACH", "Each", "Pieces")],
    "crm_uom": [
        ("CABLE", "Foot", 1, None, None),
        ("CABLE", "Spool", 0, 500, "Foot"),
        ("EACH", "Each", 1, None, None),
        ("EACH", "Box", 0, 12, "Each"),
        ("EACH", "Case", 0, 144, "Each"),
    ],
    "crm_product": [
        ("BOLT", "A bolt", "EACH", "Box", 2, 1, 0, 1, 0),
        ("WIRE", "A wire", "CABLE", "Foot", 2, 1, 0, 1, 0),
        ("OLD", "Sold no more", "EACH", "Each", 2, 1, 1, 2, 1),
    ],
    "crm_account": [
        ("A-HEAD", "Head office", "10001", "1", None, None, 0, 1, 0),
        ("Z-REGION", "Region", "10002", "2", "A-HEAD", None, 0, 1, 0),
        ("B-BRANCH", "Branch", "10003", "3", "Z-REGION", None, 0, 1, 0),
        ("GONE", "Gone", "10004", "4", None, None, 1, 2, 1),
        ("LONE", "Alone", "10005", "5", None, None, 0, 1, 0),
    ],
    "crm_salesorder": [("O1", "B-BRANCH", LIST, "One", 0, 1), ("O2", "LONE", LIST, "Two", 0, 1)],
    "crm_salesorderdetail": [
        ("O1", 1, 0, "BOLT", "Box", "EACH", 3, 1, 9),
        ("O1", 2, 0, "WIRE", "Spool", "CABLE", 1, 1, 5),
        ("O2", 1, 0, "WIRE", "Foot", "CABLE", 7, 1, 2),
    ],
    "crm_salesorder_ended": [("OLD-1", "LONE", LIST, "Long gone", 3, 100001, "OLD-1")],
    "crm_salesorderdetail_ended": [("OLD-1", 1, 0, "WIRE", "Foot", "CABLE", 7, 1, 2)],
    "crm_invoice": [("I1", "LONE", LIST, "Paid", 2, 100001, "O1"), ("O2", "LONE", LIST, "Open", 0, 4, "NONE")],
    "crm_invoicedetail": [
        ("I1", 1, 0, "BOLT", "Each", "EACH", 3, 1, 9),
        ("O2", 1, 0, "WIRE", "Foot", "CABLE", 7, 1, 2),
    ],
    "crm_productpricelevel": [(LIST, "BOLT", "Box", "EACH", 9), (LIST, "BOLT", "Case", "EACH", 99)],
}


@dataclass
class MadeCompany(KeptOpen):
    """Every kind of table, in a CRM that is all but empty."""

    def row(self, table: str, **columns: object) -> dict[str, Any]:
        """CRM's only row with these values."""
        found = [row for row in self.crm.rows(table) if all(row.get(name) == its for name, its in columns.items())]
        assert len(found) == 1, (table, columns, len(found))
        return dict(found[0])

    def named(self, table: str, column: str = "name") -> list[str]:
        """CRM's rows by one column, sorted."""
        return sorted(str(row[column]) for row in self.crm.rows(table) if row.get(column) is not None)

    def parents(self) -> dict[str, str | None]:
        """Account number → that of its parent."""
        rows = self.crm.rows("account")
        numbers = {row["accountid"]: row["accountnumber"] for row in rows}
        return {
            row["accountnumber"]: numbers[_id(row["parentaccountid"])] if row["parentaccountid"] else None
            for row in rows
        }

    def owner(self, account: str) -> str:
        return _id(self.row("account", accountnumber=account)["ownerid"])

    def lines_of(self, table: str, via: str, parent: str) -> list[dict[str, Any]]:
        return [dict(row) for row in self.crm.rows(table) if _id(row[via]) == parent]


def _id(value: Any) -> str:
    return str(value["id"] if isinstance(value, dict) else value)


@cache
def _journal_of(manifest: Path) -> tuple[Yaml, list[Yaml]]:
    """The metadata of dbt's manifest and the nodes of the journal's tables."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    nodes = [each for each in content["nodes"].values() if each["name"] in (*JOURNAL_TABLES, COLUMNS, RECORDS)]
    return content["metadata"], nodes


def open_company(stack: ExitStack, built: Built, folder: Path, nodes: tuple[Yaml, ...] = NODES) -> MadeCompany:
    """The company staged in a warehouse of its own, a CRM without its records, and the loader between them."""
    target_path = folder / "target"
    target_path.mkdir()
    metadata, journal = _journal_of(built.target_path / "manifest.json")
    content = {
        "metadata": metadata,
        "nodes": {each["unique_id"]: each for each in [*nodes, *journal]},
    }
    (target_path / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    snapshot = organisation.snapshot()
    snapshot["tables"] = {table: rows for table, rows in snapshot["tables"].items() if table in STAYING}
    crm = stack.enter_context(Emulator(snapshot=snapshot))
    company = MadeCompany(folder / "sample.duckdb", target_path, crm, sources=replace(KNOWN, contract=known_contract))
    warehouse = connect(known_target(PROJECT, None, None, company.environ), for_run=True, create=True)
    for each in nodes:
        columns = ", ".join(f'"{name}" {column["data_type"]}' for name, column in each["columns"].items())
        warehouse.execute(f'create table "{each["name"]}" ({columns})')
        for row in ROWS.get(each["name"], ()):
            warehouse.execute(f'insert into "{each["name"]}" values ({", ".join("?" for _ in row)})', row)
    for each in journal:
        if each["name"] in SNAPSHOT:
            warehouse.execute(f"create schema if not exists {each['relation_name'].rpartition('.')[0]}")
            columns = ", ".join(f"{name} {kind}" for name, kind in SNAPSHOT[each["name"]].items())
            warehouse.execute(f"create table {each['relation_name']} ({columns})")
    warehouse.close()
    stack.callback(company.release)
    return company


class KeptCompany:
    """A company whose files and CRM rows can be put back, so that many tests can have it, one after the other.

    Its warehouse stays the same file, and CRM has the same address, so that a run goes on where the last one ended.
    """

    def __init__(self, company: MadeCompany) -> None:
        company.release()
        self._company, self._rows = company, keep_crm(company.crm)
        self._files = {path: path.read_bytes() for path in (company.path, company.target_path / "manifest.json")}
        self._same_file = company.path.with_suffix(".kept")
        os.link(company.path, self._same_file)

    def again(self) -> MadeCompany:
        company, crm = self._company, self._company.crm
        for left in company.path.parent.glob(f"{company.path.name}*"):
            left.unlink()
        os.link(self._same_file, company.path)
        for path, content in self._files.items():
            if path.read_bytes() != content:
                path.write_bytes(content)
        crm.faults.clear()
        crm.reset_log()
        crm.crashes.clear()
        crm.organisation.denied.clear()
        crm.queries.untracked.clear()
        put_back_crm(crm, self._rows)
        return MadeCompany(company.path, company.target_path, crm, dict(company.settings), company.sources)
