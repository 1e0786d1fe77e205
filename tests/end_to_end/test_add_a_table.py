"""docs/add_a_table.md: a copy of the project does what the page says, with the files that the page shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from emulator import Emulator
from loader.profile import read_target
from loader.warehouse.connect import connect
from sample import company, organisation
from tests.conftest import PROJECT, Ended, Workbench, copy_without_unit_tests

pytestmark = pytest.mark.xdist_group("add a table")

PAGE = (PROJECT / "docs" / "add_a_table.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/.]+)`\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
COMMANDS = re.findall(r"^(?:dotenv run -- )?((?:dbt|loader) [^#\n]*[^#\s])", PAGE, re.MULTILINE)
AUDIT = re.findall(r"^```sql\n(select record_key.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
INSPECTIONS = re.findall(r"^`(loader (?:explain|retry|reconcile)[^`]*)`", PAGE, re.MULTILINE)
TABLES = ("pricelevel", "productpricelevel")
DUCKDB_FILE = "sample.duckdb"


def run(folder: Path, command: str, *flags: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the page in a project."""
    program, *arguments = shlex.split(command)
    others = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "GP_CRM_", "DBT_"))}
    return subprocess.run(
        [sys.executable, "-m", {"dbt": "dbt.cli.main", "loader": "loader"}[program], *arguments, *flags],
        cwd=folder,
        env={**others, "PYTHONPATH": str(PROJECT), "GP_CRM_DUCKDB_PATH": str(folder / DUCKDB_FILE), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass
class Project:
    """The copy of the project, built, and a CRM."""

    folder: Path
    crm: Emulator

    @property
    def duckdb_path(self) -> Path:
        return self.folder / DUCKDB_FILE

    def run(self, command: str, *flags: str) -> Ended:
        """Runs one of the page's loader commands where the project is, in this process."""
        bench = Workbench(self.duckdb_path, self.folder / "target", self.crm, project=self.folder)
        program, *arguments = shlex.split(command)
        assert program == "loader", command
        return bench.loader(*arguments, *flags, json_output=False)

    def loader(self, command: str) -> dict[str, Any]:
        return self.run(command, "--json").data

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.duckdb_path), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its own unit tests, with units and products switched on, as the page leaves it."""
    folder = tmp_path_factory.mktemp("add_a_table") / "project"
    copy_without_unit_tests(folder)
    settings = folder / "dbt_project.yml"
    text = settings.read_text(encoding="utf-8")
    assert "sync: {units: false, products: false," in text
    text = text.replace("sync: {units: false, products: false,", "sync: {units: true, products: true,")
    settings.write_text(text, encoding="utf-8")
    follow(folder)
    target = read_target(folder, folder, "duckdb", {"GP_CRM_DUCKDB_PATH": str(folder / DUCKDB_FILE)})
    warehouse = connect(target, create=True)
    company.load(warehouse)
    warehouse.close()
    with duckdb.connect(str(folder / DUCKDB_FILE)) as connection:
        connection.execute(FILES["sample_prices.sql"])
    built = run(folder, COMMANDS[0])
    assert built.returncode == 0, built.stdout[-3000:]
    (folder / "built.txt").write_text(built.stdout, encoding="utf-8")
    return folder


@pytest.fixture
def project(followed: Path, tmp_path: Path) -> Iterator[Project]:
    folder = shutil.copytree(followed, tmp_path / "project")
    with Emulator(snapshot=organisation.snapshot()) as crm:
        yield Project(folder, crm)


def follow(folder: Path) -> None:
    """Writes the page's files. Only a list in dbt_project.yml changes; every other file is new."""
    for name, text in FILES.items():
        path = folder / name
        if name == "dbt_project.yml":
            word = text.partition(":")[0] + ":"
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            assert sum(line.startswith(word) for line in lines) == 1, word
            path.write_text("".join(text if line.startswith(word) else line for line in lines), encoding="utf-8")
        else:
            assert not path.exists(), name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def prices(crm: Emulator) -> dict[tuple[str, str, str], Decimal]:
    """(price list, product, unit) → amount, as CRM holds them."""

    def name(row: Any, column: str, table: str, of: str) -> str:
        return str(crm.row(table, row[column]["id"])[of])

    return {
        (
            name(row, "pricelevelid", "pricelevel", "name"),
            name(row, "productid", "product", "productnumber"),
            name(row, "uomid", "uom", "name"),
        ): Decimal(str(row["amount"]))
        for row in crm.rows("productpricelevel")
    }


def counts(report: dict[str, Any]) -> dict[str, dict[str, int]]:
    return {
        table: {outcome: number for outcome, number in report["tables"][table].items() if number} for table in TABLES
    }


def test_a_table_of_ones_own_is_sql_and_yaml_and_a_second_push_writes_nothing(project: Project) -> None:
    assert [command.split()[1] for command in COMMANDS[:5]] == ["build", "check", "plan", "push", "push"]
    _, check, plan, push, again = COMMANDS[:5]
    built = (project.folder / "built.txt").read_text(encoding="utf-8")
    for name in re.findall(r"- name: (\w+)\n    model:", FILES["models/crm/price_lists/price_lists__unit_tests.yml"]):
        assert re.search(rf"PASS \S+::{name}", built), name

    checked = project.run(check).stdout
    assert "✓ crm_pricelevel: 2 columns fit CRM's pricelevel." in checked
    assert "✓ crm_productpricelevel: 5 columns fit CRM's productpricelevel." in checked

    assert counts(project.loader(plan)) == {
        "pricelevel": {"create": 1, "update": 1, "blocked": 1},
        "productpricelevel": {"create": 5, "blocked": 2},
    }
    assert project.crm.rows("productpricelevel") == []
    assert counts(project.loader(push)) == {
        "pricelevel": {"created": 1, "updated": 1, "blocked": 1},
        "productpricelevel": {"created": 5, "blocked": 2},
    }
    assert prices(project.crm) == {
        ("RETAIL", "100XLG", "Each"): Decimal("59.95"),
        ("RETAIL", "100XLG", "Case"): Decimal("650.00"),
        ("DEALER", "100XLG", "Each"): Decimal("49.96"),
        ("DEALER", "128 SDRAM", "Each"): Decimal("10.50"),
        ("DEALER", "WIRE-MCD-0001", "Spool"): Decimal("300.00"),
    }
    dollar = organisation.reference("transactioncurrency", "USD")["id"]
    for table in TABLES:
        assert {row["transactioncurrencyid"]["id"] for row in project.crm.rows(table)} == {dollar}

    second = project.loader(again)
    assert second["requests"]["write"] == 0
    assert counts(second) == {
        "pricelevel": {"unchanged": 2, "blocked": 1},
        "productpricelevel": {"unchanged": 5, "blocked": 2},
    }

    (audit,) = AUDIT
    assert sorted(row[:3] for row in project.query(audit)) == [
        ("DEALER", "in_crm", None),
        ("DEALER / 100XLG / Each", "in_crm", None),
        ("DEALER / 128 SDRAM / Each", "in_crm", None),
        ("DEALER / 256 SDRAM / Each", "waiting", "value_out_of_range"),
        ("DEALER / WIRE-MCD-0001 / Spool", "in_crm", None),
        ("RETAIL", "in_crm", None),
        ("RETAIL / 100XLG / Case", "in_crm", None),
        ("RETAIL / 100XLG / Each", "in_crm", None),
        ("WHOLESALE", "waiting", "price_list_ambiguous"),
        ("WHOLESALE / 100XLG / Each", "waiting", "price_list_ambiguous"),
    ]
    for command in INSPECTIONS:
        assert project.run(command).exit_code == 0, command
    explained = {column["column"]: column for column in project.loader(INSPECTIONS[0])["columns"]}
    assert (explained["amount"]["gp"], explained["amount"]["staged"]) == (["IV00108.UOMPRICE"], 59.95)
    assert project.loader("loader explain --table pricelevel retail")["columns"][1]["crm"] == "Shops"
    differing = "select distinct record_key from audit_crm_differences where difference = 'value' and crm_table in "
    assert project.query(f"{differing}{TABLES}") == [("WHOLESALE",)]


def test_a_price_that_changes_in_gp_is_one_update_and_one_that_leaves_gp_stays_in_crm(project: Project) -> None:
    push = COMMANDS[3]
    project.loader(push)
    with duckdb.connect(str(project.duckdb_path)) as connection:
        connection.execute("update gp.IV00108 set UOMPRICE = 651 where UOFM = 'Case'")
        connection.execute("delete from gp.IV00108 where UOFM = 'Spool'")
    assert counts(project.loader(push)) == {
        "pricelevel": {"unchanged": 2, "blocked": 1},
        "productpricelevel": {"updated": 1, "unchanged": 3, "blocked": 2},
    }
    assert prices(project.crm)["RETAIL", "100XLG", "Case"] == Decimal("651.00")
    assert prices(project.crm)["DEALER", "WIRE-MCD-0001", "Spool"] == Decimal("300.00")
    (audit,) = AUDIT
    status = {row[0]: row[1] for row in project.query(audit)}
    assert status["DEALER / WIRE-MCD-0001 / Spool"] == "left_in_crm"
