"""Credentials for the Web API (dataverse facts 5). Tokens live in memory only and are renewed before they expire."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from loader.dataverse.client import Auth
from loader.errors import AccessRefused, UsageError

_RENEW_EARLY = 300.0
"""Seconds before a token's end at which it is replaced."""


class Bearer(requests.auth.AuthBase):
    """OAuth bearer tokens out of `fetch`, which returns (token, lifetime in seconds; None for unknown)."""

    def __init__(self, fetch: Callable[[], tuple[str, float | None]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def sign(self, session: requests.Session) -> requests.auth.AuthBase:
        return self

    def renew(self) -> None:
        with self._lock:
            self._token = ""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._current()}"
        return request

    def _current(self) -> str:
        with self._lock:
            if not self._token or time.monotonic() >= self._good_until:
                self._token, lifetime = self._fetch()
                early = 0.0 if lifetime is None else min(_RENEW_EARLY, lifetime / 2)
                self._good_until = float("inf") if lifetime is None else time.monotonic() + lifetime - early
            return self._token


class Ntlm:
    """Windows credentials for on-premises 9.x; needs the `ntlm` extra."""

    def __init__(self, user: str, password: str) -> None:
        self._user, self._password = user, password

    def sign(self, session: requests.Session) -> requests.auth.AuthBase:
        try:
            from requests_ntlm import HttpNtlmAuth
        except ImportError:
            raise UsageError("CRM_AUTH=ntlm needs the ntlm extra.", "pip install 'gp-to-crm[ntlm]'") from None
        auth: requests.auth.AuthBase = HttpNtlmAuth(self._user, self._password)
        return auth

    def renew(self) -> None:
        """Every request carries the password; there is nothing to renew."""


def static_token(token: str) -> Auth:
    return Bearer(lambda: (token, None))


def client_secret(scope: str, authority: str, client_id: str, secret: str, verify: str | None) -> Auth:
    return _confidential(scope, authority, client_id, secret, verify)


def certificate(
    scope: str, authority: str, client_id: str, path: Path, password: str | None, verify: str | None
) -> Auth:
    """`path` is a PEM file with the private key and the certificate, or a PFX file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"CRM_CERTIFICATE {path} cannot be read: {error.strerror}", "Name a PEM or PFX file."
        ) from None
    credential: dict[str, Any]
    if content.lstrip().startswith(b"-----BEGIN"):
        text = content.decode()
        credential = {"private_key": text, "public_certificate": text, "thumbprint": _thumbprint(text)}
    else:
        credential = {"private_key_pfx_path": str(path)}
    if password:
        credential["passphrase"] = password
    return _confidential(scope, authority, client_id, credential, verify)


def device_code(scope: str, authority: str, client_id: str, verify: str | None) -> Auth:
    """Asks the person at the terminal to sign in; renewed by its refresh token afterwards."""
    import msal

    app = _msal(lambda: msal.PublicClientApplication(client_id, authority=authority, verify=verify or True))

    def fetch() -> tuple[str, float | None]:
        for account in app.get_accounts():
            answer = app.acquire_token_silent([scope], account=account)
            if answer and "access_token" in answer:
                return _token(answer)
        flow = app.initiate_device_flow(scopes=[scope])
        if "message" not in flow:
            raise AccessRefused(f"Signing in failed: {_text(flow)}", "Check CRM_CLIENT_ID and CRM_TENANT_ID.")
        print(flow["message"], file=sys.stderr, flush=True)
        return _token(app.acquire_token_by_device_flow(flow))

    return Bearer(fetch)


def _confidential(scope: str, authority: str, client_id: str, credential: object, verify: str | None) -> Auth:
    import msal

    app: Any = None

    def fetch() -> tuple[str, float | None]:
        nonlocal app
        app = app or _msal(
            lambda: msal.ConfidentialClientApplication(
                client_id, authority=authority, client_credential=credential, verify=verify or True
            )
        )
        app.remove_tokens_for_client()
        return _token(_msal(lambda: app.acquire_token_for_client(scopes=[scope])))

    return Bearer(fetch)


def _msal(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except requests.RequestException as error:
        raise AccessRefused(
            f"The login service cannot be reached: {error}", "Check CRM_AUTHORITY and the network."
        ) from error
    except ValueError as error:
        raise AccessRefused(
            f"The login service did not accept the tenant: {error}", "Check CRM_TENANT_ID and CRM_AUTHORITY."
        ) from error


def _token(answer: Mapping[str, Any]) -> tuple[str, float | None]:
    if "access_token" not in answer:
        raise AccessRefused(
            f"The login service refused the credentials: {_text(answer)}",
            "Check CRM_CLIENT_ID and the secret or certificate; an expired secret is renewed in Entra ID.",
        )
    return answer["access_token"], float(answer.get("expires_in", 3600))


def _text(answer: Mapping[str, Any]) -> str:
    description = str(answer.get("error_description") or answer.get("error") or "no reason given")
    return description.splitlines()[0]


def _thumbprint(pem: str) -> str:
    """SHA-1 of the DER certificate, in hexadecimal, as MSAL wants it."""
    import base64
    import hashlib

    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in pem:
        raise UsageError(
            "CRM_CERTIFICATE holds no certificate.", "The PEM file needs the private key and the certificate."
        )
    der = base64.b64decode("".join(pem.split(begin)[1].split(end)[0].split()))
    return hashlib.sha1(der).hexdigest()
