"""docs/add_a_column.md: a copy of the project does what the page says; what is forgotten is named in one message."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner

from tests.conftest import PROJECT, Built, Workbench, copy_without_unit_tests
from tests.end_to_end.test_add_a_table import run

PAGE = (PROJECT / "docs" / "add_a_column.md").read_text(encoding="utf-8")
CHANGES = re.findall(r"^`([\w/.]+)`[^\n]*\n```diff\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
FILES = re.findall(r"^`([\w/.]+)`\n```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
(BUILD,) = re.findall(r"^dbt build .*$", PAGE, re.MULTILINE)


def follow(folder: Path) -> None:
    """Makes the page's changes."""
    for name, diff in CHANGES:
        path = folder / name
        lines = diff.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if not line.startswith("+"))
        text = path.read_text(encoding="utf-8")
        assert before in text, name
        path.write_text(text.replace(before, "".join(line[1:] for line in lines), 1), encoding="utf-8")
    for name, text in FILES:
        assert not (folder / name).exists()
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project without its own unit tests."""
    folder = tmp_path / "project"
    copy_without_unit_tests(folder)
    return folder


@pytest.mark.gp_changes
def test_a_column_is_a_line_in_staging_and_one_in_the_crm_model(bench: Workbench, built: Built, project: Path) -> None:
    assert len(CHANGES) == 6
    follow(project)
    bench.execute("update gp.SOP10100 set CNTCPRSN = 'Ann Lee' where SOPNUMBE like 'ORDST2225%'")
    bench.target_path = project / "target"
    shutil.copytree(built.target_path, bench.target_path)
    settings = {name: value for name, value in bench.environ.items() if name.startswith(("CRM_", "GP_CRM_", "DBT_"))}
    bench.release()
    done = run(project, BUILD, **settings)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"PASS \S+::the_contact_at_the_ship_to_address_is_the_orders", done.stdout)

    planned = bench.loader("plan", "--order", "ORDST2225").result("ORDST2225")
    (change,) = [each for each in planned["changes"] if each["column"] == "shipto_contactname"]
    assert (change["before"], change["after"]) == (None, "Ann Lee")
    explained = bench.loader("explain", "ORDST2225").data
    (column,) = [each for each in explained["columns"] if each["column"] == "shipto_contactname"]
    assert (column["gp"], column["staged"]) == (["SOP10100.CNTCPRSN"], "Ann Lee")
    trace = "select gp_value, staged_value from audit_field_trace where crm_column = 'shipto_contactname'"
    assert bench.query(f"{trace} and record_key = 'ORDST2225'") == [("Ann Lee", "Ann Lee")]
    bench.loader("push", "--order", "ORDST2226")
    bench.loader("reconcile")
    differing = "select record_key, staged_value from audit_crm_differences where crm_column = 'shipto_contactname'"
    assert bench.query(differing) == [("ORDST2225", "Ann Lee")]


def test_what_was_forgotten_is_named_in_one_message(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(project)
    forget(project / "models/staging/gp/__sources.yml", '          - {name: CNTCPRSN, data_type: "char(61)"}\n')
    model = project / "models/crm/sales_orders/crm_salesorder.yml"
    forget(model, "        description: Contact at the ship-to address.\n")
    forget(model, "gp: SOP10100.CUSTNAME")
    for name in ("staging/gp/stg_gp__sales_orders.yml", "intermediate/int_sales_orders_open.yml"):
        forget(
            project / "models" / name, "        description: Contact at the ship-to address. GP SOP10100.CNTCPRSN.\n"
        )
    monkeypatch.setenv("GP_CRM_DUCKDB_PATH", str(project / "sample.duckdb"))
    monkeypatch.chdir(project)
    assert not dbtRunner().invoke(["--no-use-colors", "run-operation", "refuse_incomplete_columns"]).success
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "crm_salesorder.shipto_contactname has no description"
        " crm_salesorder.shipto_contactname comes from SOP10100.CNTCPRSN, which no source lists"
        " crm_salesorder.description does not say where it comes from: meta.crm needs gp or rule"
    ) in said
    assert "stg_gp__sales_orders.ship_to_contact_name has no description" in said
    assert "int_sales_orders_open.ship_to_contact_name has no description" in said


def forget(path: Path, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    assert text in before
    path.write_text(before.replace(text, "", 1), encoding="utf-8")
