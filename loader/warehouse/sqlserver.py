"""SQL Server through pyodbc (or mssql-python), which is imported only when a connection is opened."""

from __future__ import annotations

import ctypes
import datetime as dt
import importlib
import importlib.util
import re
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

from loader.errors import AccessRefused, LoaderError, UsageError, WarehouseUnavailable
from loader.profile import Target
from loader.warehouse.connection import (
    Row,
    StatementRefused,
    Warehouse,
    WarehouseBusy,
    exact_rows,
    first_line,
    quoted,
)

T = TypeVar("T")

MAX_PARAMETERS = 2_000
"""SQL Server accepts 2,100 per statement, and drivers use some themselves."""

LOCK_TIMEOUT = 60_000
"""Milliseconds to wait for another session's lock before giving up."""

LEAST_LEVEL = 130
"""The first compatibility level with OPENJSON, that of SQL Server 2016."""

READ_PAUSES = (0.5, 2.0)
"""Seconds to wait before each further attempt of a read."""

_OPEN_TRANSACTIONS = (
    "select top 3 s.session_id, s.login_name, s.host_name, s.program_name, a.transaction_begin_time"
    " from sys.dm_tran_session_transactions as t"
    " inner join sys.dm_tran_active_transactions as a on a.transaction_id = t.transaction_id"
    " inner join sys.dm_exec_sessions as s on s.session_id = t.session_id"
    " where t.session_id <> @@spid order by a.transaction_begin_time"
)
_SQL_VARCHAR = 12
_LONGEST_VARCHAR = 8_000
_ACCESS_TOKEN = 1256  # SQL_COPT_SS_ACCESS_TOKEN
_EXACT = (str, int, bool, Decimal, dt.datetime, dt.date)


class SqlServerWarehouse:
    """A database on SQL Server 2017 or later. After a connection is lost, the next statement opens a new one."""

    dialect: Literal["duckdb", "sqlserver"] = "sqlserver"

    def __init__(self, target: Target, driver: Any = None, read_pauses: Sequence[float] = READ_PAUSES) -> None:
        """`driver` is the Python module or what stands in for it; by default the one that the target names."""
        self._target = target
        self._driver = driver or _import_driver(target)
        self._read_pauses = read_pauses
        self._string = _connection_string(target, self._driver)
        self._lock = threading.RLock()
        self._depth = 0
        self._keeps = False
        self._connection: Any = self._open()

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        def rows() -> list[Row]:
            with self._cursor() as cursor:
                _run(cursor, sql, params)
                while cursor.description is None and cursor.nextset():
                    pass
                doubtful = self._doubtful(cursor.description)
                return exact_rows([tuple(row) for row in cursor.fetchall()], doubtful)

        return self._read(rows)

    def first(self, sql: str, number: int) -> tuple[list[str], list[Row]]:
        def rows() -> tuple[list[str], list[Row]]:
            with self._cursor() as cursor:
                _run(cursor, sql, ())
                names = [column[0] for column in cursor.description]
                found = [tuple(row) for row in cursor.fetchmany(number)]
                return names, exact_rows(found, self._doubtful(cursor.description))

        return self._read(rows)

    def side(self) -> Warehouse:
        return SqlServerWarehouse(self._target)

    def keep(self, name: str, select: str, sorted_by: str | None = None) -> str:
        def copy() -> None:
            # A `select into` that fails leaves its empty table behind.
            self.execute(f"if object_id('tempdb..#{name}') is not null drop table #{name}")
            self.execute(f"select * into #{name} from ({select}) as kept")

        self._read(copy)
        self._keeps = True
        if sorted_by:
            self.execute(f"create clustered index by_{sorted_by} on #{name} ({sorted_by})")
        return f"#{name}"

    def _read(self, work: Callable[[], T]) -> T:
        """Reads, and tries again after a deadlock, a lock time-out or a broken connection."""
        for pause in self._read_pauses:
            try:
                return work()
            except (WarehouseBusy, _Lost) as error:
                # A transaction can only be repeated as a whole, and temporary tables are lost with their connection.
                if self._depth or (self._keeps and isinstance(error, _Lost)):
                    raise
                time.sleep(pause)
        try:
            return work()
        except WarehouseBusy as error:
            raise WarehouseBusy(f"{error.message}{self._open_transactions()}", error.remedy) from error

    def _open_transactions(self) -> str:
        """Whose transactions are open, the oldest first, if the login may see that."""
        try:
            with self._cursor() as cursor:
                cursor.execute(_OPEN_TRANSACTIONS)
                rows = cursor.fetchall()
        except (LoaderError, self._driver.Error):
            return ""
        who = [f"session {row[0]}, {row[1]} on {row[2]}, {row[3]}, since {row[4]:%H:%M:%S}" for row in rows]
        return f" Open transactions there: {'; '.join(who)}." if who else ""

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        with self._cursor() as cursor:
            _run(cursor, sql, params)
            return max(int(cursor.rowcount), 0)

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        given = [tuple(row) for row in rows]
        if given:
            with self._cursor() as cursor:
                if hasattr(cursor, "fast_executemany"):
                    cursor.fast_executemany = True
                cursor.executemany(sql, given)

    def insert(self, relation: str, columns: Sequence[tuple[str, str]], rows: Sequence[Row]) -> None:
        names = ", ".join(quoted(name) for name, _ in columns)
        places = ", ".join("?" for _ in columns)
        with self.transaction():
            self.executemany(f"insert into {relation} ({names}) values ({places})", rows)

    def matching(self, expression: str, values: Iterable[str]) -> Iterator[tuple[str, list[object]]]:
        given: list[object] = list(values)
        for start in range(0, len(given), MAX_PARAMETERS):
            part = given[start : start + MAX_PARAMETERS]
            yield f"{expression} in ({', '.join('?' for _ in part)})", part

    def now(self) -> dt.datetime:
        ((now,),) = self.query("select sysutcdatetime()")
        assert isinstance(now, dt.datetime)
        return now

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            if self._depth:
                yield
                return
            self._connected()
            with self._errors(main=True):
                self._connection.autocommit = False
            self._depth += 1
            try:
                yield
                self._finish("commit")
            except BaseException:
                with suppress(Exception):
                    self._finish("rollback")
                raise
            finally:
                self._depth -= 1
                self._leave_transaction()

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        with self.transaction():
            granted = self.query(
                "declare @granted int; exec @granted = sp_getapplock @Resource = ?, @LockMode = 'Exclusive',"
                " @LockOwner = 'Transaction', @LockTimeout = ?; select @granted",
                (f"gp_to_crm {name}", LOCK_TIMEOUT),
            )
            if not granted or int(str(granted[0][0])) < 0:
                raise WarehouseBusy(
                    f"Another session has held the lock on {name} for {LOCK_TIMEOUT // 1000} s on"
                    f" {self._target.address}. A run does so for milliseconds; one that was suspended meanwhile keeps"
                    f" it.{self._open_transactions()}",
                    "Let that session's program go on, or end it. Where it cannot be reached, `kill` with the session's"
                    " number ends the session on the server and undoes what it had not committed. Then run again.",
                )
            yield

    def identity(self) -> str:
        ((server, database, made),) = self.query(
            "select cast(@@servername as nvarchar(128)), db_name(),"
            " (select convert(varchar(30), create_date, 126) from sys.databases where name = db_name())"
        )
        return f"sqlserver {server} {database} {made}"

    def shortcomings(self) -> list[tuple[str, str]]:
        found = []
        name = str(self.query("select db_name()")[0][0])
        if name != self._target.database:
            found.append(
                (
                    f"The server calls the database {name}; the profile calls it {self._target.database}, and dbt"
                    " fails because of that difference once its views exist.",
                    f"Set GP_CRM_SQLSERVER_DATABASE={name}.",
                )
            )
        try:
            self.query("select count(*) from openjson(N'[1]')")
        except WarehouseUnavailable:
            raise
        except LoaderError:
            found.append(
                (
                    f"Database {name} does not know OPENJSON, which the audit models need: its compatibility level is"
                    f" below {LEAST_LEVEL}.",
                    f"alter database [{name}] set compatibility_level = {LEAST_LEVEL};",
                )
            )
        return found

    def close(self) -> None:
        with self._lock, suppress(Exception):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    # ------------------------------------------------------------------------------------------ connection

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with self._lock:
            self._connected()
            with self._errors(main=True):
                cursor = self._connection.cursor()
                try:
                    yield cursor
                finally:
                    with suppress(Exception):
                        cursor.close()

    def _connected(self) -> None:
        if self._connection is None:
            if self._depth:
                raise _Lost(f"The connection to {self._target.address} was lost within a transaction.")
            self._connection = self._open()

    def _finish(self, how: Literal["commit", "rollback"]) -> None:
        self._connected()
        with self._errors(main=True):
            getattr(self._connection, how)()

    def _leave_transaction(self) -> None:
        try:
            if self._connection is not None:
                self._connection.autocommit = True
        except self._driver.Error:
            self.close()

    def _open(self) -> Any:
        """Connects. Tries up to `retries` times more if the server cannot be reached."""
        attempt = 0
        while True:
            try:
                with self._errors():
                    return self._connect()
            except _Lost:
                if attempt >= self._target.retries:
                    raise
                time.sleep(min(2**attempt, 8))
                attempt += 1

    def _connect(self) -> Any:
        target = self._target
        extra: dict[str, Any] = {}
        if target.access_token is not None:
            token = target.access_token.reveal().encode("utf-16-le")
            extra["attrs_before"] = {_ACCESS_TOKEN: struct.pack(f"<I{len(token)}s", len(token), token)}
        if target.backend == "pyodbc":
            extra["timeout"] = target.login_timeout
        connection = self._driver.connect(self._string, autocommit=True, **extra)
        if target.query_timeout:
            connection.timeout = target.query_timeout
        cursor = connection.cursor()
        # A failed statement ends its transaction, and a lock that another session forgot does not hang the run.
        cursor.execute(f"set xact_abort on; set lock_timeout {LOCK_TIMEOUT};")
        cursor.close()
        return connection

    def _doubtful(self, description: Any) -> list[int]:
        types = [column[1] for column in description or ()]
        return [n for n, kind in enumerate(types) if self._target.backend != "pyodbc" or kind not in _EXACT]

    @contextmanager
    def _errors(self, main: bool = False) -> Iterator[None]:
        """Turns the driver's errors into the loader's. `main`: on the connection that is kept, or dropped when lost."""
        try:
            yield
        except self._driver.Error as error:
            translated = _translated(error, self._target)
            if main and isinstance(translated, _Lost):
                self.close()
            raise translated from error


class _Lost(WarehouseUnavailable):
    """The server did not answer, or the connection broke: worth another try."""

    remedy = "Check that the server runs and accepts TCP connections, its name and port, and the network between."


def _run(cursor: Any, sql: str, params: Sequence[object]) -> None:
    if params:
        _bind_plain_text(cursor, params)
        cursor.execute(sql, tuple(params))
    else:
        cursor.execute(sql)


def _bind_plain_text(cursor: Any, params: Sequence[object]) -> None:
    """Sends text as varchar. Given nvarchar, SQL Server would convert varchar columns to compare, and use no index."""
    sizes = [
        (_SQL_VARCHAR, max(len(value), 1), 0)
        if isinstance(value, str) and value.isascii() and len(value) <= _LONGEST_VARCHAR
        else None
        for value in params
    ]
    if any(sizes) and type(cursor).__module__ == "pyodbc":
        cursor.setinputsizes(sizes)


# ---------------------------------------------------------------------------------------------------------- errors

_LOGIN_FAILED = {18456, 18452, 18470, 18486, 18487, 18488, 4060, 40615}
_DENIED = {229, 230, 262, 300, 916, 297, 15247, 15151}
_BUSY = {1205, 1222, 3960, 3961}
_FULL = {1101, 1105, 9002}
_READ_ONLY = {3906, 3908}
_UNREACHABLE = ("unable to establish connection", "communication link", "tcp provider", "timeout expired")


def _translated(error: Exception, target: Target) -> LoaderError:
    state, text = _state_and_text(error)
    codes = {int(code) for code in re.findall(r"\((\d+)\) \(SQL", text)}
    message = _readable(text)
    lowered = message.lower()
    if codes & _LOGIN_FAILED or state == "28000" or "login failed" in lowered or "cannot open database" in lowered:
        return AccessRefused(
            f"{target.address} refused the login: {message}",
            "Check GP_CRM_SQLSERVER_USER, _PASSWORD and _DATABASE, and that the login may use that database.",
        )
    if codes & _DENIED or ("permission" in lowered and "denied" in lowered):
        return AccessRefused(
            f"{target.address} refused: {message}",
            "Grant the login that right (docs/security.md lists what it needs).",
        )
    if codes & _BUSY or state == "40001" or "deadlock" in lowered or "did not supply an error" in lowered:
        return WarehouseBusy(f"{target.address}: {message}")
    if codes & _FULL:
        return LoaderError(
            f"No space left on {target.address}: {message}",
            "Free or add space and run it again: what CRM has by now is compared, not sent twice.",
        )
    if codes & _READ_ONLY:
        return AccessRefused(f"{target.address} cannot be written: {message}", "Connect to the writable database.")
    if "can't open lib" in lowered:
        return _library_missing(text)
    if "certificate" in lowered and "verif" in lowered:
        return WarehouseUnavailable(
            f"{target.address} shows a certificate that this machine does not trust: {message}",
            "Install the server's certificate authority here, or set GP_CRM_SQLSERVER_TRUST_CERT=true in a test.",
        )
    if state.startswith("08") or state in ("HYT00", "HYT01") or any(words in lowered for words in _UNREACHABLE):
        return _Lost(f"{target.address} cannot be reached: {message}")
    return StatementRefused(message)


def _state_and_text(error: Exception) -> tuple[str, str]:
    if len(error.args) >= 2 and re.fullmatch(r"[0-9A-Z]{5}", str(error.args[0])):
        return str(error.args[0]), str(error.args[1])
    text = str(error)
    state = re.search(r"\[([0-9A-Z]{5})\]", text)
    return (state[1] if state else ""), text


def _readable(text: str) -> str:
    """The server's own sentence, from `[42S02] [Microsoft][ODBC Driver…][SQL Server]Invalid … (208) (SQLExec…)`."""
    line = re.sub(r"^Driver Error: .*?; DDBC Error: ", "", first_line(text))  # mssql-python
    line = re.split(r"; \[[0-9A-Z]{5}\]", line)[0]
    line = re.sub(r"^(\[[^\]]*\]\s*)+", "", line)
    return re.sub(r"(\s*\(\d+\))?\s*\(SQL\w+\)\s*$", "", line).strip()


# ---------------------------------------------------------------------------------------------- driver and libraries

_PACKAGES = {
    "libodbc.so": "libodbc2",
    "libodbcinst.so": "libodbcinst2",
    "libltdl.so": "libltdl7",
    "libkrb5.so": "libkrb5-3",
    "libgssapi_krb5.so": "libgssapi-krb5-2",
}


def _import_driver(target: Target) -> Any:
    name = "pyodbc" if target.backend == "pyodbc" else "mssql_python"
    try:
        module: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        extra = "gp-to-crm[sqlserver]" if name == "pyodbc" else "mssql-python"
        raise WarehouseUnavailable(
            f"The Python package {target.backend} is not installed.", f"Install it: pip install '{extra}'."
        ) from None
    except ImportError as error:
        raise _library_missing(str(error)) from None
    if name == "pyodbc":
        module.pooling = False  # a pooled connection would have another session's settings
    return module


def _library_missing(text: str) -> WarehouseUnavailable:
    """Names the system package with the library that the dynamic linker did not find."""
    opened = re.search(r"Can't open lib '([^']+)'", text)
    if opened and Path(opened[1]).is_file():
        try:
            ctypes.CDLL(opened[1])
        except OSError as error:
            text = str(error)
    for library, package in _PACKAGES.items():
        if library in text:
            return WarehouseUnavailable(
                f"The SQL Server driver needs the system library {library}, which is missing.",
                f"Install it: apt-get install {package} (Debian, Ubuntu; elsewhere the package that holds {library}).",
            )
    return WarehouseUnavailable(
        f"The SQL Server driver cannot be loaded: {_readable(text)}",
        "Install Microsoft's ODBC driver 18, and name it with GP_CRM_SQLSERVER_DRIVER.",
    )


def _driver(target: Target, pyodbc: Any) -> str:
    """The value of DRIVER=."""
    return _chosen_driver(target.driver, pyodbc.drivers(), _packaged_driver())


def _chosen_driver(wanted: str, installed: Sequence[str], packaged: Path | None) -> str:
    """The installed driver of that name, a path, or the one in the package mssql-python-odbc. Raises UsageError."""
    if wanted in installed:
        return f"{{{wanted}}}"
    if "/" in wanted or "\\" in wanted:
        if not Path(wanted).is_file():
            raise UsageError(f"There is no ODBC driver {wanted}.", "Correct GP_CRM_SQLSERVER_DRIVER.")
        return wanted
    if packaged is not None:
        return str(packaged)
    raise UsageError(
        f"The ODBC driver {wanted!r} is not installed. Installed: {', '.join(installed) or 'none'}.",
        "Install it, name an installed one with GP_CRM_SQLSERVER_DRIVER, or pip install 'gp-to-crm[sqlserver]'.",
    )


def driver_path(target: Target) -> str:
    """What dbt needs in GP_CRM_SQLSERVER_DRIVER to use the driver that the loader uses: a name or a path."""
    return _driver(target, _import_driver(target)).strip("{}")


def _packaged_driver() -> Path | None:
    """The path of Microsoft's driver in the package mssql-python-odbc, for this Linux."""
    spec = importlib.util.find_spec("mssql_python_odbc")
    if spec is None or spec.origin is None or sys.platform != "linux":
        return None
    found = sorted((Path(spec.origin).parent / "libs" / "linux").glob("*/*/lib/libmsodbcsql*.so*"))
    family = _linux_family()
    ours = [path for path in found if family in path.parts]
    return next(iter(ours or found), None)


def _linux_family() -> str:
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8").lower()
    except OSError:
        release = ""
    names = " ".join(re.findall(r'^id(?:_like)?="?([^"\n]*)', release, re.MULTILINE))
    for family, words in {
        "rhel": ("rhel", "fedora", "centos"),
        "suse": ("suse", "sles"),
        "alpine": ("alpine",),
    }.items():
        if any(word in names for word in words):
            return family
    return "debian_ubuntu"


# ----------------------------------------------------------------------------------------------- connection string

_AUTHENTICATION = {
    "activedirectorypassword": "ActiveDirectoryPassword",
    "activedirectoryintegrated": "ActiveDirectoryIntegrated",
    "activedirectoryinteractive": "ActiveDirectoryInteractive",
    "activedirectoryserviceprincipal": "ActiveDirectoryServicePrincipal",
    "serviceprincipal": "ActiveDirectoryServicePrincipal",
    "activedirectorymsi": "ActiveDirectoryMsi",
    "msi": "ActiveDirectoryMsi",
    "activedirectoryaccesstoken": "",
    "accesstoken": "",
}


def _connection_string(target: Target, driver: Any) -> str:
    if re.search(r"[;{}=]", target.host):
        raise UsageError(f"Target {target.name!r}: {target.host!r} is not a host.", "Correct GP_CRM_SQLSERVER_HOST.")
    server = target.host if "\\" in target.host else f"{target.host},{target.port}"
    parts = {
        "SERVER": server,
        "DATABASE": _braced(target.database),
        **_login(target),
        "Encrypt": "yes" if target.encrypt else "no",
        "TrustServerCertificate": "yes" if target.trust_cert else "no",
    }
    if target.backend == "pyodbc":
        parts = {"DRIVER": _driver(target, driver), **parts, "APP": "gp_to_crm"}
    return ";".join(f"{key}={value}" for key, value in parts.items())


def _login(target: Target) -> dict[str, str]:
    if target.windows_login:
        return {"Trusted_Connection": "yes"}
    key = re.sub(r"[^a-z]", "", target.authentication.lower())
    if key == "sql":
        if not target.user or target.password is None:
            raise UsageError(
                f"Target {target.name!r} has no {'user' if not target.user else 'password'} for SQL Server.",
                "Set GP_CRM_SQLSERVER_USER and GP_CRM_SQLSERVER_PASSWORD, or windows_login in the profile.",
            )
        return {"UID": _braced(target.user), "PWD": _braced(target.password.reveal())}
    if key not in _AUTHENTICATION:
        raise UsageError(
            f"Target {target.name!r}: authentication {target.authentication!r} is not known to the loader.",
            f"Use sql, windows_login or one of {', '.join(sorted(set(filter(None, _AUTHENTICATION.values()))))}.",
        )
    if not _AUTHENTICATION[key]:
        return {}
    service = _AUTHENTICATION[key] == "ActiveDirectoryServicePrincipal"
    user = target.client_id if service else target.user
    password = target.client_secret if service else target.password
    return {
        "Authentication": _AUTHENTICATION[key],
        **({"UID": _braced(user)} if user else {}),
        **({"PWD": _braced(password.reveal())} if password else {}),
    }


def _braced(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}"
