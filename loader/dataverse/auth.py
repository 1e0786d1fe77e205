"""Credentials for the Web API (docs/dataverse.md, "Signing in").

Tokens are kept in memory only and renewed before they expire.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from loader.dataverse.client import ATTEMPTS, CERTIFICATE_REMEDY, FIRST_CONTACT, Auth, never_sent, root_cause
from loader.dataverse.errors import retry_after
from loader.dataverse.http import Session
from loader.dataverse.pace import Patience, backoff
from loader.errors import AccessRefused, CrmUnavailable, LoaderError, UsageError
from loader.secrets import Secret, excerpt, redact
from loader.visible import visible

_RENEW_EARLY = 300.0
"""How many seconds before its end a token is replaced."""
_TRY_AGAIN = 30.0
"""Seconds until the next attempt to replace a token that is still good."""
_LOGIN_TIMEOUT = 30.0


class Bearer(requests.auth.AuthBase):
    """OAuth bearer tokens from `fetch`, which returns (token, lifetime in seconds or None if unknown).

    `fetch` takes how long it may wait between attempts, and how many attempts it may make.
    """

    def __init__(self, fetch: Callable[[Patience, int], tuple[str, float | None]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._tokens: deque[Secret] = deque(maxlen=20)
        """The last one is used. A server may still repeat one of the others in an error page."""
        self._renew_at = self._ends = 0.0
        self._failure: tuple[float, LoaderError] | None = None

    def sign(self, session: requests.Session) -> requests.auth.AuthBase:
        return self

    def renew(self, refused: str) -> bool:
        """Returns False if another thread was already refused with this token: it gets a new one."""
        with self._lock:
            is_first = refused == self._header and self._ends > 0
            if is_first:
                self._renew_at = self._ends = 0.0
            return is_first

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request

    @property
    def _header(self) -> str:
        return f"Bearer {self._tokens[-1].reveal()}"

    def ready(self, patience: Patience) -> None:
        """Ensures that there is a valid token. If one thread's attempt fails, so do the threads that waited for it."""
        asked = time.monotonic()
        with self._lock:
            if time.monotonic() < self._renew_at:
                return
            if self._failure and self._failure[0] >= asked:
                raise self._failure[1]
            is_good = time.monotonic() < self._ends
            try:
                token, lifetime = self._fetch(patience, 1 if is_good else ATTEMPTS)
            except LoaderError as error:
                if is_good and isinstance(error, CrmUnavailable):
                    self._renew_at = min(self._ends, time.monotonic() + _TRY_AGAIN)
                    return
                self._failure = time.monotonic(), error
                raise
            self._tokens.append(Secret(token))
            self._ends = float("inf") if lifetime is None else time.monotonic() + lifetime
            self._renew_at = self._ends - (0.0 if lifetime is None else min(_RENEW_EARLY, lifetime / 2))


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

    def ready(self, patience: Patience) -> None:
        """Does nothing: every request carries the password, so nothing has to be obtained or renewed."""

    def renew(self, refused: str) -> bool:
        """See `ready`."""
        return True


def static_token(token: str) -> Auth:
    return Bearer(lambda patience, attempts: (token, None))


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
    """Key and certificate in the form that MSAL expects. Raises UsageError for a key that Entra ID cannot use."""
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
            f"CRM_CERTIFICATE {path} holds no RSA key with its certificate.", "Entra ID accepts only RSA keys."
        )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "private_key": private.decode(),
        "public_certificate": first.public_bytes(pem).decode(),
        "thumbprint": first.fingerprint(hashes.SHA1()).hex(),  # identifies the certificate, proves nothing
    }


def device_code(scope: str, authority: str, client_id: str, verify: str | None) -> Auth:
    """Asks the person at the terminal to sign in. Later tokens come from the refresh token."""
    import msal

    login = _LoginSession(authority, verify)
    app: Any = None

    def sign_in() -> Mapping[str, Any]:
        nonlocal app
        app = app or msal.PublicClientApplication(
            client_id, authority=authority, http_client=login, instance_discovery=False
        )
        for account in app.get_accounts():
            answer: Mapping[str, Any] | None = app.acquire_token_silent([scope], account=account)
            if answer and "access_token" in answer:
                return answer
        flow = app.initiate_device_flow(scopes=[scope])
        if "message" not in flow:
            raise AccessRefused(f"Signing in failed: {_text(flow)}", "Check CRM_CLIENT_ID and CRM_TENANT_ID.")
        print(visible(str(flow["message"])), file=sys.stderr, flush=True)
        granted: Mapping[str, Any] = app.acquire_token_by_device_flow(flow)
        return granted

    return Bearer(lambda patience, attempts: login.token(sign_in, patience, attempts))


def _confidential(scope: str, authority: str, client_id: str, credential: object, verify: str | None) -> Auth:
    import msal

    login = _LoginSession(authority, verify)
    app: Any = None

    def sign_in() -> Mapping[str, Any]:
        nonlocal app
        # No instance discovery: Microsoft's directory of login hosts does not know a private CRM_AUTHORITY.
        app = app or msal.ConfidentialClientApplication(
            client_id,
            authority=authority,
            client_credential=credential,
            http_client=login,
            instance_discovery=False,
        )
        app.remove_tokens_for_client()
        granted: Mapping[str, Any] = app.acquire_token_for_client(scopes=[scope])
        return granted

    return Bearer(lambda patience, attempts: login.token(sign_in, patience, attempts))


class _LoginSession(Session):
    """The HTTP session by which MSAL reaches the login service at `authority`. It retries, and contacts no other host.

    MSAL itself would take a proxy's page or a 429 for an answer, and would follow every redirect.
    """

    def __init__(self, authority: str, verify: str | None) -> None:
        super().__init__(_LOGIN_TIMEOUT)
        self._authority = urlsplit(authority)
        self._verify = verify
        self._patience, self._attempts = Patience(), 1
        self._was_met = False
        self._told: deque[Secret] = deque(maxlen=40)
        """Refresh tokens and signed assertions. Like the tokens themselves, they must not appear in messages."""

    def token(
        self, sign_in: Callable[[], Mapping[str, Any]], patience: Patience, attempts: int
    ) -> tuple[str, float | None]:
        """The token that `sign_in` obtains through this session, and its lifetime in seconds."""
        self._patience, self._attempts = patience, attempts
        try:
            answer = sign_in()
        except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
            raise self._out_of_reach(f"MSAL does not understand its answer ({root_cause(error)})") from error
        if "access_token" not in answer:
            raise AccessRefused(
                f"The login service refused the credentials: {_text(answer)}",
                "Check CRM_CLIENT_ID and the secret or certificate; an expired secret is renewed in Entra ID.",
            )
        return str(answer["access_token"]), float(answer.get("expires_in", 3600))

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Retries after temporary failures. Raises CrmUnavailable if they last, AccessRefused for an unknown tenant."""
        url = str(options["url"] if "url" in options else arguments[1])
        self._refuse_elsewhere(url, "names")
        self._remember((options.get("data") or {}).get("client_assertion"))
        # REQUESTS_CA_BUNDLE would override a `verify` that is set only on the session.
        options = {**options, "verify": self._verify}
        failure = "no answer"
        for attempt in range(self._attempts):
            wait = None
            try:
                response = super().request(*arguments, **options)
            except requests.exceptions.SSLError as error:
                raise CrmUnavailable(
                    f"The login service's certificate was not accepted: {root_cause(error)}", CERTIFICATE_REMEDY
                ) from error
            except requests.RequestException as error:
                failure = root_cause(error)
                if not self._was_met and never_sent(error) and attempt + 1 >= FIRST_CONTACT:
                    break
            else:
                self._was_met = True
                if 300 <= response.status_code < 400:
                    self._refuse_elsewhere(response.headers.get("Location", ""), "redirects to")
                answer, failure = _answer(response), _described(response)
                if answer is not None:
                    self._remember(*(answer.get(name) for name in ("access_token", "refresh_token", "id_token")))
                    if url.endswith("/.well-known/openid-configuration") and response.status_code >= 400:
                        raise AccessRefused(
                            f"The login service did not accept the tenant: {_text(answer)}",
                            "Check CRM_TENANT_ID and CRM_AUTHORITY.",
                        )
                    return response
                wait = retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
            if attempt + 1 < self._attempts:
                self._patience.wait(backoff(attempt) if wait is None else wait)
        raise self._out_of_reach(failure)

    def _refuse_elsewhere(self, url: str, how: str) -> None:
        """Allows only CRM_AUTHORITY's host, over https. Microsoft's own login hosts may refer to each other."""
        from msal.authority import WELL_KNOWN_AUTHORITY_HOSTS as OF_MICROSOFT

        own, other = self._authority, urlsplit(url)
        is_own = (own.hostname, own.port or 443) == (other.hostname, other.port or 443)
        is_known = is_own or {own.hostname, other.hostname} <= OF_MICROSOFT
        if how == "names" and other.scheme == "https" and is_known:
            return
        raise CrmUnavailable(
            f"The login service at {own.netloc} {how} {redact(url)[:200]!r}, where the credentials are not sent.",
            "Set CRM_AUTHORITY to the address of the login service itself. A proxy or the network's sign-in page may "
            "also be answering in its place.",
        )

    def _remember(self, *values: object) -> None:
        self._told.extend(Secret(value) for value in values if isinstance(value, str))

    def _out_of_reach(self, failure: str) -> CrmUnavailable:
        return CrmUnavailable(
            f"The login service at {self._authority.netloc} cannot be reached or gives no valid answer: {failure}",
            "Check CRM_AUTHORITY, the network and the service's health, and run again later.",
        )


_PROMISED = ("access_token", "device_code", "token_endpoint")
"""A successful answer has one of these: that of the token endpoint, of the device login, or of the discovery."""
_PASSING = ("temporarily_unavailable", "server_error")


def _answer(response: requests.Response) -> Mapping[str, Any] | None:
    """The login service's answer, whether yes or no; None if it is out of order or another server answers."""
    if response.status_code == 429 or response.status_code >= 500:
        return None
    try:
        content = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("error") in _PASSING:
        return None
    if response.status_code >= 400:
        return content if isinstance(content.get("error"), str) else None
    promised = next((content[name] for name in _PROMISED if name in content), None)
    if not isinstance(promised, str) or not promised:
        return None
    return content if re.fullmatch("[0-9]{1,9}", str(content.get("expires_in", 0)), re.ASCII) else None


def _described(response: requests.Response) -> str:
    text = " ".join(excerpt(response.content, 200).split())
    return f"HTTP {response.status_code}" + (f", {text}" if text else "")


def _text(answer: Mapping[str, Any]) -> str:
    description = str(answer.get("error_description") or answer.get("error") or "no reason given")
    return (description.splitlines() or [""])[0]
