"""What is planned, pushed, journalled and undone is told in the words people know; ids stand beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Built, Workbench, open_bench, put_tables_for_views

ORDER = "ORDST2225"
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


@pytest.fixture(scope="module")
def moved(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """An order that CRM has got another customer, status, salesperson, quantity; a line was added and one deleted."""
    with ExitStack() as stack:
        bench = open_bench(stack, built, tmp_path_factory.mktemp("readable"))
        bench.loader("push")
        its = f"where rtrim(SOPNUMBE) = '{ORDER}'"
        bench.execute(
            f"update gp.SOP10100 set CUSTNMBR = 'ATMORERE0001', SOPSTATUS = 4, SALSTERR = 'TERRITORY 5' {its}"
        )
        bench.execute(
            f"insert into gp.SOP10200 by name select * replace (7 as LNITMSEQ) from gp.SOP10200 {its} limit 1"
        )
        bench.execute(f"delete from gp.SOP10200 {its} and LNITMSEQ = 32768")
        bench.execute(f"update gp.SOP10200 set QUANTITY = 9 {its} and LNITMSEQ = 16384")
        put_tables_for_views(bench.path)
        yield bench


def plan(bench: Workbench, *flags: str) -> str:
    return bench.loader("plan", "--order", ORDER, *flags, json_output=False).stdout


def test_a_plan_names_rows_by_their_keys_and_options_by_their_labels(moved: Workbench) -> None:
    text = plan(moved)
    assert "    customerid: AARONFIT0001 → ATMORERE0001\n" in text
    assert "    statuscode: New → Pending\n" in text
    assert "    ~ line 16384: quantity: 4 → 9, salesrepid: TERRITORY 1 → TERRITORY 5\n" in text
    assert not ID.search(text)


def test_a_line_that_comes_or_goes_is_one_short_line(moved: Workbench) -> None:
    text = plan(moved)
    assert re.search(r"^    \+ line 7: [0-9]+ × [A-Za-z0-9-]+ at [0-9]+\.[0-9]{2}$", text, re.MULTILINE)
    assert re.search(r"^    - line 32768: [0-9]+ × [A-Za-z0-9-]+ at [0-9]+\.[0-9]{2}$", text, re.MULTILINE)


def test_verbose_shows_ids_beside_and_lines_in_full(moved: Workbench) -> None:
    text = plan(moved, "-v")
    assert re.search(r"customerid: AARONFIT0001 \([0-9a-f-]{36}\) → ATMORERE0001 \([0-9a-f-]{36}\)", text)
    assert "statuscode: New (1) → Pending (2)" in text
    assert re.search(r"\+ line 7: lineitemnumber: 7, .*quantity: 4\.00000", text)


def test_a_plan_ends_with_its_causes_by_table(moved: Workbench) -> None:
    words = [line.split() for line in plan(moved).splitlines()]
    assert ["TABLE", "ACTION", "NUMBER", "CAUSE"] in words
    assert ["order", "lines", "create", "1", "not", "in", "CRM", "yet"] in words
    assert ["delete", "1", "not", "in", "GP"] in words
    causes = moved.loader("plan", "--order", ORDER).data["causes"]
    assert causes["salesorder"]["update"]["customerid"] == 1
    assert causes["salesorder"]["update"]["(lines)"] == 1
    assert causes["salesorderdetail"]["update"]["quantity"] == 1


def test_that_new_orders_are_shared_is_said_once_and_of_others_each_time(bench: Workbench) -> None:
    shared = "    shared with the owner of its customerid"
    both = ("plan", "--order", "99999", "--order", "A+B 7")
    text = bench.loader(*both, json_output=False).stdout
    assert "+ 99999 create" in text
    assert shared not in text
    assert re.search(
        r"^orders +create +2 +not in CRM yet; shared with the owner of their customerid$", text, re.MULTILINE
    )
    assert bench.loader(*both, "-v", json_output=False).stdout.count(f"{shared} (systemuser ") == 2
    bench.loader("push", *both[1:])
    (order,) = [row for row in bench.crm.rows("salesorder") if row["name"] == "99999"]
    (account,) = [row for row in bench.crm.rows("account") if row["accountid"] == order["customerid"]["id"]]
    another = next(
        row["systemuserid"] for row in bench.crm.rows("systemuser") if row["systemuserid"] != account["ownerid"]["id"]
    )
    bench.crm.update("account", account["accountid"], {"ownerid": {"table": "systemuser", "id": another}})
    assert f"~ 99999 update\n{shared}\n" in bench.loader(*both, json_output=False).stdout


def test_quiet_says_only_what_would_be_done(moved: Workbench) -> None:
    first, *more = plan(moved, "-q").splitlines()
    assert first.startswith("Plan: 0 to create, 1 to update")
    assert all(line.startswith("Warnings: ") for line in more)


def test_json_has_the_words_beside_the_ids(moved: Workbench) -> None:
    (planned,) = moved.loader("plan", "--order", ORDER).data["plans"]
    customer = next(change for change in planned["changes"] if change["column"] == "customerid")
    assert (customer["before_shown"], customer["after_shown"]) == ("AARONFIT0001", "ATMORERE0001")
    assert ID.match(customer["before"])
    plain = [change for change in planned["changes"] if change["column"] == "quantity"]
    assert plain
    assert all("before_shown" not in change for change in plain)


def test_the_words_cost_one_request_and_only_where_old_rows_are_not_known(moved: Workbench) -> None:
    alone = moved.loader("plan", "--order", ORDER).data["requests"]["read"]
    other = moved.loader("plan", "--order", "ORDST2229").data["requests"]["read"]
    assert alone == other + 1


def test_a_row_that_is_gone_from_crm_is_told_by_its_id(bench: Workbench) -> None:
    bench.loader("push", "--order", ORDER)
    (order,) = [row for row in bench.crm.rows("salesorder") if row["name"] == ORDER]
    gone = "11111111-2222-4333-8444-555555555555"
    bench.crm.update("salesorder", order["salesorderid"], {"pricelevelid": {"table": "pricelevel", "id": gone}})
    text = plan(bench)
    assert f"pricelevelid: '{gone}' → EXTPRCLVL" in text


def test_explain_knows_crms_values_by_the_same_words_and_links_the_record(moved: Workbench) -> None:
    content = moved.loader("explain", ORDER).data
    columns = {column["column"]: column for column in content["columns"]}
    assert columns["customerid"]["crm_shown"] == "AARONFIT0001"
    assert (columns["statuscode"]["sent_shown"], columns["statuscode"]["crm_shown"]) == ("Pending", "New")
    assert content["link"].startswith(f"{moved.crm.url}/main.aspx?pagetype=entityrecord&etn=salesorder&id=")
    text = moved.loader("explain", ORDER, json_output=False).stdout
    (told,) = [line.split() for line in text.splitlines() if line.startswith("customerid ")]
    assert told[-3:] == ["ATMORERE0001", "AARONFIT0001", "≠"]
    assert f"  In CRM: {content['link']}\n" in text


def test_the_journal_the_audit_and_undo_use_the_same_words(moved: Workbench) -> None:
    saved = moved.path.parent / "its.plan"
    assert moved.loader("plan", "--order", ORDER, "--out", str(saved)).exit_code == 0
    shown = moved.loader("show", str(saved), json_output=False).stdout
    assert "customerid: AARONFIT0001 → ATMORERE0001" in shown
    pushed = moved.loader("push", str(saved), "-v", json_output=False)
    assert pushed.exit_code == 0, pushed.stdout
    assert f"~ {ORDER} updated\n    customerid: AARONFIT0001 → ATMORERE0001" in re.sub(
        r" \([0-9a-f-]{36}\)", "", pushed.stdout
    )
    ((before, after, code, number),) = moved.query(
        "select value_before, value_after, code_before, code_after from main.audit_record_changes"
        " where outcome = 'updated' and record_key = ? and crm_column = 'statuscode'",
        ORDER,
    )
    assert (before, after, code, number) == ("New", "Pending", "1", "2")
    run_id = moved.loader("status").data["runs"][0]["run_id"]
    told = moved.loader("status", "--run", run_id, json_output=False).stdout
    assert "    statuscode: New → Pending\n" in told
    back = moved.loader("undo", "--run", run_id, "--plan", json_output=False).stdout
    assert "    customerid: ATMORERE0001 → AARONFIT0001\n" in back
    assert re.search(r"^    - line 7: [0-9]+ × ", back, re.MULTILINE)
    assert re.search(r"^    \+ line 32768: [0-9]+ × ", back, re.MULTILINE)
    assert not ID.search(back)
