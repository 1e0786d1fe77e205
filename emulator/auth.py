"""Bearer tokens, and a token endpoint like Entra ID's."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from secrets import token_urlsafe
from uuid import uuid4

Json = dict[str, object]


@dataclass
class Token:
    user: str
    expires: float


class OAuthError(Exception):
    """A refusal of the token endpoint, shaped as Entra ID's. `description` begins with the AADSTS code."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description

    def body(self) -> Json:
        code = re.match(r"AADSTS(\d+)", self.description)
        trace, correlation, now = uuid4(), uuid4(), datetime.now(timezone.utc)
        return {
            "error": self.error,
            "error_description": f"{self.description} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {now:%Y-%m-%d %H:%M:%SZ}",
            "error_codes": [int(code[1])] if code else [],
            "timestamp": f"{now:%Y-%m-%d %H:%M:%SZ}",
            "trace_id": str(trace),
            "correlation_id": str(correlation),
            **({"error_uri": f"https://login.microsoftonline.com/error?code={code[1]}"} if code else {}),
        }


def throttled() -> OAuthError:
    text = "AADSTS90055: The server has terminated the request because of excessive request rate."
    return OAuthError(429, "temporarily_unavailable", text)


def unavailable() -> OAuthError:
    return OAuthError(503, "temporarily_unavailable", "AADSTS90033: A transient error has occurred. Please try again.")


@dataclass
class DeviceLogin:
    client: str
    approved: bool = False
    polls: int = 0


@dataclass
class Tokens:
    """Issues tokens and knows which are valid. `user_of` finds the application user of a client id."""

    user_of: Callable[[str], str | None]
    secrets: Mapping[str, str]
    lifetime: float = 3599
    clock: Callable[[], float] = time.monotonic
    issued: dict[str, Token] = field(default_factory=dict)
    logins: dict[str, DeviceLogin] = field(default_factory=dict)
    requests: int = 0

    def issue(self, user: str, lifetime: float | None = None) -> str:
        token = token_urlsafe(24)
        self.issued[token] = Token(user, self.clock() + (self.lifetime if lifetime is None else lifetime))
        return token

    def user(self, header: str | None) -> str | None:
        """The user of an `Authorization` header; None if it is missing, unknown or expired."""
        kind, _, token = (header or "").partition(" ")
        known = self.issued.get(token.strip())
        if kind.lower() != "bearer" or known is None or known.expires <= self.clock():
            return None
        return known.user

    def expire_all(self) -> None:
        """Makes all tokens that were issued until now invalid."""
        for token in self.issued.values():
            token.expires = self.clock()

    # ------------------------------------------------ the endpoint

    def grant(self, form: Mapping[str, str]) -> Json:
        """Answer a form posted to `/{tenant}/oauth2/v2.0/token`."""
        self.requests += 1
        client = form.get("client_id", "")
        kind = form.get("grant_type", "")
        if kind == "client_credentials":
            self._check_client(client, form)
            return self._token(client)
        if kind in ("urn:ietf:params:oauth:grant-type:device_code", "device_code"):
            return self._device_token(form)
        if kind == "refresh_token" and form.get("refresh_token", "").startswith("refresh."):
            return self._token(client)
        raise OAuthError(400, "unsupported_grant_type", f"AADSTS70003: The grant type '{kind}' is not supported.")

    def _check_client(self, client: str, form: Mapping[str, str]) -> None:
        if not form.get("scope", "").endswith("/.default"):
            raise OAuthError(
                400,
                "invalid_scope",
                "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have a scope "
                "value with /.default suffixed to the resource identifier.",
            )
        if client not in self.secrets:
            raise OAuthError(
                400,
                "unauthorized_client",
                f"AADSTS700016: Application with identifier '{client}' was not found in the directory 'Contoso'. "
                "This can happen if the application has not been installed by the administrator of the tenant or "
                "consented to by any user in the tenant.",
            )
        if "client_assertion" in form:
            if _claims(form["client_assertion"]).get("iss") != client:
                raise OAuthError(401, "invalid_client", "AADSTS700027: Client assertion failed signature validation.")
        elif form.get("client_secret") != self.secrets[client]:
            raise OAuthError(
                401,
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the "
                f"client secret value, not the client secret ID, for a secret added to app '{client}'.",
            )

    def _token(self, client: str, user: str | None = None) -> Json:
        # An application that is not a user of the organisation gets a token all the same. CRM refuses it.
        token = self.issue(user or self.user_of(client) or f"unknown:{client}")
        lifetime = int(self.lifetime)
        return {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}

    def start_device_login(self, form: Mapping[str, str], url: str) -> Json:
        code = token_urlsafe(16)
        self.logins[code] = DeviceLogin(form.get("client_id", ""))
        return {
            "device_code": code,
            "user_code": code[:8].upper(),
            "verification_uri": f"{url}/device",
            "expires_in": 900,
            "interval": 1,
            "message": f"To sign in, open {url}/device and enter the code {code[:8].upper()}.",
        }

    def _device_token(self, form: Mapping[str, str]) -> Json:
        """The login counts as approved when it is asked about for the second time."""
        login = self.logins.get(form.get("device_code", ""))
        if login is None:
            raise OAuthError(400, "bad_verification_code", "The device code is not known.")
        login.polls += 1
        if login.polls < 2 and not login.approved:
            raise OAuthError(400, "authorization_pending", "AADSTS70016: Authorization is pending.")
        answer = self._token(login.client)
        answer["refresh_token"] = f"refresh.{uuid4()}"
        return answer


def _claims(assertion: str) -> Json:
    try:
        middle = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}


def openid_configuration(url: str, tenant: str) -> Json:
    base = f"{url}/{tenant}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
    }
