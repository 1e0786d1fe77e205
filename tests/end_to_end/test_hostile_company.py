"""A company whose every key and text holds characters that mean something to somebody on the way to CRM."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from zlib import crc32

import pytest

from emulator.values import ListLexer
from sample.verify import StagedModel, staged, verify
from tests.conftest import Ended, Workbench, put_tables_for_views

pytestmark = pytest.mark.gp_changes

FRAGMENTS = (
    "['[", '"]"', "{}(", ")]\\", "%&=", "<>'", "\u202e#?", "\U0001f600/", "ßé'", "\x07'[", "$1;", "\\\"'", "--\t",
    "*:,", "\x1f\\]", "+@\u2028", "\u0130I'", "\u200f[)",
)  # fmt: skip
"""Three characters each: every one of GP's keys has room for them."""
CRM_KEYS = {
    *(("uomschedule", "name"), ("uom", "name"), ("salesorder", "name"), ("pricelevel", "name")),
    *(("account", "accountnumber"), ("product", "productnumber"), ("systemuser", "new_gpsalespersonid")),
}
KEY_COLUMNS = ("SOPNUMBE", "CUSTNMBR", "ITEMNMBR", "UOFM", "UOMSCHDL", "PRCLEVEL", "SALSTERR", "ADRSCODE", "PRBTADCD")
TEXT_COLUMNS = (
    "CUSTNAME", "SHIPTONAME", "ADDRESS1", "ADDRESS2", "ADDRESS3", "CITY", "STATE", "ZIPCODE", "ZIP", "COUNTRY",
    "ITEMDESC",
)  # fmt: skip
CONTROL = {number: " " for number in range(32) if chr(number) not in "\t\r\n"}


def hostile(value: str) -> str:
    """The value with a fragment behind it; equal ones stay equal, also where they differ in case and blanks."""
    text = value.rstrip(" ")
    return text + FRAGMENTS[crc32(text.casefold().encode()) % len(FRAGMENTS)] if text else value


def held(value: Any) -> Any:
    """What CRM can hold of it."""
    return value.translate(CONTROL).rstrip(" ") if isinstance(value, str) else value


def spoil_gp(bench: Workbench) -> None:
    warehouse = bench.warehouse()
    columns = warehouse.query(
        "select table_name, column_name from information_schema.columns where table_schema = 'gp'"
    )
    for table, column in columns:
        if str(column).upper() not in (*KEY_COLUMNS, *TEXT_COLUMNS):
            continue
        values = [str(row[0]) for row in warehouse.query(f'select distinct "{column}" from gp."{table}"') if row[0]]
        warehouse.execute(
            f"""update gp."{table}" set "{column}" = new from (select unnest(from_json(?, '["varchar"]')) as old,"""
            f""" unnest(from_json(?, '["varchar"]')) as new) as changed where "{column}" = old""",
            [json.dumps(values), json.dumps([hostile(value) for value in values])],
        )
    warehouse.close()
    put_tables_for_views(bench.path)


def spoil_crm(bench: Workbench) -> None:
    for table, column in CRM_KEYS:
        for row in bench.crm.rows(table):
            if row.get(column):
                bench.crm.update(table, row[bench.crm.id_column(table)], {column: held(hostile(row[column]))})


def reasons(ended: Ended) -> Counter[str]:
    return Counter(row["reason"] for row in ended.data["results"] if row["outcome"] in ("blocked", "failed", "skipped"))


@pytest.fixture
def harmless(bench: Workbench) -> dict[str, Any]:
    """What a plan says of the company as it is."""
    ended = bench.loader("plan")
    return {
        "records": ended.orders,
        "reasons": Counter(plan["reason"] for plan in ended.data["plans"] if plan["reason"]),
    }


@pytest.mark.parametrize("lexer", ["any", "mended"])
def test_a_hostile_company_is_pushed_like_any_other(
    bench: Workbench, harmless: dict[str, Any], lexer: ListLexer
) -> None:
    bench.crm.readings.list_lexer = lexer
    spoil_gp(bench)
    spoil_crm(bench)

    ended = bench.loader("push")
    assert "Traceback" not in ended.stderr
    assert reasons(ended) == harmless["reasons"], ended.stdout
    assert ended.orders["failed"] == 0
    assert ended.orders["created"] == harmless["records"]["create"]
    assert ended.orders["updated"] + ended.orders["unchanged"] == (
        harmless["records"]["update"] + harmless["records"]["unchanged"]
    )

    apart = {row["key"] for row in ended.data["results"] if row["outcome"] in ("blocked", "skipped")}
    with bench.run() as run:
        orders = staged(run.warehouse.query, run.contract.model_of("salesorder"))
    rows, lines = (
        [{name: held(value) for name, value in row.items()} for row in them] for them in (orders.rows, orders.lines)
    )
    checked = verify(
        [StagedModel(orders.model, rows, lines)], bench.crm, apart={("salesorder", str(held(order))) for order in apart}
    )
    assert checked.differences == []
    assert checked.orders == ended.orders["created"] + ended.orders["updated"] + ended.orders["unchanged"]
    documents = str(bench.query("from gp.SOP10100"))
    used = {fragment for fragment in FRAGMENTS if fragment in documents}
    assert len(used) > len(FRAGMENTS) // 2

    again = bench.loader("push", "--full")
    assert again.data["requests"]["write"] == 0
    assert reasons(again) == harmless["reasons"]


def test_every_command_can_be_given_a_hostile_order(bench: Workbench) -> None:
    spoil_gp(bench)
    spoil_crm(bench)
    created = [row["key"] for row in bench.loader("push").data["results"] if row["outcome"] == "created"]
    order = next(name for name in created if re.search(r"[\[\]'\\]", name))
    assert bench.loader("push", f"--order={order}").orders["unchanged"] == 1
    explained = bench.loader("explain", order)
    assert explained.exit_code == 0, explained.stdout
    assert all(column["equal"] in (True, None) for column in explained.data["columns"])
    assert bench.loader("reconcile").exit_code == 0
    assert bench.loader("check").exit_code in (0, 1)
    for arguments in (("explain", order), ("status",), ("retry", "list"), ("plan",)):
        shown = bench.loader(*arguments, json_output=False)
        assert "Traceback" not in shown.stderr
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", shown.stdout.replace("\x1b[1m", "").replace("\x1b[0m", ""))
