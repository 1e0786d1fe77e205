"""Of a change set that CRM refuses, the message names the write that it stumbled over: line, item and column."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.promises.conftest import IN_CRM, NEW, Handful

ORDER = IN_CRM[0]
TOLD = "The unit is not in the schedule. (0x80043b16)"


def first_line(handful: Handful, order: str) -> tuple[int, str]:
    """Number and item of the order's first line."""
    rows = handful.query(
        "select lineitemnumber, coalesce(productid, productdescription) from crm_salesorderdetail"
        " where salesorderid = ? order by lineitemnumber",
        order,
    )
    return int(str(rows[0][0])), str(rows[0][1]).rstrip()


def refuse(handful: Handful, message: str = TOLD, **conditions: Any) -> None:
    text, _, code = message.removesuffix(")").rpartition(" (")
    handful.crm.faults.error(None, code=code, message=text, **conditions)


def in_sync_but_for(handful: Handful, change: str) -> None:
    handful.push()
    handful.execute(change, ORDER)


def message_of(handful: Handful, order: str = ORDER) -> str:
    ended = handful.push()
    result = ended.result(order)
    assert (result["outcome"], result["reason"]) == ("failed", "crm_rejected")
    handful.assert_adds_up(ended)
    return str(result["message"])


def test_a_changed_line_is_named_with_its_item_and_column(handful: Handful) -> None:
    number, item = first_line(handful, ORDER)
    in_sync_but_for(
        handful, f"update crm_salesorderdetail set tax = tax + 1 where salesorderid = ? and lineitemnumber = {number}"
    )
    refuse(handful, method="PATCH", path="^salesorderdetails")
    found = message_of(handful)
    assert re.fullmatch(rf"line {number} \({re.escape(item)}\), tax(, extendedamount)?: {re.escape(TOLD)}", found), (
        found
    )


@pytest.mark.parametrize("column", ["uomid", "quantity"])
def test_of_many_columns_the_one_that_crm_names_is_named(handful: Handful, column: str) -> None:
    in_sync_but_for(
        handful,
        "insert into crm_salesorderdetail select * replace (7 as lineitemnumber)"
        " from crm_salesorderdetail where salesorderid = ? limit 1",
    )
    told = f"The '{column}' of the line will not do. (0x80040203)"
    refuse(handful, told, method="POST", path="^salesorderdetails$")
    found = message_of(handful)
    assert re.fullmatch(rf"line 7 \(.+\), {column}: {re.escape(told)}", found), found


def test_a_line_that_cannot_be_deleted_is_named(handful: Handful) -> None:
    number, _ = first_line(handful, ORDER)
    in_sync_but_for(handful, f"delete from crm_salesorderdetail where salesorderid = ? and lineitemnumber = {number}")
    refuse(handful, method="DELETE", path="^salesorderdetails")
    assert message_of(handful) == f"deleting line {number}: {TOLD}"


def test_a_column_of_the_order_is_named(handful: Handful) -> None:
    in_sync_but_for(handful, "update crm_salesorder set description = 'changed' where name = ?")
    refuse(handful, method="PATCH", path=r"^salesorders\(")
    assert message_of(handful) in (f"description: {TOLD}", f"statecode, statuscode: {TOLD}")


def test_a_line_that_goes_apart_from_its_new_order_is_named(handful: Handful) -> None:
    for number in range(60):
        handful.execute(
            f"insert into crm_salesorderdetail select * replace ({900_000 + number} as lineitemnumber)"
            " from crm_salesorderdetail where salesorderid = ? order by lineitemnumber limit 1",
            NEW[0],
        )
    refuse(handful, method="POST", path="^salesorderdetails$")
    assert re.match(r"line 9000\d\d \(.+\): The unit", message_of(handful, NEW[0]))


def test_what_is_not_shared_is_named(handful: Handful) -> None:
    refuse(handful, method="POST", path="^GrantAccess$")
    assert message_of(handful, NEW[0]) == f"sharing: {TOLD}"


@pytest.mark.parametrize("content_id", [b"", b"Content-ID: 0\r\n", b"Content-ID: 99999\r\n", b"Content-ID: x\r\n"])
def test_crms_words_stand_alone_where_it_does_not_say_which_operation_it_was(
    handful: Handful, content_id: bytes
) -> None:
    in_sync_but_for(handful, "update crm_salesorderdetail set tax = tax + 1 where salesorderid = ?")
    refuse(handful, method="PATCH", path="^salesorderdetails")
    handful.crm.faults.spoil(lambda body: re.sub(rb"Content-ID: \d+\r\n", content_id, body), None, kind="write")
    assert message_of(handful) == TOLD
