"""A local day begins in UTC with its first instant, whatever the clocks of the zone do."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest
import yaml

from tests.project.dbt_runs import PROJECT, Dbt

ZONE = "America/New_York"
SKIPPED = {("Pacific/Apia", "2011-12-30"), ("Pacific/Kwajalein", "1993-08-21"), ("Pacific/Kiritimati", "1994-12-31")}
"""Days that a zone never had: it changed to the other side of the date line."""


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What gp_local_to_utc makes of a column `day` on DuckDB, in America/New_York."""
    folder = tmp_path_factory.mktemp("dates")
    shutil.copy(PROJECT / "profiles.yml", folder)
    for part in ("macros", "models"):
        (folder / part).mkdir()
    for macro in ("gp/gp_local_to_utc", "gp/last_day_before", "settings/gp_time_zone"):
        shutil.copy(PROJECT / "macros" / f"{macro}.sql", folder / "macros")
    (folder / "models" / "dates.sql").write_text("{{ gp_local_to_utc('day') }}", encoding="utf-8")
    settings = {
        "name": "gp_to_crm",
        "profile": "gp_to_crm",
        "vars": {"gp_time_zone": {"iana": ZONE, "windows": "Eastern Standard Time"}},
    }
    (folder / "dbt_project.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return Dbt(folder, Path(folder)).succeed("compile").compiled["models/dates.sql"]


@pytest.mark.parametrize(
    "zone",
    [
        *("America/New_York", "Europe/Berlin", "America/Havana", "America/Asuncion", "America/Santiago"),
        *("America/Sao_Paulo", "America/Nuuk", "America/Scoresbysund", "America/St_Johns", "Atlantic/Azores"),
        *("Africa/Cairo", "Africa/Casablanca", "Asia/Amman", "Asia/Beirut", "Asia/Damascus", "Asia/Gaza"),
        *("Asia/Tehran", "Australia/Lord_Howe", "Antarctica/Troll", "Asia/Pyongyang", "America/Caracas"),
        *("Pacific/Apia", "Pacific/Kwajalein", "Pacific/Kiritimati"),
    ],
)
def test_a_day_begins_with_its_first_instant_in_every_zone(conversion: str, zone: str) -> None:
    """At the instant local clocks show the day, a second earlier the day before: every day from 1990 to 2037."""
    instant = f"timezone('UTC', {conversion.replace(ZONE, zone)})"
    days = "select cast(d as date) as day from range(date '1990-01-01', date '2037-12-31', interval 1 day) as t (d)"
    wrong = duckdb.execute(
        f"select day from (select day, {instant} as instant from ({days}))"
        f" where cast(timezone('{zone}', instant) as date) <> day"
        f" or cast(timezone('{zone}', instant - to_seconds(1)) as date) >= day"
    ).fetchall()
    assert {(zone, str(day)) for (day,) in wrong} == {skipped for skipped in SKIPPED if skipped[0] == zone}
