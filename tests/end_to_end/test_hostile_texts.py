"""Escape sequences and bidirectional controls in GP's and CRM's texts, through every command that shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Workbench, put_tables_for_views
from tests.report.test_visible import acts

pytestmark = pytest.mark.gp_changes

ATTACK = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066"
"""Renames the window, clears the screen, colours it (C1), turns text around."""


@pytest.fixture
def hostile(bench: Workbench) -> Workbench:
    """The attack in a customer's name, an order's number, a GP code, CRM's account and CRM's error messages."""
    bench.execute("update gp.SOP10100 set CUSTNAME = ? where rtrim(SOPNUMBE) = 'ORDST2225'", f"Aaron {ATTACK}")
    for table in ("SOP10100", "SOP10200"):
        bench.execute(f"update gp.{table} set SOPNUMBE = ? where rtrim(SOPNUMBE) = 'ORDST2270'", f"ORD{ATTACK}")
    bench.execute("update gp.SOP10100 set SHIPMTHD = ? where rtrim(SOPNUMBE) = 'ORDST2226'", f"BY {ATTACK}"[:15])
    put_tables_for_views(bench.path)
    (order,) = (row for row in bench.crm.rows("salesorder") if row["name"] == "ORDST2226")
    bench.crm.update("salesorder", order["salesorderid"], {"description": f"Before {ATTACK}"})
    return bench


def commands(run_id: str) -> list[tuple[str, ...]]:
    return [
        ("plan", "-v"),
        ("check",),
        ("xref", "check"),
        ("explain", "ORDST2225"),
        ("explain", "ORDST2226"),
        ("explain", f"ORD{ATTACK}"),
        ("explain", f"none {ATTACK}"),
        ("push",),
        ("status",),
        ("status", "--run", run_id),
        ("retry", "list"),
        ("retry", "hold", f"ORD{ATTACK}"),
        ("retry", "ignore", f"none {ATTACK}"),
        ("undo", "--run", run_id, "--plan"),
        ("report", "--out", "-"),
        ("reconcile",),
        ("plan", "--order", f"none {ATTACK}"),
        ("status", "--max-age", ATTACK),
        (ATTACK,),
    ]


@pytest.mark.parametrize("as_json", [False, True])
def test_no_command_prints_what_acts_on_a_terminal(hostile: Workbench, as_json: bool, tmp_path: Path) -> None:
    run_id = hostile.loader("push", "--order", "ORDST2226").data["run_id"]
    said = ""
    for arguments in commands(run_id):
        if as_json and "--out" in arguments:
            arguments = ("report", "--out", str(tmp_path / "report.html"))
        ended = hostile.loader(*arguments, "--log-format", "json" if as_json else "text", json_output=as_json)
        printed = (ended.stdout + ended.stderr).replace("\n", "")
        assert not any(map(acts, printed)), arguments
        said += printed
    if as_json:
        said += (tmp_path / "report.html").read_text(encoding="utf-8")
        assert not any(map(acts, said.replace("\n", "")))
        assert r"\u001b]0;owned\u0007" in said
    assert r"\x1b]0;owned\x07" in said
    assert r"\u202egnp" in said


def test_a_line_break_in_a_text_makes_no_line(bench: Workbench) -> None:
    for table in ("SOP10100", "SOP10200"):
        bench.execute(f"update gp.{table} set SOPNUMBE = ? where rtrim(SOPNUMBE) = 'ORDST2270'", "ORD1\nAll is well.")
    for arguments in (("plan",), ("push",), ("retry", "list"), ("explain", "ORD1\nAll is well.")):
        ended = bench.loader(*arguments, json_output=False)
        assert r"ORD1\nAll is well." in ended.stdout, arguments
        assert "\nAll is well." not in ended.stdout + ended.stderr
