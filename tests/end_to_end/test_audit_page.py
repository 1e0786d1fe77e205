"""docs/audit.md answers its questions as the sample company does after one push."""

from __future__ import annotations

import importlib.util
import re
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
    bench.release()
    assert answers.answered(page, lambda sql: answers.ask(bench.path, sql)) == page, "Run: python docs/audit_answers.py"


@pytest.mark.gp_changes
def test_what_changed_in_an_order_comes_run_by_run_with_its_time(bench: Workbench, answers: ModuleType) -> None:
    page = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    asked = next(sql for sql in re.findall(r"```sql\n(.*?)\n```", page, re.DOTALL) if "from audit_order_changes" in sql)
    bench.loader("push", "--order", "ORDST2228")
    bench.execute("update gp.SOP10100 set FRTAMNT = 31, DOCAMNT = DOCAMNT + 1 where rtrim(SOPNUMBE) = 'ORDST2228'")
    bench.loader("push", "--order", "ORDST2228")
    bench.release()
    names, rows = answers.ask(bench.path, asked)
    changed_at = [row[names.index("changed_at")] for row in rows]
    freight = [row[names.index("value_after")] for row in rows if row[names.index("crm_column")] == "freightamount"]
    assert changed_at == sorted(changed_at)
    assert len(set(changed_at)) == 2
    assert [float(value) for value in freight] == [30, 31]


def test_the_page_asks_every_audit_view(bench: Workbench) -> None:
    page = (PROJECT / "docs" / "audit.md").read_text(encoding="utf-8")
    views = bench.query("select table_name from information_schema.tables where table_name like 'audit_%'")
    assert {name for (name,) in views if f"\nfrom {name}\n" not in page} == set()
