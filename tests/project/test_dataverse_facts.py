"""What the code takes for granted about Dataverse is on one page of the repository, with its source."""

from __future__ import annotations

import re

from tests.conftest import PROJECT

PAGE = (PROJECT / "docs" / "dataverse.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
FOLDERS = ("loader", "emulator", "macros", "models", "sample", "docs", "tests")


def _texts() -> dict[str, str]:
    return {
        str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((PROJECT / folder).rglob("*"))
        if path.suffix in {".py", ".sql", ".yml", ".md"} and path.name != "test_dataverse_facts.py"
    }


def test_each_section_that_is_cited_exists() -> None:
    cited = []
    for name, text in _texts().items():
        for sections in re.findall(r'docs/dataverse\.md,((?:(?:,| and)?\s*"[^"\n]+")+)', text):
            cited += [(name, section) for section in re.findall(r'"([^"\n]+)"', sections)]
    assert cited
    assert [each for each in cited if each[1] not in HEADINGS] == []


def test_nothing_is_cited_that_the_repository_does_not_have() -> None:
    elsewhere = r"\b(dataverse|gp|companions?)[ _]facts\b|\bfacts? [1-9]|\bdesign (section )?[1-9]"
    pattern = re.compile(elsewhere, re.IGNORECASE)
    assert [(name, found[0]) for name, text in _texts().items() for found in pattern.finditer(text)] == []


def test_each_fact_says_how_well_it_is_known() -> None:
    facts = re.findall(r"^- (?!\*\*).+?(?=\n- |\n\n)", PAGE, re.MULTILINE | re.DOTALL)
    known = re.compile(r"\*(documented|seen|inferred)", re.IGNORECASE)
    assert [fact for fact in facts if not known.search(fact)] == []


def test_each_source_has_an_address_and_is_used() -> None:
    used = set(re.findall(r"\]\[([a-z0-9]+)\]", PAGE))
    given = set(re.findall(r"^\[([a-z0-9]+)\]: https://\S+$", PAGE, re.MULTILINE))
    assert used == given
