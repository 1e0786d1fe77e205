"""What a look-up finds is not always usable: inactive rows, units and currencies that do not go with the order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.promises.conftest import GOING, IN_CRM, NEW, Handful
from tests.promises.test_sharing import owner, shares

ORDER = NEW[0]
USED_ALL_THE_SAME = "is not active in CRM; it is used all the same"


def staged(handful: Handful, order: str = ORDER) -> tuple[dict[str, Any], dict[str, Any]]:
    """The staged row of an order, and of its first line with a product."""
    headers, lines = handful.staged()
    (header,) = [row for row in headers if row["name"] == order]
    return header, next(row for row in lines if row["salesorderid"] == order and row["productid"])


def row_of(handful: Handful, table: str, column: str, value: str) -> dict[str, Any]:
    """The one row of a CRM table that has this value."""
    wanted = value.rstrip().casefold()
    (found,) = [row for row in handful.crm.rows(table) if str(row[column] or "").casefold() == wanted]
    return found


def set_state(handful: Handful, table: str, column: str, value: str, state: int, status: int) -> str:
    id_ = str(row_of(handful, table, column, value)[f"{table}id"])
    handful.crm.update(table, id_, {"statecode": state, "statuscode": status})
    return id_


def canadian(handful: Handful) -> dict[str, str]:
    """A second currency of the organisation."""
    row = {"isocurrencycode": "CAD", "currencyname": "Canadian Dollar", "currencysymbol": "$", "currencyprecision": 2}
    return {"table": "transactioncurrency", "id": handful.crm.insert("transactioncurrency", row)}


def texts(handful: Handful, state: str) -> str:
    checked = handful.loader("check")
    assert checked.exit_code == int(any(finding["state"] == "error" for finding in checked.data["findings"]))
    return "\n".join(finding["text"] for finding in checked.data["findings"] if finding["state"] == state)


def warnings_of(result: dict[str, Any]) -> dict[str, str]:
    return {warning["code"]: warning["message"] for warning in result["warnings"]}


def expect_blocked(handful: Handful, reason: str, *words: str) -> None:
    """`check` and `plan` say so before a push finds out, and the push writes nothing of this order."""
    errors = texts(handful, "error")
    assert f" would be blocked as {reason}: {ORDER} (" in errors
    for command in ("plan", "push"):
        ended = handful.loader(command, "--order", ORDER)
        result = ended.result(ORDER)
        assert (ended.orders["blocked"], result["reason"]) == (1, reason), ended.stdout
        for word in words:
            assert word in result["message"]
            assert word in errors
    handful.assert_whole()


def expect_warned(handful: Handful, code: str, *words: str) -> dict[str, Any]:
    """`check` and `plan` say so before a push finds out; the order goes, and a second push writes nothing."""
    assert f"warning {code}: " in texts(handful, "warning")
    planned = handful.loader("plan", "--order", ORDER)
    assert planned.data["warnings"][code] == 1
    ended = handful.push("--order", ORDER)
    assert ended.orders["created"] + ended.orders["updated"] == 1, ended.stdout
    result = ended.result(ORDER)
    for each in (planned.result(ORDER), result):
        message = warnings_of(each)[code]
        assert [word for word in words if word not in message] == []
    again = handful.push("--order", ORDER)
    assert (again.orders["unchanged"], again.data["requests"]["write"]) == (1, 0), again.stdout
    return result


# ------------------------------------------------------------------------------------------------------ inactive rows


@pytest.mark.parametrize("first", ["active", "inactive"])
def test_of_several_accounts_the_active_one_wins(handful: Handful, first: str) -> None:
    """Merging accounts leaves the losing row inactive, with its number."""
    header, _ = staged(handful)
    account = row_of(handful, "account", "accountnumber", header["customerid"])
    copy = {name: account[name] for name in ("accountnumber", "name", "ownerid")}
    other = handful.crm.insert("account", {**copy, "statecode": 1, "statuscode": 2})
    winner = str(account["accountid"])
    if first == "inactive":
        handful.crm.update("account", other, {"statecode": 0, "statuscode": 1})
        handful.crm.update("account", winner, {"statecode": 1, "statuscode": 2})
        winner = other
    ended = handful.push("--order", ORDER)
    assert ended.orders["created"] == 1, ended.stdout
    assert "account_inactive" not in warnings_of(ended.result(ORDER))
    assert handful.in_crm(ORDER)[0]["customerid"]["id"] == winner


def test_an_account_that_is_only_inactive_is_used_with_a_warning(handful: Handful) -> None:
    header, _ = staged(handful)
    account = set_state(handful, "account", "accountnumber", header["customerid"], 1, 2)
    expect_warned(handful, "account_inactive", header["customerid"], USED_ALL_THE_SAME)
    assert handful.in_crm(ORDER)[0]["customerid"]["id"] == account


def test_several_accounts_without_an_active_one_are_ambiguous(handful: Handful) -> None:
    header, _ = staged(handful)
    account = row_of(handful, "account", "accountnumber", header["customerid"])
    set_state(handful, "account", "accountnumber", header["customerid"], 1, 2)
    copy = {name: account[name] for name in ("accountnumber", "name", "ownerid")}
    handful.crm.insert("account", {**copy, "statecode": 1, "statuscode": 2})
    assert handful.push("--order", ORDER).result(ORDER)["reason"] == "account_ambiguous"


@pytest.mark.parametrize(("state", "status"), [(1, 2), (2, 0), (3, 3)], ids=["retired", "draft", "under revision"])
def test_a_product_that_is_not_active_blocks_the_order(handful: Handful, state: int, status: int) -> None:
    _, line = staged(handful)
    set_state(handful, "product", "productnumber", line["productid"], state, status)
    number, item = line["lineitemnumber"], line["productid"].rstrip()
    expect_blocked(handful, "product_inactive", f"line {number}: product with productnumber {item!r} is not active")
    missing = handful.query("select missing from main_journal.retry_queue where record_key = ?", ORDER)
    assert item in str(missing)


def test_an_active_product_wins_over_a_retired_one(handful: Handful) -> None:
    _, line = staged(handful)
    product = row_of(handful, "product", "productnumber", line["productid"])
    copy = {name: value for name, value in product.items() if name not in ("productid", "versionnumber")}
    handful.crm.insert("product", {**copy, "statecode": 1, "statuscode": 2})
    assert handful.push("--order", ORDER).orders["created"] == 1


def test_an_inactive_price_list_is_as_not_found(handful: Handful) -> None:
    header, _ = staged(handful)
    set_state(handful, "pricelevel", "name", header["pricelevelid"], 1, 100002)
    text = f"pricelevel by name: 1 not found, the column is left as it is: {header['pricelevelid'].rstrip()}"
    assert text in texts(handful, "warning")
    ended = handful.push("--order", ORDER)
    assert ended.orders["created"] == 1, ended.stdout
    assert "but it is not active" in warnings_of(ended.result(ORDER))["price_level_not_found"]
    assert "pricelevelid" not in handful.in_crm(ORDER)[0]


def test_a_user_who_is_only_disabled_is_used_with_a_warning(handful: Handful) -> None:
    _, line = staged(handful)
    user = row_of(handful, "systemuser", "new_gpsalespersonid", line["salesrepid"])
    handful.crm.update("systemuser", user["systemuserid"], {"isdisabled": True})
    expect_warned(handful, "sales_rep_inactive", line["salesrepid"].rstrip(), USED_ALL_THE_SAME)


# -------------------------------------------------------------------------------------- rows that do not go together


def test_a_unit_that_is_not_of_the_products_group_blocks_the_order(handful: Handful) -> None:
    _, line = staged(handful)
    group = handful.crm.insert("uomschedule", {"name": "PALLETS", "baseuomname": "Pallet"})
    product = row_of(handful, "product", "productnumber", line["productid"])
    changed = {"defaultuomscheduleid": {"table": "uomschedule", "id": group}}
    handful.crm.update("product", product["productid"], changed)
    expect_blocked(
        handful,
        "uom_not_of_product",
        f"line {line['lineitemnumber']}: uom with name {line['uomid'].rstrip()!r}",
        f"is of uomscheduleid.name {line['uomid__schedule'].rstrip()!r}",
        f"product with productnumber {line['productid'].rstrip()!r} is of defaultuomscheduleid.name 'PALLETS'",
    )


def test_a_price_list_in_another_currency_is_as_not_found(handful: Handful) -> None:
    header, _ = staged(handful)
    level = row_of(handful, "pricelevel", "name", header["pricelevelid"])
    handful.crm.update("pricelevel", level["pricelevelid"], {"transactioncurrencyid": canadian(handful)})
    expect_warned(handful, "price_level_currency", header["pricelevelid"].rstrip(), "is in CAD, the amounts are in USD")
    assert "pricelevelid" not in handful.in_crm(ORDER)[0]


def test_an_item_that_gp_does_not_know_is_said_to_be_missing_in_gp(handful: Handful) -> None:
    _, line = staged(handful)
    handful.execute(
        "update crm_salesorderdetail set uomid__schedule = null where salesorderid = ? and lineitemnumber = ?",
        *(ORDER, line["lineitemnumber"]),
    )
    text = f"1 cannot be looked up, their orders are blocked: {line['uomid'].rstrip()}: GP has no such item"
    assert text in texts(handful, "warning")
    ended = handful.push("--order", ORDER)
    result = ended.result(ORDER)
    assert result["reason"] == "uom_not_found"
    item = line["productid"].rstrip()
    assert (
        f"uomid {line['uomid'].rstrip()!r} of product {item!r}: GP has no such item, hence no unit" in result["message"]
    )
    assert "CRM has no" not in result["message"]
    assert handful.query("select missing from main_journal.retry_queue where record_key = ?", ORDER) == [("[]",)]


# ---------------------------------------------------------------------------------------------------------- currencies


def test_an_order_in_another_currency_is_never_given_gps_amounts(handful: Handful) -> None:
    assert handful.push("--order", ORDER).orders["created"] == 1
    order = handful.in_crm(ORDER)[0]
    handful.crm.update("salesorder", order["salesorderid"], {"transactioncurrencyid": canadian(handful)})
    handful.edit(ORDER)
    handful.atomicity.remember()
    before = handful.in_crm(ORDER)
    expect_blocked(handful, "currency_differs", "CRM's record is in CAD, the amounts are in USD")
    assert handful.in_crm(ORDER) == before


def test_a_new_order_is_in_gps_currency_whatever_the_callers_is(handful: Handful) -> None:
    base = handful.crm.rows("organization")[0]["basecurrencyid"]
    for user in handful.crm.rows("systemuser"):
        handful.crm.update("systemuser", user["systemuserid"], {"transactioncurrencyid": canadian(handful)})
    assert handful.push("--order", ORDER).orders["created"] == 1
    assert handful.in_crm(ORDER)[0]["transactioncurrencyid"] == base


def in_currency(handful: Handful, code: str) -> None:
    """The project's var gp_currency."""
    known = handful.contract
    models = [replace(each, meta=each.meta.model_copy(update={"currency": code})) for each in known.models]
    contract = replace(known, models=tuple(models))
    handful.sources = replace(handful.sources, contract=lambda manifest, adapter: contract)


def test_gps_currency_may_be_another_than_the_organisations_base(handful: Handful) -> None:
    dollar = canadian(handful)
    in_currency(handful, "cad")
    assert "crm_salesorder: amounts are in CAD, as meta.crm says." in texts(handful, "ok")
    ended = handful.push()
    assert {handful.in_crm(order)[0]["transactioncurrencyid"]["id"] for order in NEW} == {dollar["id"]}
    reasons = {row["key"]: row["reason"] for row in ended.data["results"] if row["outcome"] == "blocked"}
    assert {order: reasons[order] for order in IN_CRM} == dict.fromkeys(IN_CRM, "currency_differs")
    assert handful.push().data["requests"]["write"] == 0


def test_a_currency_that_crm_does_not_have_stops_the_push(handful: Handful) -> None:
    in_currency(handful, "XYZ")
    assert "CRM has no currencies with the ISO code 'XYZ'" in texts(handful, "error")
    ended = handful.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (1, "contract_mismatch")
    assert ended.error["remedy"].endswith("one that CRM has: USD.")


# ------------------------------------------------------------------------------------------------- orders taken over


def test_an_order_of_another_account_is_taken_over_with_a_warning_that_names_both(handful: Handful) -> None:
    header, _ = staged(handful)
    account = row_of(handful, "account", "accountnumber", header["customerid"])
    other = next(
        row
        for row in handful.crm.rows("account")
        if row["accountid"] != account["accountid"] and row["accountnumber"] not in (None, header["customerid"])
    )
    made = {"name": ORDER, "ownerid": account["ownerid"]}
    customer = {"table": "account", "id": other["accountid"]}
    handful.crm.insert("salesorder", {**made, "customerid": customer, "statecode": 0, "statuscode": 1})
    handful.atomicity.remember()
    result = expect_warned(handful, "order_taken_over", other["accountnumber"], header["customerid"].rstrip())
    assert result["outcome"] == "updated"
    assert handful.in_crm(ORDER)[0]["customerid"]["id"] == account["accountid"]
    assert handful.loader("plan", "--order", ORDER).data["warnings"] == {}


def test_an_order_that_the_journal_knows_may_change_its_account(handful: Handful) -> None:
    handful.push("--order", ORDER)
    other = next(row["customerid"] for row in handful.staged()[0] if row["name"] == NEW[1])
    handful.execute("update crm_salesorder set customerid = ? where name = ?", other, ORDER)
    ended = handful.push("--order", ORDER)
    assert (ended.orders["updated"], ended.result(ORDER)["warnings"]) == (1, [])


def test_orders_of_their_own_account_are_not_taken_over(handful: Handful) -> None:
    """Nor are they where the journal was lost."""
    handful.push()
    handful.execute("delete from main_journal.crm_xref")
    ended = handful.push()
    assert ended.orders["updated"] == len(GOING)
    assert [row["warnings"] for row in ended.data["results"] if row["warnings"]] == []


# --------------------------------------------------------------------------------------------------- shares refused


def disable(handful: Handful, user: str) -> None:
    handful.crm.update("systemuser", user, {"isdisabled": True})


def lack_read(handful: Handful, user: str) -> None:
    handful.crm.deny(user, "prvReadOrder")


def another_user(handful: Handful, *but: str) -> str:
    caller = handful.crm.organisation.caller
    users = [str(row["systemuserid"]) for row in handful.crm.rows("systemuser")]
    return next(user for user in users if user not in (*but, caller))


def own(handful: Handful, user: str) -> None:
    """The order's account gets this owner."""
    header, _ = staged(handful)
    account = row_of(handful, "account", "accountnumber", header["customerid"])
    handful.crm.update("account", account["accountid"], {"ownerid": {"table": "systemuser", "id": user}})


@pytest.mark.parametrize("spoil", [disable, lack_read])
def test_an_order_whose_share_is_refused_goes_without_it_and_is_shared_with_the_next_owner(
    handful: Handful, spoil: Callable[[Handful, str], None]
) -> None:
    unable = another_user(handful)
    own(handful, unable)
    spoil(handful, unable)
    ended = handful.push("--order", ORDER)
    assert (ended.exit_code, ended.orders["created"]) == (0, 1), ended.stdout
    message = warnings_of(ended.result(ORDER))["share_refused"]
    assert unable in message
    assert "(0x8004" in message
    assert shares(handful, ORDER) == set()
    for _ in range(2):
        again = handful.push("--order", ORDER)
        assert (again.orders["unchanged"], again.data["requests"]["write"]) == (1, 0), again.stdout
        assert unable in warnings_of(again.result(ORDER))["share_refused"]
    handful.edit(ORDER)
    changed = handful.push("--order", ORDER)
    assert (changed.orders["updated"], changed.data["requests"]["write"]) == (1, 1)
    own(handful, another_user(handful, unable))
    assert handful.push("--order", ORDER).orders["updated"] == 1
    assert shares(handful, ORDER) == {owner(handful, ORDER)}
    assert handful.push("--order", ORDER).data["requests"]["write"] == 0


def test_a_refused_share_takes_no_other_order_along(handful: Handful) -> None:
    unable = another_user(handful)
    own(handful, unable)
    disable(handful, unable)
    ended = handful.push()
    assert (ended.orders["created"], ended.orders["failed"]) == (len(NEW), 0), ended.stdout
    handful.assert_in_sync()


def test_a_share_that_is_all_there_is_to_do_may_be_refused(handful: Handful) -> None:
    handful.push("--order", ORDER)
    unable = another_user(handful)
    own(handful, unable)
    disable(handful, unable)
    ended = handful.push("--order", ORDER)
    assert (ended.orders["unchanged"], ended.orders["failed"]) == (1, 0), ended.stdout
    assert unable in warnings_of(ended.result(ORDER))["share_refused"]
    assert handful.push("--order", ORDER).data["requests"]["write"] == 0


def test_a_refused_share_whose_reply_is_lost_ends_the_same(handful: Handful, waits: list[float]) -> None:
    unable = another_user(handful)
    own(handful, unable)
    disable(handful, unable)
    handful.crm.faults.reset_after_commit(2, kind="write")
    ended = handful.push("--order", ORDER)
    assert ended.orders["created"] == 1, ended.stdout
    assert unable in warnings_of(ended.result(ORDER))["share_refused"]
    assert len(handful.in_crm(ORDER)) == 1
    assert handful.push("--order", ORDER).data["requests"]["write"] == 0


# --------------------------------------------------------------------------------------------------- cross-references


def test_check_names_states_that_do_not_go_with_their_status(handful: Handful) -> None:
    handful.execute("update xref_order_status set statecode = 0, statuscode = 3 where gp_code = 9")
    text = "statuscode 3 (In Progress) does not belong to statecode 0 (Active) but to 1 (Submitted)"
    assert text in texts(handful, "error")
    assert text in handful.loader("xref", "check").stdout


@pytest.mark.parametrize(("state", "status", "label"), [(2, 4, "Canceled"), (4, 100003, "Invoiced")])
def test_check_names_states_that_close_an_order(handful: Handful, state: int, status: int, label: str) -> None:
    handful.execute("update xref_order_status set statecode = ?, statuscode = ? where gp_code = 9", state, status)
    assert f"statecode {state} ({label}) closes an order in CRM" in texts(handful, "warning")


def test_a_staged_row_without_a_key_stops_the_run_and_the_command_that_shows_it_is_whole(handful: Handful) -> None:
    handful.execute(f"update crm_salesorder set name = null where name = '{NEW[0]}'")
    for command in ("plan", "push"):
        refused = handful.loader(command)
        assert refused.exit_code == 7
        assert refused.error["message"] == "1 row of crm_salesorder has no name. Nothing was written."
        shows = "dbt show --limit 100 --select not_null_crm_salesorder_name --target duckdb"
        assert refused.error["remedy"].startswith(f"`{shows}")
