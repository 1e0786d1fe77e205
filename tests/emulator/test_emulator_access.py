"""Tokens, the token endpoint, service protection limits."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msal
import pytest
import requests

from emulator import Emulator, Limits, certificates
from tests.emulator.web_api import CALLER, INTEGRATION, Client, order, organisation, refused

CLIENT = "00000000-0000-4000-8000-00000000aaaa"


class Clock:
    """Stands until it is put forward."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


FORM = {
    "grant_type": "client_credentials",
    "client_id": CLIENT,
    "client_secret": "s3cret",
    "scope": "https://org.crm.dynamics.com/.default",
}


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer nonsense", "Basic eDp5"])
def test_without_a_good_token_nothing_is_told(crm: Emulator, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    reply = requests.get(f"{crm.url}/api/data/v9.2/WhoAmI", headers=headers, timeout=5)
    refused(reply, 401, "0x8005f101")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


def test_tokens_are_of_users(crm: Emulator) -> None:
    assert Client(crm, crm.token_for(INTEGRATION)).read("WhoAmI")["UserId"] == INTEGRATION
    assert Client(crm, crm.token_for(None)).read("WhoAmI")["UserId"] == CALLER
    assert Client(crm, crm.token_for(None, application=CLIENT)).read("WhoAmI")["UserId"] == CALLER
    crm.tokens.clock = clock = Clock()
    short = crm.token_for(CALLER, lifetime=60)
    assert Client(crm, short).get("WhoAmI").status_code == 200
    clock.now += 60
    assert Client(crm, short).get("WhoAmI").status_code == 401


def test_the_token_endpoint_gives_tokens_for_client_credentials() -> None:
    with Emulator(organisation(), secrets={CLIENT: "s3cret"}, token_lifetime=60) as crm:
        reply = requests.post(f"{crm.url}/tenant/oauth2/v2.0/token", data=FORM, timeout=5)
        assert (reply.json()["token_type"], reply.json()["expires_in"]) == ("Bearer", 60)
        assert Client(crm, reply.json()["access_token"]).read("WhoAmI")["UserId"] == CALLER
        assert crm.tokens.requests == 1


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "00000000-0000-4000-8000-00000000bbbb"}, 400, "unauthorized_client"),
        ({"scope": "openid"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_the_token_endpoint_refuses(change: dict[str, str], status: int, error: str) -> None:
    with Emulator(organisation(), secrets={CLIENT: "s3cret"}) as crm:
        reply = requests.post(f"{crm.url}/tenant/oauth2/v2.0/token", data={**FORM, **change}, timeout=5)
        assert (reply.status_code, reply.json()["error"]) == (status, error)
        told = reply.json()
        (code,) = told["error_codes"]
        assert told["error_description"].startswith(f"AADSTS{code}: ")
        assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= told.keys()


def test_an_application_that_is_no_user_is_refused_by_crm() -> None:
    other = "00000000-0000-4000-8000-00000000cccc"
    with Emulator(organisation(), secrets={other: "s"}) as crm:
        crm.tokens.user_of = lambda client: None
        form = {**FORM, "client_id": other, "client_secret": "s"}
        token = requests.post(f"{crm.url}/tenant/oauth2/v2.0/token", data=form, timeout=5).json()["access_token"]
        refused(Client(crm, token).get("WhoAmI"), 403, "0x80072560")


def test_a_token_that_expires_in_a_run() -> None:
    with Emulator(organisation(), secrets={CLIENT: "s3cret"}, token_lifetime=60) as crm:
        crm.tokens.clock = clock = Clock()
        token = requests.post(f"{crm.url}/t/oauth2/v2.0/token", data=FORM, timeout=5).json()["access_token"]
        client = Client(crm, token)
        clock.now += 59
        assert client.get("WhoAmI").status_code == 200
        clock.now += 1
        assert client.get("WhoAmI").status_code == 401


def test_a_device_is_logged_in_on_the_second_question(crm: Emulator) -> None:
    base = f"{crm.url}/tenant/oauth2/v2.0"
    started = requests.post(f"{base}/devicecode", data={"client_id": CLIENT, "scope": "x"}, timeout=5).json()
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": CLIENT,
        "device_code": started["device_code"],
    }
    assert requests.post(f"{base}/token", data=form, timeout=5).json()["error"] == "authorization_pending"
    token = requests.post(f"{base}/token", data=form, timeout=5).json()["access_token"]
    assert Client(crm, token).get("WhoAmI").status_code == 200


def test_msal_gets_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificates.make(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.authority))
    secrets = {CLIENT: "s3cret"}
    with Emulator(organisation(), secrets=secrets, tls=(files.certificate, files.key)) as crm:
        application = msal.ConfidentialClientApplication(
            CLIENT,
            client_credential="s3cret",
            authority=f"{crm.url}/tenant",
            instance_discovery=False,
        )
        answer = application.acquire_token_for_client([f"{crm.url}/.default"])
        assert "access_token" in answer, answer


# ---------------------------------------------------------------- limits


def test_limits_are_off_until_asked_for(client: Client) -> None:
    reply = client.get("WhoAmI")
    assert not [name for name in reply.headers if name.lower().startswith("x-ms-ratelimit")]


def test_too_many_requests() -> None:
    with Emulator(organisation(), limits=Limits(requests=3)) as crm:
        assert crm.throttle is not None
        crm.throttle.clock = clock = Clock()
        client = Client(crm)
        left = [client.get("WhoAmI").headers["x-ms-ratelimit-burst-remaining-xrm-requests"] for _ in range(3)]
        assert left == ["2", "1", "0"]
        first, second = client.post("salesorders", order()), client.get("WhoAmI")
        refused(first, 429, "0x80072322", "exceeded the limit of 3")
        assert int(second.headers["Retry-After"]) == int(first.headers["Retry-After"]) + 1
        clock.now += 300
        assert client.get("WhoAmI").status_code == 200
        assert crm.rows("salesorder") == []


def test_a_batch_counts_once() -> None:
    with Emulator(organisation(), limits=Limits(requests=2)) as crm:
        reply = Client(crm).batch(*(("GET", "WhoAmI") for _ in range(10)))
        assert reply.headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "1"


def test_too_much_execution_time() -> None:
    with Emulator(organisation(), limits=Limits(execution_seconds=0.1)) as crm:
        crm.faults.latency(0.15)
        client = Client(crm)
        assert client.get("WhoAmI").headers["x-ms-ratelimit-time-remaining-xrm-requests"] == "0.10"
        refused(client.get("WhoAmI"), 429, "0x80072321")


def test_too_many_at_once() -> None:
    with Emulator(organisation(), limits=Limits(concurrent=2)) as crm:
        crm.faults.latency(0.3)
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(lambda _: Client(crm).get("WhoAmI"), range(4)))
        assert sorted(reply.status_code for reply in replies) == [200, 200, 429, 429]
        assert {reply.json()["error"]["code"] for reply in replies if reply.status_code == 429} == {"0x80072326"}


def test_limits_are_per_user_and_come_with_a_hint() -> None:
    with Emulator(organisation(), limits=Limits(requests=1, dop_hint=7)) as crm:
        assert Client(crm).get("WhoAmI").headers["x-ms-dop-hint"] == "7"
        assert Client(crm).get("WhoAmI").status_code == 429
        assert Client(crm, crm.token_for(INTEGRATION)).get("WhoAmI").status_code == 200
    with Emulator(organisation(), limits=True) as crm:
        headers = Client(crm).get("WhoAmI").headers
        assert headers["x-ms-ratelimit-burst-remaining-xrm-requests"] == "5999"
        assert headers["x-ms-dop-hint"] == "4"
