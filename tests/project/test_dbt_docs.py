"""docs/mapping.md says what the models' YAML says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.project.dbt_runs import PROJECT


def test_the_mapping_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "docs" / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_mapping_page_has_every_column_and_formula() -> None:
    page = (PROJECT / "docs" / "mapping.md").read_text(encoding="utf-8")
    for name in ("requestdeliveryby", "SOP10100.ReqShipDate", "RM00102.PHONE1", "uomid__schedule", "PHONEFROMGP"):
        assert name in page


def test_every_model_has_its_yaml_beside_it() -> None:
    models = set((PROJECT / "models").rglob("*.sql"))
    assert {path for path in models if not path.with_suffix(".yml").exists()} == set()


def test_every_macro_file_holds_the_macro_of_its_name() -> None:
    def named(path: Path) -> bool:
        text = path.read_text(encoding="utf-8")
        kind = "test" if path.parent.name == "tests" else "macro"
        return re.search(rf"{kind} {path.stem}\(", text) is not None

    assert [path.name for path in (PROJECT / "macros").rglob("*.sql") if not named(path)] == []
