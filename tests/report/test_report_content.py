"""What the report says, and that nothing in GP, CRM or the journal can make it do anything else."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from loader.report.html import headline, render
from tests.conftest import PROJECT, Workbench
from tests.report.conftest import EVIL, STRANGE, Pushed

_VOID = {"meta", "link", "wbr"}


class Outline(HTMLParser):
    """A page's elements with the names of their attributes, and the text of its table cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if tag == "a" else []
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def row_of(outline: Outline, first: str) -> list[str]:
    return next(
        [" ".join(cell.split()) for cell in row] for row in outline.rows if row and " ".join(row[0].split()) == first
    )


def poisoned(value: Any) -> Any:
    """Every text replaced by a hostile one; keys, times and figures stay."""
    if isinstance(value, dict):
        return {key: poisoned(each) for key, each in value.items()}
    if isinstance(value, list):
        return [poisoned(each) for each in value]
    return EVIL if isinstance(value, str) else value


def test_orders_by_outcome_add_up_in_number_and_money(pushed: Pushed, content: dict[str, Any]) -> None:
    assert sum(row["records"] for row in content["outcomes"]) == content["staged"]["records"] == 119
    (total,) = pushed.bench.query("select sum(totalamount) from crm_salesorder")[0]
    assert sum(row["amount"] for row in content["outcomes"]) == content["staged"]["amount"] == total


def test_reasons_carry_the_money_of_their_orders(pushed: Pushed, content: dict[str, Any]) -> None:
    reasons = {row["reason"]: row for row in content["reasons"]}
    keys = "'ORDST2270', 'ORDST2271', 'ORDST2289'"
    (money,) = pushed.bench.query(f"select sum(totalamount) from crm_salesorder where name in ({keys})")[0]
    assert (reasons["account_not_found"]["records"], reasons["account_not_found"]["amount"]) == (3, money)
    amounts = [row["amount"] for row in content["reasons"]]
    assert amounts == sorted(amounts, reverse=True)
    assert content["waiting"]["amount"] == sum(amounts)


def test_missing_references_say_what_is_missing_how_often_and_for_how_much(content: dict[str, Any]) -> None:
    customer = next(row for row in content["missing"] if row["reference"] == "accountnumber = DIRECTMA0001")
    assert (customer["table"], customer["records"], customer["reason"]) == ("account", 3, "account_not_found")
    assert customer["examples"] == ["ORDST2270"]


def test_unmapped_codes_say_whether_they_block(content: dict[str, Any]) -> None:
    codes = {row["code"]: row for row in content["unmapped"]}
    assert codes["42"]["blocks"]
    assert codes["42"]["reason"] == "status_unmapped"
    assert (codes["BIKE COURIER"]["blocks"], codes["BIKE COURIER"]["records"]) == (False, 2)


def test_the_page_is_about_the_last_push_of_all_orders_and_names_later_runs(content: dict[str, Any]) -> None:
    assert content["last"]["command"] == "push"
    assert [run["command"] for run in content["later"]] == ["retry now"]
    assert headline(content) == ("warning", "17 of 119 orders did not arrive with the last push.")


def test_json_gives_the_same_figures_and_writes_no_file(pushed: Pushed, content: dict[str, Any]) -> None:
    told = pushed.bench.loader("report").data
    same = json.loads(json.dumps(content, default=lambda v: float(v) if isinstance(v, Decimal) else str(v)))
    assert {**told, "generated_at": None} == {**same, "generated_at": None}
    assert not (PROJECT / "report.html").exists()


def test_the_page_goes_to_stdout_where_asked(pushed: Pushed) -> None:
    ended = pushed.bench.loader("report", "--out", "-", json_output=False)
    assert ended.stdout.startswith("<!doctype html>")
    assert ended.stderr == ""


def test_the_trend_has_as_many_runs_as_asked_for(pushed: Pushed) -> None:
    assert len(pushed.bench.loader("report", "--runs", "2").data["runs"]) == 2
    assert pushed.bench.loader("report", "--runs", "0").exit_code == 2


def test_a_file_that_cannot_be_written_is_named(pushed: Pushed, tmp_path: Path) -> None:
    ended = pushed.bench.loader("report", "--out", str(tmp_path / "no" / "such" / "folder.html"))
    assert ended.exit_code == 2
    assert "cannot be written" in ended.error["message"]


def test_order_numbers_of_any_characters_are_shown_as_they_are(pushed: Pushed) -> None:
    outline = Outline(pushed.html)
    for order in STRANGE:
        assert "held" in row_of(outline, order)


def test_nothing_from_gp_crm_or_the_journal_adds_an_element_or_an_attribute(content: dict[str, Any]) -> None:
    plain, hostile = Outline(render(content)), Outline(render(poisoned(content)))
    # Links to CRM go where its address is not one; a × may go where an outcome is no longer known as fine.
    kept = [{tag: n for tag, n in Counter(o.elements).items() if tag[0] not in ("a", "text")} for o in (plain, hostile)]
    differing = {key for key in kept[0].keys() | kept[1].keys() if kept[0].get(key) != kept[1].get(key)}
    assert {tag for tag, _ in differing} <= {"p", "code", "li", "strong", "wbr"}
    assert {name for _, names in hostile.elements for name in names if name.startswith("on")} == set()
    assert sum(tag == "script" for tag, _ in hostile.elements) == 1
    assert [tag for tag, _ in hostile.elements if tag in ("img", "b", "iframe")] == []
    assert hostile.links == ["#main"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "", None])
def test_only_web_addresses_become_links(content: dict[str, Any], url: str | None) -> None:
    runs = [{**run, "crm_url": url} for run in content["runs"]]
    assert Outline(render({**content, "runs": runs})).links == ["#main"]


def test_orders_that_crm_has_link_there(content: dict[str, Any]) -> None:
    runs = [{**run, "crm_url": "https://contoso.crm.dynamics.com/"} for run in content["runs"]]
    links = Outline(render({**content, "runs": runs})).links[1:]
    assert len(links) == len(STRANGE)
    guid = r"[0-9a-f-]{36}"
    pattern = rf"https://contoso\.crm\.dynamics\.com/main\.aspx\?pagetype=entityrecord&etn=salesorder&id={guid}"
    assert all(re.fullmatch(pattern, link) for link in links)


def test_the_page_loads_nothing_from_outside(pushed: Pushed) -> None:
    outline = Outline(pushed.html)
    loads = {"src", "srcset", "data", "poster", "action", "background", "xlink:href", "style"}
    assert [names for _, names in outline.elements if loads & set(names)] == []
    assert [names for tag, names in outline.elements if tag == "link"] == [("rel", "href")]
    assert 'href="data:,"' in pushed.html
    assert "@import" not in pushed.html
    assert "url(" not in pushed.html


def test_ids_are_unique_and_every_section_and_table_has_a_name(pushed: Pushed) -> None:
    outline = Outline(pushed.html)
    assert len(outline.ids) == len(set(outline.ids))
    tags = Counter(tag for tag, _ in outline.elements)
    assert tags["table"] == tags["caption"]
    assert all("aria-labelledby" in names for tag, names in outline.elements if tag == "section")
    assert all("scope" in names for tag, names in outline.elements if tag == "th")
    assert {tag: tags[tag] for tag in ("main", "header", "footer", "h1")} == dict.fromkeys(
        ("main", "header", "footer", "h1"), 1
    )


def test_before_the_first_run_the_page_says_so(bench: Workbench, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ended = bench.loader("report", "--out", str(page), json_output=False)
    assert (ended.exit_code, ended.stdout) == (0, "No run yet.\n")
    html = page.read_text(encoding="utf-8")
    assert "No run yet." in html
    assert "<svg" not in html
    assert Outline(html).open == []


def test_a_run_that_has_not_ended_is_not_the_last_one(content: dict[str, Any]) -> None:
    running = {**content["runs"][0], "command": "push", "outcome": "running", "finished_at": None, "seconds": None}
    page = render({**content, "later": [running], "runs": [running, *content["runs"]]})
    assert "has not ended yet" in page
    first = render({**content, "last": None, "outcomes": [], "later": [], "runs": [running]})
    assert "The first run has not ended yet." in first


def test_runs_come_from_the_audit_model_and_from_the_journal_until_that_is_built(bench: Workbench) -> None:
    pushed = bench.loader("push", "--order", "ORDST2225").data["run_id"]
    bench.execute("alter view audit_run_history rename to as_it_was")
    bench.execute("create view audit_run_history as select * replace (7 as staged) from as_it_was")
    assert [run["staged"] for run in bench.loader("report").data["runs"]] == [7]
    assert [run["counts"]["staged"] for run in bench.loader("status").data["runs"]] == [7]
    bench.execute("drop view audit_run_history")
    assert [(run["run_id"], run["counts"]["staged"]) for run in bench.loader("status").data["runs"]] == [(pushed, 1)]
