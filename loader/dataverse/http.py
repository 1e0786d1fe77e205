"""HTTP for the loader: one deadline for each exchange, replies of limited size, and credentials for no other host.

With plain `requests`, a server could take as long as it liked, as long as a byte arrived now and then, and could send a
small reply that unpacks to any size.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from loader.addresses import is_loopback

LARGEST_REPLY = 256 * 1024 * 1024
"""In bytes, unpacked. CRM's largest pages are a tenth of that."""
_CONNECT_TIMEOUT = 30.0
_PIECE = 256 * 1024
"""The fewest bytes that are unpacked at a time."""
_SLICE = 16 * 1024
"""Bytes sent before the clock is checked again: as many as TLS puts into one record."""


class ReplyTooLarge(requests.RequestException):
    """The reply unpacks to more than a session reads."""


class Session(requests.Session):
    """A session whose requests end within `limit` seconds: connecting, sending and reading the whole reply.

    Redirects are not followed, ~/.netrc is not read, and the environment's proxies are not used for this machine.
    Raises the exceptions of requests, and ReplyTooLarge.
    """

    def __init__(self, limit: float, largest_reply: int = LARGEST_REPLY) -> None:
        super().__init__()
        self._limit = limit
        self.auth = _unsigned
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(largest_reply))

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        options["allow_redirects"] = False
        options.setdefault("timeout", (min(self._limit, _CONNECT_TIMEOUT), self._limit))
        with _ends_within(self._limit):
            return super().request(*arguments, **options)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        merged: Any = super().merge_environment_settings(url, proxies, stream, verify, cert)
        if is_loopback(urlsplit(url).hostname or ""):
            merged["proxies"] = {}
        return merged


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that does nothing. Without one, requests would look for credentials in ~/.netrc."""
    return request


# --------------------------------------------------------------------------------------------------- the deadline


class _Clock(threading.local):
    deadline: float | None = None

    def left(self) -> float | None:
        """The seconds that are left for the current exchange. Raises TimeoutError if there are none."""
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the reply was not complete in time")
        return left


_clock = _Clock()


@contextmanager
def _ends_within(seconds: float) -> Iterator[None]:
    before = _clock.deadline
    _clock.deadline = time.monotonic() + seconds
    try:
        yield
    finally:
        _clock.deadline = before


class _Timed(io.RawIOBase):
    """Reads from a socket until the deadline of the current exchange.

    The attribute is called `_sock`, as in the class that this replaces, because requests_ntlm looks there for the
    server's certificate.
    """

    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw, self._sock = raw, sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = _clock.left()
        if left is not None:
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp: Any = io.BufferedReader(_Timed(self.fp.detach(), sock), 64 * 1024)


class _Connection(HTTPConnection):
    response_class = _Reply

    def connect(self) -> None:
        _limit_connecting(self)
        super().connect()

    def send(self, data: Any) -> None:
        for piece in _pieces(self, data):
            super().send(piece)


class _SecureConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


def _limit_connecting(connection: HTTPConnection) -> None:
    left = _clock.left()
    if left is not None and isinstance(connection.timeout, (int, float)):
        connection.timeout = min(connection.timeout, left)


def _pieces(connection: HTTPConnection, data: Any) -> Iterator[Any]:
    if not isinstance(data, bytes):
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(view), _SLICE):
        sock, left = connection.sock, _clock.left()
        if sock is not None and left is not None:
            sock.settimeout(left)
        yield view[start : start + _SLICE]


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def __init__(self, largest_reply: int) -> None:
        super().__init__()
        self._largest_reply = largest_reply

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        _time(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            _time(manager)
        return manager

    def build_response(self, *arguments: Any) -> requests.Response:
        response: requests.Response = super().build_response(*arguments)
        response.__class__ = _Bounded
        response.largest = self._largest_reply  # type: ignore[attr-defined]
        return response


def _time(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Bounded(requests.Response):
    """A reply that is read neither beyond the deadline nor beyond `largest` bytes."""

    largest: int

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        size = 0
        for piece in super().iter_content(max(chunk_size or 0, _PIECE), decode_unicode):
            size += len(piece)
            if size > self.largest:
                self.close()
                raise ReplyTooLarge(f"the reply unpacks to more than {self.largest // (1024 * 1024)} MB")
            yield piece
            try:
                _clock.left()
            except TimeoutError as error:
                self.close()
                raise requests.ReadTimeout(str(error)) from None
