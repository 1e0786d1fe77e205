"""Microsoft's Python client doing what a first push does, as a script: its time for creating orders with their lines.

The orders are those that the loader would create, as ready JSON bodies: reading, mapping, look-ups and comparison, the
order's state and its sharing are not asked of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.models.upsert import UpsertItem

AT_ONCE = 1000
"""Records in a bulk request: as many as Dataverse advises at most."""

Body = dict[str, Any]
Order = tuple[Body, list[Body]]


class Credential:
    """What azure-identity's classes are to the client."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


def row_by_row(client: DataverseClient, orders: Sequence[Order]) -> None:
    """Each order is upserted by its number, then each of its lines is created: a request a row."""
    for header, lines in orders:
        client.records.upsert("salesorder", [UpsertItem({"name": header["name"]}, _without_name(header))])
        for line in lines:
            client.records.create("salesorderdetail", _of_order(line, header))


def deep(client: DataverseClient, orders: Sequence[Order]) -> None:
    """Each order is created with its lines: a request an order."""
    for header, lines in orders:
        client.records.create("salesorder", {**header, "order_details": lines})


def bulk(client: DataverseClient, orders: Sequence[Order]) -> None:
    """UpsertMultiple of the orders, CreateMultiple of all lines."""
    for some in _parts([header for header, _ in orders]):
        client.records.upsert(
            "salesorder", [UpsertItem({"name": header["name"]}, _without_name(header)) for header in some]
        )
    all_lines = [_of_order(line, header) for header, lines in orders for line in lines]
    for part in _parts(all_lines):
        client.records.create("salesorderdetail", part)


WAYS: dict[str, Callable[[DataverseClient, Sequence[Order]], None]] = {
    "row by row": row_by_row,
    "an order a request": deep,
    "bulk": bulk,
}


def _without_name(header: Body) -> Body:
    return {name: value for name, value in header.items() if name != "name"}


def _of_order(line: Body, header: Body) -> Body:
    return {**line, "salesorderid@odata.bind": f"/salesorders(name='{header['name']}')"}


def _parts(rows: list[Body]) -> list[list[Body]]:
    return [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sdk")
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--first", type=int, help="so many orders only")
    options = parser.parse_args(arguments)
    orders: list[Order] = [(header, lines) for header, lines in json.loads(options.bodies.read_text())][: options.first]
    with DataverseClient(os.environ["CRM_URL"], Credential(os.environ["CRM_ACCESS_TOKEN"])) as client:
        began, cpu = time.perf_counter(), time.process_time()
        WAYS[options.way](client, orders)
        print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main(sys.argv[1:])
