"""The report where several tables are pushed, after an undo, on a narrow screen and in another time zone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sample import organisation
from tests.conftest import Built, open_bench
from tests.report.conftest import Browser, Pushed

NARROW = 380


@pytest.fixture(scope="module")
def several(built_whole: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    """Two pushes of every table into an empty CRM, and the second one undone."""
    folder = tmp_path_factory.mktemp("several")
    with ExitStack() as stack:
        bench = open_bench(stack, built_whole.as_tables, folder, snapshot=organisation.empty())
        bench.loader("push")
        bench.execute("update crm_salesorder set freightamount = freightamount + 1 where name = 'ORDST2228'")
        run_id = bench.loader("push").data["run_id"]
        bench.loader("undo", "--run", str(run_id), "--yes")
        page = folder / "report.html"
        ended = bench.loader("report", "--out", str(page))
        assert ended.exit_code == 0, ended.stderr
        yield Pushed(bench, page)


def test_each_table_that_waits_has_a_section_which_the_head_of_the_page_links(several: Pushed) -> None:
    content = several.bench.loader("report").data
    waiting = {row["table"] for row in content["tables"] if row["waiting"]}
    assert len(waiting) > 1
    assert set(re.findall(r'<h2 id="table-(\w+)">', several.html)) >= waiting
    assert {f"table-{table}" for table in waiting} <= set(re.findall(r'<a href="#([\w-]+)">', several.html))
    for row in content["tables"]:
        reasons = [reason for reason in content["reasons"] if reason["table"] == row["table"]]
        assert sum(reason["records"] for reason in reasons) == row["waiting"]


def test_what_waits_comes_first_and_says_what_helps_with_its_command(several: Pushed) -> None:
    titles = re.findall(r"<h2 id=\"([\w-]+)\"", several.html)
    tables = [title for title in titles if title.startswith("table-")]
    assert titles[: len(tables) + 1] == ["now", *tables]
    assert titles.index("last-run") > titles.index("missing")
    reason = several.bench.loader("report").data["reasons"][0]
    assert reason["command"].startswith(f"loader explain {reason['examples'][0]} --table {reason['table']}")
    assert f"<code>{reason['command']}</code> shows one of them" in several.html


def test_an_undo_is_no_push(several: Pushed) -> None:
    content = several.bench.loader("report").data
    assert content["runs"][0]["command"] == "undo"
    assert content["last"]["command"] == "push"
    assert re.search(r"Since then <code>loader undo</code>, .*: ok, [0-9]+ records? restored", several.html)
    assert "Trend of the last 2 pushes" in several.html
    figures, undos = (several.html.index(each) for each in ("Pushes and retries", "Undos: records"))
    undo = content["runs"][0]["run_id"][:8]
    assert undo not in several.html[figures:undos]
    assert undo in several.html[undos:]


def test_ages_move_and_times_are_local_too(browser: Browser, several: Pushed) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    try:
        browser.open(several.page)
        local = browser.run("return document.querySelector('header .local').textContent")
        utc = browser.run("return document.querySelector('header time').dateTime")
        assert re.fullmatch(r" \([0-9]{2}:[0-9]{2}( [AP]M)? here\)", local)
        minutes = int(utc[14:16]) + 30
        assert f":{minutes % 60:02d}" in local
        assert "Asia/" in browser.run("return document.querySelector('.zone').textContent")
        browser.run("document.querySelector('.age').dataset.since = new Date(Date.now() - 7.5e6).toISOString(); ages()")
        assert browser.run("return document.querySelector('.age').textContent") == "2 h 5 min"
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_a_narrow_page_shows_the_first_rows_and_the_others_on_request(browser: Browser, several: Pushed) -> None:
    browser.open(several.page, NARROW)
    shown = (
        "return [...document.querySelectorAll('table.queue')]"
        ".map((table) => [...table.tBodies[0].rows].filter((row) => row.offsetHeight).length)"
    )
    assert max(browser.run(shown)) == 5
    height = browser.run("return document.documentElement.scrollHeight")
    browser.run("document.querySelectorAll('button.rest').forEach((button) => button.click())")
    assert max(browser.run(shown)) > 5
    assert browser.run("return document.documentElement.scrollHeight") > height * 1.2
    assert browser.run("return document.documentElement.scrollWidth") == NARROW
    assert browser.complaints() == []


SHOWN = "return [...document.querySelectorAll('main > section')].filter((each) => each.offsetHeight).map((each) => each"


def test_a_link_to_a_table_makes_a_page_of_what_concerns_it(browser: Browser, several: Pushed) -> None:
    content = several.bench.loader("report").data
    browser.open(several.page)
    everything = browser.run(f"{SHOWN}.getAttribute('aria-labelledby'))")
    assert {"now", "table-account", "table-salesorder", "missing", "unmapped", "last-run", "trend", "runs"} <= set(
        everything
    )
    rows = "return [...document.querySelectorAll('main tr[data-of]')].filter((each) => each.offsetHeight)"
    for table in ("account", "salesorder"):
        browser.run(f"document.querySelector('nav a[href=\"#table-{table}\"]').click()")
        parts = {
            "missing": [row for row in content["missing"] if row["waiting_table"] == table],
            "unmapped": [row for row in content["unmapped"] if row["table"] == table],
            "warnings": [row for row in content["warnings"] if row["table"] == table],
        }
        assert browser.run(f"{SHOWN}.getAttribute('aria-labelledby'))") == [
            "now",
            f"table-{table}",
            *(name for name, its in parts.items() if its),
        ]
        assert browser.run(f"{rows}.map((each) => each.dataset.of)") == [table] * sum(map(len, parts.values()))
    assert len(content["missing"]) > len(parts["missing"]) > 0
    browser.run("document.querySelector('nav a[href=\"#main\"]').click()")
    assert browser.run(f"{SHOWN}.getAttribute('aria-labelledby'))") == everything
    browser.run("document.querySelector('nav a[href=\"#table-account\"]').click()")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.run(f"{SHOWN}.getAttribute('aria-labelledby'))") == everything, "paper has all of it"
    assert browser.complaints() == []


def test_money_is_a_dash_where_a_table_has_none(several: Pushed) -> None:
    missing = several.bench.loader("report").data["missing"]
    assert {row["waiting_table"] for row in missing if row["amount"] is None} == {"account", "product"}
    assert {row["waiting_table"] for row in missing if row["amount"] is not None} <= {"salesorder", "invoice"}
    assert 'data-sort="">' in several.html


@pytest.mark.parametrize(("width", "scheme"), [(NARROW, "light"), (NARROW, "dark"), (1200, "light"), (1200, "dark")])
def test_words_that_people_look_for_are_not_broken(browser: Browser, several: Pushed, width: int, scheme: str) -> None:
    """A key, a state, a table's name stand on one line, and nothing is wider than the page."""
    browser.open(several.page, width, scheme)
    assert browser.run("return document.documentElement.scrollWidth") == width
    lines = (
        "return [...document.querySelectorAll('td.state > div, th.name, .tiles dd small')].filter((each) => {"
        " const range = document.createRange(); range.selectNodeContents(each);"
        " return new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1 })"
        ".map((each) => each.textContent)"
    )
    assert browser.run(lines) == []
