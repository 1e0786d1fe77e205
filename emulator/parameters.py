"""Parameters of actions."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import bad_payload, not_found
from .records import Records
from .references import content_reference
from .store import Ref
from .values import GUID

Json = dict[str, object]
Refs = Mapping[str, Ref]


def record_parameter(records: Records, body: Json, name: str, refs: Refs) -> Ref:
    """A parameter that is a record: its type and key, or `@odata.id`."""
    value = body.get(name)
    if not isinstance(value, dict):
        raise bad_payload(name, f"The parameter '{name}' is missing.")
    address = value.get("@odata.id")
    if isinstance(address, str):
        return content_reference(address, refs) if address.startswith("$") else records.references.find(address, refs)
    kind = str(value.get("@odata.type", "")).lstrip("#").removeprefix("Microsoft.Dynamics.CRM.")
    table = records.schema.tables.get(kind)
    if table is None:
        raise bad_payload(name, f"The parameter '{name}' needs '@odata.type'.")
    own = value.get(table.id_column) or (value.get("ownerid") if kind in ("systemuser", "team") else None)
    unknown = set(value) - {"@odata.type"} - set(table.by_api_name)
    if unknown:
        raise bad_payload(
            table.entity_set, f"The property '{min(unknown)}' does not exist on type '{table.full_name}'."
        )
    if not isinstance(own, str) or not GUID.fullmatch(own):
        raise bad_payload(name, f"The parameter '{name}' needs '{table.id_column}', a GUID.")
    if records.store.get(table.name, own.lower()) is None:
        raise not_found(table.name, own.lower())
    return Ref(table.name, own.lower())
