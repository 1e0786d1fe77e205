"""What stands in GP's texts is data: it finds the right rows, reads as it was written, and reaches nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.promises.conftest import NEW, WITHOUT_PRODUCT, Handful

ODD = [
    "O'BRIEN",
    "''; drop table",
    '"quoted"',
    "1' or '1' eq '1",
    "') or (name ne '",
    "a#b?c&d=e",
    "100%",
    "%27 or 1",
    "a+b/c\\d",
    "<b>&amp;</b>",
    "{0}{sync_run}",
    "$1",
    "/salesorders(1)",
    "[A-Z]_%",
    "*",
    "null",
    "x--batch_gp_to_crm--",
    "line\nbreak",
    "cr\r\nlf",
    "tab\tbed",
    "BÜRO-7",
    "STRASSE ß",
    "ŒUVRE ½ µ ÿ",
    "a\u00a0b",
    "  leading",
]
"""Texts of at most 20 characters, which any of GP's keys could hold."""


def everything(handful: Handful) -> dict[str, dict[str, dict[str, Any]]]:
    """All rows of CRM by table and id."""
    with handful.crm.lock:
        return {
            name: {id_: dict(row) for id_, row in table.rows.items()}
            for name, table in handful.crm.store.tables.items()
        }


def touched(before: dict[str, Any], after: dict[str, Any], table: str) -> set[str]:
    return {id_ for id_ in {*before[table], *after[table]} if before[table].get(id_) != after[table].get(id_)}


def decoys(text: str) -> list[str]:
    """What a wrong quoting, a pattern or a shortened text would find instead."""
    tried = [
        text.replace("'", "''"),
        text.replace("'", ""),
        text.replace("\n", ""),
        text.replace("\r\n", "\n"),
        text.replace("\\", "\\\\"),
        text.replace("+", " "),
        text.replace("%27", "'"),
        text.replace("&amp;", "&"),
        text.partition("#")[0],
        text.partition("&")[0],
        text.strip(),
        text.replace("\u00a0", " "),
        "anything",
        "A_%",
    ]
    return [each for each in dict.fromkeys(tried) if each and each.rstrip().casefold() != text.rstrip().casefold()]


@pytest.mark.parametrize("text", ODD)
def test_any_order_number_finds_its_own_order_alone(handful: Handful, text: str) -> None:
    account = handful.crm.rows("account")[0]
    for name in decoys(text):
        handful.crm.insert(
            "salesorder",
            {
                "name": name,
                "customerid": {"table": "account", "id": account["accountid"]},
                "ownerid": account["ownerid"],
                "transactioncurrencyid": account["transactioncurrencyid"],
                "statecode": 0,
                "statuscode": 1,
            },
        )
    handful.stage_copy(text, NEW[0])
    before = everything(handful)
    for _ in range(2):
        ended = handful.push("--order", text)
        assert ended.exit_code == 0, ended.stdout
    assert ended.orders["unchanged"] == 1
    (order,) = handful.in_crm(text)
    assert order["name"] == text
    after = everything(handful)
    assert touched(before, after, "salesorder") == {order["salesorderid"]}
    assert touched(before, after, "salesorderdetail") == {line["salesorderdetailid"] for line in order["lines"]}
    for table in ("account", "product", "uom", "pricelevel", "systemuser"):
        assert touched(before, after, table) == set()

    handful.edit(text)
    assert handful.push("--order", text).orders["updated"] == 1
    final = everything(handful)
    assert touched(before, final, "salesorder") == {order["salesorderid"]}
    events = handful.query("select record_key, outcome from main_journal.sync_event")
    assert events == [(text, "created"), (text, "updated")]
    assert handful.query("select record_key, crm_id from main_journal.crm_xref") == [(text, order["salesorderid"])]


@pytest.mark.parametrize("text", ODD)
def test_any_key_finds_its_own_row_alone(handful: Handful, text: str) -> None:
    """Customer, item, unit, schedule, price level and sales rep of that name, among others of nearly that name."""
    crm = handful.crm
    owner = crm.rows("account")[0]["ownerid"]
    currency = crm.rows("transactioncurrency")[0]["transactioncurrencyid"]
    ids: dict[str, str] = {}
    for name in [*decoys(text), text]:
        ids["account"] = crm.insert("account", {"name": "x", "accountnumber": name, "ownerid": owner})
        ids["schedule"] = crm.insert("uomschedule", {"name": name})
        schedule = {"table": "uomschedule", "id": ids["schedule"]}
        ids["uom"] = crm.insert("uom", {"name": name, "uomscheduleid": schedule, "quantity": "1"})
        unit = {"table": "uom", "id": ids["uom"]}
        ids["product"] = crm.insert(
            "product",
            {
                "name": "x", "productnumber": name, "statecode": 0, "statuscode": 1,
                "defaultuomscheduleid": schedule, "defaultuomid": unit,
            },
        )  # fmt: skip
        money = {"table": "transactioncurrency", "id": currency}
        ids["level"] = crm.insert("pricelevel", {"name": name, "transactioncurrencyid": money})
        ids["rep"] = crm.insert("systemuser", {"fullname": "x", "new_gpsalespersonid": name})
    handful.stage_copy(
        "ODD-KEYS",
        NEW[0],
        {"customerid": text, "pricelevelid": text, "description": text, "billto_line1": text},
        {"productid": text, "uomid": text, "uomid__schedule": text, "salesrepid": text, "isproductoverridden": 0,
         "productdescription": None, "shipto_name": text},
    )  # fmt: skip
    ended = handful.push("--order", "ODD-KEYS")
    assert ended.exit_code == 0, ended.stdout
    assert ended.result("ODD-KEYS")["warnings"] == []
    (order,) = handful.in_crm("ODD-KEYS")
    assert order["customerid"]["id"] == ids["account"]
    assert order["pricelevelid"]["id"] == ids["level"]
    assert (order["description"], order["billto_line1"]) == (text, text)
    for line in order["lines"]:
        assert line["productid"]["id"] == ids["product"]
        assert line["uomid"]["id"] == ids["uom"]
        assert line["salesrepid"]["id"] == ids["rep"]
        assert line["shipto_name"] == text
    assert handful.push("--order", "ODD-KEYS").orders["unchanged"] == 1
    handful.assert_crm_holds_what_is_staged(*NEW, "ORDST2226", "ORDST2227", "ORDST2232")


@pytest.mark.parametrize("text", [*ODD, "bell\x07", "\x01\x1f", "nul\x00", "del\x7f", "\u2028"])
def test_an_order_of_any_number_waits_in_the_queue_once(handful: Handful, text: str) -> None:
    handful.stage_copy(text, WITHOUT_PRODUCT)
    for _ in range(2):
        ended = handful.push("--order", text)
        assert (ended.exit_code, ended.orders["blocked"]) == (3, 1), ended.stdout
    rows = handful.query("select record_key, attempts, state from main_journal.retry_queue")
    assert rows == [(text, 2, "open")]
    assert handful.loader("retry", "hold", text).exit_code == 0
    assert handful.push("--order", text).orders["skipped"] == 1
    assert handful.loader("retry", "release", text).exit_code == 0
    assert [row["key"] for row in handful.loader("retry", "list").data["queue"]] == [text]
    handful.assert_adds_up()


@pytest.mark.parametrize("text", ["bell\x07", "esc\x1b[31m", "del\x7f", "\u2028", "a\ufeffb", "emoji 😀", "\u202egnp"])
def test_control_characters_are_stored_or_refused_but_break_nothing(handful: Handful, text: str) -> None:
    handful.stage_copy(text, NEW[0], {"description": text}, {"shipto_name": text})
    before = everything(handful)
    ended = handful.push("--order", text)
    assert ended.exit_code in (0, 3), ended.stdout
    after = everything(handful)
    ours = {order["salesorderid"] for order in handful.in_crm(text)}
    assert touched(before, after, "salesorder") == ours
    again = handful.push("--order", text)
    assert again.orders["unchanged" if ours else "failed"] == 1
    handful.assert_adds_up(again)


def test_numbers_that_differ_in_case_or_blanks_alone_are_one_order(handful: Handful) -> None:
    handful.stage_copy("odd-1", NEW[0])
    handful.stage_copy("ODD-1 ", NEW[1])
    ended = handful.push()
    twice = [row for row in ended.data["results"] if row["order"].strip().casefold() == "odd-1"]
    assert [row["reason"] for row in twice] == ["order_ambiguous"] * 2
    assert handful.in_crm("odd-1") == []
    assert sum(ended.orders.values()) == 12
