"""A run can be taken back: CRM then holds what it held before, and nobody's later work is lost."""

from __future__ import annotations

from typing import Any

from loader.push import undoing
from tests.conftest import Workbench

UPDATED = ("ORDST2226", "ORDST2227", "ORDST2228", "ORDST2232", "ORDST2235", "ORDST2237", "ORDST2266")
IGNORED = {"versionnumber", "modifiedon", "modifiedby", "createdon", "createdby", "salesorderdetailid"}


def content(bench: Workbench) -> dict[str, Any]:
    """The orders and their lines as CRM holds them, without what every write changes."""
    orders = {row["salesorderid"]: row for row in bench.crm.rows("salesorder") if row["name"].upper() in UPDATED}
    kept: dict[str, Any] = {row["name"].upper(): [_plain(row)] for row in orders.values()}
    for line in bench.crm.rows("salesorderdetail"):
        order = orders.get(line["salesorderid"]["id"])
        if order:
            kept[order["name"].upper()].append(_plain(line))
    return {name: sorted(rows, key=repr) for name, rows in kept.items()}


def _plain(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """Sorted non-null values."""
    return sorted((name, value) for name, value in row.items() if value is not None and name not in IGNORED)


def push_updates(bench: Workbench) -> str:
    orders = [flag for name in UPDATED for flag in ("--order", name)]
    ended = bench.loader("push", *orders)
    assert ended.orders["updated"] == len(UPDATED)
    return str(ended.data["run_id"])


def compared(rows: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {order: [[pair for pair in row if pair[0] in names] for row in lines] for order, lines in rows.items()}


MAPPED = {
    *("name", "description", "customerid", "freightamount", "pricelevelid", "paymenttermscode", "shippingmethodcode"),
    *("statecode", "statuscode", "totalamount", "totaltax", "totallineitemamount", "billto_line1", "shipto_name"),
    *("lineitemnumber", "productid", "productdescription", "uomid", "quantity", "priceperunit", "baseamount", "tax"),
    *("isproductoverridden", "salesrepid", "requestdeliveryby"),
}


def test_undo_puts_back_what_crm_held_before_the_run(bench: Workbench) -> None:
    before = compared(content(bench), MAPPED)
    run_id = push_updates(bench)
    assert compared(content(bench), MAPPED) != before
    shown = bench.loader("undo", "--run", run_id, "--plan")
    assert {row["outcome"] for row in shown.data["records"]} == {"would be undone"}
    ended = bench.loader("undo", "--run", run_id, "--yes")
    assert ended.exit_code == 0, ended.stdout
    assert {row["outcome"] for row in ended.data["records"]} == {"undone"}
    after = compared(content(bench), MAPPED)
    assert {name: sorted(map(str, rows)) for name, rows in after.items()} == {
        name: sorted(map(str, rows)) for name, rows in before.items()
    }


def test_what_was_undone_is_held_and_undoing_again_changes_nothing(bench: Workbench) -> None:
    run_id = push_updates(bench)
    bench.loader("undo", "--run", run_id, "--yes")
    assert {entry["state"] for entry in bench.loader("retry", "list").data["queue"]} == {"held"}
    again = bench.loader("undo", "--run", run_id, "--yes")
    assert {row["outcome"] for row in again.data["records"]} == {"already so"}


def test_an_order_changed_since_is_refused_and_the_others_are_undone(bench: Workbench) -> None:
    run_id = push_updates(bench)
    order = next(row for row in bench.crm.rows("salesorder") if row["name"] == "ORDST2228")
    bench.crm.update("salesorder", order["salesorderid"], {"description": "edited by a salesperson"})
    ended = bench.loader("undo", "--run", run_id, "--yes")
    outcomes = {row["key"]: row["outcome"] for row in ended.data["records"]}
    assert ended.exit_code == 3
    assert outcomes.pop("ORDST2228") == "refused"
    assert set(outcomes.values()) == {"undone"}


def test_what_was_shown_is_done_and_what_has_moved_since_is_looked_at_again(bench: Workbench) -> None:
    run_id = push_updates(bench)
    orders = {row["name"]: row for row in bench.crm.rows("salesorder")}
    with bench.run() as run:
        shown = undoing.plan(run, run_id, cancel_created=False)
        (changed,) = [each for each in shown.records if each.key == "ORDST2228"]
        column = changed.changes[0]["column"]
    touched = next(each.key for each in shown.records if each.key != "ORDST2228")
    bench.crm.update("salesorder", orders["ORDST2228"]["salesorderid"], {column: 77})
    bench.crm.update("salesorder", orders[touched]["salesorderid"], {"ordernumber": "Nobody compares it"})
    before = len(bench.crm.requests)
    with bench.run("push") as run:
        done = undoing.undo(run, run_id, cancel_created=False, planned=shown)
    outcomes = {each.key: each.outcome for each in done.records}
    assert outcomes.pop("ORDST2228") == "refused"
    assert outcomes[touched] == "undone"
    assert set(outcomes.values()) == {"undone"}
    again = [request for request in bench.crm.requests[before:] if "/salesorders?" in request.path]
    assert len(again) <= 2, "only what had moved is read once more"


def test_a_created_order_is_cancelled_only_when_asked(bench: Workbench) -> None:
    run_id = bench.loader("push", "--order", "ORDST2240").data["run_id"]
    refused = bench.loader("undo", "--run", run_id, "--yes")
    assert (refused.exit_code, refused.data["records"][0]["outcome"]) == (3, "refused")
    ended = bench.loader("undo", "--run", run_id, "--cancel-created", "--yes")
    assert ended.data["records"][0]["outcome"] == "cancelled", ended.stdout
    order = next(row for row in bench.crm.rows("salesorder") if row["name"] == "ORDST2240")
    assert order["statecode"] == 2
    assert bench.query("select is_closed from main_journal.crm_xref where record_key = 'ORDST2240'") == [(1,)]


def test_a_created_order_that_somebody_cancelled_is_known_as_closed(bench: Workbench) -> None:
    run_id = bench.loader("push", "--order", "ORDST2240").data["run_id"]
    order = next(row for row in bench.crm.rows("salesorder") if row["name"] == "ORDST2240")
    bench.crm.update("salesorder", order["salesorderid"], {"statecode": 2, "statuscode": 4})
    ended = bench.loader("undo", "--run", run_id, "--cancel-created", "--yes")
    assert ended.data["records"][0]["outcome"] == "already so", ended.stdout
    assert bench.query("select is_closed from main_journal.crm_xref where record_key = 'ORDST2240'") == [(1,)]


def test_a_run_that_changed_nothing_cannot_be_undone(bench: Workbench) -> None:
    run_id = bench.loader("push", "--order", "ORDST2270").data["run_id"]
    assert bench.loader("undo", "--run", run_id, "--yes").error["code"] == "not_found"
