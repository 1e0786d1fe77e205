"""Actions and functions by name. Pricing and what a preflight check asks for are done here, the others elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from uuid import NAMESPACE_OID, uuid5

from .accounts import Merging
from .bulk import Bulk
from .callers import PRIVILEGES, Caller, privilege_name
from .documents import Documents
from .errors import CrmError, bad_request, not_implemented
from .metadata import Table
from .orders import Closing
from .parameters import Json, Refs, record_parameter
from .records import Records
from .sharing import Sharing
from .store import Ref


class Actions:
    """Everything that can be POSTed besides records, and the functions."""

    def __init__(
        self, records: Records, documents: Sequence[Documents], denied: Callable[[str], frozenset[str]]
    ) -> None:
        self.records = records
        self.schema = records.schema
        self.store = records.store
        self.documents = {each.kind.header: each for each in documents}
        self.denied = denied
        self.sharing = Sharing(records, denied)
        bulk, closing = Bulk(records), Closing(records)
        self.unbound: dict[str, Callable[[Json, Caller, Refs], Json | None]] = {
            "GrantAccess": self.sharing.grant_access,
            "ModifyAccess": self.sharing.modify_access,
            "RevokeAccess": self.sharing.revoke_access,
            "FulfillSalesOrder": closing.fulfill,
            "CancelSalesOrder": closing.cancel,
            "Merge": Merging(records).merge,
            "RecalculatePrice": self.recalculate,
            "CalculatePrice": self.recalculate,
            "BulkDelete": bulk.bulk_delete,
        }
        self.on_record: dict[str, Callable[[Table, str, Caller], Json | None]] = {}
        for each in documents:
            name = f"{each.headers.schema_name}Pricing"
            self.on_record[f"Lock{name}"] = self._lock(each, f"Lock{name}")
            self.unbound[f"Unlock{name}"] = self._unlock(each)
        self.on_collection: dict[str, Callable[[Table, Json, Caller, Refs], Json | None]] = {
            "CreateMultiple": bulk.create_multiple,
            "UpdateMultiple": bulk.update_multiple,
            "UpsertMultiple": bulk.upsert_multiple,
            "DeleteMultiple": bulk.delete_multiple,
        }

    # ------------------------------------------------ prices

    def recalculate(self, body: Json, caller: Caller, refs: Refs) -> None:
        if "Target" in body:
            ref = record_parameter(self.records, body, "Target", refs)
        else:
            ref = Ref(str(body.get("entityLogicalName")), str(body.get("entityId")).lower())
        documents = self.documents.get(ref.table)
        if documents is None:
            raise not_implemented(f"Pricing of {ref.table}")
        documents.recalculate(ref.id, caller)

    def _lock(self, documents: Documents, action: str) -> Callable[[Table, str, Caller], None]:
        def lock(table: Table, record_id: str, caller: Caller) -> None:
            if table is not documents.headers:
                raise not_implemented(f"{action} on {table.name}")
            documents.lock_prices(record_id, True, caller)

        return lock

    def _unlock(self, documents: Documents) -> Callable[[Json, Caller, Refs], None]:
        parameter = f"{documents.headers.schema_name}Id"

        def unlock(body: Json, caller: Caller, refs: Refs) -> None:
            documents.lock_prices(str(body.get(parameter)).lower(), False, caller)

        return unlock

    # ------------------------------------------------ functions

    def function(self, name: str, arguments: Mapping[str, str], caller: Caller) -> Json:
        """An unbound function; arguments as text, aliases already replaced."""
        if name == "WhoAmI":
            row = self.store.get("systemuser", caller.id) or {}
            unit = row.get("businessunitid")
            organization = next(iter(self.store.tables["organization"].rows))
            return {
                "BusinessUnitId": unit.id if isinstance(unit, Ref) else None,
                "UserId": caller.id,
                "OrganizationId": organization,
            }
        if name == "RetrieveVersion":
            return {"Version": "9.2.24014.198"}
        if name == "RetrieveSharedPrincipalsAndAccess":
            return self.sharing.shared_with(self._target_argument(arguments))
        raise CrmError(404, "0x80060888", f"Resource not found for the segment '{name}'.")

    def _target_argument(self, arguments: Mapping[str, str]) -> Ref:
        text = arguments.get("Target", "")
        match = re.search(r"['\"]@odata\.id['\"]\s*:\s*['\"]([^'\"]+)['\"]", text)
        if not match:
            raise bad_request("The parameter 'Target' needs {'@odata.id': '…'}.")
        return self.records.references.find(match.group(1), {})

    def bound_function(self, name: str, table: Table, row_id: str, arguments: Mapping[str, str]) -> Json:
        if table.name not in ("systemuser", "team"):
            raise CrmError(404, "0x80060888", f"Resource not found for the segment '{name}'.")
        if name == "RetrieveUserPrivileges":
            denied = self.denied(row_id)
            names = [privilege_name(right, known) for known in self.schema.tables.values() for right in PRIVILEGES]
            return {
                "RolePrivileges": [
                    {
                        "Depth": "Global",
                        "PrivilegeId": privilege_id(privilege),
                        "BusinessUnitId": "00000000-0000-0000-0000-000000000000",
                        "PrivilegeName": privilege,
                        "RecordFilterId": "00000000-0000-0000-0000-000000000000",
                    }
                    for privilege in dict.fromkeys(names)
                    if privilege not in denied
                ]
            }
        if name == "RetrievePrincipalAccess":
            target = self._target_argument(arguments)
            denied = self.denied(row_id)
            known = self.schema.tables[target.table]
            held = [
                f"{right}Access"
                for right in PRIVILEGES
                if right != "Create" and privilege_name(right, known) not in denied
            ]
            return {"AccessRights": ", ".join(held) or "None"}
        raise CrmError(404, "0x80060888", f"Resource not found for the segment '{name}'.")


def privilege_id(name: str) -> str:
    return str(uuid5(NAMESPACE_OID, f"privilege {name}"))
