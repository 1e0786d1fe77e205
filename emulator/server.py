"""Serving an organisation: in a thread for tests (`Emulator`), or in the foreground for a command (`serve`)."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import application
from .crm import Crm
from .doors import Control
from .snapshot import Json
from .throttle import Limits
from .values import Readings

logging.getLogger("uvicorn").addHandler(logging.NullHandler())
LOOPBACK = "127.0.0.1"


class _Protocol(H11Protocol):
    """HTTP/1.1 that lets the application reset its connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "transport": lambda: self.transport}


class _Server(uvicorn.Server):
    """Leaves signals to its caller, and stops at once, because tests start hundreds of servers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        tick = 0
        while not await self.on_tick(tick):
            tick = (tick + 1) % 864_000
            await asyncio.sleep(0.02)


class _ThrowawayServer(_Server):
    """Stops without waiting for open connections."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


def _server(crm: Crm, tls: tuple[str | Path, str | Path] | None, kind: type[_Server] = _Server) -> _Server:
    config = uvicorn.Config(
        application(crm),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=256 * 1024,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=512,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    return kind(config)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio turns off Nagle's algorithm, which costs 40 ms per reply.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _url(listener: socket.socket, host: str, tls: object) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{listener.getsockname()[1]}"


class Emulator(Crm):
    """A local Dataverse organisation on a loopback port, for as long as the `with` block runs.

    `snapshot`: its content (a dict, a JSON file, or None for the defaults). `limits`: service protection limits (True:
    the documented ones). `secrets`: client secrets by client id for the token endpoint. `tls`: certificate and key.
    `control`: who may use `/_emulator/…`. `readings`: how it behaves where sources about the service disagree.
    """

    def __init__(
        self,
        snapshot: Json | str | Path | None = None,
        *,
        port: int = 0,
        host: str = LOOPBACK,
        tls: tuple[str | Path, str | Path] | None = None,
        limits: Limits | bool | None = None,
        secrets: Mapping[str, str] | None = None,
        token_lifetime: float = 3599,
        dop_hint: int | None = None,
        keep_parts: bool = False,
        control: Control | None = None,
        readings: Readings | None = None,
    ) -> None:
        super().__init__(
            snapshot,
            limits=limits,
            secrets=secrets,
            token_lifetime=token_lifetime,
            dop_hint=dop_hint,
            keep_parts=keep_parts,
            control=control,
            readings=readings,
        )
        self._address = (host, port)
        self._tls = tls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Emulator:
        host, port = self._address
        listener = _listen(host, port)
        self.url = _url(listener, "localhost" if self._tls and host == LOOPBACK else host, self._tls)
        self._server = _server(self, self._tls, _ThrowawayServer)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="emulator", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the emulator did not start")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=5)
            self._server = self._thread = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(
    host: str = LOOPBACK,
    port: int = 0,
    snapshot: Json | str | Path | None = None,
    save_to: str | Path | None = None,
    *,
    latency: float = 0.0,
    token: str | None = None,
    on_ready: Callable[[Crm], None] | None = None,
    **settings: Any,
) -> None:
    """Serve until SIGINT or SIGTERM, then write the snapshot to `save_to`.

    `on_ready` is called with the organisation once it listens; a client needs its `url` and `token`. `token`: another
    bearer token to accept. Raises OSError if the port is taken.
    """
    tls = settings.pop("tls", None)
    crm = Crm(snapshot, **settings)
    crm.faults.latency(latency)
    if token is not None:
        crm.tokens.issued[token] = crm.tokens.issued[crm.token]
        crm.token = token
    listener = _listen(host, port)
    crm.url = _url(listener, host, tls)
    server = _server(crm, tls)
    gc.freeze()  # rows are no garbage, so the collector need not run often
    gc.set_threshold(100_000, 50, 100)

    def leave(*_: object) -> None:
        server.should_exit = True

    previous = {
        number: signal.signal(number, leave)
        for number in (signal.SIGINT, signal.SIGTERM)
        if threading.current_thread() is threading.main_thread()
    }
    ready = threading.Thread(target=_announce, args=(server, crm, on_ready), daemon=True)
    ready.start()
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if save_to is not None:
            crm.save(save_to)


def _announce(server: _Server, crm: Crm, on_ready: Callable[[Crm], None] | None) -> None:
    while not server.started and not server.should_exit:
        time.sleep(0.01)
    if on_ready is not None and server.started:
        on_ready(crm)
