"""Refusals, with the HTTP status, code and text that Dataverse gives."""

from __future__ import annotations

from collections.abc import Mapping


class CrmError(Exception):
    """A refusal: becomes `{"error": {"code": …, "message": …}}` with the HTTP status."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        return {"error": {"code": self.code, "message": self.message}}


HELP = "https://go.microsoft.com/fwlink/?linkid=2195293"


def bad_request(message: str, code: str = "0x80060888") -> CrmError:
    """The URL or a query option is not understood."""
    return CrmError(400, code, message)


def bad_payload(entity_set: str, problem: str) -> CrmError:
    """The JSON body does not fit the table's type: unknown property, wrong kind of value."""
    return CrmError(
        400,
        "0x80048d19",
        f"Error identified in Payload provided by the user for Entity :'{entity_set}', For more information on "
        f"this error please follow this help link {HELP}  ---->  InnerException : "
        f"Microsoft.OData.ODataException: {problem}",
    )


def not_found(table: str, record_id: str) -> CrmError:
    return CrmError(404, "0x80040217", f"{table} With Id = {record_id} Does Not Exist")


def no_such_segment(segment: str) -> CrmError:
    return CrmError(404, "0x80060888", f"Resource not found for the segment '{segment}'.")


def not_implemented(what: str) -> CrmError:
    return CrmError(501, "0x80060888", f"{what} has not yet been implemented.")


def method_not_allowed(method: str) -> CrmError:
    return CrmError(405, "0x80060888", f"The requested resource does not support http method '{method}'.")


def duplicate_record() -> CrmError:
    return CrmError(412, "0x80040237", "A record with matching key values already exists.")


def stale_version() -> CrmError:
    return CrmError(
        412,
        "0x80060882",
        "The version of the existing record doesn't match the RowVersion property provided.",
    )


def read_only(table: str, record_id: str) -> CrmError:
    return CrmError(
        400,
        "0x8004022e",
        f"The object cannot be updated because it is read-only. ({table} With Id = {record_id})",
    )


def parent_read_only() -> CrmError:
    return CrmError(400, "0x80043b09", "The parent is read only and cannot be edited.")


def deadlock() -> CrmError:
    return CrmError(
        500,
        "0x80044150",
        "Sql error: Generic SQL error. CRM ErrorCode: -2147204784 Sql ErrorCode: -2146232060 Sql Number: 1205",
    )
