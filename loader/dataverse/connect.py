"""Makes a client from the settings."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

from loader.dataverse import auth
from loader.dataverse.client import Auth, Client
from loader.dataverse.http import LARGEST_REPLY
from loader.dataverse.pace import Patience, Stop
from loader.errors import UsageError
from loader.secrets import Secret
from loader.settings import Settings


def connect_crm(settings: Settings, stop: threading.Event | None = None, largest_reply: int = LARGEST_REPLY) -> Client:
    """Sends nothing yet. Wrong credentials are noticed at the first request."""
    return Client(
        settings.crm_url,
        _auth(settings),
        api_version=settings.api_version,
        timeout=settings.timeout,
        concurrency=settings.concurrency,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        largest_reply=largest_reply,
        patience=Patience(stop or Stop(), settings.max_wait),
    )


def _auth(settings: Settings) -> Auth:
    verify = str(settings.ca_bundle) if settings.ca_bundle else None
    if settings.auth == "token":
        return auth.static_token(_revealed(settings.access_token))
    if settings.auth == "ntlm":
        return auth.Ntlm(settings.user or "", _revealed(settings.password))
    parts = urlsplit(settings.crm_url)
    scope = f"{parts.scheme}://{parts.netloc}/.default"
    authority = f"{settings.authority.rstrip('/')}/{settings.tenant_id}"
    client_id = settings.client_id or ""
    if settings.auth == "client_secret":
        return auth.client_secret(scope, authority, client_id, _revealed(settings.client_secret), verify)
    if settings.auth == "device_code":
        return auth.device_code(scope, authority, client_id, verify)
    if settings.auth == "certificate" and settings.certificate:
        password = settings.certificate_password.reveal() if settings.certificate_password else None
        return auth.certificate(scope, authority, client_id, settings.certificate, password, verify)
    raise UsageError(f"CRM_AUTH is {settings.auth!r}.", "Use client_secret, certificate, device_code, token or ntlm.")


def _revealed(secret: Secret | None) -> str:
    return secret.reveal() if secret else ""
