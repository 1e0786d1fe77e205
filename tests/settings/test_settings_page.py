"""docs/settings.md lists whatever is read from the environment."""

from __future__ import annotations

import re
from pathlib import Path

from loader.settings import SETTINGS

PROJECT = Path(__file__).resolve().parents[2]
READ = re.compile(r"environ(?:\.get\(|\.setdefault\(|\[)\"([A-Z_]+)\"|env_var\('([A-Z_]+)'")
OTHERS = {"NAME", "NO_COLOR", "COLUMNS"}
"""An example in a message, and conventions of terminals, which are no settings of this project."""


def test_every_variable_that_is_read_is_described() -> None:
    sources = [*(PROJECT / "loader").rglob("*.py"), *(PROJECT / "macros").rglob("*.sql"), PROJECT / "profiles.yml"]
    found = [each for path in sources for each in READ.findall(path.read_text(encoding="utf-8"))]
    names = {name for pair in found for name in pair if name} | set(SETTINGS)
    page = (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert {"CRM_URL", "GP_CRM_SQLSERVER_HOST", "GP_CRM_GP_DATABASE", "DBT_TARGET"} <= names
    assert {name for name in names - OTHERS if f"`{name}`" not in page} == set()
