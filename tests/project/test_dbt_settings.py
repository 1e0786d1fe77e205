"""Settings: wrong ones are refused in words, the defaults need no editing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from loader.contract import read_contract
from loader.errors import ContractError
from loader.profile import read_target
from tests.project.dbt_runs import PROJECT, Dbt
from tests.thorough import some

WRONG = {
    "amounts": ("foo", '"spec", "reconciled"'),
    "transferred": ("never", '"fully", "partly"'),
    "nolock": ("maybe", "true, false"),
    "default_area_code": ("1", "three digits"),
    "delivery_days": ("soon", "a whole number of days, 0 to 365"),
    "gp_time_zone": ("US Eastern", "windows: Eastern Standard Time"),
}


@pytest.mark.parametrize("var", WRONG)
def test_a_wrong_value_stops_dbt_and_names_the_right_ones(bare_project: Path, tmp_path: Path, var: str) -> None:
    value, allowed = WRONG[var]
    refusal = Dbt(tmp_path, bare_project).parse("--vars", f"{{{var}: {value}}}")
    assert refusal is not None
    assert f"var `{var}`" in refusal
    assert allowed in refusal


@pytest.mark.parametrize(
    ("zone", "currency"), some([("Pacific/Auckland", "CAD"), (None, None), ("Europe/Berlin", None)], 3)
)
def test_the_contracts_time_zone_and_currency_are_the_projects(
    bare_project: Path, tmp_path: Path, zone: str | None, currency: str | None
) -> None:
    """Stated once: the views take midnight from the same var as the loader takes the day."""
    given = {
        **({"gp_time_zone": {"iana": zone, "windows": "any"}} if zone else {}),
        **({"gp_currency": currency} if currency else {}),
    }
    assert Dbt(tmp_path, bare_project).parse("--vars", json.dumps(given)) is None
    manifest = tmp_path / "target" / "manifest.json"
    contract = read_contract(manifest, "duckdb")
    for model in contract.models:
        assert model.meta.time_zone == (zone or "America/New_York")
        assert model.children is None or model.children.meta.time_zone == model.meta.time_zone
    assert {model.meta.currency for model in contract.models} == {currency or ""}
    if zone:
        manifest.write_text(manifest.read_text(encoding="utf-8").replace(zone, "Mars/Olympus"), encoding="utf-8")
        with pytest.raises(ContractError, match="'Mars/Olympus' is not an IANA time zone"):
            read_contract(manifest, "duckdb")


@pytest.mark.parametrize("name", some(["gp.duckdb", "main.duckdb", "GP.db"], 2))
def test_a_duckdb_file_named_like_its_schema_is_refused(bare_project: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    refusal = Dbt(tmp_path, bare_project, (("GP_CRM_DUCKDB_PATH", str(path)),)).parse()
    assert refusal is not None
    assert "is named like its schema" in refusal
    assert "GP_CRM_DUCKDB_PATH" in refusal
    assert not path.exists()


def test_the_loader_reads_the_same_profile(tmp_path: Path) -> None:
    environ = {
        "GP_CRM_SQLSERVER_HOST": "sql01",
        "GP_CRM_SQLSERVER_PORT": "1444",
        "GP_CRM_SQLSERVER_DATABASE": "crm_sync",
        "GP_CRM_SQLSERVER_SCHEMA": "sync",
        "GP_CRM_SQLSERVER_ENCRYPT": "false",
        "GP_CRM_SQLSERVER_TRUST_CERT": "True",
    }
    target = read_target(PROJECT, PROJECT, "sqlserver", environ)
    assert (target.host, target.port, target.database, target.schema) == ("sql01", 1444, "crm_sync", "sync")
    assert (target.encrypt, target.trust_cert) == (False, True)
    default = read_target(PROJECT, PROJECT, None, {})
    assert (default.type, default.schema) == ("duckdb", "main")
    assert default.path is not None
    assert default.path.name == "gp_to_crm.duckdb"


def test_the_example_profile_holds_the_profile_that_is_in_use() -> None:
    def outputs(name: str) -> dict[str, object]:
        content: dict[str, object] = yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))["gp_to_crm"][
            "outputs"
        ]
        return content

    example = outputs("profiles.example.yml")
    assert outputs("profiles.yml").items() <= example.items()
    assert {"sqlserver_windows_login", "azure_sql", "fabric", "sqlserver_mssql_python"} <= example.keys()


@pytest.mark.parametrize("target", ["sqlserver_windows_login", "azure_sql", "sqlserver_mssql_python"])
def test_every_example_output_for_sql_server_is_taken(one_macro: Path, tmp_path: Path, target: str) -> None:
    shutil.copy(PROJECT / "profiles.example.yml", tmp_path / "profiles.yml")
    dbt = Dbt(tmp_path, one_macro, (("DBT_PROFILES_DIR", str(tmp_path)),))
    assert dbt.parse("--target", target) is None
    assert read_target(PROJECT, tmp_path, target, {}).type == "sqlserver"
