"""`cases.csv` says what the first push does with each order; here it is held against the company's rows."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from sample import story
from sample.cases import PUSHES, cases
from sample.reading import FOLDER

OUTCOMES = {"created", "updated", "unchanged", "skipped", "blocked", "not_staged"}
BLOCKED = {
    *("account_not_found", "account_ambiguous", "order_ambiguous", "status_unmapped", "value_out_of_range"),
    *("product_not_found", "product_ambiguous", "uom_not_found", "uom_ambiguous"),
}
OUT_OF_SCOPE = {"transferred", "cancelled", "voided", "history", "stub", "no_header", "not_an_order"}
WARNINGS = {
    *("price_level_not_found", "price_level_ambiguous", "sales_rep_not_found", "sales_rep_ambiguous"),
    *("payment_terms_unmapped", "shipping_method_unmapped", "order_taken_over"),
}
CASES = cases()
EXPECTED = """
    plain in_crm_equal in_crm_lines_extra in_crm_lines_changed in_crm_lines_doubled in_crm_lines_missing
    in_crm_write_in_to_product in_crm_product_to_write_in in_crm_header_changed in_crm_fulfilled in_crm_invoiced
    in_crm_canceled in_crm_submitted in_crm_submitted_equal in_crm_submitted_reopens in_crm_new_submits
    in_crm_twice in_crm_other_case in_crm_other_account in_crm_blank_codes_clear in_crm_unknown_codes_stay
    line_quantity_zero kit kit_component_missing_in_crm non_inventory non_inventory_blank_description
    non_inventory_only markdown_amount markdown_percent trade_discount terms_discount same_number_other_types
    history_of_another_type partly_transferred partly_transferred_one_line_done partly_back_ordered
    quantity_cancelled_in_part back_order_waiting negative_quantity negative_quantity_only no_lines
    line_number_large line_number_out_of_range many_lines misc_charge line_ships_elsewhere account_not_found
    account_ambiguous product_not_found product_not_in_gp_either product_ambiguous uom_not_found
    uom_schedule_not_found uom_ambiguous uom_name_in_two_schedules payment_terms_unmapped
    shipping_method_unmapped status_unmapped price_level_not_found price_level_ambiguous sales_rep_not_found
    sales_rep_ambiguous blank_codes several_warnings several_reasons codes_in_other_case owner_is_a_user
    owner_is_a_team status_new status_ready_to_pick status_shipped status_in_process bill_to_missing
    bill_to_blank long_text non_ascii_text order_number_characters account_number_characters
    item_number_characters phones date_none date_before_spring_change date_on_spring_change
    date_before_autumn_change date_on_autumn_change date_before_leap_day date_on_leap_day date_year_end
    date_last_possible date_without_next_day date_invoiced date_line_differs amount_five_decimals
    amount_negative_half_cent discount_negative markdown_negative freight_negative
    discount_negative_rounds_to_zero amount_large quantity_out_of_range other_currency zero_amounts
    fully_transferred fully_transferred_and_cancelled fully_transferred_to_order fully_cancelled
    only_zero_quantities voided in_history voided_in_history in_history_and_open quote invoice back_order
    stub_with_lines stub lines_without_header
"""

EVERYTHING = """
    units_of_a_schedule names_in_two_schedules unit_chain unit_in_a_loop unit_without_a_way item_types
    item_blank_description item_blank_unit item_unit_of_a_chain item_unit_left_out item_schedule_missing
    item_inactive_new item_inactive_in_crm item_active_again item_twice national_account account_loop
    customer_inactive_new customer_inactive_in_crm customer_twice parent_not_there credit_limit
    address_code_missing customer_blank_name email typed_by_hand typed_by_hand_twice
    order_of_an_adopted_account order_of_an_ambiguous_account order_of_a_blocked_product
    product_not_in_gp_either order_that_left number_of_an_order invoice_open invoice_paid invoice_part_paid
    invoice_voided order_by_master_number order_by_master_number_of_two order_not_in_crm fulfilment_order
    invoice_out_of_window invoice_no_dates invoice_of_a_blocked_account invoice_without_a_receivable return
    invoice_not_posted transferred nothing_but_cancelled voided in_work_and_in_history closed_already
    unknown_to_gp transferred_later voided_later cancelled_later deleted number_used_again paid_later
    paid_invoice_changes left_the_window customer_renamed other_salesperson customer_becomes_inactive
    item_changes_its_schedule item_becomes_inactive
"""
"""The cases of the pushes with every integration on."""
IN_GP = {
    "account": "select CUSTNMBR from gp.RM00101",
    "product": "select ITEMNMBR from gp.IV00101",
    "uomschedule": "select UOMSCHDL from gp.IV40201",
    "uom": "select trim(UOMSCHDL) || ' / ' || UOFM from gp.IV40202",
    "invoice": "select SOPNUMBE from gp.SOP30200 union select SOPNUMBE from gp.SOP10100",
    "salesorder": "select SOPNUMBE from gp.SOP30200 union select SOPNUMBE from gp.SOP10100",
}


def of(case):
    return [row["key"] for row in CASES if row["case"] == case]


def test_every_case_is_there():
    assert {row["case"] for row in CASES} == set(EXPECTED.split())


def test_every_case_of_the_other_integrations_is_there():
    assert {row["case"] for push in PUSHES[1:] for row in cases(push)} == set(EVERYTHING.split())


def test_every_case_of_the_other_integrations_is_in_gp(loaded):
    in_gp = {table: {str(key).rstrip() for (key,) in loaded.query(sql)} for table, sql in IN_GP.items()}
    assert [
        (row["table"], row["key"])
        for push in PUSHES[1:]
        for row in cases(push)
        if row["key"] not in (*in_gp[row["table"]], story.INVOICE) and row["case"] != "unknown_to_gp"
    ] == []


def test_a_record_has_one_outcome_in_each_push():
    outcomes = defaultdict(set)
    for push in PUSHES[1:]:
        for row in cases(push):
            outcomes[push, row["table"], row["key"]].add((row["outcome"], row["reason"]))
    assert {place: its for place, its in outcomes.items() if len(its) > 1} == {}


def test_an_order_has_one_outcome():
    outcomes = defaultdict(set)
    for row in CASES:
        outcomes[row["key"]].add((row["outcome"], row.get("reason"), row.get("warnings")))
    assert {order: its for order, its in outcomes.items() if len(its) > 1} == {}


def test_the_readme_counts_them_right():
    count = Counter({row["key"]: row["outcome"] for row in CASES}.values())
    staged = sum(count.values()) - count["not_staged"]
    assert (
        f"{staged} orders are open and staged, {count['not_staged']} are not. On the first push {count['created']} are"
        f" created, {count['updated']} updated, {count['skipped']} skipped and {count['blocked']} blocked."
    ) in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_readme_counts_the_other_pushes_right():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for push in PUSHES[1:]:
        assert f"| `{push}` | {len(cases(push))} |" in text


def test_outcomes_and_reasons_are_the_stable_codes():
    for row in CASES:
        reason = row.get("reason", "")
        allowed = {"blocked": BLOCKED, "skipped": {"closed_in_crm"}, "not_staged": OUT_OF_SCOPE}
        assert row["outcome"] in OUTCOMES
        assert reason in allowed.get(row["outcome"], {""}), row
        assert set(filter(None, row.get("warnings", "").split(";"))) <= WARNINGS, row


def test_all_reasons_and_warnings_occur():
    reasons = {row["reason"] for row in CASES if row["reason"]}
    assert reasons == BLOCKED | OUT_OF_SCOPE | {"closed_in_crm"}
    assert {warning for row in CASES for warning in row.get("warnings", "").split(";") if warning} == WARNINGS


def test_every_order_in_gp_is_a_case(loaded):
    headers = {number for (number,) in loaded.query("select rtrim(SOPNUMBE) from gp.SOP10100 where SOPTYPE = 2")}
    assert headers <= {row["key"] for row in CASES}


def test_every_case_is_in_gp(loaded):
    in_gp = loaded.query(
        "select rtrim(SOPNUMBE) from gp.SOP10100 union select rtrim(SOPNUMBE) from gp.SOP10200"
        " union select rtrim(SOPNUMBE) from gp.SOP30200"
    )
    assert {row["key"] for row in CASES} <= {number for (number,) in in_gp}


@pytest.mark.parametrize(
    ("case", "table", "condition"),
    [
        ("kit", "SOP10200", "CMPNTSEQ <> 0"),
        ("non_inventory_blank_description", "SOP10200", "NONINVEN = 1 and trim(ITEMDESC) = ''"),
        ("markdown_amount", "SOP10200", "MRKDNAMT > 0 and XTNDPRCE < UNITPRCE * QUANTITY"),
        ("trade_discount", "SOP10100", "TRDISAMT > 0 and DISTKNAM = 0"),
        ("terms_discount", "SOP10100", "DISTKNAM > 0 and TRDISAMT = 0"),
        ("partly_transferred", "SOP10200", "QTYPRINV > 0 and QTYREMAI > 0"),
        ("quantity_cancelled_in_part", "SOP10200", "QTYCANCE > 0 and QTYREMAI > 0"),
        ("fully_transferred", "SOP10200", "QTYPRINV = QUANTITY and QTYREMAI = 0"),
        ("voided", "SOP10100", "VOIDSTTS = 1"),
        ("in_history", "SOP30200", "SOPTYPE = 2"),
        ("stub_with_lines", "SOP10100", "trim(CUSTNMBR) = ''"),
        ("stub_with_lines", "SOP10200", "QUANTITY > 0"),
        ("same_number_other_types", "SOP10100", "SOPTYPE = 1"),
        ("same_number_other_types", "SOP10100", "SOPTYPE = 3"),
        ("same_number_other_types", "SOP10100", "SOPTYPE = 5"),
        ("history_of_another_type", "SOP30200", "SOPTYPE = 3"),
        ("status_unmapped", "SOP10100", "SOPSTATUS = 42"),
        ("amount_five_decimals", "SOP10200", "XTNDPRCE <> round(XTNDPRCE, 2)"),
        ("date_without_next_day", "SOP10100", "ReqShipDate = '9999-12-31'"),
        ("date_none", "SOP10100", "ReqShipDate = '1900-01-01'"),
        ("long_text", "SOP10100", "length(rtrim(SOPNUMBE)) = 20 and length(rtrim(CUSTNAME)) = 64"),
        ("long_text", "SOP10200", "length(rtrim(ITEMDESC)) = 100 and length(rtrim(ADDRESS1)) = 60"),
        ("negative_quantity", "SOP10200", "QUANTITY < 0"),
        ("blank_codes", "SOP10100", "trim(PYMTRMID || SHIPMTHD || PRCLEVEL || SALSTERR) = ''"),
    ],
)
def test_the_rows_are_what_the_case_says(loaded, case, table, condition):
    for order in of(case):
        found = loaded.query(f"select 1 from gp.{table} where rtrim(SOPNUMBE) = ? and {condition}", (order,))
        assert found, order


def test_order_numbers_hold_every_troublesome_character():
    assert set("\"'#%+/\\<>& ?=:;,*|~Ü") <= set("".join(of("order_number_characters")))
    assert max(len(number) for number in of("order_number_characters")) == 20


def test_no_lines_means_none(loaded):
    (order,) = of("no_lines")
    assert loaded.query("select 1 from gp.SOP10200 where rtrim(SOPNUMBE) = ?", (order,)) == []
    (order,) = of("lines_without_header")
    assert loaded.query("select 1 from gp.SOP10100 where rtrim(SOPNUMBE) = ?", (order,)) == []


@pytest.mark.parametrize(
    "phone",
    [
        *("60355512340000", "60355512341310", "60355512340567", "00000000000000", "", "6035551234", "16035551234"),
        *("5551234", "00055512340000", "(603)5551234Ext.0000", "01144207946001", "+44 20 7946 0018"),
        *("1-800-FLOWERS", "6.03556E+13"),
    ],
)
def test_every_kind_of_phone_is_on_a_header_a_line_and_a_bill_to_address(loaded, phone):
    orders = set(of("phones"))
    assert len(orders) == 8
    for table, columns, key in (
        ("SOP10100", "PHNUMBR1, FAXNUMBR", "SOPNUMBE"),
        ("SOP10200", "PHONE1, FAXNUMBR", "SOPNUMBE"),
        ("RM00102", "PHONE1, FAX", "ADRSCODE"),
    ):
        held = Counter(
            value.rstrip()
            for number, *values in loaded.query(f"select rtrim({key}), {columns} from gp.{table}")
            for value in values
            if number in orders or number.startswith("PHONE ")
        )
        assert phone in held, table
