"""The organisation as JSON: reads a snapshot, adds the defaults that it lacks, and writes a snapshot."""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

import simplejson

from .metadata import UTC, AlternateKey, Column, Schema, Table, stock_schema, time_zones
from .states import default_status
from .store import SEQUENCE, VERSION, Ref, Row, Store, Value
from .values import Clock, instant, parse_date, parse_instant, round_half_away

Json = Mapping[str, Any]
MESSAGES = (
    "Assign", "CancelSalesOrder", "Create", "CreateMultiple", "Delete", "FulfillSalesOrder", "GrantAccess",
    "ModifyAccess", "Retrieve", "RetrieveMultiple", "RevokeAccess", "Update", "UpdateMultiple", "Upsert",
    "UpsertMultiple",
)  # fmt: skip
MESSAGE_TABLES = (
    "account", "contact", "invoice", "invoicedetail", "product", "salesorder", "salesorderdetail", "systemuser", "uom",
    "uomschedule",
)  # fmt: skip


class SnapshotError(ValueError):
    """The snapshot cannot be read; names table, row and column."""


@dataclass
class Organisation:
    """A schema, its rows, and the default caller."""

    schema: Schema
    store: Store
    caller: str
    denied: dict[str, frozenset[str]] = field(default_factory=dict)
    custom_columns: list[Json] = field(default_factory=list)


@lru_cache
def default_id(what: str) -> str:
    """Ids of the rows that are added by default, the same in every emulator."""
    return str(uuid5(NAMESPACE_OID, f"emulator {what}"))


def read_source(source: Json | str | Path | None) -> Json:
    if source is None:
        return {}
    if isinstance(source, Mapping):
        return source
    try:
        with Path(source).open(encoding="utf-8") as file:
            content = json.load(file, parse_float=Decimal)
    except ValueError as problem:
        raise SnapshotError(f"{source}: not JSON ({problem})") from None
    if not isinstance(content, dict):
        raise SnapshotError(f"{source}: not a JSON object")
    return content


def load(source: Json | str | Path | None) -> Organisation:
    """Build the organisation that a snapshot describes."""
    collecting = gc.isenabled()
    gc.disable()  # no part of a snapshot becomes garbage, and looking for garbage would take most of the time
    try:
        return _load(source)
    finally:
        if collecting:
            gc.enable()


def _load(source: Json | str | Path | None) -> Organisation:
    content = read_source(source)
    schema = stock_schema()
    custom = list(content.get("custom_columns", []))
    for spec in custom:
        if spec.get("table") not in schema.tables:
            raise SnapshotError(f"custom_columns: the table {spec.get('table')!r} is unknown")
        schema.add_custom_column(spec)
    for key in content.get("keys", []):
        table = schema.tables.get(key["table"])
        unknown = [name for name in key["columns"] if table is None or name not in table.columns]
        if table is None or unknown:
            raise SnapshotError(f"keys: {key['table']!r} has no column {', '.join(unknown) or key['columns']}")
        table.keys.append(AlternateKey(key.get("name") or "_".join(key["columns"]), tuple(key["columns"])))
    store = Store(schema)
    tables = content.get("tables", {})
    for name in tables:
        if name not in schema.tables:
            raise SnapshotError(f"tables: {name!r} is unknown")
    organisation = Organisation(schema, store, "", custom_columns=custom)
    _foundations(organisation, tables)
    first = [name for name in ("transactioncurrency", "businessunit", "systemuser") if name in tables]
    _insert_all(organisation, tables, first)
    caller = content.get("caller")
    if caller is not None and caller.lower() not in store.tables["systemuser"].rows:
        raise SnapshotError(f"caller: no row of systemuser has the id {caller}")
    organisation.caller = (caller or _first_user(organisation)).lower()
    _insert_all(organisation, tables, [name for name in tables if name not in (*first, "organization")])
    for user in store.tables["systemuser"].rows:
        if user not in store.tables["usersettings"].rows:
            insert(organisation, "usersettings", {"systemuserid": user, "timezonecode": content.get("time_zone", UTC)})
    store.version = max(store.version, int(content.get("version", 0)))
    organisation.denied = {
        user.lower(): frozenset(names) for user, names in content.get("denied_privileges", {}).items()
    }
    return organisation


def _insert_all(organisation: Organisation, tables: Json, names: Iterable[str]) -> None:
    for name in names:
        for number, row in enumerate(tables[name]):
            try:
                insert(organisation, name, row)
            except SnapshotError as problem:
                raise SnapshotError(f"tables.{name}[{number}]: {problem}") from None


def _first_user(organisation: Organisation) -> str:
    users = organisation.store.tables["systemuser"].rows
    if users:
        return next(iter(users))
    user_id = default_id("user")
    unit = next(iter(organisation.store.tables["businessunit"].rows))
    insert(
        organisation,
        "systemuser",
        {
            "systemuserid": user_id,
            "fullname": "GP Integration",
            "firstname": "GP",
            "lastname": "Integration",
            "domainname": "gp.integration@example.com",
            "internalemailaddress": "gp.integration@example.com",
            "businessunitid": {"table": "businessunit", "id": unit},
            "accessmode": 4,
            "applicationid": default_id("application"),
            "isintegrationuser": False,
            "isdisabled": False,
        },
    )
    return user_id


def _foundations(organisation: Organisation, tables: Json) -> None:
    """The rows that every organisation has: currency, business unit, organization, messages."""
    given = dict((tables.get("organization") or [{}])[0])
    if not tables.get("transactioncurrency"):
        insert(
            organisation,
            "transactioncurrency",
            {
                "transactioncurrencyid": default_id("currency"),
                "isocurrencycode": "USD",
                "currencyname": "US Dollar",
                "currencysymbol": "$",
                "currencyprecision": 2,
                "exchangerate": Decimal(1),
            },
        )
        base = default_id("currency")
    else:
        base = str(tables["transactioncurrency"][0]["transactioncurrencyid"])
    if not tables.get("businessunit"):
        insert(organisation, "businessunit", {"businessunitid": default_id("business unit"), "name": "Root"})
    insert(
        organisation,
        "organization",
        {
            "organizationid": default_id("organization"),
            "name": "emulator",
            "basecurrencyid": {"table": "transactioncurrency", "id": base},
            "pricingdecimalprecision": 2,
            "discountcalculationmethod": 0,
            "issopintegrationenabled": False,
            "oobpricecalculationenabled": True,
            "orderprefix": "ORD",
            "currentordernumber": 1000,
            "invoiceprefix": "INV",
            "currentinvoicenumber": 1000,
            "createproductswithoutparentinactivestate": False,
            "uniquespecifierlength": 6,
            "languagecode": 1033,
            **given,
        },
    )
    for code, zone in time_zones().items() if "timezonedefinition" not in tables else ():
        insert(
            organisation,
            "timezonedefinition",
            {
                "timezonedefinitionid": default_id(f"time zone {code}"),
                "timezonecode": code,
                "standardname": zone["standard_name"],
                "userinterfacename": zone["user_interface_name"],
            },
        )
    if "sdkmessage" in tables:
        return
    for message in MESSAGES:
        message_id = default_id(f"message {message}")
        insert(organisation, "sdkmessage", {"sdkmessageid": message_id, "name": message})
        for table in MESSAGE_TABLES:
            insert(
                organisation,
                "sdkmessagefilter",
                {
                    "sdkmessagefilterid": default_id(f"message {message} {table}"),
                    "sdkmessageid": {"table": "sdkmessage", "id": message_id},
                    "primaryobjecttypecode": table,
                },
            )


_now = Clock()


def stored(column: Column, value: object) -> Value:
    """A snapshot's or a test's value as the store keeps it."""
    if value is None:
        return None
    if column.is_lookup:
        if isinstance(value, Ref):
            return Ref(value.table, value.id.lower())
        if isinstance(value, Mapping) and {"table", "id"} <= value.keys():
            return Ref(str(value["table"]), str(value["id"]).lower())
        if isinstance(value, str) and len(column.targets) == 1:
            return Ref(column.targets[0], value.lower())
        raise SnapshotError(f"{column.name}: a look-up is {{'table': …, 'id': …}}, not {value!r}")
    if column.type in ("Money", "Decimal", "Double"):
        try:
            number = value if isinstance(value, Decimal) else Decimal(str(value))
            return (
                number
                if number.as_tuple().exponent == 0 or column.type == "Money"
                else round_half_away(number, column.precision or 0)
            )
        except ArithmeticError:
            raise SnapshotError(f"{column.name}: {value!r} is no number") from None
    if column.type == "Boolean":
        return bool(value)
    if column.type in ("Integer", "BigInt", "Picklist", "State", "Status"):
        return int(str(value))
    if column.type == "DateTime":
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return instant(aware)
        text = value.isoformat() if isinstance(value, date) else str(value)
        moment = parse_instant(text) or parse_instant(f"{text}Z") or parse_date(text)
        if moment is None:
            raise SnapshotError(f"{column.name}: {value!r} is no instant")
        if column.behavior != "DateOnly" and "T" not in moment:
            return f"{moment}T00:00:00Z"
        return moment
    if column.type == "Uniqueidentifier":
        return str(value).lower()
    return str(value)


def _converter(column: Column) -> Callable[[object], Value]:
    """`stored` for one column, made fast for the emulator's own snapshots."""
    if column.type in ("String", "Memo", "EntityName"):
        return lambda value: value if type(value) is str else stored(column, value)
    if column.type == "Money":
        return lambda value: value if type(value) is Decimal else stored(column, value)
    if column.type in ("Boolean", "Integer", "BigInt", "Picklist", "State", "Status"):
        kind: type[int] = bool if column.type == "Boolean" else int

        def number(value: object) -> Value:
            return value if isinstance(value, int) and type(value) is kind else stored(column, value)

        return number
    if column.is_lookup:

        def reference(value: object) -> Value:
            if type(value) is dict and len(value) == 2 and "table" in value and "id" in value:
                return Ref(value["table"], value["id"].lower())
            return stored(column, value)

        return reference
    return lambda value: stored(column, value)


def stored_values(table: Table, row: Json) -> dict[str, Value]:
    """A row with the values as the store keeps them."""
    if not table.converters:
        table.converters = {name: _converter(column) for name, column in table.columns.items()}
    converters = table.converters
    try:
        return {name: converters[name](value) for name, value in row.items() if name != SEQUENCE}
    except KeyError as unknown:
        raise SnapshotError(f"{table.name} has no column {unknown}") from None


def insert(organisation: Organisation, name: str, row: Json) -> str:
    """Add a row without applying any rules, only with the columns that every row has."""
    table = organisation.schema.tables[name]
    values = stored_values(table, row)
    row_id = str(values.get(table.id_column) or uuid4())
    if row_id in organisation.store.tables[name].rows:
        raise SnapshotError(f"{table.id_column} {row_id} is there twice")
    values[table.id_column] = row_id
    columns = table.columns
    if "statecode" in columns and "statuscode" in columns:
        state = values.get("statecode") or 0
        values["statecode"] = state
        if values.get("statuscode") is None:
            assert isinstance(state, int)
            values["statuscode"] = default_status(columns["statuscode"], state)
    for column in ("createdon", "modifiedon"):
        if column in columns and values.get(column) is None:
            values[column] = _now()
    if "transactioncurrencyid" in columns and columns["transactioncurrencyid"].type == "Lookup":
        organizations = organisation.store.tables["organization"].rows
        if values.get("transactioncurrencyid") is None and organizations and name != "organization":
            values["transactioncurrencyid"] = next(iter(organizations.values()))["basecurrencyid"]
    if columns.get("ownerid") is not None and columns["ownerid"].create and values.get("ownerid") is None:
        users = organisation.store.tables["systemuser"].rows
        if users:
            values["ownerid"] = Ref("systemuser", next(iter(users)))
    version = values.pop(VERSION, None)
    kept: Row = {column: value for column, value in values.items() if value is not None}
    stored_row = organisation.store.insert(name, row_id, kept)
    if isinstance(version, int):
        stored_row[VERSION] = version
        organisation.store.version = max(organisation.store.version, version)
    return row_id


def public(row: Row) -> dict[str, Any]:
    """A row as snapshots and tests see it."""
    return {
        name: {"table": value.table, "id": value.id} if isinstance(value, Ref) else value
        for name, value in row.items()
        if name != SEQUENCE
    }


def dump(organisation: Organisation) -> dict[str, Any]:
    """The whole organisation, to be loaded again."""
    schema, store = organisation.schema, organisation.store
    return {
        "tables": {name: [public(row) for row in data.in_order()] for name, data in store.tables.items() if data.rows},
        "custom_columns": organisation.custom_columns,
        "keys": [
            {"table": table.name, "name": key.name, "columns": list(key.columns)}
            for table in schema.tables.values()
            for key in table.keys
        ],
        "denied_privileges": {user: sorted(names) for user, names in organisation.denied.items()},
        "caller": organisation.caller,
        "version": store.version,
    }


def save(organisation: Organisation, path: str | Path) -> None:
    """Write the snapshot so that a reader never sees half of it. A new file is private to its owner."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    partial = Path(name)
    try:
        with open(number, "w", encoding="utf-8") as file:
            simplejson.dump(dump(organisation), file, use_decimal=True, namedtuple_as_object=False, ensure_ascii=False)
        if target.is_file() and not target.is_symlink():
            shutil.copymode(target, partial)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
