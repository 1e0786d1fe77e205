"""Opens the warehouse of a target, loading only the driver that it needs."""

from __future__ import annotations

from loader.profile import Target
from loader.warehouse.connection import LOCK_WAIT, Warehouse


def connect(
    profile: Target,
    *,
    read_only: bool = False,
    for_run: bool = False,
    create: bool = False,
    lock_wait: float = LOCK_WAIT,
) -> Warehouse:
    """Opens the warehouse. Raises WarehouseUnavailable, AccessRefused or UsageError.

    `for_run` is for commands that push: if another process holds the DuckDB file, that means another run is active.
    With `create`, DuckDB may create the file. `lock_wait` is how many seconds a file may be held by another process.
    """
    if profile.type == "duckdb":
        from loader.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(profile, read_only=read_only, for_run=for_run, create=create, lock_wait=lock_wait)
    from loader.warehouse.sqlserver import SqlServerWarehouse

    return SqlServerWarehouse(profile)
