"""A webhook that the loader tells of its runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import Workbench

SECRET = "T00/B00/very-secret"


class Webhook:
    """A service that takes what it is told, or answers in another way."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.status, self.silent = 200, threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if hook.silent.is_set():
                    self.connection.settimeout(30)
                    self.rfile.read(1)  # until the loader goes away
                    return
                hook.told.append(json.loads(body))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/{SECRET}"


@pytest.fixture
def hook(bench: Workbench) -> Iterator[Webhook]:
    webhook = Webhook()
    thread = threading.Thread(target=webhook.server.serve_forever, daemon=True)
    thread.start()
    bench.settings["GP_CRM_NOTIFY_URL"] = webhook.url
    yield webhook
    webhook.server.shutdown()
    thread.join()
    webhook.server.server_close()
