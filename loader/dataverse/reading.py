"""Reads rows by their values, many at a time. A value that CRM refuses is found by halving the request."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.errors import CrmError
from loader.dataverse.metadata import Table
from loader.dataverse.query import chunks, rows_where_in
from loader.dataverse.replies import Row, Shape

_NO_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, eq=False)
class Read:
    """A read of a table's rows whose `column` has one of certain values, and the expected shape of these rows."""

    table: Table
    column: str
    select: tuple[str, ...]
    shape: Shape
    expand: str | None = None
    besides: str | None = None
    """A condition that the rows have to meet as well."""

    def of(self, values: Sequence[str]) -> Query:
        path = rows_where_in(self.table.entity_set, self.column, values, self.select, self.expand, self.besides)
        return Query(path)

    def path_of(self, id_: str) -> str:
        """The path of one row, with the same columns."""
        expand = f"&$expand={self.expand}" if self.expand else ""
        return f"{self.table.entity_set}({id_})?$select={','.join(self.select)}{expand}"

    @property
    def harmless(self) -> Query:
        """The same read with a value that CRM accepts in any column of this kind."""
        return self.of([_NO_ID if self.column == self.table.id_column else "0"])


@dataclass(frozen=True)
class Refusal:
    """A value that CRM refuses to look for, and why."""

    value: str
    error: CrmError


def read_rows(
    client: Client, wanted: Iterable[tuple[Read, Iterable[str]]], together: int = 100
) -> Iterator[tuple[Read, list[Row] | Refusal]]:
    """The rows of several reads, page by page, and the values that CRM refuses.

    `together`: how many filters are sent in one request. Raises RequestFailed if CRM refuses the read itself and not
    only a value.
    """
    waiting = deque((read, chunk) for read, values in wanted for chunk in chunks(values))
    proved: set[Read] = set()
    while waiting:
        asked = [waiting.popleft() for _ in range(min(together, len(waiting)))]
        answers = client.ask([read.of(values) for read, values in asked])
        for (read, values), answer in zip(asked, answers, strict=True):
            if not isinstance(answer, CrmError):
                for page in client.pages_from(answer):
                    yield read, [read.shape.check(row) for row in page]
                continue
            if read not in proved:
                _prove(client, read, answer)
                proved.add(read)
            if len(values) == 1:
                yield read, Refusal(values[0], answer)
            else:
                middle = len(values) // 2
                waiting += [(read, values[:middle]), (read, values[middle:])]


def _prove(client: Client, read: Read, refused: CrmError) -> None:
    """Raises RequestFailed if CRM refuses this read with any value."""
    (answer,) = client.ask([read.harmless])
    if isinstance(answer, CrmError):
        raise RequestFailed(refused)


def shape_of(
    table: Table,
    select: Iterable[str],
    related: Mapping[str, Shape] | None = None,
    children: tuple[str, Shape] | None = None,
) -> Shape:
    """The shape of a table's rows when these columns are selected, under the names that CRM's answer uses."""
    kinds = {}
    for name in (table.id_column, *select):
        attribute = table.attributes.get(name.removeprefix("_").removesuffix("_value") if name[0] == "_" else name)
        kinds[name] = attribute.kind if attribute else ""
    return Shape(table.id_column, kinds, related or {}, children)
