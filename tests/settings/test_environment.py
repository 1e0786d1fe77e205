"""The project's `.env`: what is written is what is read, and the process's own environment goes before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.environment import env_file, env_text, read_environ
from loader.errors import UsageError
from loader.settings import read_settings

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=st.dictionaries(NAMES, VALUES), then=st.dictionaries(NAMES, VALUES))
def test_what_is_written_is_read(tmp_path: Path, first: dict[str, str], then: dict[str, str]) -> None:
    path = tmp_path / ".env"
    path.write_text(env_text(env_text("# ours\n", first), then), encoding="utf-8")
    assert env_file(path) == {**first, **then}
    assert path.read_text(encoding="utf-8").startswith("# ours\n")


def test_the_process_goes_before_the_file_and_both_are_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CRM_URL=https://a.crm.dynamics.com\nCRM_TIMEOUT=0\nCRM_MAX_WAIT=7\n")
    environ = read_environ(tmp_path, {"CRM_TIMEOUT": "9"})
    given = read_settings(tmp_path, environ, crm_needed=False)
    assert (given.timeout, given.max_wait) == (9, 7)
    assert given.origins["CRM_TIMEOUT"] == "environment"
    assert given.origins["CRM_MAX_WAIT"] == str(tmp_path / ".env")
    with pytest.raises(UsageError, match=r"CRM_TIMEOUT is '0' \(.*\.env\)"):
        read_settings(tmp_path, read_environ(tmp_path, {}), crm_needed=False)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(UsageError, match=r"\.env cannot be read"):
        read_environ(tmp_path, {})
