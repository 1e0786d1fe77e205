"""Sharing: who has which rights to one record."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from .callers import PRIVILEGES, Caller, allow, privilege_name
from .errors import CrmError, bad_payload, bad_request
from .parameters import Json, Refs, record_parameter
from .records import Records
from .store import Ref, Row

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


class Sharing:
    """GrantAccess, ModifyAccess and RevokeAccess."""

    def __init__(self, records: Records, denied: Callable[[str], frozenset[str]]) -> None:
        self.records = records
        self.reader = records.reader
        self.schema = records.schema
        self.store = records.store
        self.denied = denied

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
        principal = record_parameter(self.records, access, "Principal", refs)
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
        target = record_parameter(self.records, body, "Target", refs)
        allow(caller, "Share", self.schema.tables[target.table])
        principal, mask = self._principal_access(body, refs)
        self._check_principal(target, principal, mask)
        _, share = self._share(target, principal)
        self._set_share(target, principal, mask | int(str(share.get("accessrightsmask", 0))))

    def modify_access(self, body: Json, caller: Caller, refs: Refs) -> None:
        target = record_parameter(self.records, body, "Target", refs)
        allow(caller, "Share", self.schema.tables[target.table])
        principal, mask = self._principal_access(body, refs)
        self._check_principal(target, principal, mask)
        self._set_share(target, principal, mask)

    def revoke_access(self, body: Json, caller: Caller, refs: Refs) -> None:
        target = record_parameter(self.records, body, "Target", refs)
        allow(caller, "Share", self.schema.tables[target.table])
        share_id, _ = self._share(target, record_parameter(self.records, body, "Revokee", refs))
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
