"""Writes names and versions of what is installed here, for `pip install --constraint`."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

OF_THE_ENVIRONMENT = {"gp-to-crm", "pip", "setuptools", "wheel"}
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HEAD = "# Versions that the suite has passed with. `make constraints` writes this file.\n"


def constraint(found: Distribution) -> str:
    """A version that some Python is too old for does not bind that Python."""
    line = f"{canonicalize_name(found.metadata['Name'])}=={found.version}"
    allowed = SpecifierSet(str(found.metadata.json.get("requires_python", "")))
    fitting = [python for python in PYTHONS if allowed.contains(f"{python}.99")]
    return line if fitting[:1] == [PYTHONS[0]] else f'{line} ; python_version >= "{fitting[0]}"'


def main() -> None:
    found = {canonicalize_name(each.metadata["Name"]): each for each in distributions()}
    lines = [constraint(found[name]) for name in sorted(found) if name not in OF_THE_ENVIRONMENT]
    Path(sys.argv[1]).write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
