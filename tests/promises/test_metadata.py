"""CRM does not have what the models send: `check` names every column with its remedy, and a push writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sample import organisation
from tests.conftest import Built
from tests.promises.conftest import GOING, NEW, Handful, open_handful

pytestmark = pytest.mark.usefixtures("live_metadata")


def declare(handful: Handful, table: str, column: str, **changes: Any) -> None:
    """CRM's administrator changes a column."""
    declared = handful.crm.schema.tables[table]
    declared.add(replace(declared.columns[column], **changes))
    declared.converters.clear()


def drop(handful: Handful, table: str, column: str) -> None:
    declared = handful.crm.schema.tables[table]
    del declared.by_api_name[declared.columns.pop(column).api_name]
    declared.converters.clear()


@pytest.fixture(autouse=True)
def own_schema(handful: Handful) -> Iterator[None]:
    """The emulators of one process may share their declarations: put them back."""
    tables = handful.crm.schema.tables.values()
    before = [(table, dict(table.columns), dict(table.by_api_name)) for table in tables]
    yield
    for table, columns, by_api_name in before:
        table.columns, table.by_api_name = columns, by_api_name
        table.converters.clear()


FATAL: dict[str, tuple[Callable[[Handful], None], str, str, str]] = {
    "absent": (
        lambda handful: drop(handful, "salesorder", "billto_fax"),
        "crm_salesorder.billto_fax",
        "salesorder has no such column",
        "if_absent: skip",
    ),
    "absent on the line": (
        lambda handful: drop(handful, "salesorderdetail", "shipto_fax"),
        "crm_salesorderdetail.shipto_fax",
        "salesorderdetail has no such column",
        "if_absent: skip",
    ),
    "read-only": (
        lambda handful: declare(handful, "salesorder", "freightamount", create=False, update=False),
        "crm_salesorder.freightamount",
        "read-only in CRM",
        "Take it out of the model",
    ),
    "number for text": (
        lambda handful: declare(handful, "salesorder", "billto_city", type="Integer", max_length=None),
        "crm_salesorder.billto_city",
        "staged as varchar",
        "Cast it in the model",
    ),
    "date for text": (
        lambda handful: declare(handful, "salesorder", "description", type="DateTime", max_length=None),
        "crm_salesorder.description",
        "CRM's column is DateTime",
        "Cast it in the model",
    ),
    "text for date": (
        lambda handful: declare(handful, "salesorder", "requestdeliveryby", type="String", max_length=100),
        "crm_salesorder.requestdeliveryby",
        "CRM's column is String",
        "Cast it in the model",
    ),
    "look-up for text": (
        lambda handful: declare(handful, "salesorder", "billto_name", type="Lookup", targets=("account",)),
        "crm_salesorder.billto_name",
        "it needs meta.crm.lookup",
        "Cast it in the model",
    ),
    "text for look-up": (
        lambda handful: declare(handful, "salesorderdetail", "salesrepid", type="String", max_length=100),
        "crm_salesorderdetail.salesrepid",
        "not a look-up",
        "Cast it in the model",
    ),
    "column that is looked up by": (
        lambda handful: drop(handful, "systemuser", "new_gpsalespersonid"),
        "crm_salesorderdetail.salesrepid",
        "systemuser has no column new_gpsalespersonid",
        "Create it in CRM",
    ),
}


@pytest.mark.parametrize("problem", FATAL)
def test_a_column_that_cannot_be_sent_is_named_and_stops_the_push(handful: Handful, problem: str) -> None:
    change, column, text, remedy = FATAL[problem]
    change(handful)
    before = handful.crm.rows("salesorder"), handful.crm.rows("salesorderdetail")

    checked = handful.loader("check")
    assert checked.exit_code == 1
    (finding,) = [finding for finding in checked.data["findings"] if finding["state"] == "error"]
    assert finding["text"].startswith(f"{column}: ")
    assert text in finding["text"]
    assert remedy in finding["remedy"]

    for command in ("plan", "push"):
        ended = handful.loader(command)
        assert (ended.exit_code, ended.error["code"]) == (1, "contract_mismatch"), ended.stdout
        assert column in ended.error["message"]
        assert remedy in ended.error["remedy"]
    assert [request for request in handful.crm.requests if request.writes] == []
    assert (handful.crm.rows("salesorder"), handful.crm.rows("salesorderdetail")) == before
    assert handful.query("select outcome, staged from main_journal.sync_run") == [("error", 0)]


def test_every_problem_is_named_at_once(handful: Handful) -> None:
    for name in ("absent", "absent on the line", "read-only", "number for text"):
        FATAL[name][0](handful)
    checked = handful.loader("check")
    errors = [finding["text"] for finding in checked.data["findings"] if finding["state"] == "error"]
    assert len(errors) == 4
    ended = handful.loader("push")
    assert "(and 3 more)" in ended.error["message"]


def test_a_column_that_is_too_short_is_warned_of_and_cut(handful: Handful) -> None:
    """Half of a character that takes two is no character: it goes whole or not."""
    handful.execute("update crm_salesorder set billto_name = ? where name = ?", "Fünf😀 und mehr", NEW[0])
    declare(handful, "salesorder", "billto_name", max_length=5)
    checked = handful.loader("check")
    assert checked.exit_code == 0
    (finding,) = [finding for finding in checked.data["findings"] if "billto_name" in finding["text"]]
    assert finding["state"] == "warning"
    assert "CRM holds 5 characters" in finding["text"]
    assert finding["remedy"].startswith("Raise the column's length in CRM to ")

    ended = handful.push()
    assert ended.orders["failed"] == 0
    (warning,) = [w for w in ended.result(NEW[0])["warnings"] if w["column"] == "billto_name"]
    assert warning["code"] == "value_truncated"
    assert handful.in_crm(NEW[0])[0]["billto_name"] == "Fünf"
    again = handful.push()
    assert again.data["requests"]["write"] == 0
    assert again.orders["unchanged"] == len(GOING)


def test_a_column_that_crm_need_not_have_is_left_out_or_filled(small: Built, tmp_path: Path, handful: Handful) -> None:
    """`datedelivered` is no column of a stock organisation; where someone has made it, it is filled."""
    delivered = "update crm_salesorder set datedelivered = timestamp '2027-05-01 04:00:00' where name = ?"
    handful.execute(delivered, NEW[0])
    assert handful.push("--order", NEW[0]).exit_code == 0
    assert any(f["text"].startswith("crm_salesorder.datedelivered") for f in handful.loader("check").data["findings"])

    snapshot = organisation.snapshot()
    snapshot["custom_columns"].append({"table": "salesorder", "name": "datedelivered", "type": "DateTime"})
    (tmp_path / "other").mkdir()
    with ExitStack() as stack:
        other = open_handful(stack, small, tmp_path / "other", snapshot=snapshot)
        other.execute(delivered, NEW[0])
        assert other.push("--order", NEW[0]).exit_code == 0
        assert other.in_crm(NEW[0])[0]["datedelivered"] == "2027-05-01T04:00:00Z"
        assert other.push("--order", NEW[0]).orders["unchanged"] == 1


def test_a_day_of_crm_takes_the_day_and_a_second_push_writes_nothing(handful: Handful) -> None:
    declare(handful, "salesorder", "requestdeliveryby", behavior="DateOnly")
    with handful.crm.lock:
        for id_, row in list(handful.crm.store.tables["salesorder"].rows.items()):
            if "requestdeliveryby" in row:
                handful.crm.update("salesorder", id_, {"requestdeliveryby": str(row["requestdeliveryby"])[:10]})
    handful.execute(
        "update crm_salesorder set requestdeliveryby = timestamp '2027-05-01 04:00:00' where name = ?", NEW[0]
    )
    assert handful.push().orders["failed"] == 0
    assert handful.in_crm(NEW[0])[0]["requestdeliveryby"] == "2027-05-01"
    assert handful.push().data["requests"]["write"] == 0


@pytest.mark.parametrize("decimals", [0, 4])
def test_crms_own_precision_decides_what_is_equal(handful: Handful, decimals: int) -> None:
    handful.crm.organization(pricingdecimalprecision=decimals)
    for currency in handful.crm.rows("transactioncurrency"):
        values = {"currencyprecision": decimals}
        handful.crm.update("transactioncurrency", currency["transactioncurrencyid"], values)
    handful.execute(
        "update crm_salesorderdetail set priceperunit = 10.12345, tax = 1.55555 where salesorderid = ?", NEW[0]
    )
    assert handful.push().orders["failed"] == 0
    line = handful.in_crm(NEW[0])[0]["lines"][0]
    assert str(line["priceperunit"]) == {0: "10", 4: "10.1235"}[decimals]
    assert str(line["tax"]) == {0: "2", 4: "1.5556"}[decimals]
    again = handful.push()
    assert (again.data["requests"]["write"], again.orders["unchanged"]) == (0, len(GOING)), again.stdout


def test_a_privilege_that_is_missing_is_named_and_refused(handful: Handful) -> None:
    handful.crm.deny(None, "prvCreateOrder")
    checked = handful.loader("check")
    assert checked.exit_code == 1
    assert any("prvCreateOrder" in f["text"] for f in checked.data["findings"] if f["state"] == "error")
    ended = handful.push()
    assert ended.exit_code == 3, ended.stdout
    failed = {row["key"]: row["reason"] for row in ended.data["results"] if row["outcome"] == "failed"}
    assert failed.keys() >= set(NEW)
    assert set(failed.values()) == {"crm_rejected"}
    handful.assert_crm_holds_what_is_staged(*failed)
    handful.assert_adds_up(ended)
    handful.crm.deny()
    handful.push()
    handful.assert_in_sync()
