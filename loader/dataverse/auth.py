"""Credentials for the Web API (dataverse facts 5). Tokens live in memory only and are renewed before they expire."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests

from loader.dataverse.client import CERTIFICATE_REMEDY, Auth, root_cause
from loader.errors import AccessRefused, CrmUnavailable, UsageError

_RENEW_EARLY = 300.0
"""Seconds before a token's end at which it is replaced."""
_LOGIN_TIMEOUT = 30.0


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
    return _confidential(scope, authority, client_id, _certificate(content, password, path), verify)


def _certificate(content: bytes, password: str | None, path: Path) -> dict[str, str]:
    """Key and certificate as MSAL wants them. Raises UsageError for what Entra ID could not use."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import pkcs12

    secret = password.encode() if password else None
    try:
        if content.lstrip().startswith(b"-----BEGIN"):
            is_encrypted = b"ENCRYPTED" in content
            key: object = serialization.load_pem_private_key(content, secret if is_encrypted else None)
            first = next(iter(x509.load_pem_x509_certificates(content)), None)
        else:
            key, first, _ = pkcs12.load_key_and_certificates(content, secret)
    except (ValueError, TypeError):
        raise UsageError(
            f"CRM_CERTIFICATE {path} cannot be opened as PEM or PFX with private key and certificate.",
            "The file needs both; if it has a password, set CRM_CERTIFICATE_PASSWORD.",
        ) from None
    if first is None or not isinstance(key, RSAPrivateKey):
        raise UsageError(
            f"CRM_CERTIFICATE {path} holds no RSA key with its certificate.", "Entra ID signs in with RSA keys alone."
        )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "private_key": private.decode(),
        "public_certificate": first.public_bytes(pem).decode(),
        "thumbprint": first.fingerprint(hashes.SHA1()).hex(),  # which certificate it is, no proof of anything
    }


def device_code(scope: str, authority: str, client_id: str, verify: str | None) -> Auth:
    """Asks the person at the terminal to sign in; renewed by its refresh token afterwards."""
    import msal

    app: Any = None

    def sign_in() -> Mapping[str, Any]:
        nonlocal app
        app = app or msal.PublicClientApplication(
            client_id, authority=authority, http_client=_LoginSession(verify), instance_discovery=False
        )
        for account in app.get_accounts():
            answer: Mapping[str, Any] | None = app.acquire_token_silent([scope], account=account)
            if answer and "access_token" in answer:
                return answer
        flow = app.initiate_device_flow(scopes=[scope])
        if "message" not in flow:
            raise AccessRefused(f"Signing in failed: {_text(flow)}", "Check CRM_CLIENT_ID and CRM_TENANT_ID.")
        print(flow["message"], file=sys.stderr, flush=True)
        granted: Mapping[str, Any] = app.acquire_token_by_device_flow(flow)
        return granted

    return Bearer(lambda: _token(_msal(sign_in)))


def _confidential(scope: str, authority: str, client_id: str, credential: object, verify: str | None) -> Auth:
    import msal

    app: Any = None

    def sign_in() -> Mapping[str, Any]:
        nonlocal app
        # CRM_AUTHORITY is asked itself: a private one is not known to Microsoft's directory of login hosts.
        app = app or msal.ConfidentialClientApplication(
            client_id,
            authority=authority,
            client_credential=credential,
            http_client=_LoginSession(verify),
            instance_discovery=False,
        )
        app.remove_tokens_for_client()
        granted: Mapping[str, Any] = app.acquire_token_for_client(scopes=[scope])
        return granted

    return Bearer(lambda: _token(_msal(sign_in)))


class _LoginSession(requests.Session):
    """MSAL's way to the login service. A `verify` of the session alone would give way to REQUESTS_CA_BUNDLE."""

    def __init__(self, verify: str | None) -> None:
        super().__init__()
        self._own_verify = verify

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options = {"timeout": _LOGIN_TIMEOUT, "verify": self._own_verify, **options}
        return super().request(*arguments, **options)


def _msal(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return call()
    except requests.exceptions.SSLError as error:
        raise CrmUnavailable(
            f"The login service's certificate was not accepted: {root_cause(error)}", CERTIFICATE_REMEDY
        ) from error
    except requests.RequestException as error:
        raise CrmUnavailable(
            f"The login service cannot be reached: {root_cause(error)}", "Check CRM_AUTHORITY and the network."
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
