"""The loader's lock on SQL Server, with a second process."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from tests.conftest import Workbench
from tests.promises.test_leases import assert_stopped, stall, started, until, wake, writes

EXCLUSIVE = ("sync_lock", "sync_run", "retry_queue")
"""What transactions of the journal are named after."""


def in_the_journal(bench: Workbench) -> bool:
    """A run is within a transaction that writes to the journal. Frozen there, it would hold everybody up."""
    with closing(bench.warehouse()) as warehouse, warehouse.transaction():
        granted = [
            warehouse.query(
                "declare @granted int; exec @granted = sp_getapplock @Resource = ?, @LockMode = 'Exclusive',"
                " @LockOwner = 'Transaction', @LockTimeout = 0; select @granted",
                [f"gp_to_crm {name}"],
            )
            for name in EXCLUSIVE
        ]
    return any(int(str(rows[0][0])) < 0 for rows in granted)


@pytest.mark.sqlserver
@pytest.mark.timeout(900)  # three pushes of the whole sample, and the build before them
def test_a_stalled_run_writes_no_more_on_sql_server(sqlserver_bench: Workbench) -> None:
    bench = sqlserver_bench
    bench.crm.faults.delay_before_commit(3, times=None, kind="write")
    with started(bench, "-", "push") as stalled:
        until(lambda: writes(bench) >= 2)
        time.sleep(1.5)  # the first order is in the journal by now, and the second is still on its way
        stall(stalled, lambda: in_the_journal(bench))
        until(lambda: not bench.crm.in_flight)
        bench.crm.faults.clear()
        other = bench.loader("push")
        assert other.exit_code == 3, other.stdout
        written = writes(bench)
        ended = wake(stalled)
    assert_stopped(ended)
    assert writes(bench) == written
    assert bench.loader("push").data["requests"]["write"] == 0
