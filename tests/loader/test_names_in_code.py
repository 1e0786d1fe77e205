"""The loader knows no table or column of CRM but those of the protocol: what it pushes, the models' YAML says."""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.conftest import PROJECT

PROTOCOL = {"ownerid", "statecode", "statuscode", "transactioncurrencyid", "transactioncurrency", "organization"}
PROTOCOL |= {"systemuser", "team", "sdkmessage", "usersettings", "timezonedefinition"}
"""Who signs in, whose records they are, their state and currency, and what CRM says about itself."""
WORDS = {"account", "contact", "description", "invoice", "name", "order", "product", "quantity", "tax"}
"""Names that are words of English, too: in a sentence they mean what they say, on their own they would be names."""
ALLOWED = {"description", "name"}
"""Keys of dbt's manifest, of JSON and of the journal."""
SPEAKING = {"demonstration.py"}
"""The demo names sample records of these tables."""


def names() -> set[str]:
    with (PROJECT / "emulator" / "tables.csv").open(encoding="utf-8", newline="") as file:
        found = {row["table"] for row in csv.DictReader(file)}
    for path in (PROJECT / "models" / "crm").rglob("*.yml"):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", []):
            found |= {column["name"] for column in model.get("columns", []) if "__" not in column["name"]}
    return found


def texts(path: Path) -> Iterator[str]:
    """The texts in the code, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_no_name_of_crms_tables_and_columns_stands_in_the_loader() -> None:
    known = names() - PROTOCOL - ALLOWED
    assert {"salesorderdetail", "productnumber", "parentaccountid", "uomscheduleid"} <= known
    found = set()
    for path in sorted((PROJECT / "loader").rglob("*.py")):
        for text in texts(path):
            used = {text} & known | set(re.findall(r"\w+", text)) & (known - WORDS)
            if path.name in SPEAKING:
                used = {name for name in used if name not in tables()}
            found |= {f"{path.relative_to(PROJECT)}: {name}" for name in used}
    assert found == set()


def tables() -> set[str]:
    with (PROJECT / "emulator" / "tables.csv").open(encoding="utf-8", newline="") as file:
        return {row["table"] for row in csv.DictReader(file)}
