"""docs/audit.md answers its questions as the sample company does after one push."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.conftest import PROJECT, Workbench


@pytest.fixture(scope="module")
def answers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_answers", PROJECT / "docs" / "audit_answers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_answers_are_the_samples(bench: Workbench, answers: ModuleType) -> None:
    page = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    bench.loader("push")
    bench.loader("reconcile")
    assert answers.answered(page, lambda sql: answers.ask(bench.path, sql)) == page, "Run: python docs/audit_answers.py"


def test_the_page_asks_every_audit_view(bench: Workbench) -> None:
    page = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    views = bench.query("select table_name from information_schema.tables where table_name like 'audit_%'")
    assert {name for (name,) in views if f"\nfrom {name}\n" not in page} == set()
