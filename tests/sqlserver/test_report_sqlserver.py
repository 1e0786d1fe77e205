"""The report and the probe, out of SQL Server's journal and views."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Workbench

pytestmark = pytest.mark.sqlserver


def test_the_report_and_the_probe(sqlserver_bench: Workbench, tmp_path: Path) -> None:
    bench = sqlserver_bench
    assert bench.loader("status", "--max-age", "2h").data["problems"] == ["no_run"]
    bench.loader("push")
    content = bench.loader("report", "--out", str(tmp_path / "report.html")).data
    assert sum(row["records"] for row in content["outcomes"]) == content["staged"]["records"] == 119
    assert sum(row["amount"] for row in content["outcomes"]) == pytest.approx(content["staged"]["amount"])
    assert {row["reason"]: row["records"] for row in content["reasons"]}["account_not_found"] == 3
    assert {row["code"] for row in content["unmapped"] if row["blocks"]} == {"42"}
    assert "ORDST2270" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert bench.loader("status", "--max-age", "2h", "--max-blocked", "15%").exit_code == 0
    assert bench.loader("status", "--max-blocked", "14%").exit_code == 1
