"""A few records of every table of the sample company, as tables; a CRM that is as good as empty; an eye on commits."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from emulator import Emulator
from loader.dataverse.auth import Bearer
from loader.dataverse.pace import Patience
from loader.profile import read_target
from loader.push.pushing import push
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse
from sample import organisation
from sample.verify import Verification, staged
from tests.conftest import PROJECT, Built, Ended
from tests.promises.atomicity import Atomicity
from tests.promises.conftest import KNOWN, Handful, stage_as_tables
from tests.promises.mortal import Fate, Hasty, Killed, MortalClient, mortal

SETTING = "createproductswithoutparentinactivestate"
OPEN, ENDING, BOTH = "ORDST2225", "ORDST2279", "ORDST2251"
"""An open order; one that GP will transfer; a number that an order and an invoice have."""
ORDERS = (OPEN, ENDING, BOTH, "ORDST2296", "ORDST2243")
PAID, VOIDED = "INVST0001", "INVST0002"
HEAD, REGION, BRANCH = "UNIFIEDW0001", "GREENWAY0001", "AARONFIT0001"
"""A national account, three deep; the last one has orders, and comes first by its number."""
ADOPTED = "BLUEYOND0001"
UNUSED = "HDWR-PNL-0001"
"""An item that is on no order."""
GONE, RETIRED = "GONE0001", "OLD-ITEM"
"""Inactive in GP."""
RECORDS = {
    "crm_uomschedule": ("EACH", "PHONES", "CABLE", "HOURS"),
    "crm_product": (
        "100XLG",
        "128 SDRAM",
        "PHON-ATT-0712",
        "SERVICE-HR",
        "WIRE-MCD-0001",
        "CORDG",
        "ACCS-CRD-12WH",
        UNUSED,
    ),
    "crm_account": (HEAD, REGION, BRANCH, ADOPTED, "ASTORSUI0001", "CELLULAR0001", "FRANCHIS0001", "CONTOSOL0001"),
    "crm_salesorder": ORDERS,
    "crm_salesorder_ended": ("ORDST2353", "ORDST2356"),
    "crm_invoice": (BOTH,),
}
EDITS = (
    f"update crm_account set parentaccountid = '{HEAD}' where accountnumber = '{REGION}'",
    f"update crm_account set parentaccountid = '{REGION}' where accountnumber = '{BRANCH}'",
    "update crm_account set ownerid = 'TERRITORY 4' where accountnumber = 'CELLULAR0001'",
    f"insert into crm_account select * replace ('{GONE}' as accountnumber, 1 as statecode, 2 as statuscode,"
    " 1 as statecode__gp_inactive) from crm_account where accountnumber = 'CONTOSOL0001'",
    f"insert into crm_product select * replace ('{RETIRED}' as productnumber, 1 as statecode, 2 as statuscode,"
    " 1 as statecode__gp_inactive) from crm_product where productnumber = 'CORDG'",
    *(
        f"insert into crm_invoice select * replace ('{number}' as name, '{number}' as invoicenumber, {state},"
        f" '{OPEN}' as salesorderid) from crm_invoice where name = '{BOTH}'"
        for number, state in (
            (PAID, "2 as statecode, 100001 as statuscode"),
            (VOIDED, "3 as statecode, 100003 as statuscode"),
        )
    ),
    *(
        f"insert into crm_invoicedetail select * replace ('{number}' as invoiceid)"
        f" from crm_invoicedetail where invoiceid = '{BOTH}'"
        for number in (PAID, VOIDED)
    ),
)
CREATED = {"account": 7, "uomschedule": 4, "product": 8, "salesorder": 5, "invoice": 3}
UPDATED = {**dict.fromkeys(CREATED, 0), "account": 1}
"""The adopted account."""
SKIPPED = {**dict.fromkeys(CREATED, 0), "account": 1, "product": 1}
THERE = {table: CREATED[table] + UPDATED[table] for table in CREATED}


@dataclass
class Whole(Handful):
    """Every commit is watched: orders and invoices are old or staged, no product is a draft, no account is twice."""

    apart: set[str] = field(default_factory=set)
    born_wrong: list[str] = field(default_factory=list)
    there: dict[str, int] = field(default_factory=lambda: THERE)

    @cached_property
    def invoices(self) -> Atomicity:
        return Atomicity(self.crm, "invoice")

    @cached_property
    def products_and_accounts(self) -> bool:
        """Looks at them from here on."""
        store, inner = self.crm.store, self.crm.store.transaction

        @contextmanager
        def transaction() -> Any:
            is_outermost = store._undo is None
            with inner():
                yield
            if is_outermost:
                self._look()

        store.transaction = transaction  # type: ignore[method-assign]
        return True

    def _look(self) -> None:
        tables: Any = self.crm.store.tables
        drafts = [row["productnumber"] for row in tables["product"].rows.values() if row["statecode"] == 2]
        numbers = [row.get("accountnumber") for row in tables["account"].rows.values()]
        doubled = {number for number in numbers if number and numbers.count(number) > 1}
        self.born_wrong += [f"product {each} was committed as a draft" for each in drafts]
        self.born_wrong += [f"account {each} is there twice" for each in doubled]

    def watch(self) -> None:
        assert self.products_and_accounts
        self.atomicity.remember()
        self.invoices.remember()
        warehouse = self.warehouse()
        try:
            for model in self.contract.models:
                if model.children and model.table in ("salesorder", "invoice"):
                    its = staged(warehouse.query, model)
                    eye = self.atomicity if model.table == "salesorder" else self.invoices
                    eye.allow([dict(row) for row in its.rows], [dict(line) for line in its.lines])
        finally:
            warehouse.close()

    def assert_whole(self) -> None:
        super().assert_whole()
        assert self.invoices.broken == []
        assert self.born_wrong == []

    def die(self, step: int | None = None) -> int:
        """A push of which nothing works any more from this step on; the number of steps that it made."""
        self.watch()
        stop, token = Hasty(), self.crm.token_for(None)
        client = MortalClient(
            self.crm.url,
            Bearer(lambda patience, attempts: (token, None)),
            timeout=5,
            concurrency=1,
            patience=Patience(stop),
        )
        client.fate = Fate(step)
        warehouse = self.warehouse()
        sources = replace(
            self.sources,
            warehouse=lambda *_: mortal(warehouse, client.fate),
            client=lambda *_: client,
            stop=lambda: stop,
        )
        with closing(warehouse), replace(self, sources=sources).run("push") as run, suppress(Killed):
            push(run)
        self.kill_lock()
        return client.fate.steps

    def a_day_passes(self) -> None:
        """GP transfers an order, edits another one, renames a customer, retires an item; a paid invoice changes."""
        self.transfer(ENDING)
        self.edit(OPEN)
        self.execute("update crm_account set name = 'New name' where accountnumber = ?", BRANCH)
        self.execute(
            "update crm_product set statecode = 1, statuscode = 2, statecode__gp_inactive = 1 where productnumber = ?",
            UNUSED,
        )
        self.execute("update crm_invoicedetail set quantity = quantity + 1 where invoiceid = ?", PAID)
        self.there = {**THERE, "salesorder": THERE["salesorder"] - 1}

    def count(self, ended: Ended, word: str) -> dict[str, int]:
        return {table: counts[word] for table, counts in ended.data["tables"].items()}

    def compared(self, *apart: tuple[str, str]) -> Verification:
        """CRM against every staged row, value by value."""
        skipped = {("account", GONE), ("product", RETIRED)}
        return self.verify(skipped | set(apart))

    def assert_complete(self) -> None:
        """CRM holds every staged row, and a push has nothing left to write."""
        again = self.push()
        assert (again.exit_code, again.data["requests"]["write"]) == (0, 0), again.stdout + again.stderr
        assert self.count(again, "unchanged") == self.there
        assert self.compared().differences == []
        self.assert_whole()
        self.assert_adds_up(again)

    def row(self, table: str, **columns: object) -> dict[str, Any]:
        """CRM's only row with these values."""
        found = [row for row in self.crm.rows(table) if all(row[name] == value for name, value in columns.items())]
        assert len(found) == 1, (table, columns, len(found))
        return dict(found[0])

    def result_of(self, ended: Ended, table: str, key: str) -> dict[str, Any]:
        rows = ended.data.get("results") or ended.data["plans"]
        return next(row for row in rows if (row["table"], row["key"]) == (table, key))

    def transfer(self, order: str, statecode: int = 3, statuscode: int = 100001) -> None:
        """GP moves an order to its history, with another quantity in each line and another name."""
        self.execute(
            "insert into crm_salesorder_ended by name select o.* exclude (statuscode__gp)"
            " replace ('Final' as description, ? as statecode, ? as statuscode), lower(o.name) as name__gp"
            " from crm_salesorder as o where o.name = ?",
            statecode,
            statuscode,
            order,
        )
        self.execute(
            "insert into crm_salesorderdetail_ended by name select l.* replace (quantity + 1 as quantity),"
            " lower(salesorderid) as name__gp from crm_salesorderdetail as l where l.salesorderid = ?",
            order,
        )
        self.unstage(order)


def open_few(stack: ExitStack, built: Built, folder: Path) -> Whole:
    """The few records, staged; the organisation before its first push; and the loader between them."""
    path = folder / "sample.duckdb"
    shutil.copy(staged_few(built), path)
    crm = stack.enter_context(Emulator(snapshot=organisation.empty()))
    few = Whole(path, built.target_path, crm, sources=KNOWN)
    stack.callback(few.release)
    return few


_made: dict[Path, Path] = {}


def staged_few(built: Built) -> Path:
    """A warehouse with the few records; made once per process."""
    if built.path not in _made:
        path = built.path.parent / str(os.getpid()) / "sample.duckdb"
        path.parent.mkdir()
        stage_as_tables(built.as_tables, path, RECORDS)
        environ = {**os.environ, "GP_CRM_DUCKDB_PATH": str(path)}
        warehouse: Warehouse = connect(read_target(PROJECT, None, None, environ), for_run=True)
        for sql in EDITS:
            warehouse.execute(sql)
        warehouse.close()
        _made[built.path] = path
    return _made[built.path]
