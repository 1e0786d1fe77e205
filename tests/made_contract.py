"""Small contracts written by hand: a manifest with a few models, for what the sample company has no table for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loader.contract import JOURNAL_TABLES, Contract, read_contract

Yaml = dict[str, Any]
Columns = Mapping[str, "str | tuple[str, Yaml]"]
"""Column → data type, or data type and meta.crm."""


def node(name: str, crm: Yaml, columns: Columns) -> Yaml:
    """A model's node in the manifest."""
    described = {}
    for column, said in columns.items():
        data_type, meta = (said, {}) if isinstance(said, str) else said
        described[column] = {"name": column, "data_type": data_type, "config": {"meta": {"crm": meta}}}
    return {
        "name": name,
        "unique_id": f"model.made.{name}",
        "resource_type": "model",
        "relation_name": f'"{name}"',
        "patch_path": f"made://models/{name}.yml",
        "original_file_path": f"models/{name}.sql",
        "config": {"contract": {"enforced": True}, "meta": {"crm": {"version": 2, **crm}}},
        "columns": described,
    }


def manifest(*nodes: Yaml) -> Yaml:
    """A manifest of these models and the journal's."""
    journal = [
        {
            "name": name,
            "resource_type": "model",
            "relation_name": name,
            "columns": {},
            "unique_id": f"model.made.{name}",
        }
        for name in JOURNAL_TABLES
    ]
    return {"metadata": {"adapter_type": "duckdb"}, "nodes": {each["unique_id"]: each for each in [*nodes, *journal]}}


def contract_of(folder: Path, *nodes: Yaml) -> Contract:
    """What the loader reads from it."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest(*nodes)), encoding="utf-8")
    return read_contract(path, "duckdb")
