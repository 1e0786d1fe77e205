"""Change tracking: what CRM says has moved in a table since it was last asked (docs/dataverse.md)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.errors import CrmError
from loader.dataverse.metadata import Table
from loader.dataverse.query import rows as rows_path
from loader.dataverse.replies import Row, UnexpectedReply, optional_text
from loader.dataverse.replies import rows as rows_of

_TRACK = {"Prefer": "odata.track-changes"}
_DELETED = "$deletedEntity"


@dataclass(frozen=True)
class Moved:
    """What moved in a table: the rows as they are now, the ids of deleted ones, and where to ask the next time.

    After a first push that is all that it wrote, so the rows have nothing but the values that were asked for.
    """

    link: str
    rows: Sequence[Row] = ()
    deleted: Sequence[str] = ()


@dataclass
class _Reading:
    rows: list[Row] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def take(self, page: Row) -> None:
        for row in rows_of(page):
            if _is_deleted(row):
                self.deleted.append(str(row["id"]).lower())
            else:
                self.rows.append({name: value for name, value in row.items() if "@" not in name})


def begin_tracking(client: Client, wanted: Sequence[tuple[Table, Sequence[str]]]) -> dict[str, str | CrmError]:
    """By table, a link to all that moves in it from now on, or CRM's refusal. `wanted`: what is to be told of a row.

    CRM gives a table's link after the last one of its rows.
    """
    queries = [Query(rows_path(table.entity_set, select), _TRACK) for table, select in wanted]
    return {table.name: _begun(client, page) for (table, _), page in zip(wanted, client.ask(queries), strict=True)}


def _begun(client: Client, page: Row | CrmError) -> str | CrmError:
    if isinstance(page, CrmError):
        return page
    try:
        (last,) = deque(client.following(page, _TRACK), maxlen=1)
    except RequestFailed as refused:
        return refused.error
    return _link_of(last)


def read_moves(
    client: Client, links: Mapping[str, str], besides: Sequence[Query] = ()
) -> tuple[dict[str, Moved | CrmError], list[Row | CrmError]]:
    """What moved in each table since its link was given, or why CRM does not say; and the answers to `besides`.

    All of it is one request if it is little.
    """
    answers = client.ask([*(Query(_relative(link)) for link in links.values()), *besides])
    moves = {table: _moved(client, answer) for table, answer in zip(links, answers, strict=False)}
    return moves, answers[len(links) :]


def version_of(link: str) -> int | None:
    """The version of CRM's database that a link begins at, if it can be told. It never goes back, unless CRM does."""
    found = re.search(r"deltatoken=(\d+)(?:!|%21)", link)
    return int(found[1]) if found else None


def _moved(client: Client, page: Row | CrmError) -> Moved | CrmError:
    if isinstance(page, CrmError):
        return page
    reading = _Reading()
    try:
        for last in client.following(page):
            reading.take(last)
    except RequestFailed as refused:
        return refused.error
    return Moved(_link_of(last), reading.rows, reading.deleted)


def _link_of(page: Row) -> str:
    link = optional_text(page, "@odata.deltaLink")
    if not link:
        raise UnexpectedReply("CRM's answer to a tracked query has no link to the changes that follow.")
    return link


def _is_deleted(row: Row) -> bool:
    return str(row.get("@odata.context", "")).endswith(_DELETED) and "id" in row


def _relative(link: str) -> str:
    """A link as a path of this organisation: its host may be known by another name there."""
    _, found, path = link.partition("/api/data/")
    return path.partition("/")[2] if found else link
