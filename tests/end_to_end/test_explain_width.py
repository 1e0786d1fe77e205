"""`loader explain` fits the terminal: a table of at most 100 columns, and below one another what is longer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.push.explaining import explain
from loader.report.changes import Telling
from loader.report.explained import LinesText, column_lines, lines, plan_text
from loader.report.wrapping import cells, wrapped
from loader.visible import plain, styled
from tests.conftest import PROJECT, Built, Workbench, open_bench, put_tables_for_views
from tests.terminal import drawn_at_a_terminal

pytestmark = pytest.mark.xdist_group("explain width")

NAME = "Kontor für Elektroanlagenbauunternehmensbeteiligungen 東京電機 Co"
LONG = ("Unbreakable" * 5 + " and many words in a row ")[:60]
GONE = "ORDST2226"
RECORDS = {
    "order with long values": ("salesorder", "ORDST2225"),
    "order that is blocked": ("salesorder", "ORDST2270"),
    "ended order, open in CRM": ("salesorder", "ORDST2350"),
    "product": ("product", "100XLG"),
    "account": ("account", "AARONFIT0001"),
    "unit schedule": ("uomschedule", "EACH"),
    "invoice": ("invoice", "INVST4001"),
}


@pytest.fixture(scope="module")
def company(built_whole: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """The sample with every table and long values. Two orders are pushed; one has changed and one is voided since."""
    with ExitStack() as stack:
        bench = open_bench(stack, built_whole, tmp_path_factory.mktemp("width"))
        bench.execute(
            "update gp.SOP10100 set CUSTNAME = ?, ADDRESS1 = ? where rtrim(SOPNUMBE) = 'ORDST2225'", NAME, LONG
        )
        bench.execute("update gp.RM00101 set CUSTNAME = ? where rtrim(CUSTNMBR) = 'AARONFIT0001'", NAME)
        bench.execute("update gp.IV00101 set ITEMDESC = ? where rtrim(ITEMNMBR) = '100XLG'", LONG)
        assert bench.loader("push", "--order", "ORDST2225", "--order", GONE).exit_code == 0
        bench.execute("update gp.SOP10100 set VOIDSTTS = 1 where rtrim(SOPNUMBE) = ?", GONE)
        assert bench.loader("push", "--order", GONE).data["results"][0]["outcome"] == "updated"
        bench.execute("update gp.SOP10100 set CUSTNAME = 'Short' where rtrim(SOPNUMBE) = 'ORDST2225'")
        put_tables_for_views(bench.path)
        yield bench


def too_wide(text: Iterable[str], width: int) -> list[str]:
    """A link is the only thing that is not broken."""
    broken = [line for line in text if not line.startswith("  In CRM: http")]
    return [line for line in broken if cells(line) > width]


@pytest.fixture(scope="module")
def explained(company: Workbench) -> dict[str, tuple[Telling, dict[str, Any], list[dict[str, Any]]]]:
    """Each record as `explain` tells it, with its lines."""
    told: dict[str, tuple[Telling, dict[str, Any], list[dict[str, Any]]]] = {}
    with company.run() as run:
        for record, (table, key) in RECORDS.items():
            telling, its_lines = Telling(run.contract), list[dict[str, Any]]()
            tell = cast("Callable[[Mapping[str, Any]], None]", its_lines.append)
            told[record] = telling, explain(run, key, tell, words=plan_text(telling), table=table), its_lines
    return told


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("record", RECORDS)
def test_every_line_fits(
    explained: dict[str, tuple[Telling, dict[str, Any], list[dict[str, Any]]]], record: str, width: int
) -> None:
    telling, content, its_lines = explained[record]
    assert content["columns"]
    for verbose in (False, True):
        as_text = LinesText(width, verbose)
        told = [text for line in its_lines for text in as_text.of(line)]
        text = list(lines(content, told, replace(telling, verbose=verbose), width))
        assert too_wide(text, width) == []
        assert any("A push would do:" in line for line in text)


@pytest.mark.parametrize(("columns", "width"), [("70", 70), ("200", 100), ("", 100)])
def test_a_pipe_gets_as_many_columns_as_are_asked_for_and_never_more_than_100(
    company: Workbench, columns: str, width: int
) -> None:
    ended = replace(company, settings={"COLUMNS": columns}).loader(
        "explain", "EACH", "--table", "uomschedule", json_output=False
    )
    assert ended.exit_code == 0, ended.stderr
    assert too_wide(ended.stdout.splitlines(), width) == []
    assert max(map(cells, ended.stdout.splitlines())) > width - 20


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("columns", [72])
def test_a_terminal_says_how_wide_it_is(company: Workbench, columns: int) -> None:
    environ = {name: value for name, value in company.environ.items() if name != "COLUMNS"}
    command = [sys.executable, "-m", "loader", "explain", "ORDST2225", "--project-dir", str(PROJECT)]
    company.release()
    drawn = drawn_at_a_terminal(command, columns, cwd=PROJECT, env={**environ, "PYTHONPATH": str(PROJECT)})
    assert "\nname " in drawn
    assert too_wide(drawn.splitlines(), columns) == []
    assert any(cells(line) > 60 for line in drawn.splitlines())


def test_what_differs_is_marked_and_rules_stand_in_full(company: Workbench) -> None:
    text = company.loader("explain", "ORDST2225", json_output=False).stdout
    assert re.search("^name +SOP10100.SOPNUMBE +ORDST2225 +ORDST2225 +ORDST2225 +=$", text, re.MULTILINE)
    assert "\ndescription ≠\n    SOP10100.CUSTNAME: Short\n    staged: Short\n" in text
    assert "rule: YEAR = 1900 → null, DATEADD 1 day, LOCAL2UTC\n" in text


def test_an_order_that_has_left_scope_is_linked_too(company: Workbench) -> None:
    content = company.loader("explain", GONE).data
    assert not content["staged"]
    assert content["link"].endswith(content["status"]["crm_id"])
    text = company.loader("explain", GONE, json_output=False).stdout
    assert f"  In CRM: {content['link']}\n" in text
    assert too_wide(text.splitlines(), 100) == []


words = st.text(alphabet=st.sampled_from("ab-é漢\u0301\n\x1b"), max_size=30)
texts = st.lists(words, max_size=6).map(" ".join)


@settings(deadline=None)
@given(texts, st.integers(12, 60), st.integers(0, 8))
def test_a_wrapped_line_loses_nothing_but_blanks(text: str, width: int, below: int) -> None:
    broken = list(wrapped(styled(text, "red"), width, below))
    assert all(cells(line) <= width for line in broken)
    assert plain("".join(broken)).replace(" ", "") == text.replace(" ", "")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"), st.lists(texts, max_size=3), st.none() | texts, st.none() | texts, texts
        ),
        max_size=6,
    ),
    st.integers(40, 100),
)
def test_a_table_of_any_values_fits(rows: list[tuple[str, list[str], str | None, str | None, str]], width: int) -> None:
    columns = [
        {
            "column": name * 20,
            "gp": [f"SOP10100.{name}{number}" for number in range(len(values))],
            "gp_values": values,
            "rule": rule,
            "staged": staged,
            "crm": crm,
            "equal": None if crm is None else staged == crm,
        }
        for name, values, staged, crm, rule in rows
    ]
    text = list(column_lines(columns, width))
    assert all(cells(line) <= width for line in text)
    for column in columns:
        assert any(plain(line).startswith(str(column["column"])) for line in text)
