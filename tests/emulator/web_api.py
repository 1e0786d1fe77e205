"""A small organisation, a client for it, and batches by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import requests
import simplejson

from emulator import Emulator

USD, EUR = "10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"
CALLER = "20000000-0000-4000-8000-000000000001"
INTEGRATION = "20000000-0000-4000-8000-000000000002"
REP = "20000000-0000-4000-8000-000000000003"
TEAM = "21000000-0000-4000-8000-000000000001"
AARON, ASTOR = "30000000-0000-4000-8000-000000000001", "30000000-0000-4000-8000-000000000002"
RETAIL, EURO_LIST = "40000000-0000-4000-8000-000000000001", "40000000-0000-4000-8000-000000000002"
EACH_SCHEDULE, LABOR_SCHEDULE = "50000000-0000-4000-8000-000000000001", "50000000-0000-4000-8000-000000000002"
EACH, HOUR = "60000000-0000-4000-8000-000000000001", "60000000-0000-4000-8000-000000000002"
PHONE, RETIRED = "70000000-0000-4000-8000-000000000001", "70000000-0000-4000-8000-000000000002"


def control(crm: Emulator, method: str, what: str, **more: Any) -> requests.Response:
    """A request to `/_emulator/…`, with the token."""
    headers = {"X-Emulator-Token": crm.control.token, **more.pop("headers", {})}
    return requests.request(method, f"{crm.url}/_emulator/{what}", headers=headers, timeout=5, **more)


def look_up(table: str, row_id: str) -> dict[str, str]:
    return {"table": table, "id": row_id}


def organisation() -> dict[str, Any]:
    return {
        "caller": CALLER,
        "custom_columns": [
            {"table": "systemuser", "name": "new_gpsalespersonid", "type": "String", "max_length": 100},
            {"table": "salesorder", "name": "new_reviewed", "type": "DateTime",
             "behavior": "DateOnly", "format": "DateOnly"},
            {"table": "account", "name": "new_parentid", "schema_name": "new_ParentId",
             "type": "Lookup", "targets": ["account"]},
        ],
        "keys": [
            {"table": "account", "name": "accountnumber_key", "columns": ["accountnumber"]},
            {"table": "salesorderdetail", "name": "line_key", "columns": ["salesorderid", "lineitemnumber"]},
        ],
        "tables": {
            "transactioncurrency": [
                {"transactioncurrencyid": USD, "isocurrencycode": "USD", "currencyname": "US Dollar",
                 "currencysymbol": "$", "currencyprecision": 2, "exchangerate": 1},
                {"transactioncurrencyid": EUR, "isocurrencycode": "EUR", "currencyname": "Euro",
                 "currencysymbol": "€", "currencyprecision": 2, "exchangerate": 0.5},
            ],
            "organization": [{"pricingdecimalprecision": 4}],
            "systemuser": [
                {"systemuserid": CALLER, "fullname": "GP Loader",
                 "applicationid": "00000000-0000-4000-8000-00000000aaaa"},
                {"systemuserid": INTEGRATION, "fullname": "Integration", "isintegrationuser": True},
                {"systemuserid": REP, "fullname": "Nancy Buchanan", "new_gpsalespersonid": "TERRITORY 1"},
            ],
            "team": [{"teamid": TEAM, "name": "Sales East"}],
            "account": [
                {"accountid": AARON, "accountnumber": "AARONFIT0001", "name": "Aaron Fitz Electrical",
                 "ownerid": look_up("systemuser", REP)},
                {"accountid": ASTOR, "accountnumber": "ASTORSUI0001", "name": "Astor Suites",
                 "ownerid": look_up("team", TEAM)},
            ],
            "uomschedule": [
                {"uomscheduleid": EACH_SCHEDULE, "name": "EACH"}, {"uomscheduleid": LABOR_SCHEDULE, "name": "LABOR"},
            ],
            "uom": [
                {"uomid": EACH, "name": "Each", "uomscheduleid": look_up("uomschedule", EACH_SCHEDULE), "quantity": 1},
                {"uomid": HOUR, "name": "Hour", "uomscheduleid": look_up("uomschedule", LABOR_SCHEDULE), "quantity": 1},
            ],
            "pricelevel": [
                {"pricelevelid": RETAIL, "name": "RETAIL",
                 "transactioncurrencyid": look_up("transactioncurrency", USD)},
                {"pricelevelid": EURO_LIST, "name": "EURO",
                 "transactioncurrencyid": look_up("transactioncurrency", EUR)},
            ],
            "product": [
                {"productid": PHONE, "productnumber": "PHON-ATT-53WH", "name": "Cordless Phone",
                 "defaultuomid": look_up("uom", EACH), "defaultuomscheduleid": look_up("uomschedule", EACH_SCHEDULE)},
                {"productid": RETIRED, "productnumber": "OLD", "name": "Old Phone", "statecode": 1, "statuscode": 2,
                 "defaultuomid": look_up("uom", EACH), "defaultuomscheduleid": look_up("uomschedule", EACH_SCHEDULE)},
            ],
            "productpricelevel": [
                {"pricelevelid": look_up("pricelevel", RETAIL), "productid": look_up("product", PHONE),
                 "uomid": look_up("uom", EACH), "amount": 189.95},
            ],
        },
    }  # fmt: skip


class Client:
    """The Web API by hand: paths below `/api/data/v9.2/`."""

    def __init__(self, crm: Emulator, token: str | None = None) -> None:
        self.crm = crm
        self.root = f"{crm.url}/api/data/v9.2/"
        self.session = requests.Session()
        self.session.headers.update(
            {
                "Authorization": f"Bearer {token or crm.token}",
                "OData-Version": "4.0",
                "OData-MaxVersion": "4.0",
                "Accept": "application/json",
            }
        )

    def send(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else simplejson.dumps(body, use_decimal=True)
            named.setdefault("Content-Type", "application/json")
        url = path if path.startswith("http") else self.root + path
        return self.session.request(method, url, data=data, headers=named, timeout=20)

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: object, **headers: str) -> requests.Response:
        return self.send("POST", path, body, **headers)

    def patch(self, path: str, body: object, **headers: str) -> requests.Response:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> requests.Response:
        return self.send("DELETE", path, **headers)

    def read(self, path: str, **headers: str) -> Any:
        reply = self.get(path, **headers)
        assert reply.status_code == 200, reply.text
        return json.loads(reply.text, parse_float=Decimal)

    def create(self, entity_set: str, body: object) -> str:
        reply = self.post(entity_set, body)
        assert reply.status_code == 204, reply.text
        return reply.headers["OData-EntityId"][-37:-1]

    def order(self, name: str = "ORDST2225", /, **values: object) -> str:
        return self.create("salesorders", order(name, **values))

    def invoice(self, name: str = "STDINV2225", /, **values: object) -> str:
        return self.create("invoices", invoice(name, **values))

    def batch(self, *items: object, **headers: str) -> requests.Response:
        boundary = f"batch_{uuid4()}"
        return self.send(
            "POST",
            "$batch",
            batch_body(boundary, items),
            Content_Type=f"multipart/mixed; boundary={boundary}",
            **headers,
        )


def order(name: str = "ORDST2225", /, **values: object) -> dict[str, object]:
    return {"name": name, "customerid_account@odata.bind": f"/accounts({AARON})", **values}


def invoice(name: str = "STDINV2225", /, **values: object) -> dict[str, object]:
    return {"name": name, "invoicenumber": name, "customerid_account@odata.bind": f"/accounts({AARON})", **values}


def product_line(number: int = 16384, /, **values: object) -> dict[str, object]:
    return {
        "lineitemnumber": number,
        "productid@odata.bind": f"/products({PHONE})",
        "uomid@odata.bind": f"/uoms({EACH})",
        "quantity": 2,
        "ispriceoverridden": True,
        "priceperunit": Decimal("59.95"),
        **values,
    }


def write_in(number: int = 32768, /, **values: object) -> dict[str, object]:
    return {
        "lineitemnumber": number,
        "isproductoverridden": True,
        "productdescription": "Labor",
        "quantity": Decimal("1.5"),
        "priceperunit": 10,
        **values,
    }


def part(operation: tuple[Any, ...], content_id: int | None) -> str:
    method, url, *rest = operation
    body = rest[0] if rest else None
    headers = rest[1] if len(rest) > 1 else {}
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id is not None:
        lines.append(f"Content-ID: {content_id}")
    lines += ["", f"{method} {url if url[0] in '/$' or url.startswith('http') else '/api/data/v9.2/' + url} HTTP/1.1"]
    if body is not None:
        lines.append("Content-Type: application/json")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += ["", simplejson.dumps(body, use_decimal=True) if body is not None else ""]
    return "\r\n".join(lines)


def batch_body(boundary: str, items: tuple[object, ...]) -> bytes:
    """Tuples are single requests, lists are change sets."""
    out = []
    for item in items:
        out.append(f"--{boundary}\r\n")
        if isinstance(item, list):
            inner = f"changeset_{uuid4()}"
            out.append(f"Content-Type: multipart/mixed; boundary={inner}\r\n\r\n")
            for number, operation in enumerate(item, start=1):
                out.append(f"--{inner}\r\n{part(operation, number)}\r\n")
            out.append(f"--{inner}--\r\n\r\n")
        else:
            assert isinstance(item, tuple)
            out.append(f"{part(item, None)}\r\n")
    out.append(f"--{boundary}--\r\n")
    return "".join(out).encode()


def outcomes(reply: requests.Response) -> list[int]:
    """The statuses of a batch's parts, in order."""
    return [int(line.split(" ")[1]) for line in reply.text.split("\r\n") if line.startswith("HTTP/1.1 ")]


def refused(reply: requests.Response, status: int, code: str, *words: str) -> None:
    """The reply is this refusal, and its text has these words."""
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    for word in words:
        assert word in reply.json()["error"]["message"]
