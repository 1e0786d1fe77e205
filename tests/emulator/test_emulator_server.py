"""Serving: the snapshot, the foreground server, defaults."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from emulator import Emulator, SnapshotError, serve
from tests.emulator.web_api import AARON, CALLER, Client, order, organisation, product_line

SERVE = """
import json, sys
from emulator import serve

def ready(crm):
    print(json.dumps({"url": crm.url, "token": crm.token}), flush=True)

serve(snapshot=sys.argv[1], save_to=sys.argv[2], token="given", on_ready=ready)
"""


def test_a_snapshot_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "crm.json"
    with Emulator(organisation()) as crm:
        client = Client(crm)
        order_id = client.order(freightamount=Decimal("12.34"), order_details=[product_line()])
        client.patch(f"salesorders({order_id})", {"statecode": 1, "statuscode": 3})
        crm.deny(CALLER, "prvDeleteOrder")
        before = {table: crm.rows(table) for table in ("salesorder", "salesorderdetail", "account", "organization")}
        crm.save(path)
    with Emulator(path) as crm:
        assert {table: crm.rows(table) for table in before} == before
        client = Client(crm)
        assert client.delete(f"salesorders({order_id})").status_code == 403
        assert client.read("accounts(accountnumber='AARONFIT0001')")["accountid"] == AARON
        assert client.post("salesorders", order(new_reviewed="2026-01-31")).status_code == 204


def test_a_snapshot_keeps_units_products_and_invoices(tmp_path: Path) -> None:
    path = tmp_path / "crm.json"
    with Emulator(organisation()) as crm:
        client = Client(crm)
        group = client.create("uomschedules", {"name": "BOX", "baseuomname": "Each"})
        (base,) = client.read(f"uoms?$filter=_uomscheduleid_value eq {group}")["value"]
        units = {"defaultuomscheduleid@odata.bind": f"/uomschedules({group})",
                 "defaultuomid@odata.bind": f"/uoms({base['uomid']})"}  # fmt: skip
        client.create("products", {"productnumber": "NEW", "name": "New", "quantitydecimal": 2, **units})
        client.create("accounts", {"name": "Child", "parentaccountid@odata.bind": f"/accounts({AARON})"})
        invoice_id = client.invoice(invoice_details=[product_line()])
        client.patch(f"invoices({invoice_id})", {"statecode": 2})
        tables = ("uomschedule", "uom", "product", "account", "invoice", "invoicedetail")
        before = {table: crm.rows(table) for table in tables}
        crm.save(path)
    with Emulator(path) as crm:
        assert {table: crm.rows(table) for table in before} == before
        assert Client(crm).delete(f"uoms({base['uomid']})").json()["error"]["code"] == "0x80043b03"


def test_without_a_snapshot_there_is_what_no_organisation_lacks() -> None:
    with Emulator() as crm:
        client = Client(crm)
        user = client.read("WhoAmI")["UserId"]
        assert client.read(f"systemusers({user})?$select=fullname")["fullname"] == "GP Integration"
        assert client.create("accounts", {"name": "first"})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"tables": {"nosuch": []}}, "'nosuch' is unknown"),
        ({"tables": {"account": [{"nosuch": 1}]}}, r"tables.account\[0\]: account has no column 'nosuch'"),
        ({"tables": {"account": [{"ownerid": "x"}]}}, "a look-up is"),
        ({"tables": {"account": [{"creditlimit": "x"}]}}, "is no number"),
        ({"tables": {"account": [{"createdon": "x"}]}}, "is no instant"),
        ({"tables": {"account": [{"accountid": AARON}, {"accountid": AARON}]}}, "is there twice"),
        ({"caller": AARON}, "caller"),
        ({"keys": [{"table": "account", "columns": ["nosuch"]}]}, "no column nosuch"),
        ({"custom_columns": [{"table": "nosuch", "name": "x"}]}, "nosuch"),
    ],
)
def test_a_bad_snapshot_says_where(content: dict[str, Any], words: str) -> None:
    with pytest.raises(SnapshotError, match=words):
        Emulator(content)


def test_a_snapshot_that_is_no_json_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SnapshotError, match=r"bad\.json: not JSON"):
        Emulator(tmp_path / "bad.json")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_foreground_server_saves_when_told_to_end(tmp_path: Path, number: int) -> None:
    source, target = tmp_path / "in.json", tmp_path / "out.json"
    source.write_text(json.dumps(organisation()))
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, source, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["token"] == "given"
    headers = {"Authorization": "Bearer given"}
    session = requests.Session()
    made = session.post(f"{ready['url']}/api/data/v9.2/accounts", json={"name": "kept"}, headers=headers, timeout=5)
    assert made.status_code == 204
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    with Emulator(target) as crm:
        assert crm.rows("account")[-1]["name"] == "kept"


def test_a_port_in_use_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            serve(port=port)
        with pytest.raises(OSError, match="in use"), Emulator(port=port):
            pass


def test_rows_are_copies_and_null_columns_read_as_none(crm: Emulator) -> None:
    row = crm.rows("account")[0]
    row["name"] = "changed"
    assert crm.row("account", AARON)["name"] == "Aaron Fitz Electrical"
    assert row["description"] is None
    with pytest.raises(KeyError):
        row["nosuch"]


def test_the_log_can_keep_the_operations() -> None:
    with Emulator(organisation(), keep_parts=True) as crm:
        client = Client(crm)
        client.batch([("POST", "accounts", {"name": "x"}), ("PATCH", f"accounts({AARON})", {"fax": "1"})])
        client.patch(f"accounts({AARON})", {"fax": "2"}, **{"If-Match": "*"})
        assert crm.requests[0].parts == ["POST accounts", f"PATCH accounts({AARON})"]
        assert [request.if_match for request in crm.requests] == [[None, None], ["*"]]
        crm.reset_log()
        assert crm.requests == []
