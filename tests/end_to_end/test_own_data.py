"""docs/try_your_data.md: three orders of one's own, loaded from CSV, planned against a CRM that was made from them."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loader.environment import env_file
from tests.conftest import PROJECT, Workbench

pytestmark = pytest.mark.gp_changes

PAGE = (PROJECT / "docs" / "try_your_data.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`mine/(\w+\.csv)`\n```csv\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in FILES.items():
        (mine / name).write_text(text)
    return mine


@contextmanager
def local_crm(bench: Workbench, *arguments: str) -> Iterator[dict[str, str]]:
    """`loader emulator` in a process of its own, and the settings that it wrote."""
    path = bench.path.parent / "crm.env"
    path.unlink(missing_ok=True)
    bench.release()
    process = subprocess.Popen(
        [sys.executable, "-m", "loader", "emulator", "--port", "0", "--env-file", str(path), *arguments],
        cwd=PROJECT,
        env=bench.environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert str(path) in process.stderr.readline()
        assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600
        yield env_file(path)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_plan_of_ones_own_orders_is_of_creates(bench: Workbench, folder: Path) -> None:
    loaded = bench.loader("sample", "load", str(folder))
    assert {each["table"]: each["rows"] for each in loaded.data["loaded"]} == {
        "SOP10100": 3, "SOP10200": 3, "IV00101": 2, "RM00102": 2,
    }  # fmt: skip
    assert "SOP30200" in loaded.data["without_file"]
    snapshot = bench.path.parent / "crm.json"
    with local_crm(bench, "--from-gp", "--snapshot", str(snapshot)) as bench.settings:
        plan = bench.loader("plan")
        assert (plan.exit_code, plan.orders) == (
            0, {"create": 3, "update": 0, "unchanged": 0, "skipped": 0, "blocked": 0},
        )  # fmt: skip
        assert not any(each["warnings"] for each in plan.data["plans"])
        assert bench.loader("push").orders["created"] == 3
    bench.execute("update gp.SOP10100 set CUSTNMBR = 'NORTHWIND' where SOPNUMBE = 'ORD1002'")
    with local_crm(bench, "--from-gp", "--snapshot", str(snapshot)) as bench.settings:
        plan = bench.loader("plan")
        assert plan.orders["unchanged"] == 2, "the snapshot has what was pushed"
        assert plan.orders["update"] == 1, "and the account that is new in GP"


def test_the_command_says_what_it_did_and_what_comes_next(bench: Workbench, folder: Path) -> None:
    (folder / "notes.csv").write_text("mine\n")
    said = bench.loader("sample", "load", str(folder), json_output=False).stdout
    assert "SOP10100: 3 rows of SOP10100.csv (GP's default in ORIGTYPE, ORIGNUMB, " in said
    assert "No file, so SOP30200 (Sales document headers, history) is as before, or without a row." in said
    assert "`loader sample select SOP30200` prints what to export for them." in said
    assert "Not named like a table that the models read: notes.csv" in said
    assert said.endswith("  loader emulator --from-gp --env-file .env\n  loader plan\n")


def test_a_bad_cell_ends_with_its_place(bench: Workbench, folder: Path) -> None:
    (folder / "IV00101.csv").write_text("ITEMNMBR,INACTIVE\nCHAIR,no\n")
    ended = bench.loader("sample", "load", str(folder))
    assert ended.exit_code == 2
    assert "IV00101.csv: GP could not hold these cells" in ended.error["message"]
    assert "row 2, column INACTIVE: 'no' is not a whole number" in ended.error["message"]


def test_the_statements_to_export_with(bench: Workbench) -> None:
    said = bench.loader("sample", "select", "iv40201", json_output=False).stdout
    assert said == "select UOMSCHDL, BASEUOFM, UMSCHDSC from dbo.IV40201;\n"
    assert len(bench.loader("sample", "select").data) == 12
    assert bench.loader("sample", "select", "NOSUCH").exit_code == 2


def test_tables_go_into_duckdb_and_come_out_of_sql_server(bench: Workbench, folder: Path) -> None:
    bench.settings["GP_CRM_SQLSERVER_HOST"] = "nowhere.invalid"
    refused = bench.loader("sample", "load", str(folder), "--target", "sqlserver")
    assert (refused.exit_code, refused.error["remedy"]) == (2, "Add --target duckdb.")
    refused = bench.loader("sample", "export", str(folder))
    assert (refused.exit_code, refused.error["remedy"]) == (2, "Add --target sqlserver.")


def test_the_settings_of_a_real_crm_are_not_replaced(bench: Workbench) -> None:
    path = bench.path.parent / "real.env"
    path.write_text("CRM_URL=https://contoso.crm.dynamics.com\nCRM_CLIENT_SECRET=s\n")
    ended = bench.loader("emulator", "--port", "0", "--env-file", str(path))
    assert ended.exit_code == 2
    assert "has the settings of https://contoso.crm.dynamics.com" in ended.error["message"]
    assert path.read_text().startswith("CRM_URL=https://contoso.crm.dynamics.com\n")
