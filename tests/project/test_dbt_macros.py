"""Macros are found and understood by their files: one per file, in a folder by purpose, described in YAML beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.project.dbt_runs import PROJECT

FILES = sorted((PROJECT / "macros").rglob("*.sql"))
FOLDERS = sorted({file.parent for file in FILES})
DEFINITION = re.compile(r"{%-?\s*(macro|test)\s+(\w+)\((.*?)\)\s*-?%}", re.DOTALL)
TWIN = re.compile(r"(default|duckdb|fabric)__")


def macros_in(file: Path) -> dict[str, list[str]]:
    """The macros and generic tests of a file, by dbt's name, with their arguments; not the twins."""
    found = DEFINITION.findall(file.read_text(encoding="utf-8"))
    return {
        f"test_{name}" if kind == "test" else name: [
            part.partition("=")[0].strip() for part in arguments.split(",") if part.strip()
        ]
        for kind, name, arguments in found
        if not TWIN.match(name)
    }


def described(folder: Path) -> dict[str, dict[str, object]]:
    entries = yaml.safe_load((folder / "_macros.yml").read_text(encoding="utf-8"))["macros"]
    return {entry["name"]: entry for entry in entries}


def test_every_macro_stands_in_a_folder_by_purpose() -> None:
    assert PROJECT / "macros" not in FOLDERS


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_one_macro_of_its_own_name(file: Path) -> None:
    own = f"test_{file.stem}" if file.parent.name == "tests" else file.stem
    assert list(macros_in(file)) == [own]
    twins = [name for _, name, _ in DEFINITION.findall(file.read_text(encoding="utf-8")) if TWIN.match(name)]
    assert {TWIN.sub("", name) for name in twins} <= {own}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_macro_is_described_with_its_arguments(folder: Path) -> None:
    declared = described(folder)
    defined = {name: arguments for file in folder.glob("*.sql") for name, arguments in macros_in(file).items()}
    assert declared.keys() == defined.keys()
    for name, entry in declared.items():
        assert str(entry["description"]).strip(), name
        arguments = entry.get("arguments", [])
        assert isinstance(arguments, list)
        assert [argument["name"] for argument in arguments] == defined[name], name
        assert all(argument["description"].strip() for argument in arguments), name
