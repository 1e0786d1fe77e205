"""A request has one end, however its server behaves, and a reply one size; real sockets, a few of them rude."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
import requests

from emulator import certificates
from loader.dataverse.auth import static_token
from loader.dataverse.batch import ChangeSet, Operation
from loader.dataverse.client import Client, LostReply
from loader.dataverse.connect import connect_crm
from loader.dataverse.http import ReplyTooLarge, Session
from loader.errors import CrmUnavailable
from tests.conftest import PROJECT, Workbench
from tests.peak import TELL_PEAK
from tests.thorough import some_pairs

Behave = Callable[[socket.socket], None]


class Turns:
    """Counts for how long a server goes on, in twentieths of a second: a clock that is late where the machine is."""

    def __init__(self) -> None:
        self.number = 0

    def take(self) -> None:
        time.sleep(0.05)
        self.number += 1

    def of(self, rude: Rude) -> Behave:
        return lambda peer: rude(peer, self)

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[None]:
        """Within the block the server takes turns for less than that."""
        yield
        assert self.number < 20 * seconds


Rude = Callable[[socket.socket, Turns], None]


def _drip(head: bytes, forever: bytes) -> Rude:
    def behave(peer: socket.socket, turns: Turns) -> None:
        peer.recv(65536)
        peer.sendall(head)
        while True:
            peer.sendall(forever)
            turns.take()

    return behave


def _silent(peer: socket.socket, turns: Turns) -> None:
    while turns.number < 20 * 30:
        turns.take()


def _reads_slowly(peer: socket.socket, turns: Turns) -> None:
    while peer.recv(512):
        turns.take()


HEAD = b"HTTP/1.1 200 OK\r\n"
RUDE: dict[str, Rude] = {
    "silent": _silent,
    "a header that never ends": _drip(HEAD + b"X-Long: ", b"x"),
    "a status line that never ends": _drip(b"HTTP/1.1 200 ", b"O"),
    "interim answers without end": _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body that drips": _drip(HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "a body that drips until the end": _drip(HEAD + b"Connection: close\r\n\r\n", b"x"),
    "chunks that drip": _drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk's size that never ends": _drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "trailers without end": _drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    "gzip that unpacks to nothing": _drip(
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n" + gzip.compress(b"")[:10], b"\x00"
    ),
}


@contextmanager
def server(behave: Behave, tls: certificates.Files | None = None) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)

    def one(peer: socket.socket) -> None:
        try:
            with context.wrap_socket(peer, server_side=True) if context else peer as stream:
                behave(stream)
        except OSError:
            pass

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    scheme = "https" if tls else "http"
    yield f"{scheme}://localhost:{listener.getsockname()[1]}/"
    listener.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> certificates.Files:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize(("rude", "scheme"), some_pairs(RUDE, ["http", "https"], 2))
def test_a_request_ends_in_time(tls: certificates.Files, rude: str, scheme: str) -> None:
    files = tls if scheme == "https" else None
    turns = Turns()
    with server(turns.of(RUDE[rude]), files) as url, turns.at_most(6), pytest.raises(requests.RequestException):
        Session(0.6).get(url, verify=str(tls.authority))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_reads_slowly_is_not_waited_for(tls: certificates.Files, scheme: str) -> None:
    files = tls if scheme == "https" else None
    turns = Turns()
    with server(turns.of(_reads_slowly), files) as url, turns.at_most(10), pytest.raises(requests.RequestException):
        Session(0.6).post(url, data=b"x" * 30_000_000, verify=str(tls.authority))


def test_a_handshake_that_never_comes_is_not_waited_for() -> None:
    turns = Turns()
    with server(turns.of(_silent)) as url, turns.at_most(6), pytest.raises(requests.RequestException):
        Session(0.6).get(url.replace("http:", "https:"))


def test_a_slow_reply_that_is_complete_in_time_is_read() -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(65536)
        peer.sendall(HEAD + b"Content-Length: 10\r\n\r\n")
        for _ in range(10):
            peer.sendall(b"x")
            time.sleep(0.02)

    with server(behave) as url:
        assert Session(20).get(url).content == b"x" * 10


def test_a_second_request_has_all_its_time_again() -> None:
    def behave(peer: socket.socket) -> None:
        while peer.recv(65536):
            time.sleep(0.4)
            peer.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")

    with server(behave) as url:
        session = Session(3)
        assert [session.get(url).text for _ in range(9)] == ["ok"] * 9


def test_a_reply_of_crm_that_drips_is_given_up_and_a_write_is_lost() -> None:
    turns = Turns()
    with server(turns.of(RUDE["a body that drips"])) as url, turns.at_most(15):
        client = Client(url, static_token("token"), timeout=1, attempts=2)
        with pytest.raises(CrmUnavailable):
            client.get("WhoAmI")
        with pytest.raises(LostReply):
            client.apply([ChangeSet((Operation("DELETE", f"salesorders({uuid4()})"),))])


# ------------------------------------------------------------------------------------------------------ its size


def bomb(megabytes: int) -> bytes:
    """Gzip members that follow each other: a thousandth of what they unpack to."""
    return gzip.compress(bytes(1 << 24)) * (megabytes >> 4)


BOMBS = {
    "gzip": lambda: bomb(1024),
    "deflate": lambda: zlib.compress(bytes(1 << 29), 1),
    "gzip, gzip": lambda: gzip.compress(bomb(4096)),
}
PROGRAM = f"""
import sys
from loader.dataverse.auth import static_token
from loader.dataverse.client import Client
from loader.errors import CrmUnavailable
from tests.thorough import some_pairs
try:
    Client(sys.argv[1], static_token(sys.argv[2])).get("WhoAmI")
except CrmUnavailable as error:
    print(error)
{TELL_PEAK}"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")
@pytest.mark.parametrize(("coding", "chunked"), some_pairs(BOMBS, [False, True], 2))
def test_a_reply_that_unpacks_without_end_is_refused_within_bounded_memory(coding: str, chunked: bool) -> None:
    packed = BOMBS[coding]()

    def behave(peer: socket.socket) -> None:
        peer.recv(65536)
        head = HEAD + f"Content-Encoding: {coding}\r\n".encode()
        if not chunked:
            peer.sendall(head + f"Content-Length: {len(packed)}\r\n\r\n".encode() + packed)
            return
        size = f"{len(packed):x}\r\n".encode()
        peer.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + size + packed + b"\r\n0\r\n\r\n")

    with server(behave) as url:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, url, "token"], cwd=PROJECT, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "unpacks to more than 256 MB" in done.stdout
    assert int(done.stderr) < 256 + 150


def test_a_reply_that_is_too_large_ends_the_run(bench: Workbench) -> None:
    bench.sources = replace(bench.sources, client=partial(connect_crm, largest_reply=1 << 20))
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    fault = bench.crm.faults.page(None, body=bomb(16), headers=headers)
    ended = bench.loader("check")
    assert (ended.exit_code, ended.error["code"]) == (5, "crm_unavailable")
    assert "unpacks to more than 1 MB" in ended.error["message"]
    assert fault.fired == 1


def test_a_reply_of_the_largest_size_is_read() -> None:
    for size in (999, 1000, 1001):

        def behave(peer: socket.socket, size: int = size) -> None:
            peer.recv(65536)
            peer.sendall(HEAD + f"Content-Length: {size}\r\n\r\n".encode() + b"x" * size)

        with server(behave) as url:
            if size <= 1000:
                assert len(Session(5, largest_reply=1000).get(url).content) == size
            else:
                with pytest.raises(ReplyTooLarge):
                    Session(5, largest_reply=1000).get(url)


# ---------------------------------------------------------------------------------------------- what is not sent


def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def behave(peer: socket.socket) -> None:
        seen.append(peer.recv(65536))
        peer.sendall(HEAD + b"Content-Length: 0\r\n\r\n")

    (tmp_path / "netrc").write_text("default login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with server(behave) as url:
        Session(5).get(url)
    assert b"GET /" in seen[0]
    assert b"Authorization" not in seen[0]
