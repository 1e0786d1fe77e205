"""How the loader signs in, and that nothing it was told in confidence is ever shown or sent elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from emulator.certificates import make
from tests.promises.conftest import CLIENT, GOING, NEW, PASSWORD, SECRET, Handful, assert_told_nobody
from tests.thorough import some_pairs

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def client_certificate(elliptic: bool = False) -> tuple[PrivateKey, x509.Certificate]:
    """Key and certificate of the application."""
    key: PrivateKey = ec.generate_private_key(ec.SECP256R1()) if elliptic else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loader")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    return key, builder.sign(key, hashes.SHA256())


def pfx(folder: Path, password: bytes | None) -> Path:
    key, certificate = client_certificate()
    path = folder / "client.pfx"
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"loader", key, certificate, None, _encryption(password)))
    return path


def pem(folder: Path, password: bytes | None = None, elliptic: bool = False) -> Path:
    key, certificate = client_certificate(elliptic)
    encoding, encryption = serialization.Encoding.PEM, _encryption(password)
    path = folder / "client.pem"
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, encryption) + certificate.public_bytes(encoding)
    )
    return path


def _encryption(password: bytes | None) -> serialization.KeySerializationEncryption:
    return serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()


@pytest.mark.parametrize("mode", ["client_secret", "pem", "pem with password", "pfx", "device_code", "token"])
def test_every_way_to_sign_in_works_and_tells_nobody(secure: Handful, tmp_path: Path, mode: str) -> None:
    token = secure.crm.token_for(None)
    secure.settings["CRM_AUTH"] = "certificate" if mode.startswith("p") else mode
    secure.settings.update(
        {
            "pem": lambda: {"CRM_CERTIFICATE": str(pem(tmp_path))},
            "pem with password": lambda: {
                "CRM_CERTIFICATE": str(pem(tmp_path, PASSWORD.encode())),
                "CRM_CERTIFICATE_PASSWORD": PASSWORD,
            },
            "pfx": lambda: {
                "CRM_CERTIFICATE": str(pfx(tmp_path, PASSWORD.encode())),
                "CRM_CERTIFICATE_PASSWORD": PASSWORD,
            },
            "token": lambda: {"CRM_ACCESS_TOKEN": f"{token}\n"},
        }.get(mode, dict)()
    )
    plan = tmp_path / "a.plan"
    runs = [
        secure.loader("plan", "-v", "--out", str(plan), json_output=False),
        secure.loader("push", "-v", "--log-format", "json"),
        secure.loader("status"),
    ]
    if mode == "client_secret":
        runs += [secure.loader("check", "-v"), secure.loader("explain", NEW[0], json_output=False)]
    assert [run.exit_code for run in runs] == [0, 3, 0, 0, 0][: len(runs)], [run.stdout + run.stderr for run in runs]
    secure.assert_crm_holds_what_is_staged()
    assert_told_nobody(secure, *runs, files=(plan,))


def test_a_token_that_expires_in_the_middle_is_renewed(secure: Handful) -> None:
    secure.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="3")
    expiries = [secure.crm.faults.expire_token(1, kind="write", skip=skip) for skip in (1, 4)]
    asked = secure.crm.tokens.requests
    ended = secure.push()
    assert (ended.exit_code, ended.orders["failed"]) == (3, 0), ended.stdout
    assert [expiry.fired for expiry in expiries] == [1, 1]
    assert secure.crm.tokens.requests - asked <= 4
    secure.assert_in_sync()
    assert_told_nobody(secure, ended)


def test_tokens_that_live_a_second_are_renewed_before_they_end(secure: Handful) -> None:
    secure.crm.tokens.lifetime = 1
    secure.crm.faults.latency(0.12)
    secure.settings.update(CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1")
    ended = secure.push()
    assert (ended.exit_code, ended.orders["failed"]) == (3, 0), ended.stdout
    assert secure.crm.tokens.requests >= 3
    assert 401 not in {request.status for request in secure.crm.requests}
    secure.crm.faults.clear()
    secure.assert_in_sync()


def test_a_token_of_ones_own_that_expires_ends_the_run(secure: Handful) -> None:
    secure.settings.update(
        CRM_AUTH="token", CRM_ACCESS_TOKEN=secure.crm.token_for(None), CRM_BATCH_SIZE="1", CRM_CONCURRENCY="1"
    )
    secure.crm.faults.expire_token(1, kind="write", skip=2)
    ended = secure.push()
    assert (ended.exit_code, ended.error["code"]) == (6, "access_refused")
    assert "credentials" in ended.error["remedy"]
    assert ended.orders["created"] + ended.orders["updated"] == 2
    assert ended.orders["failed"] == len(GOING) - 2
    secure.assert_adds_up(ended)
    assert_told_nobody(secure, ended)
    secure.settings["CRM_ACCESS_TOKEN"] = secure.crm.token_for(None)
    secure.push()
    secure.assert_in_sync()


REFUSED = {
    "wrong secret": {"CRM_CLIENT_SECRET": SECRET + "x"},
    "unknown application": {"CRM_CLIENT_ID": "11111111-0000-4000-8000-00000000c11e"},
    "wrong token": {"CRM_AUTH": "token", "CRM_ACCESS_TOKEN": SECRET},
    "wrong password": {"CRM_AUTH": "ntlm", "CRM_USER": r"CONTOSO\loader", "CRM_PASSWORD": SECRET},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_credentials_are_told_from_an_outage_and_not_shown(secure: Handful, case: str) -> None:
    secure.settings.update(REFUSED[case])
    runs = [secure.loader(command, "-v") for command in ("check", "push")]
    assert [(run.exit_code, run.error["code"]) for run in runs] == [(6, "access_refused")] * 2, runs[0].stdout
    assert all(run.error["remedy"] for run in runs)
    assert_told_nobody(secure, *runs)


def test_an_application_that_is_no_user_of_the_organisation_is_refused(secure: Handful) -> None:
    stranger = "22222222-0000-4000-8000-00000000c11e"
    secure.crm.tokens.secrets = {CLIENT: SECRET, stranger: SECRET}
    secure.crm.tokens.user_of = lambda client: None
    secure.settings["CRM_CLIENT_ID"] = stranger
    ended = secure.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (6, "access_refused")


@pytest.mark.parametrize("mode", ["client_secret", "token"])
@pytest.mark.parametrize("bundle", ["none", "another authority"])
def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    secure: Handful, tmp_path: Path, mode: str, bundle: str
) -> None:
    secure.settings.update(CRM_AUTH=mode, CRM_ACCESS_TOKEN=secure.crm.token_for(None))
    if bundle == "none":
        del secure.settings["CRM_CA_BUNDLE"]
    else:
        (tmp_path / "other").mkdir()
        secure.settings["CRM_CA_BUNDLE"] = str(make(tmp_path / "other").authority)
    ended = secure.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable"), ended.stdout
    assert "CRM_CA_BUNDLE" in ended.error["remedy"]
    assert secure.crm.requests == []
    assert secure.crm.tokens.requests == 0
    assert_told_nobody(secure, ended)


def test_a_login_service_that_is_out_of_reach_is_an_outage(secure: Handful) -> None:
    secure.settings["CRM_AUTHORITY"] = "https://localhost:9"
    ended = secure.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable"), ended.stdout
    assert "CRM_AUTHORITY" in ended.error["remedy"]
    assert_told_nobody(secure, ended)


UNUSABLE = {
    "wrong password": lambda folder: (pfx(folder, b"another"), "CRM_CERTIFICATE_PASSWORD"),
    "encrypted pem": lambda folder: (pem(folder, b"another"), "CRM_CERTIFICATE_PASSWORD"),
    "elliptic key": lambda folder: (pem(folder, elliptic=True), "RSA"),
    "neither pem nor pfx": lambda folder: (Path(__file__), "needs both"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_certificate_that_cannot_be_used_says_why(secure: Handful, tmp_path: Path, case: str) -> None:
    path, remedy = UNUSABLE[case](tmp_path)
    secure.settings.update(CRM_AUTH="certificate", CRM_CERTIFICATE=str(path), CRM_CERTIFICATE_PASSWORD=PASSWORD)
    ended = secure.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (2, "usage"), ended.stdout
    assert str(path) in ended.error["message"]
    assert remedy in ended.error["remedy"]
    assert secure.crm.tokens.requests == 0


OF_LOGIN = '{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid: {request}"}'
OF_CRM = '{"error": {"code": "0x80040265", "message": "refused: {request}"}}'
JSON = {"Content-Type": "application/json"}
NOT_JSON = "<html><pre>" + "x" * 150 + "{request}</pre></html>"
ECHOES: dict[str, dict[str, Any]] = {
    "login, page": {"kind": "login", "status": 503, "body": NOT_JSON},
    "login, refusal": {"kind": "login", "status": 401, "body": OF_LOGIN, "headers": JSON, "path": "token"},
    "login, page with 200": {"kind": "login", "body": NOT_JSON, "path": "token"},
    "read, page": {"kind": "read", "status": 502, "body": NOT_JSON},
    "read, page with 200": {"kind": "read", "body": NOT_JSON},
    "read, refusal": {"kind": "read", "status": 400, "body": OF_CRM, "headers": JSON},
    "read, forbidden": {"kind": "read", "status": 403, "body": OF_CRM, "headers": JSON},
    "write, page": {"kind": "write", "status": 400, "body": NOT_JSON},
    "write, page with 200": {"kind": "write", "body": NOT_JSON},
    "write, refusal": {"kind": "write", "status": 400, "body": OF_CRM, "headers": JSON},
    "write, lost": {"kind": "write", "status": 500, "body": OF_CRM, "headers": JSON},
    "write, multipart": {
        "kind": "write",
        "body": "--b\r\n\r\n{request}\r\n--b--",
        "headers": {"Content-Type": "multipart/mixed; boundary=b"},
    },
}


@pytest.mark.parametrize(("where", "log_format"), some_pairs(ECHOES, ["text", "json"], 2))
def test_a_server_that_writes_back_what_it_was_sent_tells_nobody(
    secure: Handful, waits: list[float], tmp_path: Path, where: str, log_format: str
) -> None:
    fault = secure.crm.faults.page(None, echo=True, **ECHOES[where])
    plan = tmp_path / "a.plan"
    runs = [
        secure.loader("push", "-v", "--log-format", log_format),
        secure.loader("plan", "-v", "--out", str(plan), json_output=False),
        secure.loader("check", "-v", json_output=False),
        secure.loader("push", "-v", json_output=False),
    ]
    assert fault.fired
    assert runs[0].exit_code in (1, 3, 5, 6)
    assert not any("Traceback" in run.stderr for run in runs)
    secure.crm.faults.clear()
    runs += [
        secure.loader("status", json_output=False),
        secure.loader("status", "--run", runs[0].data["run_id"]) if runs[0].envelope.get("data") else runs[0],
        secure.loader("retry", "list"),
        secure.loader("report", "--out", str(tmp_path / "report.html")),
    ]
    assert_told_nobody(secure, *runs, files=tuple(tmp_path.iterdir()))


@pytest.mark.parametrize("url", ["http://crm.example", "http://192.168.7.7/contoso", "http://localhost.example"])
def test_plain_http_is_for_this_machine_alone(handful: Handful, url: str) -> None:
    handful.settings["CRM_URL"] = url
    ended = handful.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (2, "usage")
    assert "https" in ended.error["remedy"]
    assert_told_nobody(handful, ended)


@pytest.mark.parametrize("token", ["two words", "Bearer abc", "abc\ndef", "abc…", "äöü"])
def test_a_token_that_is_none_is_refused_unseen(handful: Handful, token: str) -> None:
    handful.settings["CRM_ACCESS_TOKEN"] = token
    ended = handful.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (2, "usage")
    assert token not in ended.stdout + ended.stderr
    assert handful.crm.requests == []


class Elsewhere:
    """A server that is not CRM and writes down who sent it credentials."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append(self.headers.get("Authorization"))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(outer.answer)

            def log_message(self, *_: object) -> None:
                pass

            do_POST = do_GET

        self.answer = b"<html>Sign in</html>"
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_a_link_of_crms_to_another_host_is_not_followed_there(handful: Handful, elsewhere: Elsewhere) -> None:
    """A next page whose address a proxy did not translate; it is asked of CRM_URL."""
    handful.push()
    for number in range(3):
        handful.crm.insert("account", {"name": f"A {number}", "accountnumber": f"A{number}"})
    own, handful.crm.url = handful.crm.url, elsewhere.url
    handful.settings["CRM_URL"] = own
    with handful.run() as run:
        paged = run.client._session()
        paged.headers["Prefer"] = "odata.maxpagesize=5"
        pages = list(run.client.pages("accounts?$select=accountnumber"))
    handful.crm.url = own
    assert len(pages) > 3
    assert sum(map(len, pages)) == len(handful.crm.rows("account"))
    assert elsewhere.seen == []


def test_a_page_that_is_not_crms_is_named_as_such(handful: Handful, elsewhere: Elsewhere) -> None:
    handful.settings["CRM_URL"] = elsewhere.url
    ended = handful.loader("push")
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable")
    assert "<html>Sign in" in ended.error["message"]
    assert "CRM_URL" in ended.error["remedy"]
    assert_told_nobody(handful, ended)
