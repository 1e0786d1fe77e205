"""What is installed: versions with known holes are not admitted, and constraints.txt is what the suite passed with."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
toml: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
PYPROJECT = toml.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
LAST_WITH_A_HOLE = {
    "certifi": "2024.6.2",  # CVE-2024-39689
    "cryptography": "48.0.0",  # GHSA-537c-gmf6-5ccf
    "deepdiff": "8.6.0",  # CVE-2025-58367
    "duckdb": "1.4.1",  # CVE-2025-64429
    "filelock": "3.20.2",  # CVE-2026-22701
    "h11": "0.15.0",  # CVE-2025-43859
    "idna": "3.14",  # CVE-2026-45409
    "jinja2": "3.1.5",  # CVE-2025-27516
    "protobuf": "6.33.4",  # CVE-2026-0994
    "pyjwt": "2.14.0",  # CVE-2026-101918
    "pytest": "9.0.2",  # CVE-2025-71176
    "requests": "2.32.5",  # CVE-2026-25645
    "setuptools": "78.1.0",  # CVE-2025-47273
    "starlette": "1.0.0",  # CVE-2026-48710
    "urllib3": "2.6.3",  # CVE-2026-44432
}


def requirements() -> Iterator[Requirement]:
    groups = [PYPROJECT["build-system"]["requires"], PYPROJECT["project"]["dependencies"]]
    groups += PYPROJECT["project"]["optional-dependencies"].values()
    for group in groups:
        yield from map(Requirement, group)


def constraints() -> dict[str, Requirement]:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(each.name): each for each in found}


@pytest.mark.parametrize("name", LAST_WITH_A_HOLE)
def test_versions_with_known_holes_are_not_admitted(name: str) -> None:
    asked = [each for each in requirements() if canonicalize_name(each.name) == name]
    assert asked
    assert not any(each.specifier.contains(LAST_WITH_A_HOLE[name]) for each in asked)


def test_what_the_code_imports_is_required() -> None:
    """Not only brought by something else, which may leave it out one day."""
    names = {canonicalize_name(each.name) for each in requirements()}
    imports: set[str] = set()
    for path in (PROJECT / "loader").rglob("*.py"):
        imports |= set(re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.M))
    own = set(sys.stdlib_module_names) | {"loader", "emulator", "sample", "bench"}
    of = {
        "dbt": "dbt-core",
        "dotenv": "python-dotenv",
        "markupsafe": "jinja2",
        "mssql_python": "dbt-sqlserver",
        "yaml": "pyyaml",
    }
    missing = {name for name in imports - own if canonicalize_name(of.get(name, name)) not in names}
    assert missing == set()


def test_constraints_hold_every_requirement_in_a_version_that_it_admits() -> None:
    pinned = constraints()
    for each in requirements():
        name = canonicalize_name(each.name)
        if name in ("gp-to-crm", "setuptools") or (each.marker and not each.marker.evaluate()):
            continue
        (version,) = pinned[name].specifier
        assert version.operator == "=="
        assert each.specifier.contains(version.version), name


def test_constraints_are_names_and_versions_alone() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    shape = re.compile(r'[a-z0-9-]+==[\w.]+( ; python_version >= "3\.\d+")?')
    assert [line for line in lines if not line.startswith("#") and not shape.fullmatch(line)] == []
    names = [line.partition("==")[0] for line in lines[1:]]
    assert names == sorted(set(names))


def test_they_are_written_from_what_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "constraints.txt"
    subprocess.run([sys.executable, str(PROJECT / ".ci" / "constraints.py"), str(path)], check=True)
    written = path.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("requests==") for line in written)
    assert not any(line.startswith(("gp-to-crm", "pip==", "setuptools==")) for line in written)
