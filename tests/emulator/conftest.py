from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Emulator
from tests.emulator.web_api import Client, organisation


@pytest.fixture
def crm() -> Iterator[Emulator]:
    with Emulator(organisation()) as running:
        yield running
        assert running.crashes == []


@pytest.fixture
def client(crm: Emulator) -> Client:
    return Client(crm)
