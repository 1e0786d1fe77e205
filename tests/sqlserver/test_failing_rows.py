"""Rows on which a dbt test fails, looked up on SQL Server: by the command that is printed, and where dbt keeps them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from loader.context import Context
from loader.dbt_commands import same_warehouse, shown_by
from loader.push.building import dbt_environ, run_dbt
from tests.conftest import PROJECT

pytestmark = pytest.mark.sqlserver
TEST = "phones_are_us_numbers"
"""It warns of some of the sample's orders."""
CONTRACT = (
    "unique_code_crm_salesorder_name",
    "unique_combination_crm_salesorderdetail_salesorderid__lineitemnumber",
    "not_null_crm_salesorder_name",
)
"""One of each kind that stops a push."""


def test_the_printed_command_shows_them_and_dbt_keeps_them(sqlserver_target: Path) -> None:
    environ = {**os.environ, "DBT_TARGET_PATH": str(sqlserver_target)}
    with Context(PROJECT, target_name="sqlserver", environ=environ) as run:
        exit_code, said = run_dbt(
            ["test", "--select", TEST, "--store-failures", *same_warehouse(run.target, PROJECT)], dbt_environ(run)
        )
        assert exit_code == 0, said
        kept = run.warehouse.query(f"select * from dbo_failures.{TEST}")
        shown = {
            test: subprocess.run(
                [sys.executable, "-m", "dbt.cli.main", *shlex.split(shown_by(run.target, PROJECT, test))[1:]],
                env=dbt_environ(run),
                capture_output=True,
                text=True,
                check=False,
            )
            for test in (TEST, *CONTRACT)
        }
    assert kept
    assert {test: done.stdout[-500:] for test, done in shown.items() if done.returncode} == {}
    assert any(str(row[0]).strip() in shown[TEST].stdout for row in kept)
