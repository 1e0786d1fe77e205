"""`loader driver`: the ODBC driver that the loader uses."""

from __future__ import annotations

from loader.errors import UsageError
from loader.invocation import Invocation, command
from loader.warehouse.sqlserver import driver_path


@command("driver")
def driver(invocation: Invocation) -> None:
    """Print the ODBC driver that the loader uses for SQL Server, for dbt to use the same.

    \b
    Example:
        export GP_CRM_SQLSERVER_DRIVER="$(loader driver --target sqlserver)"
    """
    with invocation.context() as context:
        if context.target.type != "sqlserver":
            raise UsageError(
                f"Target {context.target.name!r} is {context.target.type}, which has no driver.", "Give --target."
            )
        found = driver_path(context.target)
    invocation.output.data({"driver": found}, lambda: iter([found]))
