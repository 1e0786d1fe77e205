"""A CRM organisation for GP tables of one's own: what their staged rows look up, and nothing that a push would make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sample import organisation
from sample.organisation import record_id, reference

if TYPE_CHECKING:
    from loader.contract import Column, Contract, Lookup, Model

Query: TypeAlias = Callable[[str], Iterable[Sequence[Any]]]
Row: TypeAlias = dict[str, Any]

CURRENCY = "USD"


def snapshot(query: Query, contract: Contract) -> dict[str, Any]:
    """The organisation for `Emulator(snapshot=…)`. Its rows have the same ids whenever they are made again."""
    currency = next((model.meta.currency for model in contract.models if model.meta.currency), CURRENCY)
    made = {model.table for model in contract.models if model.meta.create != "never"}
    sought = _Sought(query, contract)
    tables: dict[str, list[Row]] = organisation.foundation(currency)
    tables["systemuser"] += [
        {
            "systemuserid": record_id("systemuser", f"own {key}"),
            "fullname": text,
            "lastname": text,
            "new_gpsalespersonid": text,
            "isintegrationuser": False,
            "accessmode": 0,
        }
        for key, text in sought.texts("systemuser", "new_gpsalespersonid").items()
    ]
    money = reference("transactioncurrency", currency)
    owner = reference("systemuser", organisation.CALLER)
    titles = sought.titles("account")
    wanted: dict[str, Iterator[Row]] = {
        "account": (
            {"accountnumber": text, "name": titles.get(key, text), "ownerid": owner, "transactioncurrencyid": money}
            for key, text in sought.texts("account", "accountnumber").items()
        ),
        "pricelevel": (
            {"name": text, "transactioncurrencyid": money, "statecode": 0, "statuscode": 100001}
            for text in sought.texts("pricelevel", "name").values()
        ),
    }
    for table, its in wanted.items():
        tables[table] = [] if table in made else list(_with_ids(table, its))
    tables["uomschedule"], tables["uom"], tables["product"] = [], [], []
    if "product" not in made:
        schedules, units, products = sought.items()
        tables["uomschedule"], tables["uom"] = _units(schedules, units)
        tables["product"] = [
            {
                "productid": record_id("product", f"own {_folded(item)}"),
                "productnumber": item,
                "name": item,
                "productstructure": 1,
                "quantitydecimal": 5,
                "defaultuomscheduleid": _named("uomschedule", schedule),
                "defaultuomid": _named("uom", schedule, unit),
                "transactioncurrencyid": money,
                "statecode": 0,
                "statuscode": 1,
            }
            for item, (schedule, unit) in products.items()
        ]
    return organisation.with_organization(tables, currency)


class _Sought:
    """What the staged rows look up."""

    def __init__(self, query: Query, contract: Contract) -> None:
        self._query = query
        self._models = list(contract.each_model)

    def texts(self, table: str, column: str) -> dict[str, str]:
        """The distinct values for a column of a table, the first spelling of each."""
        found: dict[str, str] = {}
        for model, its in self._lookups(table):
            for (text,) in self._distinct(model, [its.match[column]]) if column in its.match else ():
                found.setdefault(_folded(text), text)
        return found

    def titles(self, table: str) -> dict[str, str]:
        """Of the records' titles, one for each row of a table that they look up: an order's is its customer's name."""
        found: dict[str, str] = {}
        for model, its in self._lookups(table):
            if model.meta.title and len(its.match) == 1:
                for key, title in self._distinct(model, [*its.match.values(), model.meta.title]):
                    found.setdefault(_folded(key), title)
        return found

    def items(self) -> tuple[dict[str, str], dict[tuple[str, str], str], dict[str, tuple[str, str]]]:
        """Unit schedules, their units, and the items with schedule and unit, as the lines have them."""
        schedules: dict[str, str] = {}
        units: dict[tuple[str, str], str] = {}
        products: dict[str, tuple[str, str]] = {}
        spelled: dict[str, str] = {}
        for model, unit in self._lookups("uom"):
            item = next((its for each, its in self._lookups("product") if each is model), None)
            if item is None:
                continue
            columns = [item.match["productnumber"], unit.match["uomscheduleid.name"], unit.match["name"]]
            for number, schedule, name in self._distinct(model, columns):
                schedules.setdefault(_folded(schedule), schedule)
                units.setdefault((_folded(schedule), _folded(name)), name)
                products.setdefault(spelled.setdefault(_folded(number), number), (schedule, name))
        return schedules, units, products

    def _lookups(self, table: str) -> Iterator[tuple[Model, Lookup]]:
        for model in self._models:
            for column in model.columns:
                lookup = _lookup(column)
                if lookup and lookup.table == table:
                    yield model, lookup

    def _distinct(self, model: Model, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        names = [f'"{name}"' for name in columns]
        filled = " and ".join(f"{name} is not null" for name in names)
        shown = ", ".join(names)
        rows = self._query(f"select distinct {shown} from {model.relation} where {filled} order by {shown}")
        for row in rows:
            yield tuple(str(cell).rstrip(" ") for cell in row)


def _lookup(column: Column) -> Lookup | None:
    return column.meta.lookup


def _units(schedules: Mapping[str, str], units: Mapping[tuple[str, str], str]) -> tuple[list[Row], list[Row]]:
    """The schedules with their units. The first unit of each is its base, and the others count as much."""
    base: dict[str, str] = {}
    for schedule, unit in units:
        base.setdefault(schedule, unit)
    groups: list[Row] = [
        {"uomscheduleid": record_id("uomschedule", f"own {key}"), "name": name, "baseuomname": units[key, base[key]]}
        for key, name in schedules.items()
    ]
    rows: list[Row] = []
    for (schedule, unit), name in units.items():
        row: Row = {
            "uomid": record_id("uom", f"own {schedule} {unit}"),
            "name": name,
            "uomscheduleid": _named("uomschedule", schedule),
            "quantity": 1,
            "isschedulebaseuom": unit == base[schedule],
        }
        if unit != base[schedule]:
            row["baseuom"] = _named("uom", schedule, base[schedule])
        rows.append(row)
    return groups, rows


def _with_ids(table: str, rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        key = next(iter(row.values()))
        yield {f"{table}id": record_id(table, f"own {_folded(key)}"), **row}


def _named(table: str, *keys: str) -> dict[str, str]:
    return {"table": table, "id": record_id(table, f"own {' '.join(map(_folded, keys))}")}


def _folded(text: str) -> str:
    return text.rstrip(" ").casefold()


def merged(kept: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot with those rows of another that it lacks."""
    tables: dict[str, list[Row]] = {name: list(rows) for name, rows in kept["tables"].items()}
    for name, rows in made["tables"].items():
        its = tables.setdefault(name, [])
        there = {row.get(f"{name}id") for row in its}
        its += [row for row in rows if row[f"{name}id"] not in there]
    return {**kept, "tables": tables}
