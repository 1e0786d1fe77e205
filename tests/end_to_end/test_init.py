"""`loader init` tries what it is given, and writes what every command then reads."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.server import Emulator
from tests.conftest import PROJECT

SECRET = "hunter2"


@pytest.fixture
def crm() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("dbt_project.yml", "profiles.yml"):
        (tmp_path / name).write_text((PROJECT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DBT_", "GP_CRM_"))}
    return {**kept, "PYTHONPATH": str(PROJECT), **more}


def init(project: Path, *flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loader", "init", "--project-dir", str(project), *flags]
    return subprocess.run(
        command, env=environ(**variables), stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
    )


def flags_for(crm: Emulator) -> list[str]:
    return ["--target", "duckdb", "--duckdb-path", "mine.duckdb", "--crm-url", crm.url, "--crm-auth", "token"]


def test_by_flags_it_writes_what_the_other_commands_read(project: Path, crm: Emulator) -> None:
    ended = init(project, *flags_for(crm), CRM_ACCESS_TOKEN=crm.token)
    assert ended.returncode == 0, ended.stderr
    assert "signed in as" in ended.stderr
    assert ended.stdout.splitlines()[-3:] == ["  dotenv run -- dbt build", "  loader check", "  loader plan"]
    text = (project / ".env").read_text(encoding="utf-8")
    assert "GP_CRM_DUCKDB_PATH=mine.duckdb" in text
    assert crm.token not in text, "a secret of the environment stays there"
    if os.name == "posix":
        assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600

    shown = subprocess.run(
        [sys.executable, "-m", "loader", "sop-mode", "show", "--project-dir", str(project)],
        env=environ(CRM_ACCESS_TOKEN=crm.token),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert shown.returncode == 0, shown.stderr


def test_what_is_missing_is_named_where_nobody_can_be_asked(project: Path, crm: Emulator) -> None:
    ended = init(project, *flags_for(crm))
    assert ended.returncode == 2
    assert "CRM_ACCESS_TOKEN is not known" in ended.stderr
    assert "Set CRM_ACCESS_TOKEN in the environment." in ended.stderr
    ended = init(project, "--target", "sqlserver")
    assert "GP_CRM_SQLSERVER_USER is not known" in ended.stderr
    assert "Give --sqlserver-user" in ended.stderr
    assert not (project / ".env").exists()


def test_a_wrong_token_is_refused_before_anything_is_written(project: Path, crm: Emulator) -> None:
    ended = init(project, *flags_for(crm), CRM_ACCESS_TOKEN="wrong-token")
    assert ended.returncode == 6, ended.stderr
    assert not (project / ".env").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
def test_on_a_terminal_it_asks_again_and_never_shows_a_secret(project: Path, crm: Emulator) -> None:
    import pty

    answers = {
        b"Warehouse": "duckdb\n",
        b"DuckDB file": "\n",
        b"CRM's address": "http://elsewhere.example\n",
        b"How to sign in": "token\n",
        b"The token": f"{crm.token}\n",
    }
    process, terminal = pty.fork()
    if process == 0:
        command = [sys.executable, "-m", "loader", "init", "--project-dir", str(project)]
        os.execve(sys.executable, command, environ())
    screen, asked = b"", 0
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            break
        if not piece:
            break
        screen += piece
        for prompt in list(answers):
            if prompt in screen[asked:] and screen.rstrip(b" ").endswith(b":"):
                os.write(terminal, answers[prompt].encode())
                asked = len(screen)
                if prompt == b"CRM's address":
                    answers[prompt] = f"{crm.url}\n"
                break
    _, status = os.waitpid(process, 0)
    text = screen.decode()
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert "plain http would send the credentials unencrypted" in text
    assert "Once more" in text
    assert crm.token not in text
    assert f"CRM_URL={crm.url}" in (project / ".env").read_text(encoding="utf-8")
