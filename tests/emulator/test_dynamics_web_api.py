"""The npm client dynamics-web-api against the emulator, in Node."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from emulator import Emulator
from tests.emulator.web_api import AARON, EACH, PHONE, RETAIL, organisation

NODE = Path(__file__).parent / "node"
CHECKS = [
    "who am I", "create and retrieve", "create with a representation, deep insert", "pages",
    "a batch with a change set and Content-IDs", "a failing change set leaves nothing", "reads in a batch",
    "update, upsert, If-Match and If-None-Match", "by alternate key", "look-ups bound and cleared", "one property",
    "actions", "metadata", "a unit group, its base unit and a unit in two batches", "a product from draft to retired",
    "an account below another", "an order fulfilled and its invoice paid", "change tracking", "delete",
]  # fmt: skip


def installed() -> Path:
    """The client's packages, installed once into a cache directory; skips where that cannot be."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    lock = (NODE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(tempfile.gettempdir()) / f"cache-{os.getuid()}")
    place = cache / "emulator-node" / hashlib.sha256(lock).hexdigest()[:16]
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as directory:
        fresh = Path(directory) / "fresh"
        fresh.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE / name, fresh)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm ci did not end within a minute")
        if done.returncode:
            pytest.skip(f"npm ci failed: {done.stderr[-300:]}")
        with contextlib.suppress(OSError):  # another process was first
            fresh.rename(place)
    return place


@pytest.fixture(scope="module")
def outcome() -> dict[str, str | None]:
    place = installed()
    with Emulator(organisation()) as crm:
        done = subprocess.run(
            ["node", str(NODE / "conformance.mjs"), str(place), crm.url, crm.token, AARON, RETAIL, PHONE, EACH],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert crm.crashes == []
    assert done.returncode == 0, done.stderr
    return {line["name"]: line["problem"] for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("check", CHECKS)
def test_dynamics_web_api(outcome: dict[str, str | None], check: str) -> None:
    assert outcome.get(check, "did not run") is None, outcome.get(check)


def test_every_check_is_listed(outcome: dict[str, str | None]) -> None:
    assert list(outcome) == CHECKS
