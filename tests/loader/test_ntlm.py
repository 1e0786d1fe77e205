"""Windows credentials against a server that really speaks NTLM, with TLS channel binding."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import spnego

from emulator import certificates
from loader.dataverse.auth import Ntlm
from loader.dataverse.client import Client
from loader.errors import AccessRefused

PAGE = b"<html>401 - Unauthorized</html>"


class Handler(BaseHTTPRequestHandler):
    """NTLM signs in connections, not requests."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)

    def do_GET(self) -> None:
        if self.context.complete:
            self._answer(200, json.dumps({"UserId": str(self.context.client_principal)}).encode())
            return
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        answer = None
        if kind == "NTLM":
            try:
                answer = self.context.step(base64.b64decode(token))
            except spnego.exceptions.SpnegoError:
                self.context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
        if self.context.complete:
            self.do_GET()
        else:
            challenge = f"NTLM {base64.b64encode(answer).decode()}" if answer else "NTLM"
            self._answer(401, PAGE, challenge)

    def _answer(self, status: int, body: bytes, challenge: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["http", "https"])
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    users = tmp_path / "users"
    users.write_text("CONTOSO:loader:pass word\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    files = certificates.make(tmp_path)
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if request.param == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        running.socket = context.wrap_socket(running.socket, server_side=True)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"{request.param}://localhost:{running.server_port}", str(files.authority)
    running.shutdown()
    running.server_close()


def test_windows_credentials_sign_in(server: tuple[str, str]) -> None:
    url, authority = server
    client = Client(url, Ntlm(r"CONTOSO\loader", "pass word"), ca_bundle=authority)
    assert [client.get("WhoAmI")["UserId"] for _ in range(2)] == [r"CONTOSO\loader"] * 2


def test_wrong_windows_credentials_are_refused(server: tuple[str, str]) -> None:
    url, authority = server
    with pytest.raises(AccessRefused):
        Client(url, Ntlm(r"CONTOSO\loader", "wrong"), ca_bundle=authority).get("WhoAmI")
