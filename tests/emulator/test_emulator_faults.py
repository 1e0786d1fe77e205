"""Trouble on demand: every fault is counted, bounded and has the effect it names."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from emulator import Emulator
from tests.emulator.web_api import AARON, ASTOR, EACH_SCHEDULE, PHONE, Client, control, order, outcomes, refused

RESET = (requests.ConnectionError,)


def names(crm: Emulator) -> list[str]:
    return [row["name"] for row in crm.rows("salesorder")]


def test_throttling_strikes_as_often_as_told(client: Client, crm: Emulator) -> None:
    fault = crm.faults.throttle(times=2, retry_after=7)
    for _ in range(2):
        reply = client.post("salesorders", order())
        refused(reply, 429, "0x80072322")
        assert reply.headers["Retry-After"] == "7"
    assert client.post("salesorders", order()).status_code == 204
    assert (fault.fired, fault.spent, crm.faults.waiting) == (2, True, [])


def test_the_service_can_be_unavailable(client: Client, crm: Emulator) -> None:
    crm.faults.unavailable(retry_after=3)
    reply = client.post("salesorders", order())
    assert (reply.status_code, reply.headers["Retry-After"], names(crm)) == (503, "3", [])


def test_a_reset_before_the_commit_did_nothing(client: Client, crm: Emulator) -> None:
    crm.faults.reset_before_commit()
    with pytest.raises(RESET):
        client.post("salesorders", order())
    assert (names(crm), crm.requests[-1].status) == ([], 0)
    assert client.post("salesorders", order()).status_code == 204


def test_a_reset_after_the_commit_did_all(client: Client, crm: Emulator) -> None:
    crm.faults.reset_after_commit()
    with pytest.raises(RESET):
        client.batch([("POST", "salesorders", order("A"))], [("POST", "salesorders", order("B"))])
    assert names(crm) == ["A", "B"]


def test_a_reply_can_come_too_late(client: Client, crm: Emulator) -> None:
    crm.faults.delay_after_commit(0.4)
    with pytest.raises(requests.Timeout):
        client.session.post(client.root + "salesorders", json=order(), timeout=0.1)
    assert names(crm) == ["ORDST2225"]


def test_a_request_can_commit_after_its_sender_is_gone(client: Client, crm: Emulator) -> None:
    crm.faults.delay_before_commit(0.5)
    with pytest.raises(requests.Timeout):
        client.session.post(client.root + "salesorders", json=order(), timeout=0.1)
    assert names(crm) == []
    while crm.in_flight:
        time.sleep(0.01)
    assert names(crm) == ["ORDST2225"]


def test_a_token_can_expire_in_the_middle(client: Client, crm: Emulator) -> None:
    crm.faults.expire_token(skip=1)
    assert client.get("WhoAmI").status_code == 200
    reply = client.get("WhoAmI")
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    assert client.get("WhoAmI").status_code == 401
    assert Client(crm, crm.token_for(None)).get("WhoAmI").status_code == 200


def test_faults_can_be_for_reads_writes_or_batches(client: Client, crm: Emulator) -> None:
    crm.faults.throttle(times=None, kind="write")
    assert client.get("salesorders").status_code == 200
    assert client.batch(("GET", "salesorders")).status_code == 200
    assert client.post("salesorders", order()).status_code == 429
    assert client.batch([("POST", "salesorders", order())]).status_code == 429
    crm.faults.clear()
    crm.faults.unavailable(kind="batch")
    assert client.post("salesorders", order()).status_code == 204
    assert client.batch(("GET", "salesorders")).status_code == 503
    with pytest.raises(ValueError, match="read, write, batch or login"):
        crm.faults.throttle(kind="other")


def test_the_login_service_has_troubles_of_its_own(client: Client, crm: Emulator) -> None:
    crm.faults.throttle(times=None)
    crm.faults.unavailable(retry_after=3, kind="login")
    crm.faults.page(status=404, body="<html>", kind="login")
    crm.faults.reset_before_commit(kind="login")
    token = f"{crm.url}/tenant/oauth2/v2.0/token"
    reply = requests.post(token, timeout=5)
    assert (reply.status_code, reply.headers["Retry-After"], reply.json()["error_codes"]) == (503, "3", [90033])
    reply = requests.post(token, timeout=5)
    assert (reply.status_code, reply.text) == (404, "<html>")
    with pytest.raises(RESET):
        requests.post(token, timeout=5)
    assert requests.post(token, timeout=5).json()["error"] == "unsupported_grant_type"
    assert client.get("WhoAmI").status_code == 429


def test_something_else_can_answer(client: Client, crm: Emulator) -> None:
    crm.faults.page(status=407, headers={"Content-Type": "text/plain"}, body="no", kind="write")
    reply = client.post("salesorders", order())
    assert (reply.status_code, reply.headers["Content-Type"], reply.text) == (407, "text/plain", "no")
    crm.faults.page(echo=True)
    reply = client.post("salesorders", order("echoed"))
    assert reply.headers["Content-Type"].startswith("text/html")
    assert f"authorization: Bearer {crm.token}" in reply.text
    assert "echoed" in reply.text
    crm.faults.page(echo=True, body='{"said": "{request}"}', headers={"Content-Type": "application/json"})
    assert '"name": "echoed"' in client.post("salesorders", order("echoed")).json()["said"]
    assert names(crm) == []


def test_a_reply_can_drip(client: Client, crm: Emulator) -> None:
    crm.faults.drip(0.002)
    started = time.monotonic()
    reply = client.get("WhoAmI")
    assert (reply.status_code, reply.json()["UserId"]) == (200, client.get("WhoAmI").json()["UserId"])
    assert time.monotonic() - started > 0.002 * len(reply.content)


def test_faults_can_be_for_a_method_a_path_or_any_condition(client: Client, crm: Emulator) -> None:
    crm.faults.throttle(method="PATCH", path=r"^/api/data/v9\.2/salesorders\(")
    crm.faults.throttle(when=lambda seen: "accounts" in seen.path)
    assert client.get("salesorders").status_code == 200
    assert client.get("accounts").status_code == 429
    assert client.patch(f"salesorders({client.order()})", {"name": "x"}).status_code == 429


def test_one_order_can_be_refused(client: Client, crm: Emulator) -> None:
    crm.faults.error(times=None, order="B", code="0x80040265", message="ISV code aborted the operation.")
    reply = client.batch(
        *([("POST", "salesorders", order(name))] for name in ("A", "B", "BB")), Prefer="odata.continue-on-error"
    )
    assert (outcomes(reply), names(crm)) == ([204, 400, 204], ["A", "BB"])
    assert "0x80040265" in reply.text
    crm.faults.clear()
    order_id = client.order("B")
    crm.faults.error(order="B", status=500)
    assert client.patch(f"salesorders({order_id})", {"description": "x"}).status_code == 500
    assert client.patch(f"salesorders({order_id})", {"description": "x"}).status_code == 204


def test_a_part_of_a_batch_can_lose_a_deadlock(client: Client, crm: Emulator) -> None:
    fault = crm.faults.deadlock(skip=1, method="POST")
    sets = [[("POST", "salesorders", order(name))] for name in ("A", "B", "C")]
    reply = client.batch(*sets, Prefer="odata.continue-on-error")
    assert (outcomes(reply), names(crm), fault.fired) == ([204, 500, 204], ["A", "C"], 1)
    assert "0x80044150" in reply.text
    assert "1205" in reply.text


def test_latency_is_per_request_and_per_operation(client: Client, crm: Emulator) -> None:
    client.get("WhoAmI")
    crm.faults.latency(0.05, per_operation=0.05)
    started = time.monotonic()
    client.batch(("GET", "WhoAmI"), ("GET", "WhoAmI"), ("GET", "WhoAmI"))
    assert time.monotonic() - started >= 0.2
    assert crm.requests[-1].rows == 3
    assert crm.faults.pause(3) == pytest.approx(0.2)


def test_each_row_of_a_deep_insert_and_of_a_bulk_message_takes_its_time(client: Client, crm: Emulator) -> None:
    line = {"isproductoverridden": True, "productdescription": "Text", "quantity": 1}
    deep = order("A", order_details=[line, line])
    targets = [{"@odata.type": "Microsoft.Dynamics.CRM.salesorder", **order(name)} for name in "BCD"]
    crm.faults.latency(per_operation=0.001)
    crm.reset_log()
    client.post("salesorders", deep)
    client.post("salesorders/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": targets})
    client.get("WhoAmI")
    assert [(log.status, log.operations, log.rows) for log in crm.requests] == [(204, 1, 3), (200, 1, 3), (200, 1, 1)]


def test_requests_wait_side_by_side(client: Client, crm: Emulator) -> None:
    """A machine that is busy needs longer until it has sent all of them."""
    for latency in (0.2, 0.8, 3.2, 12.8):
        crm.faults.latency(latency)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: Client(crm).get("WhoAmI").status_code, range(8))) == [200] * 8
        if crm.most_in_flight == 8:
            break
    assert crm.most_in_flight == 8


def test_faults_are_programmed_over_http_too(client: Client, crm: Emulator) -> None:
    added = control(crm, "POST", "faults", json={"fault": "throttle", "times": 1, "kind": "write"})
    assert added.json()["what"] == "throttle"
    assert client.post("salesorders", order()).status_code == 429
    control(crm, "POST", "faults", json={"fault": "error", "order": "A", "code": "0x8004", "status": 400})
    assert len(control(crm, "GET", "faults").json()) == 1
    refused(client.post("salesorders", order("A")), 400, "0x8004")
    control(crm, "POST", "faults", json={"fault": "latency", "seconds": 0.01})
    assert crm.faults.latency_seconds == 0.01
    control(crm, "DELETE", "faults")
    assert crm.faults.latency_seconds == 0
    assert control(crm, "POST", "faults", json={"fault": "nosuch"}).status_code == 400
    control(crm, "POST", "faults", json={"fault": "expire_tokens"})
    assert client.get("WhoAmI").status_code == 401


def test_the_organisation_is_seen_and_changed_over_http(client: Client, crm: Emulator) -> None:
    control(crm, "POST", "organization", json={"issopintegrationenabled": True})
    assert client.read("organizations")["value"][0]["issopintegrationenabled"] is True
    made = control(crm, "POST", "tables/account", json={"name": "by hand"}).json()["id"]
    control(crm, "PATCH", f"tables/account/{made}", json={"name": "changed"})
    assert control(crm, "GET", f"tables/account/{made}").json()[0]["name"] == "changed"
    control(crm, "DELETE", f"tables/account/{made}")
    assert len(control(crm, "GET", "tables/account").json()) == 2
    assert control(crm, "GET", "tables/nosuch").status_code == 400
    assert control(crm, "GET", "nosuch").status_code == 404
    token = control(crm, "POST", "token", json={"lifetime": 60}).json()["access_token"]
    assert Client(crm, token).get("WhoAmI").status_code == 200
    client.get(f"accounts({AARON})")
    log = control(crm, "GET", "requests").json()
    assert log[-1]["path"].endswith(f"accounts({AARON})")
    assert control(crm, "GET", "crashes").json() == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("STDINV1", "invoices({invoice})"),
        ("AARONFIT0001", f"accounts({AARON})"),
        ("PHON-ATT-53WH", f"products({PHONE})"),
        ("EACH", f"uomschedules({EACH_SCHEDULE})"),
    ],
)
def test_a_fault_strikes_what_names_a_record_of_any_table(client: Client, crm: Emulator, name: str, path: str) -> None:
    path = path.replace("{invoice}", client.invoice("STDINV1"))
    fault = crm.faults.error(order=name, status=500)
    assert client.patch(f"accounts({ASTOR})", {"fax": "1"}).status_code == 204
    assert client.patch(path, {"description": "x"}).status_code == 500
    assert (client.patch(path, {"description": "x"}).status_code, fault.fired) == (204, 1)
