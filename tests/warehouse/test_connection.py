"""What a warehouse gives back, and what it says when something is wrong."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import textwrap
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from loader.errors import AccessRefused, LoaderError, UsageError, WarehouseUnavailable
from loader.profile import Attachment, Target
from loader.secrets import Secret
from loader.warehouse import sqlserver
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse, WarehouseBusy
from tests.conftest import PROJECT
from tests.warehouse.warehouse_places import Place, duckdb_target, sqlserver_target


def test_values_are_exact(warehouse: Warehouse) -> None:
    row = warehouse.query(
        "select cast(0.1 as double precision), cast(12345678901234.56789 as decimal(19, 5)), cast(7 as int),"
        " cast('x ' as varchar(5)), cast(null as int), cast('2024-11-03 04:00:00.123' as timestamp2)".replace(
            "timestamp2", "timestamp" if warehouse.dialect == "duckdb" else "datetime2(3)"
        )
    )[0]
    assert row == (
        Decimal("0.1"),
        Decimal("12345678901234.56789"),
        7,
        "x ",
        None,
        dt.datetime(2024, 11, 3, 4, 0, 0, 123000),
    )
    assert [type(value) for value in row[:2]] == [Decimal, Decimal]


def test_parameters_are_values_and_not_sql(warehouse: Warehouse) -> None:
    text = "'; drop table x; -- ? {} é"
    assert warehouse.query("select ?", [text]) == [(text,)]


def test_a_failed_transaction_is_undone(place: Place, warehouse: Warehouse) -> None:
    table = new_table(place, warehouse)

    def fail() -> None:
        with warehouse.transaction():
            warehouse.execute(f"insert into {table} values (?, ?)", ["a", 1])
            with warehouse.transaction():
                warehouse.execute(f"insert into {table} values (?, ?)", ["b", 2])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert warehouse.query(f"select * from {table}") == []


def test_statements_say_how_many_rows_they_changed(place: Place, warehouse: Warehouse) -> None:
    table = new_table(place, warehouse)
    warehouse.insert(table, [("name", "varchar(300)"), ("n", "int")], [("a", 1), ("b", None), ("c", 3)])
    warehouse.executemany(f"update {table} set n = ? where name = ?", [(10, "a"), (30, "c")])
    assert warehouse.execute(f"update {table} set n = n + 1 where n > ?", [5]) == 2
    assert warehouse.execute(f"delete from {table} where name = ?", ["z"]) == 0
    assert sorted(warehouse.query(f"select name, n from {table}"), key=str) == [
        ("a", 11),
        ("b", None),
        ("c", 31),
    ]


def test_a_column_without_values_can_be_inserted(place: Place, warehouse: Warehouse) -> None:
    table = new_table(place, warehouse)
    warehouse.insert(table, [("name", "varchar(300)"), ("n", "int")], [(None, None)] * 2)
    assert warehouse.query(f"select name, n from {table}") == [(None, None)] * 2


def test_kept_rows_stay_as_they_were_and_are_of_one_connection(place: Place, warehouse: Warehouse) -> None:
    table = new_table(place, warehouse)
    warehouse.insert(table, [("name", "varchar(300)"), ("n", "int")], [(f"k{n}", n) for n in range(2500)])
    side = warehouse.side()
    kept = side.keep("numbers", f"select name, n from {table}", sorted_by="n")
    assert warehouse.execute(f"delete from {table} where n >= 1000") == 1500
    assert side.query(f"select count(*), max(n) from {kept} where n between ? and ?", [500, 2000]) == [(1501, 2000)]
    assert side.query(f"select count(*) from {table}") == [(1000,)]
    with pytest.raises(LoaderError):
        warehouse.query(f"select count(*) from {kept}")
    side.close()
    assert warehouse.query(f"select count(*) from {table}") == [(1000,)]


def test_more_values_than_parameters_are_matched(place: Place, warehouse: Warehouse) -> None:
    table = new_table(place, warehouse)
    warehouse.insert(table, [("name", "varchar(300)"), ("n", "int")], [(f"k{n}", n) for n in range(5000)])
    found = [
        row
        for condition, params in warehouse.matching("name", [f"k{n}" for n in range(0, 10_000, 2)])
        for row in warehouse.query(f"select name from {table} where n >= ? and {condition}", [0, *params])
    ]
    assert len(found) == 2500
    assert list(warehouse.matching("name", [])) == []


def test_a_table_that_is_not_there_leads_to_dbt_build(warehouse: Warehouse) -> None:
    with pytest.raises(LoaderError, match="nowhere") as failed:
        warehouse.query("select * from nowhere")
    assert "dbt build" in failed.value.remedy
    assert "\n" not in failed.value.message


def new_table(place: Place, warehouse: Warehouse) -> str:
    schema = f'"{place.schema}"'
    warehouse.execute(f"create schema {schema}")
    warehouse.execute(f"create table {schema}.t (name varchar(300), n int)")
    return f"{schema}.t"


# -------------------------------------------------------------------------------------------------------------- DuckDB


@pytest.fixture
def target(tmp_path: Path) -> Target:
    target = duckdb_target(tmp_path)
    connect(target, create=True).close()
    return target


def test_a_duckdb_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(WarehouseUnavailable, match=r"no DuckDB file .*warehouse\.duckdb"):
        connect(duckdb_target(tmp_path))
    assert not (tmp_path / "warehouse.duckdb").exists()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "warehouse.duckdb").write_text("name,amount\n" * 500)
    with pytest.raises(WarehouseUnavailable, match="not a valid DuckDB"):
        connect(duckdb_target(tmp_path))


def test_writing_a_file_opened_for_reading_is_refused_clearly(target: Target) -> None:
    warehouse = connect(target, read_only=True)
    with pytest.raises(AccessRefused, match="read-only"):
        warehouse.execute("create table t (a int)")
    warehouse.close()


def test_a_reader_beside_a_writing_process_is_told_to_wait(target: Target) -> None:
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(WarehouseUnavailable, match=f"process {process.pid}") as refused:
            connect(target, read_only=True, lock_wait=0.2)
        assert f"process {process.pid}" in refused.value.remedy
        process.communicate()


def test_a_python_variable_is_never_taken_for_a_table(target: Target) -> None:
    warehouse = connect(target)
    orders = [1]
    assert orders
    with pytest.raises(LoaderError, match="orders"):
        warehouse.query("select * from orders")
    warehouse.close()


def test_attached_files_and_options_of_the_profile_hold(target: Target, tmp_path: Path) -> None:
    gp = connect(replace(target, path=tmp_path / "company.duckdb"), create=True)
    gp.execute("create table t as select 'it''s' as a")
    gp.close()
    attached = (Attachment(str(tmp_path / "company.duckdb"), "gp", read_only=True),)
    warehouse = connect(replace(target, attach=attached, options=(("threads", 1), ("memory_limit", "500MB"))))
    assert warehouse.query("select a, current_setting('threads') from gp.main.t") == [("it's", 1)]
    warehouse.close()


def test_the_log_of_a_push_may_grow_as_far_as_the_loader_or_the_profile_says(target: Target) -> None:
    for options, limit in (((), "244.1 MiB"), ((("wal_autocheckpoint", "1GB"),), "953.6 MiB")):
        warehouse = connect(replace(target, options=options))
        assert warehouse.query("select current_setting('wal_autocheckpoint')") == [(limit,)]
        warehouse.close()


def test_memory_is_limited_and_the_profile_may_allow_more(target: Target) -> None:
    for options, limit in (((), "953.6 MiB"), ((("memory_limit", "2GB"),), "1.8 GiB")):
        warehouse = connect(replace(target, options=options))
        assert warehouse.query("select current_setting('memory_limit')") == [(limit,)]
        warehouse.close()
    warehouse = connect(replace(target, options=(("memory_limit", "20MB"),)))
    with pytest.raises(WarehouseUnavailable, match="more memory than it may use") as raised:
        warehouse.query("select length(string_agg(repeat('x', 1000), '')) from range(100000)")
    assert "`memory_limit`" in raised.value.remedy
    warehouse.close()


def test_the_embedded_warehouse_needs_no_sql_server_library(target: Target) -> None:
    code = f"""
        import sys
        sys.modules["pyodbc"] = sys.modules["mssql_python"] = None
        from pathlib import Path
        import loader.settings, loader.profile, loader.warehouse.connect as connection
        assert not {{"duckdb", "msal", "jinja2", "yaml", "requests"}} & set(sys.modules), "imported too early"
        target = loader.profile.Target("duckdb", "t", "main", "warehouse", path=Path({str(target.path)!r}))
        print(connection.connect(target).query("select 1"))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout == "[(1,)]\n", done.stderr


# ---------------------------------------------------------------------------------------------------------- SQL Server

SERVER = Target(
    type="sqlserver",
    name="sqlserver",
    schema="dbo",
    database="CRM;bridge",
    host="sql.contoso.com",
    port=1433,
    user="loader",
    password=Secret("p;w}d"),
    driver="/opt/driver.so",
)


class FakePyodbc:
    def __init__(self, *drivers: str) -> None:
        self._drivers = list(drivers)

    def drivers(self) -> list[str]:
        return self._drivers


def string(target: Target, *drivers: str) -> str:
    return sqlserver._connection_string(target, FakePyodbc(*drivers))


def test_an_installed_driver_is_used_by_name() -> None:
    target = replace(SERVER, driver="ODBC Driver 17 for SQL Server")
    assert string(target, "ODBC Driver 17 for SQL Server").startswith("DRIVER={ODBC Driver 17 for SQL Server};")


def test_the_packaged_driver_stands_in_for_one_that_is_not_installed() -> None:
    pytest.importorskip("mssql_python_odbc")
    driver = string(replace(SERVER, driver="ODBC Driver 18 for SQL Server")).partition(";")[0]
    assert "libmsodbcsql" in driver
    assert Path(driver.removeprefix("DRIVER=")).is_file()


def test_without_any_driver_the_installed_ones_are_named() -> None:
    with pytest.raises(UsageError, match="'Nope' is not installed") as refused:
        sqlserver._chosen_driver("Nope", installed=["FreeTDS"], packaged=None)
    assert "FreeTDS" in refused.value.message
    assert "gp-to-crm[sqlserver]" in refused.value.remedy


def test_values_cannot_break_out_of_the_connection_string() -> None:
    parts = string(SERVER, "/opt/driver.so")
    assert "SERVER=sql.contoso.com,1433;DATABASE={CRM;bridge};UID={loader};PWD={p;w}}d};Encrypt=yes" in parts
    with pytest.raises(UsageError):
        string(replace(SERVER, host="a;UID=sa"), "/opt/driver.so")


def test_other_ways_to_sign_in() -> None:
    def given(**values: object) -> str:
        return string(replace(SERVER, **values), "/opt/driver.so")  # type: ignore[arg-type]

    assert "Trusted_Connection=yes" in given(windows_login=True)
    assert "PWD" not in given(windows_login=True)
    assert "Authentication=ActiveDirectoryServicePrincipal;UID={id};PWD={s}" in given(
        authentication="ServicePrincipal", client_id="id", client_secret=Secret("s")
    )
    assert "SERVER=box\\two;" in given(host="box\\two")
    with pytest.raises(UsageError, match="no password"):
        given(password=None)
    with pytest.raises(UsageError, match="'magic'") as refused:
        given(authentication="magic")
    assert "ActiveDirectoryMsi" in refused.value.remedy


@pytest.mark.parametrize(
    ("state", "text", "expected", "says"),
    [
        ("28000", "Login failed for user 'loader'. (18456) (SQLDriverConnect)", AccessRefused, "Login failed"),
        ("42000", 'Cannot open database "x" requested. (4060) (SQLDriverConnect)', AccessRefused, "Cannot open"),
        ("42000", "The SELECT permission was denied. (229) (SQLExecDirectW)", AccessRefused, "SELECT permission"),
        ("08001", "TCP Provider: Error code 0x2746 (10054) (SQLDriverConnect)", WarehouseUnavailable, "sql.contoso"),
        ("HYT00", "Login timeout expired (0) (SQLDriverConnect)", WarehouseUnavailable, "Login timeout expired"),
        ("08S01", "Communication link failure (0) (SQLExecDirectW)", WarehouseUnavailable, "link failure"),
        ("08001", "SSL Provider: certificate verify failed (-1) (SQLDriverConnect)", WarehouseUnavailable, "trust"),
        ("40001", "Transaction was deadlocked. (1205) (SQLExecDirectW)", WarehouseBusy, "deadlocked"),
        ("42000", "The transaction log for database 'x' is full. (9002) (SQLExecDirectW)", LoaderError, "No space"),
        ("42000", "Database is read-only. (3906) (SQLExecDirectW)", AccessRefused, "cannot be written"),
        ("42S02", "Invalid object name 'dbo.x'. (208) (SQLExecDirectW)", LoaderError, "Invalid object name 'dbo.x'."),
    ],
)
def test_the_servers_errors_say_what_to_do(state: str, text: str, expected: type[LoaderError], says: str) -> None:
    prefix = f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"
    translated = sqlserver._translated(Exception(state, prefix + text), SERVER)
    assert type(translated) is expected or isinstance(translated, expected)
    assert says in translated.message
    assert "[" not in translated.message
    assert "(SQL" not in translated.message
    assert translated.remedy
    assert "p;w}d" not in translated.message + translated.remedy


class Refusing:
    """A driver whose statements fail as often as told."""

    class Error(Exception):
        pass

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.statements: list[str] = []
        self.connections = 0

    def connect(self, *arguments: object, **options: object) -> Refusing:
        self.connections += 1
        return self

    def drivers(self) -> list[str]:
        return [SERVER.driver]

    def cursor(self) -> Refusing:
        return self

    def execute(self, sql: str, *params: object) -> None:
        if not sql.startswith("set "):
            self.statements.append(sql)
            if self.failures and "dm_tran" not in sql:
                state, _, text = self.failures.pop(0).partition(" ")
                raise self.Error(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text}")

    def fetchall(self) -> list[tuple[object, ...]]:
        if "dm_tran" in self.statements[-1]:
            return [(57, "SA", "FIN-07", "Microsoft Dynamics GP", dt.datetime(2026, 3, 1, 6, 12))]
        return [(1,)]

    def close(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...

    rowcount = 0
    description = (("n", int),)


DEADLOCK = "40001 Transaction was deadlocked. (1205) (SQLExecDirectW)"
LOCKED = "42000 Lock request time out period exceeded. (1222) (SQLExecDirectW)"
LOST = "08S01 Communication link failure (0) (SQLExecDirectW)"
NO_TEXT = "HY000 The driver did not supply an error! (0) (SQLExecDirectW)"


def refusing(*failures: str) -> tuple[Refusing, sqlserver.SqlServerWarehouse]:
    driver = Refusing(*failures)
    return driver, sqlserver.SqlServerWarehouse(replace(SERVER, retries=0), driver, read_pauses=(0.0, 0.0))


@pytest.mark.parametrize("failure", [DEADLOCK, LOCKED, LOST, NO_TEXT])
def test_a_read_that_something_was_in_the_way_of_is_tried_again(failure: str) -> None:
    driver, warehouse = refusing(failure, failure)
    assert warehouse.query("select 1") == [(1,)]
    assert driver.statements == ["select 1"] * 3
    assert driver.connections == (3 if failure == LOST else 1)


def test_a_read_that_stays_blocked_says_by_whom() -> None:
    _, warehouse = refusing(*[LOCKED] * 3)
    with pytest.raises(WarehouseBusy) as refused:
        warehouse.query("select 1")
    assert "session 57, SA on FIN-07, Microsoft Dynamics GP, since 06:12:00" in refused.value.message
    assert "docs/sqlserver.md" in refused.value.remedy


class Suspended(Refusing):
    """A server where a program that does not answer any more holds the journal's lock."""

    def fetchall(self) -> list[tuple[object, ...]]:
        return [(-1,)] if "sp_getapplock" in self.statements[-1] else super().fetchall()


def test_a_suspended_program_that_holds_the_journal_is_named_with_how_to_end_it() -> None:
    driver = Suspended()
    warehouse = sqlserver.SqlServerWarehouse(replace(SERVER, retries=0), driver)
    with pytest.raises(WarehouseBusy) as refused, warehouse.exclusive("sync_lock"):
        pytest.fail("another session holds it")
    assert "held the lock on sync_lock for 60 s" in refused.value.message
    assert "session 57, SA on FIN-07, Microsoft Dynamics GP, since 06:12:00" in refused.value.message
    assert "`kill` with the session's number" in refused.value.remedy
    assert refused.value.exit_code == 5


def test_what_is_kept_is_copied_again_but_never_looked_for_on_another_connection() -> None:
    driver, warehouse = refusing()
    driver.failures = [DEADLOCK]
    assert warehouse.keep("rows", "select 1 as n") == "#rows"
    driver.failures = [LOST]
    with pytest.raises(WarehouseUnavailable):
        warehouse.query("select n from #rows")
    assert driver.connections == 1


def test_a_statement_within_a_transaction_is_not_repeated_alone() -> None:
    driver, warehouse = refusing(DEADLOCK)
    with pytest.raises(WarehouseBusy), warehouse.transaction():
        warehouse.query("select 1")
    assert driver.statements == ["select 1"]


class Named(Refusing):
    """A server with one database, of a name and an age."""

    def __init__(self, database: str, has_openjson: bool = True) -> None:
        super().__init__()
        self.database = database
        self.has_openjson = has_openjson

    def execute(self, sql: str, *params: object) -> None:
        super().execute(sql, *params)
        if "openjson" in sql and not self.has_openjson:
            raise self.Error("42S02", "[42S02] Invalid object name 'openjson'. (208) (SQLExecDirectW)")

    def fetchall(self) -> list[tuple[object, ...]]:
        return [(self.database,)] if "db_name()" in self.statements[-1] else super().fetchall()


def test_a_database_in_another_case_or_of_an_old_level_is_told() -> None:
    def shortcomings(server: Named) -> list[tuple[str, str]]:
        return sqlserver.SqlServerWarehouse(SERVER, server).shortcomings()

    (name, name_remedy), *rest = shortcomings(Named("crm;BRIDGE"))
    assert "crm;BRIDGE" in name
    assert name_remedy == "Set GP_CRM_SQLSERVER_DATABASE=crm;BRIDGE."
    assert rest == []
    assert shortcomings(Named(SERVER.database)) == []
    ((level, level_remedy),) = shortcomings(Named(SERVER.database, has_openjson=False))
    assert "OPENJSON" in level
    assert "compatibility_level = 130" in level_remedy


def test_errors_of_mssql_python_are_understood_too() -> None:
    text = "Driver Error: Client unable to establish connection; DDBC Error: [Microsoft]TCP Provider: Error code 0x2749"
    translated = sqlserver._translated(Exception(text), SERVER)
    assert isinstance(translated, WarehouseUnavailable)
    assert translated.message.endswith("cannot be reached: TCP Provider: Error code 0x2749")


class BrokenDriver:
    """A driver whose connections break at the statements in `breaks`, counted from 1 over all connections."""

    class Error(Exception):
        pass

    def __init__(self, *breaks: int) -> None:
        self.breaks = set(breaks)
        self.log: list[str] = []
        self.count = 0

    def connect(self, *_: object, **__: object) -> BrokenDriver:
        self.log.append("connect")
        self.autocommit = True
        return self

    def drivers(self) -> list[str]:
        return [SERVER.driver]

    def cursor(self) -> BrokenDriver:
        return self

    description = ()
    rowcount = 1

    def execute(self, sql: str, *_: object) -> None:
        if sql.startswith("set "):
            return
        self.count += 1
        self.log.append(sql)
        if self.count in self.breaks:
            raise self.Error("08S01", "[08S01] Communication link failure (0) (SQLExecDirectW)")

    def fetchall(self) -> list[object]:
        return []

    def commit(self) -> None:
        self.log.append("commit")

    def rollback(self) -> None:
        self.log.append("rollback")

    def close(self) -> None:
        pass


def broken(*breaks: int) -> tuple[BrokenDriver, Warehouse]:
    driver = BrokenDriver(*breaks)
    return driver, sqlserver.SqlServerWarehouse(SERVER, driver)


def test_a_lost_connection_is_opened_again_by_the_next_statement() -> None:
    driver, warehouse = broken(1)
    with pytest.raises(WarehouseUnavailable, match="link failure"):
        warehouse.execute("one")
    warehouse.execute("two")
    assert driver.log == ["connect", "one", "connect", "two"]


def test_a_transaction_does_not_go_on_over_a_new_connection() -> None:
    driver, warehouse = broken(2)

    def work() -> None:
        with warehouse.transaction():
            warehouse.execute("one")
            with suppress(WarehouseUnavailable):
                warehouse.execute("two")
            warehouse.execute("three")

    with pytest.raises(WarehouseUnavailable, match="within a transaction"):
        work()
    assert driver.log == ["connect", "one", "two"]
    with warehouse.transaction():
        warehouse.execute("four")
    assert driver.log[3:] == ["connect", "four", "commit"]


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("libodbc.so.2: cannot open shared object file: No such file or directory", "libodbc2"),
        ("libltdl.so.7: cannot open shared object file: No such file or directory", "libltdl7"),
    ],
)
def test_a_missing_system_library_names_the_package_to_install(text: str, package: str) -> None:
    assert package in sqlserver._library_missing(text).remedy


def test_a_missing_python_package_is_named() -> None:
    code = """
        import sys
        from loader.errors import WarehouseUnavailable
        from loader.profile import Target
        from loader.warehouse.sqlserver import SqlServerWarehouse
        sys.path.clear()  # from here on Python finds no package
        try:
            SqlServerWarehouse(Target("sqlserver", "t", "dbo", "crm", host="sql.contoso.com"))
        except WarehouseUnavailable as error:
            print(error.message, error.remedy)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=PROJECT, capture_output=True, text=True)
    assert "pyodbc is not installed" in done.stdout, done.stderr
    assert "gp-to-crm[sqlserver]" in done.stdout


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    pytest.importorskip("pyodbc", exc_type=ImportError)
    target = replace(
        SERVER, host="127.0.0.1", port=1, login_timeout=1, retries=0, driver="ODBC Driver 18 for SQL Server"
    )
    with pytest.raises(WarehouseUnavailable, match=r"127\.0\.0\.1,1") as refused:
        connect(target)
    assert refused.value.exit_code == 5


@pytest.mark.sqlserver
def test_a_wrong_password_is_refused() -> None:
    target = sqlserver_target()
    if not target.host:
        pytest.skip("GP_CRM_SQLSERVER_HOST is not set")
    with pytest.raises(AccessRefused) as refused:
        connect(replace(target, password=Secret("wrong")))
    assert refused.value.exit_code == 6
