"""Opens the warehouse of a target. Only the driver that it needs is loaded."""

from __future__ import annotations

from loader.profile import Target
from loader.warehouse.connection import Warehouse


def connect(profile: Target, *, read_only: bool = False, for_run: bool = False, create: bool = False) -> Warehouse:
    """Opens the warehouse. Raises WarehouseUnavailable, AccessRefused or UsageError.

    `for_run` is for commands that push: a DuckDB file that another process holds then means that another run is
    active. `create` lets DuckDB make the file.
    """
    if profile.type == "duckdb":
        from loader.warehouse.duckdb import DuckDBWarehouse

        return DuckDBWarehouse(profile, read_only=read_only, for_run=for_run, create=create)
    from loader.warehouse.sqlserver import SqlServerWarehouse

    return SqlServerWarehouse(profile)
