"""What stands in GP's texts is data: it finds the right rows, reads as it was written, and reaches nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.values import ListLexer
from tests.promises.conftest import NEW, ORDERS, WITHOUT_PRODUCT, Handful
from tests.thorough import some

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
    "ORD[1",
    "TUBE[3/4",
    "CUP]",
    "[X",
    "{X",
    "(X",
    "it's[",
    "ends in \\",
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
LEXERS: tuple[ListLexer, ...] = ("any", "mended")
"""Lists of values are read by every version of OData's lexer alike, or by the one that has no faults."""


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
        text.rstrip("\\"),
        text.replace("[", ""),
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


@pytest.fixture
def odd(handful: Handful) -> Handful:
    """GP has an order for each of the texts, CRM has orders of nearly those names, and nothing else is staged."""
    account = handful.crm.rows("account")[0]
    known = {text.rstrip().casefold() for text in ODD}
    for name in {name for text in ODD for name in decoys(text)}:
        if name.rstrip().casefold() not in known:
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
    handful.stage_copies(NEW[0], *ODD)
    handful.execute(f"delete from crm_salesorder where name in {ORDERS}")
    handful.execute(f"delete from crm_salesorderdetail where salesorderid in {ORDERS}")
    handful.apart.clear()
    return handful


def flags(texts: list[str]) -> list[str]:
    return [f"--order={text}" for text in texts]


@pytest.mark.parametrize("lexer", LEXERS)
def test_any_order_number_finds_its_own_order_alone(odd: Handful, lexer: ListLexer) -> None:
    odd.crm.readings.list_lexer = lexer
    before = everything(odd)
    ended = odd.push(*flags(ODD))
    assert ended.orders["created"] == len(ODD), ended.stdout
    assert odd.push(*flags(ODD)).orders["unchanged"] == len(ODD)
    ours = {text: odd.in_crm(text) for text in ODD}
    assert {text: [order["name"] for order in found] for text, found in ours.items()} == {text: [text] for text in ODD}
    after = everything(odd)
    assert touched(before, after, "salesorder") == {found[0]["salesorderid"] for found in ours.values()}
    assert touched(before, after, "salesorderdetail") == {
        line["salesorderdetailid"] for found in ours.values() for line in found[0]["lines"]
    }
    for table in ("account", "product", "uom", "pricelevel", "systemuser"):
        assert touched(before, after, table) == set()
    known = dict(odd.query("select record_key, crm_id from main_journal.crm_xref"))
    assert known == {text: found[0]["salesorderid"] for text, found in ours.items()}
    odd.assert_crm_holds_what_is_staged()


def test_an_order_of_any_number_is_changed_alone(odd: Handful) -> None:
    odd.push()
    for text in (ODD[1], ODD[7], ODD[-4]):
        before = everything(odd)
        odd.edit(text)
        ended = odd.push()
        assert (ended.orders["updated"], ended.orders["unchanged"]) == (1, len(ODD) - 1)
        assert touched(before, everything(odd), "salesorder") == {odd.in_crm(text)[0]["salesorderid"]}


@pytest.mark.parametrize("lexer", LEXERS)
def test_any_key_finds_its_own_row_alone(odd: Handful, lexer: ListLexer) -> None:
    """Customer, item, unit, schedule, price level and sales rep of that name, among others of nearly that name."""
    odd.crm.readings.list_lexer = lexer
    crm = odd.crm
    owner = crm.rows("account")[0]["ownerid"]
    money = {"table": "transactioncurrency", "id": crm.rows("transactioncurrency")[0]["transactioncurrencyid"]}
    ids: dict[str, dict[str, str]] = {}
    for name in dict.fromkeys([*ODD, *(name for text in ODD for name in decoys(text))]):
        if name.rstrip().casefold() in (known.rstrip().casefold() for known in ids):
            continue
        schedule = {"table": "uomschedule", "id": crm.insert("uomschedule", {"name": name})}
        unit = crm.insert("uom", {"name": name, "uomscheduleid": schedule, "quantity": "1"})
        product = {"name": "x", "productnumber": name, "statecode": 0, "statuscode": 1}
        product |= {"defaultuomscheduleid": schedule, "defaultuomid": {"table": "uom", "id": unit}}
        ids[name] = {
            "customerid": crm.insert("account", {"name": "x", "accountnumber": name, "ownerid": owner}),
            "pricelevelid": crm.insert("pricelevel", {"name": name, "transactioncurrencyid": money}),
            "productid": crm.insert("product", product),
            "uomid": unit,
            "salesrepid": crm.insert("systemuser", {"fullname": "x", "new_gpsalespersonid": name}),
        }
    odd.execute("update crm_salesorder set customerid = name, pricelevelid = name, description = name")
    odd.execute(
        "update crm_salesorderdetail set productid = salesorderid, uomid = salesorderid,"
        " uomid__schedule = salesorderid, salesrepid = salesorderid, shipto_name = salesorderid,"
        " isproductoverridden = 0, productdescription = null"
    )
    ended = odd.push()
    assert ended.orders["created"] == len(ODD), ended.stdout
    assert [row["warnings"] for row in ended.data["results"]] == [[]] * len(ODD)
    for text in ODD:
        (order,) = odd.in_crm(text)
        found = {column: order[column]["id"] for column in ("customerid", "pricelevelid")}
        assert order["description"] == text
        for line in order["lines"]:
            found |= {column: line[column]["id"] for column in ("productid", "uomid", "salesrepid")}
            assert line["shipto_name"] == text
        assert found == ids[text]
    assert odd.push().orders["unchanged"] == len(ODD)


STRANGE = ["bell\x07", "\x01\x1f", "nul\x00", "del\x7f", "\u2028"]


def test_an_order_of_any_number_waits_in_the_queue_once(handful: Handful) -> None:
    texts = [*ODD, *STRANGE]
    handful.stage_copies(WITHOUT_PRODUCT, *texts)
    for _ in range(2):
        assert handful.push(*flags(texts)).orders["blocked"] == len(texts)
    rows = handful.query("select record_key, attempts, state from main_journal.retry_queue order by record_key")
    assert sorted(rows) == sorted((text, 2, "open") for text in texts)
    assert handful.loader("retry", "hold", *texts).exit_code == 0
    assert handful.push(*flags(texts)).orders["skipped"] == len(texts)
    assert handful.loader("retry", "release", *texts).exit_code == 0
    assert {row["key"] for row in handful.loader("retry", "list").data["queue"]} == set(texts)
    handful.assert_adds_up()


@pytest.mark.parametrize("text", ["bell\x07", "esc\x1b[31m", "del\x7f", "\u2028", "a\ufeffb", "emoji 😀", "\u202egnp"])
def test_control_characters_become_blanks_and_break_nothing(handful: Handful, text: str) -> None:
    handful.stage_copies(NEW[0], text, text=text)
    before = everything(handful)
    ended = handful.push("--order", text)
    assert ended.exit_code == 0, ended.stdout
    after = everything(handful)
    ours = {
        order["salesorderid"] for order in handful.in_crm(text.replace("\x07", " ").replace("\x1b", " ").rstrip(" "))
    }
    assert len(ours) == 1
    assert touched(before, after, "salesorder") == ours
    again = handful.push("--order", text)
    assert again.orders["unchanged" if ours else "failed"] == 1
    handful.assert_adds_up(again)


def test_numbers_that_differ_in_case_or_blanks_alone_are_one_order(handful: Handful) -> None:
    handful.stage_copies(NEW[0], "odd-1")
    handful.stage_copies(NEW[1], "ODD-1 ")
    ended = handful.push()
    twice = [row for row in ended.data["results"] if row["key"].strip().casefold() == "odd-1"]
    assert [row["reason"] for row in twice] == ["order_ambiguous"] * 2
    assert handful.in_crm("odd-1") == []
    assert sum(ended.orders.values()) == 12


PAIRS = [("CAFE", "CAFÉ"), ("STRASSE", "straße"), ("AB1", "ＡＢ１"), ("OEUVRE", "Œuvre"), ("I", "ı"), ("s1", "ſ1")]
"""CRM takes one for the other, and they are two keys."""


@pytest.mark.parametrize("pair", some(PAIRS, 2))
def test_a_record_that_only_crm_takes_for_the_same_is_neither_written_nor_doubled(
    handful: Handful, pair: tuple[str, str]
) -> None:
    ours, theirs = pair
    handful.stage_copies(NEW[0], ours)
    account = handful.crm.rows("account")[0]
    columns = {"customerid": {"table": "account", "id": account["accountid"]}, "statecode": 0, "statuscode": 1}
    id_ = handful.crm.insert("salesorder", {"name": theirs, "ownerid": account["ownerid"], **columns})
    before = handful.crm.row("salesorder", id_)
    ended = handful.push()
    (row,) = [row for row in ended.data["results"] if row["key"] == ours]
    assert (row["outcome"], row["reason"]) == ("blocked", "order_ambiguous")
    assert theirs in row["message"]
    assert handful.crm.row("salesorder", id_) == before
    assert handful.in_crm(ours) == []
    handful.crm.update("salesorder", id_, {"name": ours})
    assert handful.push("--order", ours).orders["updated"] == 1
    assert handful.push("--order", ours).orders["unchanged"] == 1


@pytest.mark.parametrize("pair", some(PAIRS[::-1], 2))
def test_two_orders_that_crm_takes_for_the_same_are_two(handful: Handful, pair: tuple[str, str]) -> None:
    handful.stage_copies(NEW[0], *pair)
    handful.push("--order", pair[0])
    for order in pair:
        handful.push("--order", order)
    assert [len(handful.in_crm(order)) for order in pair] == [1, 1]
    handful.edit(pair[1])
    assert handful.push().orders["updated"] >= 1
    assert [row["name"] for order in pair for row in handful.in_crm(order)] == list(pair)
