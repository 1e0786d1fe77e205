"""The loader's lock on SQL Server, with a second process."""

from __future__ import annotations

import pytest

from tests.conftest import Workbench
from tests.promises.test_leases import assert_stopped, stall, started, until, wake, writes


@pytest.mark.sqlserver
@pytest.mark.timeout(900)  # three pushes of the whole sample, and the build before them
def test_a_stalled_run_writes_no_more_on_sql_server(sqlserver_bench: Workbench) -> None:
    bench = sqlserver_bench
    bench.crm.faults.delay_before_commit(0.5, times=None, kind="write")
    with started(bench, "-", "push") as stalled:
        until(lambda: writes(bench) >= 2)
        stall(stalled, lambda: False)
        until(lambda: not bench.crm.in_flight)
        bench.crm.faults.clear()
        other = bench.loader("push")
        assert other.exit_code == 3, other.stdout
        written = writes(bench)
        ended = wake(stalled)
    assert_stopped(ended)
    assert writes(bench) == written
    assert bench.loader("push").data["requests"]["write"] == 0
