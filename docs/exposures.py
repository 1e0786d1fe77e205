"""Writes models/exposures.yml from the models' YAML: what dbt's lineage ends in, one exposure per crm model.

python docs/exposures.py            write it
python docs/exposures.py --check    exit 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import yaml
from generate import PROJECT, crm_meta, crm_models

FILE = PROJECT / "models" / "exposures.yml"

HEAD = "# Written by docs/exposures.py from the YAML of the crm models. Change it there.\n"
URL = "{{ env_var('CRM_URL', 'https://your-organisation.crm.dynamics.com') }}/main.aspx?pagetype=entitylist&etn="

Yaml = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Write the file, or with --check only compare."""
    parser = argparse.ArgumentParser(description="Write models/exposures.yml from the models' YAML.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is not up to date")
    options = parser.parse_args(argv)
    text = exposures()
    if options.check:
        if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
            return 0
        print("models/exposures.yml is not up to date. Run: python docs/exposures.py", file=sys.stderr)
        return 1
    FILE.write_text(text, encoding="utf-8")
    return 0


def exposures() -> str:
    """The file's text."""
    models = list(crm_models())
    parents = {
        crm_meta(model)["children"]["model"]: model["name"] for model in models if crm_meta(model).get("children")
    }
    content = {"exposures": [_exposure(model, parents.get(model["name"])) for model in models]}
    return HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)


def _exposure(model: Yaml, parent: str | None) -> Yaml:
    table = crm_meta(model)["table"]
    enabled = model.get("config", {}).get("enabled")
    return {
        "name": f"dynamics_365_{model['name'].removeprefix('crm_')}",
        "label": f"Dynamics 365 Sales: {table}",
        **({"config": {"enabled": enabled}} if enabled is not None else {}),
        "type": "application",
        "maturity": "high",
        "owner": {"name": "Integration operator"},
        "url": URL + table,
        "description": _description(model, parent),
        "depends_on": [f"ref('{name}')" for name in (model["name"], parent) if name],
    }


def _description(model: Yaml, parent: str | None) -> str:
    meta = crm_meta(model)
    sent = [column["name"] for column in model["columns"] if "__" not in column["name"]]
    lookups = sum("lookup" in crm_meta(column) for column in model["columns"])
    matched = f"matched on {', '.join(meta['match_on'])}" if meta.get("match_on") else f"written with {parent}"
    return (
        f"`loader push` makes CRM's `{meta['table']}` equal to {model['name']}: {matched}, {len(sent)} columns, "
        f"{lookups} of them look-ups. `audit_crm_differences` shows where CRM disagrees."
    )


if __name__ == "__main__":
    sys.exit(main())
