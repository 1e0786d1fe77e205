"""Actions and functions: bulk writes, sharing, prices, and what a preflight check asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from .documents import Documents
from .errors import CrmError, bad_payload, bad_request, not_found, not_implemented
from .metadata import Table
from .orders import Closing
from .records import Caller, Records, content_reference, no_record_by_key, privilege_name
from .store import Ref, Row, Value
from .values import GUID

Json = dict[str, object]
Refs = Mapping[str, Ref]

RIGHTS = {
    "ReadAccess": 1,
    "WriteAccess": 2,
    "AppendAccess": 4,
    "AppendToAccess": 16,
    "CreateAccess": 32,
    "DeleteAccess": 65536,
    "ShareAccess": 262144,
    "AssignAccess": 524288,
}
PRIVILEGES = ("Create", "Read", "Write", "Delete", "Append", "AppendTo", "Assign", "Share")


def rights_mask(text: object) -> int:
    """`ReadAccess, WriteAccess` → 3."""
    mask = 0
    for name in str(text).split(","):
        if name.strip() == "None":
            continue
        if name.strip() not in RIGHTS:
            raise bad_request(f"The value '{text}' is not valid for the AccessRights enumeration.", "0x80048d19")
        mask |= RIGHTS[name.strip()]
    return mask


def rights_text(mask: int) -> str:
    return ", ".join(name for name, bit in RIGHTS.items() if mask & bit) or "None"


class Actions:
    """Everything that can be POSTed besides records, and the functions."""

    def __init__(
        self,
        records: Records,
        documents: Sequence[Documents],
        closing: Closing,
        denied: Callable[[str], frozenset[str]],
    ) -> None:
        self.records = records
        self.reader = records.reader
        self.schema = records.schema
        self.store = records.store
        self.documents = {each.kind.header: each for each in documents}
        self.denied = denied
        self.unbound: dict[str, Callable[[Json, Caller, Refs], Json | None]] = {
            "GrantAccess": self.grant_access,
            "ModifyAccess": self.modify_access,
            "RevokeAccess": self.revoke_access,
            "FulfillSalesOrder": closing.fulfill,
            "CancelSalesOrder": closing.cancel,
            "RecalculatePrice": self.recalculate,
            "CalculatePrice": self.recalculate,
            "BulkDelete": self.bulk_delete,
        }
        self.on_record: dict[str, Callable[[Table, str, Caller], Json | None]] = {}
        for each in documents:
            name = f"{each.headers.schema_name}Pricing"
            self.on_record[f"Lock{name}"] = self._lock(each, f"Lock{name}")
            self.unbound[f"Unlock{name}"] = self._unlock(each)
        self.on_collection: dict[str, Callable[[Table, Json, Caller, Refs], Json | None]] = {
            "CreateMultiple": self.create_multiple,
            "UpdateMultiple": self.update_multiple,
            "UpsertMultiple": self.upsert_multiple,
            "DeleteMultiple": self.delete_multiple,
        }

    # ------------------------------------------------ bulk

    def _targets(self, table: Table, body: Json) -> list[Json]:
        targets = body.get("Targets")
        if set(body) - {"Targets"} or not isinstance(targets, list):
            raise bad_payload(table.entity_set, "The action has one parameter, 'Targets', a list of records.")
        for target in targets:
            if not isinstance(target, dict) or target.get("@odata.type", "").lstrip("#") != table.full_name:
                raise bad_payload(table.entity_set, f"Every target needs '@odata.type': '{table.full_name}'.")
        return targets

    def create_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> Json:
        return {
            "@odata.context": "",
            "Ids": [self.records.create(table, target, caller, refs) for target in self._targets(table, body)],
        }

    def _addressed(self, table: Table, target: Json) -> tuple[str | None, dict[str, Value]]:
        """The row that a target of Update- or UpsertMultiple means."""
        address = target.get("@odata.id")
        if isinstance(address, str):
            match = re.search(r"\((.*)\)\s*$", address)
            if not match:
                raise bad_payload(table.entity_set, f"'{address}' does not name a record.")
            return self.records.resolve(table, match.group(1), in_url=False)
        own = target.get(table.id_column)
        if own is None:
            raise CrmError(400, "0x80040203", f"Every target needs '{table.id_column}' or '@odata.id'.")
        if not isinstance(own, str) or not GUID.fullmatch(own):
            raise bad_payload(table.entity_set, f"Cannot convert the literal '{own}' to the expected type 'Edm.Guid'.")
        return own.lower(), {}

    def update_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> None:
        for target in self._targets(table, body):
            row_id, _ = self._addressed(table, target)
            if row_id is None:
                raise no_record_by_key(table)
            self.records.update(table, row_id, target, caller, refs)

    def upsert_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> None:
        for target in self._targets(table, body):
            row_id, key = self._addressed(table, target)
            if row_id is not None and self.store.get(table.name, row_id) is not None:
                self.records.update(table, row_id, target, caller, refs)
                continue
            doubled = [column for column in key if column in target]
            if doubled:
                raise CrmError(
                    400,
                    "0x80040203",
                    f"The key column '{doubled[0]}' is in '@odata.id' and in the body: leave it out of the body.",
                )
            self.records.create(table, target, caller, refs, given=key, record_id=row_id)

    def delete_multiple(self, table: Table, body: Json, caller: Caller, refs: Refs) -> None:
        raise CrmError(501, "0x80040203", "DeleteMultiple has not yet been implemented.")

    def bulk_delete(self, body: Json, caller: Caller, refs: Refs) -> Json:
        """On the real service, a background job. Here it is done before the reply, and skips rows it cannot delete."""
        try:
            wanted = [pair for query in body["QuerySet"] for pair in self._bulk_ids(query)]  # type: ignore[attr-defined]
        except (AttributeError, KeyError, TypeError):
            raise bad_payload("BulkDelete", "'QuerySet' is not a list of query expressions.") from None
        for table, row_id in wanted:
            try:
                with self.store.transaction():
                    self.records.delete(table, row_id, caller)
            except CrmError:
                continue
        return {"JobId": str(uuid4())}

    def _bulk_ids(self, query: Mapping[str, Any]) -> Iterator[tuple[Table, str]]:
        table = self.schema.tables.get(str(query.get("EntityName")))
        if table is None:
            raise bad_request(f"The table '{query.get('EntityName')}' does not exist.", "0x80041102")
        for condition in query["Criteria"]["Conditions"]:
            if condition["AttributeName"] != table.id_column or condition["Operator"] not in ("In", "Equal"):
                raise not_implemented("BulkDelete by another column than the primary key")
            for value in condition["Values"]:
                yield table, str(value["Value"] if isinstance(value, Mapping) else value).lower()

    # ------------------------------------------------ sharing

    def _object(self, body: Json, name: str, refs: Refs) -> Ref:
        """A parameter that is a record: its type and key, or `@odata.id`."""
        value = body.get(name)
        if not isinstance(value, dict):
            raise bad_payload(name, f"The parameter '{name}' is missing.")
        address = value.get("@odata.id")
        if isinstance(address, str):
            return (
                content_reference(address, refs) if address.startswith("$") else self.records.reference(address, refs)
            )
        kind = str(value.get("@odata.type", "")).lstrip("#").removeprefix("Microsoft.Dynamics.CRM.")
        table = self.schema.tables.get(kind)
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
        if self.store.get(table.name, own.lower()) is None:
            raise not_found(table.name, own.lower())
        return Ref(table.name, own.lower())

    def _share(self, target: Ref, principal: Ref) -> tuple[str | None, Row]:
        data = self.store.tables["principalobjectaccess"]
        for share_id in data.find("objectid", target.id):
            if data.rows[share_id]["principalid"] == principal.id:
                return share_id, data.rows[share_id]
        return None, {}

    def _principal_access(self, body: Json, refs: Refs) -> tuple[Ref, int]:
        access = body.get("PrincipalAccess")
        if not isinstance(access, dict) or "AccessMask" not in access:
            raise bad_payload("PrincipalAccess", "The parameter 'PrincipalAccess' needs 'AccessMask' and 'Principal'.")
        principal = self._object(access, "Principal", refs)
        if principal.table not in ("systemuser", "team"):
            raise bad_payload("PrincipalAccess", "The principal must be a systemuser or a team.")
        return principal, rights_mask(access["AccessMask"])

    def _set_share(self, target: Ref, principal: Ref, mask: int) -> None:
        share_id, share = self._share(target, principal)
        if share_id is None:
            share_id = str(uuid4())
            row: Row = {
                "principalobjectaccessid": share_id,
                "objectid": target.id,
                "objecttypecode": target.table,
                "principalid": principal.id,
                "principaltypecode": principal.table,
                "accessrightsmask": mask,
                "inheritedaccessrightsmask": 0,
                "changedon": self.records.now(),
            }
            self.store.insert("principalobjectaccess", share_id, row)
        elif share["accessrightsmask"] != mask:
            self.store.replace(
                "principalobjectaccess",
                share_id,
                {**share, "accessrightsmask": mask, "changedon": self.records.now()},
            )

    def _check_principal(self, target: Ref, principal: Ref, mask: int) -> None:
        """Refuses to share with a user who is disabled or whose roles do not have the right at all."""
        row = self.reader.target_row(principal) or {}
        if row.get("isdisabled"):
            raise CrmError(
                403, "0x80040225", "The specified user is either disabled or is not a member of any business unit."
            )
        table, denied = self.schema.tables[target.table], self.denied(principal.id)
        wanted = [right for right in PRIVILEGES if mask & RIGHTS[f"{right}Access"]]
        if any(privilege_name(right, table) in denied for right in wanted):
            raise CrmError(403, "0x80040231", "Target user or team does not hold required privileges.")

    def grant_access(self, body: Json, caller: Caller, refs: Refs) -> None:
        target = self._object(body, "Target", refs)
        self.records.allow(caller, "Share", self.schema.tables[target.table])
        principal, mask = self._principal_access(body, refs)
        self._check_principal(target, principal, mask)
        _, share = self._share(target, principal)
        self._set_share(target, principal, mask | int(str(share.get("accessrightsmask", 0))))

    def modify_access(self, body: Json, caller: Caller, refs: Refs) -> None:
        target = self._object(body, "Target", refs)
        self.records.allow(caller, "Share", self.schema.tables[target.table])
        principal, mask = self._principal_access(body, refs)
        self._check_principal(target, principal, mask)
        self._set_share(target, principal, mask)

    def revoke_access(self, body: Json, caller: Caller, refs: Refs) -> None:
        target = self._object(body, "Target", refs)
        self.records.allow(caller, "Share", self.schema.tables[target.table])
        share_id, _ = self._share(target, self._object(body, "Revokee", refs))
        if share_id is not None:
            self.store.remove("principalobjectaccess", share_id)

    def shared_with(self, target: Ref) -> Json:
        data = self.store.tables["principalobjectaccess"]
        accesses = []
        for share_id in data.find("objectid", target.id):
            share = data.rows[share_id]
            kind = str(share["principaltypecode"])
            accesses.append(
                {
                    "AccessMask": rights_text(int(str(share["accessrightsmask"]))),
                    "Principal": {
                        "@odata.type": f"#Microsoft.Dynamics.CRM.{kind}",
                        "ownerid": share["principalid"],
                        f"{kind}id": share["principalid"],
                    },
                }
            )
        return {"PrincipalAccesses": accesses}

    # ------------------------------------------------ prices

    def recalculate(self, body: Json, caller: Caller, refs: Refs) -> None:
        if "Target" in body:
            ref = self._object(body, "Target", refs)
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
            return self.shared_with(self._target_argument(arguments))
        raise CrmError(404, "0x80060888", f"Resource not found for the segment '{name}'.")

    def _target_argument(self, arguments: Mapping[str, str]) -> Ref:
        text = arguments.get("Target", "")
        match = re.search(r"['\"]@odata\.id['\"]\s*:\s*['\"]([^'\"]+)['\"]", text)
        if not match:
            raise bad_request("The parameter 'Target' needs {'@odata.id': '…'}.")
        return self.records.reference(match.group(1), {})

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
