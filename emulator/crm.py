"""The organisation and everything that serves it, without a socket. Tests work with this object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import RLock
from typing import Any, Literal

from . import accounts, invoices, orders, pricelists, products, snapshot, units
from .actions import Actions
from .api import Api
from .auth import Tokens
from .callers import Caller
from .definitions import Definitions
from .doors import Control
from .errors import CrmError
from .faults import Faults
from .log import RequestLog
from .messages import Operation
from .metadata import UTC, time_zones
from .query import Queries
from .reader import Reader
from .records import Records
from .store import Ref, Row
from .throttle import Limits, Throttle
from .values import Clock, Readings

NUMBERS = ("accountnumber", "invoicenumber", "ordernumber", "productnumber")


class PublicRow(dict[str, Any]):
    """A copy of a row. A known column that is null reads as None."""

    def __init__(self, row: Mapping[str, Any], columns: Mapping[str, object]) -> None:
        super().__init__(row)
        self._columns = columns

    def __missing__(self, name: str) -> None:
        if name not in self._columns:
            raise KeyError(name)


MAX_BODY = 116_850_000
"""In bytes: how large a request may be."""


class Crm:
    """All the parts, connected: store, rules, queries, actions, tokens, faults, limits."""

    def __init__(
        self,
        source: snapshot.Json | str | Path | None = None,
        *,
        limits: Limits | bool | None = None,
        secrets: Mapping[str, str] | None = None,
        token_lifetime: float = 3599,
        dop_hint: int | None = None,
        keep_parts: bool = False,
        control: Control | None = None,
        readings: Readings | None = None,
    ) -> None:
        self.organisation = snapshot.load(source)
        self.schema = self.organisation.schema
        self.store = self.organisation.store
        self.lock = RLock()
        self.url = "http://127.0.0.1"
        self.reader = Reader(self.schema, self.store)
        self.readings = readings or Readings()
        self.records = Records(self.reader, Clock(), self.readings)
        for tables in (accounts, pricelists, products, units):
            tables.install(self.records)
        documents = (orders.install(self.records), invoices.install(self.records))
        self.queries = Queries(self.reader, self.api_url, self.readings)
        self.queries.expired = self.store.version  # a snapshot does not say what was deleted before it
        actions = Actions(self.records, documents, self.denied)
        definitions = Definitions(self.schema, self.queries.untracked)
        self.api = Api(self.records, self.queries, actions, definitions, self.api_url)
        chosen = Limits() if limits is True else limits or None
        self.throttle = Throttle(chosen) if isinstance(chosen, Limits) else None
        self.dop_hint = dop_hint if dop_hint is not None else chosen.dop_hint if isinstance(chosen, Limits) else None
        self.default_client = snapshot.default_id("application")
        self.secrets = dict(secrets) if secrets is not None else {self.default_client: "secret"}
        self.tokens = Tokens(self.application_user, self.secrets, token_lifetime)
        self.faults = Faults(on_expire=self.tokens.expire_all)
        self.requests: list[RequestLog] = []
        self.crashes: list[str] = []
        self.keep_parts = keep_parts
        self.control = control or Control()
        self.max_body = MAX_BODY
        self.in_flight = 0
        self.most_in_flight = 0
        self.token = self.tokens.issue(self.organisation.caller, lifetime=10 * 365 * 86400)

    def api_url(self) -> str:
        return f"{self.url}/api/data/v9.2/"

    # ------------------------------------------------ callers

    def application_user(self, client: str) -> str | None:
        """The systemuser of an application id; the default application is the default caller."""
        users = self.store.tables["systemuser"]
        found = users.find("applicationid", client.lower())
        if found:
            return found[0]
        return self.organisation.caller if client in self.secrets else None

    def token_for(self, user: str | None, *, application: str | None = None, lifetime: float | None = None) -> str:
        """A bearer token for a user, or for the user of an application."""
        if user is None:
            user = self.application_user(application) if application is not None else self.organisation.caller
        if user is None:
            raise KeyError(f"no systemuser has the applicationid {application}")
        return self.tokens.issue(user.lower(), lifetime)

    def denied(self, user: str) -> frozenset[str]:
        return self.organisation.denied.get(user, frozenset())

    def deny(self, user: str | None = None, *privileges: str) -> None:
        """Take privileges (`prvWriteOrder`) away from a user. Without any, give all of them back."""
        self.organisation.denied[(user or self.organisation.caller).lower()] = frozenset(privileges)

    def caller(self, user: str, headers: Mapping[str, str]) -> Caller:
        acting = headers.get("mscrmcallerid") or user
        aad = headers.get("callerobjectid")
        users = self.store.tables["systemuser"]
        if aad:
            found = users.find("azureactivedirectoryobjectid", aad.lower())
            acting = found[0] if found else aad
        row = users.rows.get(acting.lower())
        if row is None:
            raise CrmError(403, "0x80072560", "The user is not a member of the organization.")
        if row.get("isdisabled"):
            raise CrmError(
                403, "0x80040225", f"The user with SystemUserId={acting} in OrganizationContext is disabled."
            )
        denied = self.denied(acting.lower()) | self.denied(user)
        settings = self.store.tables["usersettings"].rows.get(acting.lower(), {})
        zone = time_zones()[int(str(settings.get("timezonecode", UTC)))]["iana"]
        return Caller(acting.lower(), bool(row.get("isintegrationuser")), denied, zone)

    def names_record(self, operation: Operation, name: str) -> bool:
        """Whether an operation names a record, by its name, its number or its id, in the path or the body."""
        text = f"{operation.target}\n{operation.body.decode('utf-8', 'replace')}"
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
            return True
        return any(row_id in text.lower() for row_id in self._ids_of(name))

    def _ids_of(self, name: str) -> Iterator[str]:
        """The records that have this name or number."""
        for table in self.schema.tables.values():
            for column in {table.name_column, *NUMBERS} & table.columns.keys():
                yield from self.store.tables[table.name].find(column, name)

    def set_time_zone(self, code: int, user: str | None = None) -> None:
        """Set the time zone, by CRM's code, in the personal options of a user or of the default caller."""
        self.update("usersettings", user or self.organisation.caller, {"timezonecode": code})

    # ------------------------------------------------ behind CRM's back

    def id_column(self, table: str) -> str:
        return self.schema.tables[table].id_column

    def rows(self, table: str) -> list[PublicRow]:
        """Copies of all rows, look-ups as `{"table": …, "id": …}`."""
        columns = self.schema.tables[table].columns
        with self.lock:
            return [PublicRow(snapshot.public(row), columns) for row in self.store.tables[table].in_order()]

    def row(self, table: str, row_id: str) -> PublicRow:
        with self.lock:
            found = self.store.tables[table].rows[row_id.lower()]
            return PublicRow(snapshot.public(found), self.schema.tables[table].columns)

    def insert(self, table: str, row: Mapping[str, Any]) -> str:
        """Add a row. Returns its id."""
        with self.lock:
            return snapshot.insert(self.organisation, table, row)

    def update(self, table: str, row_id: str, values: Mapping[str, Any]) -> None:
        """Change columns of a row (None clears a column). Its version changes."""
        with self.lock:
            old = self.store.tables[table].rows[row_id.lower()]
            row: Row = {**old, **snapshot.stored_values(self.schema.tables[table], values)}
            kept: Row = {name: value for name, value in row.items() if value is not None}
            self.store.replace(table, row_id.lower(), kept)

    def delete(self, table: str, row_id: str) -> None:
        """Remove a row, and the rows that are deleted with it. Ignores the Restrict behaviour of relationships."""
        with self.lock:
            row_id = row_id.lower()
            for relationship in self.schema.tables[table].referenced_by:
                if relationship.on_delete != "Cascade":
                    continue
                data = self.store.tables[relationship.referencing]
                for other in data.find(relationship.column, Ref(table, row_id)):
                    self.delete(relationship.referencing, other)
            self.store.remove(table, row_id)

    def organization(self, **columns: Any) -> None:
        """Set columns of the organization, such as `issopintegrationenabled=True`."""
        with self.lock:
            row_id = next(iter(self.store.tables["organization"].rows))
            self.update("organization", row_id, columns)

    def track_changes(self, table: str, on: bool = True) -> None:
        """Switch a table's change tracking on or off."""
        (self.queries.untracked.discard if on else self.queries.untracked.add)(table)

    def expire_links(self, answer: Literal["refused", "everything"] = "refused") -> None:
        """Have all links to changes expire that were given by now."""
        with self.lock:
            self.store.version += 1
            self.queries.expired, self.queries.expired_links = self.store.version, answer

    def reset_log(self) -> None:
        self.requests.clear()
        self.most_in_flight = 0

    def save(self, path: str | Path) -> None:
        """Write the snapshot."""
        with self.lock:
            snapshot.save(self.organisation, path)
