"""One value: from JSON to what is stored, and from what is stored to what a reader sees formatted.

Stored values: str (text, GUIDs in lower case, instants as `2026-01-31T05:00:00Z`, dates as `2026-01-31`), int
(numbers, options, booleans as 0/1 are bool), Decimal (rounded to the column's scale), Ref (look-ups).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from .errors import CrmError, bad_payload
from .metadata import Column
from .store import Ref, Row, Value

GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d(?::\d\d)?)(?:\.\d{1,7})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\d")
FIRST_INSTANT = "1753-01-01T00:00:00Z"
LAST_INSTANT = "9999-12-30T23:59:59Z"
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
DEFAULT_RANGE = {
    "Integer": (Decimal(-2147483648), Decimal(2147483647)),
    "BigInt": (Decimal(-9223372036854775808), Decimal(9223372036854775807)),
    "Decimal": (Decimal(-100000000000), Decimal(100000000000)),
    "Double": (Decimal(-100000000000), Decimal(100000000000)),
    "Money": (Decimal(-922337203685477), Decimal(922337203685477)),
}


ListLexer: TypeAlias = Literal["any", "before 7.7", "7.7", "mended"]
"""How the end of a list of values is found: as one version of OData's library does, or only if all agree."""


@dataclass
class Readings:
    """How this organisation behaves where sources about the service disagree. The defaults are the strictest."""

    refuses_control_characters: bool = True
    """Whether text with a character that XML does not allow is refused."""
    keeps_only_midnight: bool = False
    """Whether a column with format DateOnly and behaviour UserLocal keeps midnight in the caller's time zone instead of
    the instant that was sent."""
    list_lexer: ListLexer = "any"
    unit_names_are_unique: bool = True
    """No two units of a group have the same name."""
    most_related: int | None = 50
    """How many related records one insert may contain; None for any number."""


class Scales:
    """How many decimals money has: those of the record's currency, and the organisation's pricing precision."""

    __slots__ = ("currency", "pricing")

    def __init__(self, currency: int, pricing: int) -> None:
        self.currency = currency
        self.pricing = pricing

    def of(self, column: Column) -> int:
        if column.precision_source == 2:
            return self.currency
        if column.precision_source == 1:
            return self.pricing
        return column.precision or 0


_UNITS = tuple(Decimal(1).scaleb(-places) for places in range(11))


@lru_cache(maxsize=65536)
def _interned(value: Decimal, places: int) -> Decimal:
    return value.quantize(_UNITS[places], ROUND_HALF_UP)


def round_half_away(value: Decimal, places: int) -> Decimal:
    """Rounds half away from zero, as CRM does. Raises InvalidOperation if the number is too long."""
    rounded = _interned(value, places)
    return rounded if rounded else _ZEROS[places]


_ZEROS = tuple(Decimal(0).quantize(unit) for unit in _UNITS)


@lru_cache(maxsize=65536)
def parse_instant(text: str) -> str | None:
    """`2026-01-31T00:00:00-05:00` → `2026-01-31T05:00:00Z`; None if it is not an instant with an offset."""
    match = INSTANT.fullmatch(text)
    if not match:
        return None
    day, clock, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}")
        if zone not in "Zz":
            sign = -1 if zone[0] == "-" else 1
            moment -= sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    except (ValueError, OverflowError):
        return None
    return moment.isoformat(timespec="seconds") + "Z"


@lru_cache(maxsize=4096)
def parse_date(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).date().isoformat() if DATE.fullmatch(text) else None
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def midnight(moment: str, time_zone: str) -> str:
    """The instant at which the day of an instant begins in a time zone, both as CRM writes them."""
    utc = datetime.fromisoformat(moment.removesuffix("Z")).replace(tzinfo=timezone.utc)
    try:
        local = utc.astimezone(ZoneInfo(time_zone))
        return instant(local.replace(hour=0, minute=0, second=0))
    except OverflowError:
        return moment


class Clock:
    """The current second as CRM writes it."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, instant(datetime.fromtimestamp(second, timezone.utc))
        return self._text


def instant(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


Coercer = Callable[[object, Scales], Value]


def coercer(column: Column, entity_set: str, readings: Readings) -> Coercer:
    """A function that converts a JSON value for `column` to the stored value, or refuses it."""

    def wrong_kind(value: object) -> CrmError:
        return bad_payload(
            entity_set,
            f"Cannot convert the literal '{_literal(value)}' to the expected type '{column.edm_type}'.",
        )

    def out_of_range(code: str, value: object) -> CrmError:
        return CrmError(
            400,
            code,
            f"A validation error occurred. The value {_literal(value)} of '{column.name}' on record of type "
            f"'{column.table}' is outside the valid range.",
        )

    if column.type in ("String", "Memo", "EntityName"):
        limit = column.max_length

        def text(value: object, scales: Scales) -> Value:
            if not isinstance(value, str):
                raise wrong_kind(value)
            if limit is not None and len(value) > limit:
                raise CrmError(
                    400,
                    "0x80044331",
                    f"A validation error occurred.  The length of the '{column.name}' attribute of the "
                    f"'{column.table}' entity exceeded the maximum allowed length of '{limit}'.",
                )
            if not value.isprintable() and readings.refuses_control_characters:
                refused = NOT_XML.search(value)
                if refused:
                    raise CrmError(
                        400,
                        "0x80040278",
                        f"Invalid character in field '{column.name}': '{refused[0]}', hexadecimal value "
                        f"0x{ord(refused[0]):02X}, is an invalid character.",
                    )
            return value or None

        return text

    minimum, maximum = DEFAULT_RANGE.get(column.type, (Decimal(0), Decimal(0)))
    minimum = column.minimum if column.minimum is not None else minimum
    maximum = column.maximum if column.maximum is not None else maximum

    if column.type in ("Integer", "BigInt"):

        def whole(value: object, scales: Scales) -> Value:
            if not isinstance(value, int) or isinstance(value, bool):
                raise wrong_kind(value)
            if not minimum <= value <= maximum:
                raise out_of_range("0x8004432f", value)
            return value

        return whole

    if column.type in ("Money", "Decimal", "Double"):
        money = column.type == "Money"
        code = "0x80040317" if money else "0x80044330"
        fixed = column.precision or 0

        def number(value: object, scales: Scales) -> Value:
            if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
                raise wrong_kind(value)
            try:
                stored = round_half_away(Decimal(value), scales.of(column) if money else fixed)
            except InvalidOperation:
                raise out_of_range(code, value) from None
            if not minimum <= stored <= maximum:
                raise out_of_range(code, value)
            return stored

        return number

    if column.type == "Boolean":

        def boolean(value: object, scales: Scales) -> Value:
            if not isinstance(value, bool):
                raise wrong_kind(value)
            return value

        return boolean

    if column.type in ("Picklist", "State", "Status"):
        options = column.options

        def option(value: object, scales: Scales) -> Value:
            if not isinstance(value, int) or isinstance(value, bool):
                raise wrong_kind(value)
            if options and value not in options:
                raise CrmError(
                    400,
                    "0x8004431a",
                    f"A validation error occurred. The value {value} of '{column.name}' on record of type "
                    f"'{column.table}' is outside the valid range. Accepted Values: "
                    f"{','.join(str(known) for known in sorted(options))}",
                )
            return value

        return option

    if column.type == "DateTime":
        date_only = column.behavior == "DateOnly"

        def moment(value: object, scales: Scales) -> Value:
            if not isinstance(value, str):
                raise wrong_kind(value)
            stored = parse_date(value) if date_only else parse_instant(value)
            if stored is None:
                raise wrong_kind(value)
            if stored < FIRST_INSTANT[: len(stored)] or stored > LAST_INSTANT[: len(stored)]:
                bound, kind = (
                    (FIRST_INSTANT, "less than minimum")
                    if stored < "1800"
                    else (
                        LAST_INSTANT,
                        "greater than maximum",
                    )
                )
                raise CrmError(
                    400,
                    "0x80040239",
                    f"DateTime is {kind} value supported by CrmDateTime. Actual value: {stored}, "
                    f"supported value: {bound} ({column.table}.{column.name})",
                )
            return stored

        return moment

    def guid(value: object, scales: Scales) -> Value:
        if not isinstance(value, str) or not GUID.fullmatch(value):
            raise wrong_kind(value)
        return value.lower()

    return guid


def on_the_wire(value: Value) -> object:
    """A stored value as JSON has it."""
    return value.id if isinstance(value, Ref) else value


def formatted(column: Column, value: Value, row: Row, symbol: str) -> str | None:
    """The text of `@OData.Community.Display.V1.FormattedValue` for a user in US English and UTC."""
    if value is None:
        return None
    if column.type == "Boolean":
        return column.options.get(int(bool(value)), "Yes" if value else "No")
    if column.type in ("Picklist", "State", "Status"):
        assert isinstance(value, int)
        return column.options.get(value, str(value))
    if column.type == "Money":
        assert isinstance(value, Decimal)
        return f"-{symbol}{-value:,}" if value < 0 else f"{symbol}{value:,}"
    if column.type in ("Decimal", "Double", "Integer", "BigInt"):
        return f"{value:,}"
    if column.type == "DateTime":
        moment = datetime.fromisoformat(str(value).rstrip("Z"))
        day = f"{moment.month}/{moment.day}/{moment.year}"
        if column.format == "DateOnly" or column.behavior == "DateOnly":
            return day
        return f"{day} {moment.hour % 12 or 12}:{moment.minute:02} {'AM' if moment.hour < 12 else 'PM'}"
    return None
