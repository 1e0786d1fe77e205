"""A saved plan is applied as it was shown, order by order, or not at all; guards stop before the first write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.promises.conftest import CLOSED, GOING, IN_CRM, NEW, WITHOUT_PRODUCT, Ended, Handful

CHANGES = len(GOING)


@pytest.fixture
def plan(handful: Handful, tmp_path: Path) -> Path:
    path = tmp_path / "monday.plan"
    ended = handful.loader("plan", "--out", str(path))
    assert ended.exit_code == 0
    assert ended.orders == {"create": 5, "update": 3, "unchanged": 0, "skipped": 1, "blocked": 1}
    return path


def outcomes(ended: Ended) -> dict[str, tuple[str, str | None]]:
    return {row["key"]: (row["outcome"], row["reason"]) for row in ended.data["results"]}


def wrote(handful: Handful) -> int:
    return sum(request.writes for request in handful.crm.requests)


def test_a_plan_is_applied_as_it_was_shown(handful: Handful, plan: Path) -> None:
    shown = {entry["key"]: entry["changes"] for entry in json.loads(plan.read_text())["records"]}
    assert shown.keys() == GOING
    ended = handful.push(str(plan))
    assert ended.exit_code == 0, ended.stdout
    assert ended.orders == {"created": 5, "updated": 3, "unchanged": 0, "skipped": 0, "blocked": 0, "failed": 0}
    did = {row["key"]: row["changes"] for row in json.loads(ended.stdout, parse_float=float)["data"]["results"]}
    assert did == shown
    handful.assert_crm_holds_what_is_staged()
    handful.assert_adds_up(ended)


def test_a_plan_file_is_shown_as_it_was_planned_and_asks_nobody(handful: Handful, plan: Path) -> None:
    planned = handful.loader("plan", json_output=False).stdout.splitlines()
    asked = len(handful.crm.requests)
    shown = handful.loader("show", str(plan), json_output=False).stdout.splitlines()
    assert len(handful.crm.requests) == asked
    fields = [line for line in shown if line.startswith("    ")]
    assert fields
    assert [line for line in fields if line not in planned] == []
    assert "salesorder 5 to create, salesorder 3 to update" in shown[-1]
    entries = handful.loader("show", str(plan)).data["plans"]
    assert {entry["key"] for entry in entries} == GOING
    other = plan.with_name("other.plan")
    other.write_text("{}")
    assert handful.loader("show", str(other)).exit_code == 2


def test_a_plan_of_some_orders_leaves_the_others_alone(handful: Handful, tmp_path: Path) -> None:
    path = tmp_path / "two.plan"
    handful.loader("plan", "--out", str(path), "--order", NEW[0], "--order", IN_CRM[0].lower())
    others = [handful.in_crm(order) for order in (*NEW[1:], *IN_CRM[1:])]
    ended = handful.push(str(path))
    assert outcomes(ended) == {NEW[0]: ("created", None), IN_CRM[0]: ("updated", None)}
    assert [handful.in_crm(order) for order in (*NEW[1:], *IN_CRM[1:])] == others


def test_a_plan_applied_twice_writes_once(handful: Handful, plan: Path) -> None:
    handful.push(str(plan))
    handful.crm.reset_log()
    again = handful.push(str(plan))
    assert again.exit_code == 3
    assert wrote(handful) == 0
    assert set(outcomes(again).values()) == {("blocked", "plan_stale")}
    handful.assert_adds_up(again)
    assert handful.query("select count(*) from main_journal.retry_queue") == [(0,)], "a stale entry waits for nothing"
    assert handful.push().orders["unchanged"] == CHANGES
    assert handful.query("select count(*) from main_journal.retry_queue where state = 'open'") == [(1,)]


def gp_edits(handful: Handful, order: str) -> None:
    handful.edit(order)


def gp_drops(handful: Handful, order: str) -> None:
    handful.unstage(order)


def crm_edits_header(handful: Handful, order: str) -> None:
    (row,) = handful.in_crm(order)
    handful.crm.update("salesorder", row["salesorderid"], {"description": "by hand"})


def crm_touches(handful: Handful, order: str) -> None:
    """A column that is not compared: the order is still another one than was shown."""
    (row,) = handful.in_crm(order)
    handful.crm.update("salesorder", row["salesorderid"], {"billto_contactname": "by hand"})


def crm_edits_line(handful: Handful, order: str) -> None:
    (row,) = handful.in_crm(order)
    handful.crm.update("salesorderdetail", row["lines"][0]["salesorderdetailid"], {"quantity": "99"})


def crm_deletes(handful: Handful, order: str) -> None:
    (row,) = handful.in_crm(order)
    handful.crm.delete("salesorder", row["salesorderid"])


def crm_closes(handful: Handful, order: str) -> None:
    (row,) = handful.in_crm(order)
    handful.crm.update("salesorder", row["salesorderid"], {"statecode": 2, "statuscode": 4})


def crm_doubles(handful: Handful, order: str) -> None:
    (row,) = handful.in_crm(order)
    copy = {name: row[name] for name in ("name", "customerid", "ownerid", "transactioncurrencyid")}
    handful.crm.insert("salesorder", {**copy, "statecode": 0, "statuscode": 1})


def crm_loses_the_account(handful: Handful, order: str) -> None:
    (number,) = handful.query("select customerid from crm_salesorder where name = ?", order)[0]
    for account in handful.crm.rows("account"):
        if account["accountnumber"] == number:
            handful.crm.update("account", account["accountid"], {"accountnumber": "GONE"})


def crm_has_it_already(handful: Handful, order: str) -> None:
    handful.push("--order", order)


MOVES: list[tuple[Callable[[Handful, str], None], str]] = [
    (gp_edits, NEW[0]),
    (gp_drops, IN_CRM[0]),
    (crm_edits_header, IN_CRM[0]),
    (crm_touches, IN_CRM[0]),
    (crm_edits_line, IN_CRM[0]),
    (crm_deletes, IN_CRM[0]),
    (crm_closes, IN_CRM[0]),
    (crm_doubles, IN_CRM[0]),
    (crm_loses_the_account, NEW[4]),
    (crm_has_it_already, NEW[0]),
]


@pytest.mark.parametrize(("move", "order"), MOVES, ids=lambda value: getattr(value, "__name__", value))
def test_an_order_that_moved_since_is_refused_and_the_others_go(
    handful: Handful, plan: Path, move: Callable[[Handful, str], None], order: str
) -> None:
    move(handful, order)
    handful.crm.reset_log()
    before = handful.in_crm(order)
    ended = handful.push(str(plan))
    assert ended.exit_code == 3, ended.stdout
    assert outcomes(ended)[order] == ("blocked", "plan_stale")
    assert {found for key, (found, _) in outcomes(ended).items() if key != order} == {"created", "updated"}
    assert sum(ended.orders.values()) == CHANGES
    assert handful.in_crm(order) == before
    handful.assert_adds_up(ended)
    handful.assert_crm_holds_what_is_staged(order)


def test_an_order_that_someone_holds_since_is_skipped(handful: Handful, plan: Path) -> None:
    assert handful.loader("retry", "hold", NEW[0]).exit_code == 0
    ended = handful.push(str(plan))
    assert (ended.exit_code, outcomes(ended)[NEW[0]]) == (0, ("skipped", "held"))
    assert handful.in_crm(NEW[0]) == []
    handful.assert_adds_up(ended)


def test_an_order_that_moves_between_reading_and_writing_is_refused_too(handful: Handful, plan: Path) -> None:
    """A plain push would read it again and push; a plan was promised to do nothing else than it showed."""

    def meanwhile(seen: object) -> bool:
        crm_edits_header(handful, IN_CRM[0])
        return False

    trouble = handful.crm.faults.reset_before_commit(None, kind="write", when=meanwhile)
    handful.settings["CRM_BATCH_SIZE"] = "1000"
    handful.push(str(plan))
    assert trouble.fired == 0
    assert handful.in_crm(IN_CRM[0])[0]["description"] == "by hand"
    (refused,) = handful.query("select reason from main_journal.sync_event where record_key = ?", IN_CRM[0])
    assert refused == ("plan_stale",)
    assert handful.query("select count(*) from main_journal.retry_queue") == [(0,)]
    handful.assert_crm_holds_what_is_staged(IN_CRM[0])


@pytest.mark.parametrize("trouble", ["reset_after_commit", "reset_before_commit", "unavailable", "deadlock"])
def test_a_plan_survives_trouble(handful: Handful, plan: Path, waits: list[float], trouble: str) -> None:
    """What only seems to have moved because this very run wrote it, or could not, goes on."""
    getattr(handful.crm.faults, trouble)(2, **({"kind": "write"} if trouble != "deadlock" else {"method": "PATCH"}))
    ended = handful.push(str(plan))
    assert ended.exit_code == 0, ended.stdout
    assert (ended.orders["created"], ended.orders["updated"]) == (5, 3)
    handful.assert_crm_holds_what_is_staged()
    handful.assert_adds_up(ended)


def test_a_plan_of_another_crm_is_refused(handful: Handful, plan: Path) -> None:
    content = json.loads(plan.read_text())
    plan.write_text(json.dumps({**content, "crm_url": "https://fabrikam.crm.dynamics.com"}))
    ended = handful.loader("push", str(plan))
    assert (ended.exit_code, ended.error["code"]) == (2, "usage")
    assert "fabrikam" in ended.error["message"]
    assert wrote(handful) == 0


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "binary": lambda content: b"\x00\xff" + content,
    "a list": lambda content: b"[]",
    "no records": lambda content: content.replace(b'"records"', b'"recodrs"'),
    "records no list": lambda content: content.replace(b'"records": [', b'"records": 7, "x": ['),
    "records no objects": lambda content: b'{"version": 1, "crm_url": "x", "created_at": "y", "records": ["a"]}',
    "no digest": lambda content: content.replace(b'"digest"', b'"digset"'),
    "no version": lambda content: content.replace(b'"version"', b'"noisrev"', 1),
    "another version": lambda content: content.replace(b'"version": 3', b'"version": 99', 1),
}


def test_a_damaged_plan_is_refused(handful: Handful, plan: Path) -> None:
    content = plan.read_bytes()
    for damage, spoil in DAMAGES.items():
        plan.write_bytes(spoil(content))
        ended = handful.loader("push", str(plan))
        assert (ended.exit_code, ended.error["code"]) == (2, "usage"), (damage, ended.stdout)
        assert str(plan) in ended.error["message"]
        assert ended.error["remedy"]
    assert wrote(handful) == 0


def test_a_plan_whose_fingerprint_was_changed_by_hand_does_nothing(handful: Handful, plan: Path) -> None:
    content = json.loads(plan.read_text())
    for entry in content["records"]:
        entry["digest"] = "0" * 64
    plan.write_text(json.dumps(content))
    ended = handful.push(str(plan))
    assert set(outcomes(ended).values()) == {("blocked", "plan_stale")}
    assert wrote(handful) == 0


@pytest.mark.parametrize("path", ["absent.plan", "."])
def test_a_plan_that_is_no_file_is_refused(handful: Handful, tmp_path: Path, path: str) -> None:
    ended = handful.loader("push", str(tmp_path / path))
    assert ended.exit_code == 2


def test_a_plan_and_orders_do_not_go_together(handful: Handful, plan: Path) -> None:
    assert handful.loader("push", str(plan), "--order", NEW[0]).exit_code == 2


def test_the_detailed_exit_code_tells_changes_from_trouble_from_nothing(handful: Handful) -> None:
    assert handful.loader("plan", "--detailed-exitcode").exit_code == 4
    assert handful.loader("plan").exit_code == 0
    handful.push()
    assert handful.loader("plan", "--detailed-exitcode").exit_code == 3
    handful.unstage(WITHOUT_PRODUCT)
    ended = handful.loader("plan", "--detailed-exitcode")
    assert (ended.exit_code, ended.orders["skipped"]) == (0, 1)


def test_orders_are_chosen_by_number_in_any_case(handful: Handful) -> None:
    ended = handful.push("--order", NEW[0].lower(), "--order", f"{IN_CRM[0]}  ", "--order", NEW[0])
    assert ended.exit_code == 0
    assert outcomes(ended) == {NEW[0]: ("created", None), IN_CRM[0]: ("updated", None)}
    assert [handful.in_crm(order) for order in NEW[1:]] == [[]] * 4
    closed = handful.push("--order", CLOSED)
    assert (closed.exit_code, outcomes(closed)) == (0, {CLOSED: ("skipped", "closed_in_crm")})


@pytest.mark.parametrize("order", ["ORDST9999", "", "%", "ORDST000"])
def test_an_order_that_is_not_staged_is_not_found(handful: Handful, order: str) -> None:
    ended = handful.loader("push", "--order", order)
    assert (ended.exit_code, ended.error["code"]) == (1, "not_found")
    assert handful.crm.requests == []


@pytest.mark.parametrize("limit", ["7", "79%", "0"])
def test_more_changes_than_allowed_stop_the_run_before_the_first_write(handful: Handful, limit: str) -> None:
    ended = handful.loader("push", "--max-changes", limit)
    assert (ended.exit_code, ended.error["code"]) == (7, "guard_tripped")
    assert "8 orders" in ended.error["message"]
    assert wrote(handful) == 0
    assert handful.query("select count(*) from main_journal.retry_queue") == [(0,)]


@pytest.mark.parametrize("limit", ["8", "80%"])
def test_as_many_changes_as_allowed_go(handful: Handful, limit: str) -> None:
    ended = handful.push("--max-changes", limit)
    assert (ended.orders["created"], ended.orders["updated"]) == (5, 3)
    handful.assert_adds_up(ended)


def test_the_limit_counts_the_orders_of_the_plan_alone(handful: Handful, tmp_path: Path) -> None:
    path = tmp_path / "two.plan"
    handful.loader("plan", "--out", str(path), "--order", NEW[0], "--order", NEW[1])
    assert handful.loader("push", str(path), "--max-changes", "1").exit_code == 7
    assert handful.push(str(path), "--max-changes", "2").orders["created"] == 2


def test_a_limit_that_is_none_is_refused(handful: Handful) -> None:
    for limit in ("-1", "8.5", "101%", "%", "many", "1e3"):
        assert handful.loader("push", f"--max-changes={limit}").exit_code == 2
    assert handful.crm.requests == []
