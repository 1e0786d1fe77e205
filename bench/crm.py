"""The local CRM in a process of its own, so that it has a core of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from bench.process import PROJECT
from emulator.certificates import Files
from emulator.doors import TOKEN_HEADER


@dataclass(frozen=True)
class Traffic:
    """HTTP requests, the operations in those that write, and the rows of those while operations take their time."""

    reads: int
    writes: int
    operations: int
    rows: int = 0


class CrmProcess:
    """An organisation on a loopback port, for as long as the `with` block runs."""

    def __init__(self, snapshot: Path, certificates: Files | None = None) -> None:
        self.certificates = certificates
        self._command = [sys.executable, "-m", "bench.crm", str(snapshot)]
        self._command += [str(certificates.certificate), str(certificates.key)] if certificates else []
        self._process: subprocess.Popen[str] | None = None
        self.url = self.token = self._control_token = ""

    def __enter__(self) -> CrmProcess:
        self._process = subprocess.Popen(self._command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self.url, self.token, self._control_token = ready["url"], ready["token"], ready["control"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()

    @property
    def environ(self) -> dict[str, str]:
        """What the loader needs to find it."""
        bundle = {"CRM_CA_BUNDLE": str(self.certificates.authority)} if self.certificates else {}
        return {"CRM_URL": self.url, "CRM_AUTH": "token", "CRM_ACCESS_TOKEN": self.token, **bundle}

    def latency(self, seconds: float, per_operation: float = 0.0) -> None:
        """Every request takes `seconds`, and `per_operation` more for each of its operations."""
        self._control("POST", "faults", {"fault": "latency", "seconds": seconds, "per_operation": per_operation})

    def forget_traffic(self) -> None:
        self._control("DELETE", "requests")

    def traffic(self) -> Traffic:
        """Since it was last forgotten."""
        log = self._control("GET", "requests")
        writing = [request for request in log if request["writes"]]
        operations, rows = (sum(request[what] for request in writing) for what in ("operations", "rows"))
        return Traffic(len(log) - len(writing), len(writing), operations, rows)

    def _control(self, method: str, what: str, content: Any = None) -> Any:
        verify = str(self.certificates.authority) if self.certificates else True
        response = requests.request(
            method,
            f"{self.url}/_emulator/{what}",
            json=content,
            headers={TOKEN_HEADER: self._control_token},
            verify=verify,
            timeout=600,
        )
        response.raise_for_status()
        return response.json()


def main(arguments: Sequence[str]) -> None:
    from emulator import Crm, serve

    parser = argparse.ArgumentParser(prog="python -m bench.crm")
    parser.add_argument("snapshot", type=Path)
    parser.add_argument("tls", type=Path, nargs="*", help="certificate and key")
    options = parser.parse_args(arguments)
    tls = tuple(options.tls) or None

    def announce(crm: Crm) -> None:
        url = crm.url.replace("127.0.0.1", "localhost") if tls else crm.url
        crm.url = url
        print(json.dumps({"url": url, "token": crm.token, "control": crm.control.token}), flush=True)

    serve(snapshot=options.snapshot, tls=tls, on_ready=announce)


if __name__ == "__main__":
    main(sys.argv[1:])
