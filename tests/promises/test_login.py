"""An outage of the login service is an outage, never a refusal; and credentials go to the login service alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from emulator.faults import Fault, Faults
from tests.conftest import Ended
from tests.promises.conftest import ORDERS, SECRET, Handful, assert_told_nobody
from tests.thorough import some, some_pairs

Trouble = Callable[[Faults, int | None], Fault]


def _page(body: str, status: int = 200) -> Trouble:
    return lambda faults, times: faults.page(times, status=status, body=body, kind="login")


TROUBLE: dict[str, Trouble] = {
    "503": lambda faults, times: faults.unavailable(times, kind="login"),
    "503 with Retry-After": lambda faults, times: faults.unavailable(times, retry_after=7, kind="login"),
    "429": lambda faults, times: faults.throttle(times, retry_after=7, kind="login"),
    "429 without Retry-After": lambda faults, times: faults.throttle(times, retry_after=None, kind="login"),
    "reset": lambda faults, times: faults.reset_before_commit(times, kind="login"),
    "sign-in page of the network": _page("<html>Please sign in.</html>"),
    "proxy's 404": _page("<html>Not found</html>", 404),
    "proxy's 407": _page("<html>Proxy authentication required</html>", 407),
    "blank": _page(" "),
    "{}": _page("{}"),
    "null": _page("null"),
    "[]": _page("[]"),
    "cut": _page('{"access_token": "abc'),
    "deep": _page("[" * 100_000),
    "no token in it": _page('{"access_token": null, "token_endpoint": 7}'),
    "an error that is none": _page('{"error": {"code": "0x8"}}', 400),
    "refused for now": _page('{"error": "temporarily_unavailable"}', 400),
}


def assert_outage(ended: Ended) -> None:
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable"), ended.stdout
    assert "login service" in ended.error["message"]
    assert "CRM_AUTHORITY" in ended.error["remedy"]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("trouble", some(TROUBLE, 4))
def test_what_passes_is_outlasted(secure: Handful, waits: list[float], trouble: str) -> None:
    fault = TROUBLE[trouble](secure.crm.faults, 3)
    ended = secure.push()
    assert (ended.exit_code, ended.orders["failed"], fault.fired) == (3, 0, 3), ended.stdout
    secure.assert_crm_holds_what_is_staged()
    if trouble in ("503 with Retry-After", "429"):
        assert waits[:3] == [7, 7, 7]
    assert_told_nobody(secure, ended)


@pytest.mark.parametrize(("reached", "trouble"), some_pairs(["nothing", "discovery"], TROUBLE, 2))
def test_what_does_not_pass_ends_the_run_with_every_order_counted(
    secure: Handful, waits: list[float], trouble: str, reached: str
) -> None:
    fault = TROUBLE[trouble](secure.crm.faults, None)
    fault.skip = ["nothing", "discovery"].index(reached)
    ended = secure.push()
    assert_outage(ended)
    assert fault.fired == 9
    assert ended.orders["failed"] == len(ORDERS)
    assert secure.crm.requests == []
    secure.assert_adds_up(ended)
    assert_told_nobody(secure, ended)
    secure.crm.faults.clear()
    secure.push()
    secure.assert_in_sync()


@pytest.mark.parametrize("trouble", some(["503", "429", "reset", "sign-in page of the network", "{}"], 2))
def test_an_outage_at_a_renewal_ends_the_run_with_every_order_counted(
    secure: Handful, waits: list[float], trouble: str
) -> None:
    secure.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="2")
    secure.crm.faults.expire_token(1, kind="write", skip=3)
    fault = TROUBLE[trouble](secure.crm.faults, None)
    fault.skip = 2
    ended = secure.push()
    assert_outage(ended)
    assert 9 <= fault.fired <= 10
    assert ended.orders["created"] + ended.orders["updated"] >= 2
    assert sum(ended.orders.values()) == len(ORDERS)
    assert ended.orders["failed"] >= 1
    secure.assert_adds_up(ended)
    secure.assert_whole()
    assert_told_nobody(secure, ended)
    secure.crm.faults.clear()
    secure.push()
    secure.assert_in_sync()


def test_a_token_that_is_still_good_outlasts_an_outage_of_the_login_service(secure: Handful) -> None:
    """It is renewed before its end, which fails; nothing has to stop for that."""
    secure.crm.tokens.lifetime = 60
    secure.crm.faults.latency(0.05)
    with secure.run() as run:
        client = run.client
        client.get("WhoAmI")
        fault = secure.crm.faults.unavailable(None, kind="login")
        client._auth._renew_at = 0.0  # type: ignore[attr-defined]
        for _ in range(3):
            client.get("WhoAmI")
    assert fault.fired == 1


def test_threads_that_wait_for_a_token_in_vain_do_not_all_try_themselves(secure: Handful, waits: list[float]) -> None:
    secure.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="8")
    secure.crm.faults.latency(0.05)
    secure.crm.faults.expire_token(1, kind="write", skip=1)
    fault = secure.crm.faults.unavailable(None, kind="login", skip=2)
    assert_outage(secure.push())
    assert 9 <= fault.fired <= 18


def test_a_run_that_waits_for_the_login_service_can_be_stopped(secure: Handful) -> None:
    secure.crm.faults.unavailable(None, retry_after=200, kind="login")
    process = secure.start("push")
    while not secure.crm.faults.waiting[0].fired:
        assert process.poll() is None
    process.terminate()
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in stderr) == (143, False), stdout + stderr


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [
        ("CRM_CLIENT_SECRET", SECRET + "x", "AADSTS7000215"),
        ("CRM_CLIENT_ID", "11111111-0000-4000-8000-00000000c11e", "AADSTS700016"),
    ],
)
def test_a_refusal_is_not_tried_again_and_says_what_entra_id_said(
    secure: Handful, setting: str, value: str, code: str
) -> None:
    secure.settings[setting] = value
    ended = secure.push()
    assert (ended.exit_code, ended.error["code"]) == (6, "access_refused")
    assert code in ended.error["message"]
    assert secure.crm.tokens.requests == 1


def test_a_tenant_that_is_not_known_is_a_refusal(secure: Handful) -> None:
    answer = {"error": "invalid_tenant", "error_description": "AADSTS90002: Tenant 'contoso.example' not found."}
    fault = secure.crm.faults.page(None, status=400, body=json.dumps(answer), kind="login")
    ended = secure.push()
    assert (ended.exit_code, ended.error["code"]) == (6, "access_refused"), ended.stdout
    assert "AADSTS90002" in ended.error["message"]
    assert "CRM_TENANT_ID" in ended.error["remedy"]
    assert fault.fired == 1


# --------------------------------------------------------------------------------------- where credentials may go


class Listener:
    """A server that remembers whatever is sent to it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                self.send_response(200)
                self.end_headers()

            do_GET = do_CONNECT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.mark.parametrize(("at", "status"), some_pairs(["discovery", "token"], [301, 302, 303, 307, 308], 2))
def test_the_login_services_redirects_are_not_followed(
    secure: Handful, listener: Listener, status: int, at: str
) -> None:
    headers = {"Location": f"{listener.url}/contoso.example/oauth2/v2.0/token"}
    secure.crm.faults.page(
        None, status=status, headers=headers, kind="login", path="openid" if at == "discovery" else "token"
    )
    ended = secure.push()
    assert_outage(ended)
    assert listener.url in ended.error["message"]
    assert listener.bodies == []
    assert secure.crm.requests == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_token_endpoint_elsewhere_is_sent_nothing(secure: Handful, listener: Listener, scheme: str) -> None:
    """The login service's own description names it: a forged or misdirected one would get the secret."""
    elsewhere = listener.url.replace("http:", f"{scheme}:")
    endpoints = {
        "authorization_endpoint": f"{elsewhere}/contoso.example/authorize",
        "token_endpoint": f"{elsewhere}/contoso.example/oauth2/v2.0/token",
    }
    secure.crm.faults.page(1, body=json.dumps(endpoints), kind="login", path="openid")
    ended = secure.push()
    assert_outage(ended)
    assert listener.url.removeprefix("http://") in ended.error["message"] or scheme == "http"
    assert listener.bodies == []


def test_the_login_service_is_spoken_to_over_https_alone(secure: Handful) -> None:
    secure.settings["CRM_AUTHORITY"] = "http://127.0.0.1:9"
    ended = secure.push()
    assert (ended.exit_code, ended.error["code"]) == (2, "usage"), ended.stdout
    assert "CRM_AUTHORITY" in ended.error["message"]
    assert "https" in ended.error["remedy"]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"])
def test_what_is_on_this_machine_is_not_reached_through_a_proxy(
    secure: Handful, handful: Handful, listener: Listener, variable: str
) -> None:
    for bench in (secure, handful):
        bench.settings.update({"NO_PROXY": "", "no_proxy": "", variable: listener.url})
        ended = bench.push()
        assert (ended.exit_code, ended.orders["failed"]) == (3, 0), ended.stdout
    assert listener.bodies == []


def test_a_proxy_is_used_to_reach_other_machines(handful: Handful, listener: Listener) -> None:
    handful.settings.update(CRM_URL="https://crm.contoso.example", HTTPS_PROXY=listener.url, NO_PROXY="", no_proxy="")
    ended = handful.loader("check")
    assert ended.exit_code == 5
    assert listener.bodies
