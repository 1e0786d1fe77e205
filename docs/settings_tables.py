"""The tables of docs/settings.md: CRM's settings from loader/settings.py, the warehouse's from profiles.yml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from loader.settings import SETTINGS, is_secret

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "settings.md"

WAREHOUSE = {
    "GP_CRM_DUCKDB_PATH": "For target `duckdb`: the file. GP's tables are in its schema `gp`.",
    "GP_CRM_SQLSERVER_HOST": "For target `sqlserver`: the server.",
    "GP_CRM_SQLSERVER_PORT": "Its port.",
    "GP_CRM_SQLSERVER_DATABASE": "The database in which dbt builds and the loader keeps its journal, not GP's own.",
    "GP_CRM_SQLSERVER_SCHEMA": "The schema there.",
    "GP_CRM_SQLSERVER_USER": "SQL login.",
    "GP_CRM_SQLSERVER_PASSWORD": "Its password. A secret.",
    "GP_CRM_SQLSERVER_DRIVER": "Name or path of the ODBC driver; `loader driver` prints the path of the one that came "
    "with `gp-to-crm[sqlserver]`.",
    "GP_CRM_SQLSERVER_ENCRYPT": "Whether the connection is encrypted.",
    "GP_CRM_SQLSERVER_TRUST_CERT": "Whether the server's certificate is trusted without a check.",
    "GP_CRM_GP_DATABASE": "GP's company database; blank means the target's own. The var `gp_database` has precedence.",
}
DBT = {
    "DBT_TARGET": "The output of `profiles.yml` that dbt and the loader use without `--target`.",
    "DBT_PROFILE": "The profile to use instead of the one that `dbt_project.yml` names.",
    "DBT_PROFILES_DIR": "The directory of `profiles.yml`, without `--profiles-dir`.",
    "DBT_TARGET_PATH": "The directory to which dbt writes its manifest, and from which the loader reads it.",
}
_PLACE = re.compile(r"(<!-- settings: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def page() -> str:
    """The page with its tables generated again."""
    tables = {"crm": _crm, "warehouse": _warehouse, "dbt": _dbt}
    text = PAGE.read_text(encoding="utf-8")
    return _PLACE.sub(lambda place: "\n".join([place[1].rstrip("\n"), *tables[place[2]](), place[3]]), text)


def _crm() -> Iterator[str]:
    yield from ("| setting | default | meaning |", "|---|---|---|")
    for name, field in SETTINGS.items():
        default = "" if field.default in (None, "") else f"`{field.default}`"
        secret = " A secret: environment only." if is_secret(field) else ""
        yield f"| `{name}` | {default} | {field.description}{secret} |"


def _warehouse() -> Iterator[str]:
    profiles = (DOCS.parent / "profiles.yml").read_text(encoding="utf-8")
    defaults = dict(re.findall(r"env_var\('(\w+)', '([^']*)'\)", profiles))
    undescribed = defaults.keys() - WAREHOUSE.keys()
    if undescribed:
        raise LookupError(f"docs/settings_tables.py describes no {', '.join(sorted(undescribed))}.")
    yield from ("| variable | default | meaning |", "|---|---|---|")
    for name, text in WAREHOUSE.items():
        yield f"| `{name}` | {f'`{defaults[name]}`' if defaults.get(name) else ''} | {text} |"


def _dbt() -> Iterator[str]:
    yield from ("| variable | meaning |", "|---|---|")
    for name, text in DBT.items():
        yield f"| `{name}` | {text} |"
