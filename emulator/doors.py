"""Access control: checks of a request before anything is done for it.

The emulator runs on developers' machines, where any web page can send requests to loopback. A page cannot send a bearer
token that it does not know; it can name itself in the Host header (DNS rebinding), and it can post forms and plain text
without asking first (CSRF).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN_HEADER = "x-emulator-token"
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}


class Refused(Exception):
    """The request is refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> Response:
        return JSONResponse({"error": {"code": "refused", "message": self.message}}, self.status)


@dataclass(frozen=True)
class Control:
    """Who may use `/_emulator/…`: the holder of the token, from this machine unless `remote`.

    `folder` is where snapshots may be saved; without one, none are.
    """

    folder: Path | None = None
    remote: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def check(self, request: Request) -> None:
        """Raises Refused."""
        if not self.remote and not (request.client and _is_loopback(request.client.host)):
            raise Refused(403, "The emulator can only be controlled from its own machine.")
        origin = request.headers.get("origin")
        if origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host')}":
            raise Refused(403, f"The emulator is not controlled by pages of {origin}.")
        given = request.headers.get(TOKEN_HEADER, "")
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            raise Refused(401, f"The header {TOKEN_HEADER} lacks the token that the emulator named when it started.")

    def place(self, name: str) -> Path:
        """The path for a snapshot called `name`, which is always below the folder, even with `..` or symbolic links."""
        if self.folder is None:
            raise Refused(403, "The emulator was started without a folder to save snapshots in.")
        root = self.folder.resolve()
        wanted = root / name
        parent = wanted.parent.resolve()
        if wanted.name in ("", ".", "..") or not parent.is_relative_to(root):
            raise Refused(403, f"{name!r} is not below the folder that snapshots are saved in.")
        return parent / wanted.name


def require_json(request: Request) -> None:
    """Raises Refused for a body that a web page could send without a preflight request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "The content type is application/json.")


class KnownHosts:
    """Accepts only requests that are addressed to this machine by a name that nobody else can give it."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        self._app = app
        own = urlsplit(url).hostname or ""
        self._names = _LOOPBACK_NAMES | {own}
        self._addresses = own not in _LOOPBACK_NAMES
        """Whether IP addresses are accepted. Other machines use one; a page that rebinds its name does not."""
        if self._addresses:
            self._names |= {socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._knows(Request(scope).headers.get("host", "")):
            refused = Refused(421, "The request is addressed to another host than this one.")
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and (name in self._names or (self._addresses and _is_address(name)))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
