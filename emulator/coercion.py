"""JSON values as the store keeps them, for every column."""

from __future__ import annotations

from .metadata import Column
from .reader import Reader
from .store import Row
from .values import Coercer, Readings, Scales, coercer


class Coercion:
    """The functions that turn values for columns into what is stored, made once for each column."""

    def __init__(self, reader: Reader, readings: Readings) -> None:
        self.reader = reader
        self.readings = readings
        self._coercers: dict[tuple[str, str], Coercer] = {}
        self._scales: tuple[Row, Row, Scales] = ({}, {}, Scales(2, 2))

    def coercer(self, column: Column) -> Coercer:
        key = (column.table, column.name)
        found = self._coercers.get(key)
        if found is None:
            entity_set = self.reader.schema.tables[column.table].entity_set
            found = self._coercers[key] = coercer(column, entity_set, self.readings)
        return found

    def scales(self, row: Row) -> Scales:
        currency = self.reader.currency(row)
        organization = next(iter(self.reader.store.tables["organization"].rows.values()))
        if currency is not self._scales[0] or organization is not self._scales[1]:
            scales = Scales(
                int(str(currency.get("currencyprecision", 2))), int(str(organization.get("pricingdecimalprecision", 2)))
            )
            self._scales = (currency, organization, scales)
        return self._scales[2]
