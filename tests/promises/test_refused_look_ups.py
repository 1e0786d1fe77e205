"""A value that CRM refuses to look for keeps back the orders that have it, and no others."""

from __future__ import annotations

import pytest

from tests.promises.conftest import NEW, Handful

REFUSED = "0x80060888"
WORDS = "CRM does not like this value."


def refuse(handful: Handful, value: str) -> None:
    handful.crm.faults.error(None, method="GET", value=value, code=REFUSED, message=WORDS)


def test_an_order_number_that_crm_refuses_waits_alone(handful: Handful) -> None:
    refuse(handful, NEW[1])
    ended = handful.push()
    assert ended.exit_code == 3
    result = ended.result(NEW[1])
    assert (result["outcome"], result["reason"]) == ("blocked", "value_refused")
    assert WORDS in result["message"]
    assert NEW[1] in result["message"]
    assert handful.in_crm(NEW[1]) == []
    handful.assert_crm_holds_what_is_staged(NEW[1])
    handful.assert_adds_up(ended)
    handful.crm.faults.clear()
    assert handful.push().orders["created"] == 1
    handful.assert_in_sync()


@pytest.mark.parametrize(
    ("column", "table", "sent"),
    [("customerid", "crm_salesorder", "CUST'[1"), ("pricelevelid", "crm_salesorder", "LEVEL{1"),
     ("productid", "crm_salesorderdetail", "TUBE[3/4"), ("uomid", "crm_salesorderdetail", "CUP]"),
     ("salesrepid", "crm_salesorderdetail", "TERR\\")],
)  # fmt: skip
def test_a_look_up_s_value_that_crm_refuses_keeps_its_orders_back_alone(
    handful: Handful, column: str, table: str, sent: str
) -> None:
    key = "name" if table == "crm_salesorder" else "salesorderid"
    also = ", isproductoverridden = 0, productdescription = null" if table == "crm_salesorderdetail" else ""
    handful.execute(f"update {table} set {column} = ?{also} where {key} = ?", sent, NEW[0])
    refuse(handful, sent)
    ended = handful.push()
    assert ended.exit_code == 3
    result = ended.result(NEW[0])
    assert (result["outcome"], result["reason"]) == ("blocked", "value_refused")
    assert WORDS in result["message"]
    assert repr(sent) in result["message"]
    handful.assert_crm_holds_what_is_staged(NEW[0])
    handful.assert_adds_up(ended)


def test_plan_and_check_name_the_value(handful: Handful) -> None:
    handful.execute("update crm_salesorder set customerid = 'CUST[1' where name = ?", NEW[0])
    refuse(handful, "CUST[1")
    refuse(handful, NEW[1])
    planned = handful.loader("plan")
    assert planned.exit_code == 0
    assert {planned.result(order)["reason"] for order in NEW[:2]} == {"value_refused"}
    assert planned.orders["blocked"] == 3
    checked = handful.loader("check")
    assert checked.exit_code == 1
    told = [finding["text"] for finding in checked.data["findings"] if finding["state"] == "error"]
    assert any("CUST[1" in text and WORDS in text for text in told)
    assert any(NEW[1] in text and WORDS in text for text in told)


def test_many_refused_values_are_all_found(handful: Handful) -> None:
    names = [f"REFUSED{number}" for number in range(40)]
    handful.stage_copies(NEW[0], *names)
    for name in names[::3]:
        refuse(handful, name)
    ended = handful.push(*(f"--order={name}" for name in names))
    assert ended.orders["blocked"] == len(names[::3])
    assert ended.orders["created"] == len(names) - len(names[::3])


def test_a_read_that_crm_refuses_whatever_the_value_ends_the_run(handful: Handful) -> None:
    handful.crm.faults.error(None, method="GET", path="^accounts", status=400, message="No such column.")
    ended = handful.push()
    assert ended.exit_code == 1
    assert "No such column." in ended.error["message"]
    asked = [request for request in handful.crm.requests if not request.writes]
    assert len(asked) < 15


def test_undo_says_what_crm_refuses_to_look_for(handful: Handful) -> None:
    run_id = handful.push().data["run_id"]
    refuse(handful, NEW[1])
    undone = handful.loader("undo", "--run", run_id, "--plan", "--cancel-created")
    outcome = next(each for each in undone.data["records"] if each["key"] == NEW[1])
    assert (outcome["outcome"], WORDS in outcome["message"]) == ("refused", True)
