"""What a new user runs into: one message with the remedy, the right exit code, never a traceback."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Ended, Workbench


def expect(ended: Ended, exit_code: int, *words: str) -> None:
    assert ended.exit_code == exit_code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    error = ended.error
    for word in words:
        assert word in error["message"] + " " + error["remedy"]
    assert error["remedy"]


def test_no_profile(bench: Workbench, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    expect(bench.loader("push", "--profiles-dir", str(empty)), 2, "profiles.yml")


def test_wrong_target_names_the_ones_there_are(bench: Workbench) -> None:
    expect(bench.loader("push", "--target", "moon"), 2, "moon", "duckdb", "sqlserver")


def test_dbt_never_ran(bench: Workbench, tmp_path: Path) -> None:
    bench.settings["DBT_TARGET_PATH"] = str(tmp_path / "nothing")
    expect(bench.loader("push"), 2, "manifest.json", "dbt build")


def test_no_warehouse_file(bench: Workbench, tmp_path: Path) -> None:
    bench.path = tmp_path / "other.duckdb"
    expect(bench.loader("push"), 5, "other.duckdb", "dbt build")


def test_a_duckdb_file_named_like_a_schema(bench: Workbench, tmp_path: Path) -> None:
    bench.path = tmp_path / "gp.duckdb"
    expect(bench.loader("push"), 2, "gp")


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("drop table gp.IV00101", "IV00101"),
        ("alter table gp.SOP10100 drop column FRTAMNT", "FRTAMNT"),
        ("drop table xref_payment_terms", "xref_payment_terms"),
        ("drop view crm_salesorderdetail", "crm_salesorderdetail"),
    ],
)
@pytest.mark.gp_changes
def test_something_missing_in_the_warehouse_is_named(bench: Workbench, statement: str, missing: str) -> None:
    bench.execute(statement)
    before = bench.crm.rows("salesorder")
    ended = bench.loader("push")
    expect(ended, 1, missing, "dbt")
    assert bench.crm.rows("salesorder") == before


def test_crm_that_is_not_there(bench: Workbench) -> None:
    bench.settings["CRM_URL"] = "http://127.0.0.1:9"
    expect(bench.loader("check"), 5, "CRM_URL")


def test_plain_http_beyond_this_machine(bench: Workbench) -> None:
    bench.settings["CRM_URL"] = "http://fabrikam.crm.dynamics.com"
    expect(bench.loader("check"), 2, "CRM_URL", "https")


@pytest.fixture
def website() -> Iterator[str]:
    """A server that answers everything with a page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Welcome</html>")

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_server_that_is_not_crm(bench: Workbench, website: str) -> None:
    bench.settings["CRM_URL"] = website
    expect(bench.loader("check"), 5, "CRM_URL")


def test_a_token_that_crm_does_not_know(bench: Workbench) -> None:
    bench.settings["CRM_ACCESS_TOKEN"] = "expired"
    ended = bench.loader("check")
    expect(ended, 6, "CRM_AUTH")
    assert "expired" not in ended.stdout.replace("has expired", "")


def test_no_credentials(bench: Workbench) -> None:
    bench.settings["CRM_AUTH"] = "client_secret"
    expect(bench.loader("check"), 2, "CRM_TENANT_ID")


def test_a_privilege_that_is_missing(bench: Workbench) -> None:
    bench.crm.deny(None, "prvReadAccount")
    expect(bench.loader("plan"), 6, "security role")


def test_a_warehouse_that_another_process_has(bench: Workbench) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(bench.path)!r}); print(1, flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        ended = bench.loader("push")
        assert ended.exit_code == 7
        assert str(holder.pid) in ended.error["message"]
        assert bench.loader("status").exit_code == 5
    finally:
        holder.communicate(b"\n")
