"""Values as CRM stores them: what a column's metadata does to a staged value, and how CRM's own value reads. Pure.

Comparing canonical values is what makes a second push write nothing. What CRM does to values is in
docs/dataverse.md, "Columns" and "Dates".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cached_property
from typing import TypeAlias
from zoneinfo import ZoneInfo

from loader.dataverse.metadata import Attribute
from loader.dataverse.organization import Organization
from loader.keys import REFUSED, cleaned

Value: TypeAlias = "str | int | Decimal | bool | None"
"""What JSON can carry; dates are ISO text."""

_FIRST, _LAST = date(1753, 1, 1), date(9999, 12, 30)
"""The first and the last day that CRM can store."""
_EXACT = Context(prec=60)


class ValueOutOfRange(ValueError):
    """CRM cannot store this value. The record is blocked as `value_out_of_range`."""


class DateOutOfRange(ValueOutOfRange):
    """CRM cannot store this date. The column is left empty, with the warning `date_out_of_range`."""


class Type(ABC):
    """How one CRM column stores its values."""

    name: str

    @abstractmethod
    def canonical(self, value: object) -> Value:
        """The value that CRM would return after storing `value`; None for a value that it treats as null.

        Raises ValueOutOfRange.
        """

    def read(self, value: object) -> Value:
        """CRM's own JSON value in canonical form."""
        return None if value is None else self.canonical(value)

    def same(self, want: Value, have: Value) -> bool:
        """Whether storing `want` would not change CRM's value `have`. Both are canonical."""
        return want == have

    def staged(self, value: Value) -> object:
        """CRM's value in the form in which a model stages it: instants in UTC, without a time zone."""
        return value

    def replaced(self, value: object) -> str | None:
        """In words, which characters are replaced because CRM refuses them; None if none are."""
        return None

    def shortened(self, value: object) -> str | None:
        """In words, from which length to which the value is cut; None if it is not."""
        return None


@dataclass(frozen=True)
class Text(Type):
    """Text of at most `max_length` UTF-16 units. Trailing blanks do not count, and an empty text is null.

    Characters that CRM refuses become blanks.
    """

    max_length: int | None
    name: str = "text"

    def canonical(self, value: object) -> Value:
        text = cleaned(str(value)).rstrip(" ")
        if self.max_length is not None and len(text) * 2 > self.max_length and _units(text) > self.max_length:
            text = _cut(text, self.max_length).rstrip(" ")
        return text or None

    def read(self, value: object) -> Value:
        return (str(value).rstrip(" ") or None) if value is not None else None

    def replaced(self, value: object) -> str | None:
        refused = REFUSED.findall(str(value))
        if not refused:
            return None
        names = ", ".join(dict.fromkeys(f"U+{ord(character):04X}" for character in refused))
        what = "a character" if len(refused) == 1 else f"{len(refused)} characters"
        return f"{what} that CRM refuses replaced by blanks: {names}"

    def shortened(self, value: object) -> str | None:
        length = _units(cleaned(str(value)).rstrip(" "))
        if self.max_length is None or length <= self.max_length:
            return None
        return f"cut from {length} to {self.max_length} characters"


@dataclass(frozen=True)
class Number(Type):
    """Money and decimals with `precision` decimals, between `minimum` and `maximum`."""

    precision: int
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    name: str = "number"

    def canonical(self, value: object) -> Value:
        """Rounds half away from zero first, as CRM does, then checks the range."""
        stored = self._rounded(value)
        if (self.minimum is not None and stored < self.minimum) or (self.maximum is not None and stored > self.maximum):
            raise ValueOutOfRange(f"{value} is not between {self.minimum:f} and {self.maximum:f}")
        return stored

    def read(self, value: object) -> Value:
        return None if value is None else self._rounded(value)

    def _rounded(self, value: object) -> Decimal:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        stored = number.quantize(self._unit, ROUND_HALF_UP, _EXACT)
        return stored or abs(stored)

    @cached_property
    def _unit(self) -> Decimal:
        return Decimal(1).scaleb(-self.precision)


@dataclass(frozen=True)
class Whole(Type):
    """Whole numbers between `minimum` and `maximum`."""

    minimum: int | None = None
    maximum: int | None = None
    name: str = "whole number"

    def canonical(self, value: object) -> Value:
        number = value if type(value) is int else int(Decimal(str(value)).to_integral_value(ROUND_HALF_UP))
        if (self.minimum is not None and number < self.minimum) or (self.maximum is not None and number > self.maximum):
            raise ValueOutOfRange(f"{value} is not between {self.minimum} and {self.maximum}")
        return number

    def read(self, value: object) -> Value:
        return None if value is None else int(str(value))


@dataclass(frozen=True)
class Option(Type):
    """One of CRM's option values."""

    options: Mapping[int, str] = field(hash=False)
    name: str = "option"

    def canonical(self, value: object) -> Value:
        number = int(str(value))
        if self.options and number not in self.options:
            known = ", ".join(f"{key} {label}" for key, label in self.options.items())
            raise ValueOutOfRange(f"{number} is not an option; CRM has {known}")
        return number

    def read(self, value: object) -> Value:
        return None if value is None else int(str(value))


@dataclass(frozen=True)
class YesNo(Type):
    """A yes-or-no column, staged as 0 or 1."""

    name: str = "yes/no"

    def canonical(self, value: object) -> Value:
        return bool(value)


@dataclass(frozen=True)
class Instant(Type):
    """An instant, to the second, as CRM writes it: `2024-11-03T04:00:00Z`. Staged in UTC, without a time zone."""

    name: str = "date and time"

    def canonical(self, value: object) -> Value:
        return _written(_moment(value))

    def read(self, value: object) -> Value:
        is_canonical = isinstance(value, str) and len(value) == len("2024-11-03T04:00:00Z") and value.endswith("Z")
        try:
            return None if value is None else str(value) if is_canonical else _iso(_moment(value))
        except DateOutOfRange:
            return str(value)


@dataclass(frozen=True)
class DayInstant(Instant):
    """An instant that is shown as a day (format DateOnly, behaviour UserLocal).

    Some organisations keep the instant, others keep midnight of its day in the caller's time zone. `time_zone` is the
    caller's time zone, or None if CRM does not reveal it.
    """

    time_zone: str | None = None
    name: str = "day"

    def same(self, want: Value, have: Value) -> bool:
        if want is None or have is None or want == have:
            return want == have
        try:
            sent, held = _moment(want), _moment(have)
            if self.time_zone is None:
                return timedelta(0) <= sent - held < timedelta(days=1)
            return _local(sent, self.time_zone).date() == _local(held, self.time_zone).date()
        except DateOutOfRange:
            return False


@dataclass(frozen=True)
class WallClock(Instant):
    """The local time in `time_zone` at a staged instant (behaviour TimeZoneIndependent).

    CRM writes it like an instant: `2024-11-03T00:00:00Z` is midnight in every time zone. With `is_day` (format
    DateOnly) it is always midnight.
    """

    time_zone: str = "UTC"
    is_day: bool = False
    name: str = "local date and time"

    def canonical(self, value: object) -> Value:
        is_local = isinstance(value, str) or not isinstance(value, datetime)
        local = _moment(value) if is_local else _local(_moment(value), self.time_zone)
        return _written(local.replace(hour=0, minute=0, second=0) if self.is_day else local)

    def staged(self, value: Value) -> object:
        return None if value is None else _utc(_moment(value), self.time_zone)


@dataclass(frozen=True)
class Day(Type):
    """A calendar day (behaviour DateOnly). A staged instant becomes its day in `time_zone`."""

    time_zone: str
    name: str = "date"

    def canonical(self, value: object) -> Value:
        is_day = isinstance(value, date) and not isinstance(value, datetime)
        if is_day or (isinstance(value, str) and len(value) == len("2024-11-03")):
            day = date.fromisoformat(str(value))
        else:
            day = _local(_moment(value), self.time_zone).date()
        _check_range(day, value)
        return day.isoformat()

    def read(self, value: object) -> Value:
        return None if value is None else str(value).partition("T")[0]

    def staged(self, value: Value) -> object:
        return None if value is None else _utc(_moment(value), self.time_zone)


@dataclass(frozen=True)
class Identifier(Type):
    """A row's id."""

    name: str = "id"

    def canonical(self, value: object) -> Value:
        return str(value).strip("{}").lower()


class UnsupportedType(ValueError):
    """A column of a kind that cannot be sent (image, entity name, party list)."""


class NoTimeZone(ValueError):
    """The column's value depends on GP's time zone, but the model does not state it."""


def type_in_currency(attribute: Attribute, organization: Organization, time_zone: str | None, currency: str) -> Type:
    """The Type of a CRM column, with money rounded to the decimals of the record's own currency.

    `time_zone` (IANA) is the time zone of GP's dates. Raises UnsupportedType, and NoTimeZone if the column needs a time
    zone.
    """
    kind = attribute.kind
    if kind in ("String", "Memo"):
        return Text(attribute.max_length)
    if kind == "Money":
        return Number(_money_decimals(attribute, organization, currency), attribute.minimum, attribute.maximum)
    if kind in ("Decimal", "Double"):
        return Number(2 if attribute.precision is None else attribute.precision, attribute.minimum, attribute.maximum)
    if kind in ("Integer", "BigInt"):
        return Whole(_int(attribute.minimum), _int(attribute.maximum))
    if kind in ("Picklist", "State", "Status"):
        return Option(attribute.options)
    if kind == "Boolean":
        return YesNo()
    if kind == "DateTime":
        return _date_type(attribute, organization, time_zone)
    if kind in ("Lookup", "Customer", "Owner", "Uniqueidentifier"):
        return Identifier()
    raise UnsupportedType(f"{attribute.name} is of type {kind}")


def _date_type(attribute: Attribute, organization: Organization, time_zone: str | None) -> Type:
    is_day = attribute.date_format == "DateOnly"
    if attribute.date_behaviour in ("DateOnly", "TimeZoneIndependent"):
        if time_zone is None:
            raise NoTimeZone(f"CRM's column holds a date without a time zone (behaviour {attribute.date_behaviour})")
        if attribute.date_behaviour == "DateOnly":
            return Day(time_zone)
        return WallClock(time_zone=time_zone, is_day=is_day)
    return DayInstant(time_zone=organization.time_zone) if is_day else Instant()


def _money_decimals(attribute: Attribute, organization: Organization, currency: str) -> int:
    if attribute.precision_source == 1:
        return organization.pricing_decimals
    if attribute.precision_source == 2 and currency in organization.currency_precision:
        return organization.currency_precision[currency]
    return 2 if attribute.precision is None else attribute.precision


def _int(value: Decimal | None) -> int | None:
    return None if value is None else int(value)


def _check_range(day: date, value: object) -> None:
    if not _FIRST <= day <= _LAST:
        raise _out_of_range(value)


def _out_of_range(value: object) -> DateOutOfRange:
    return DateOutOfRange(f"{value} is not between {_FIRST} and {_LAST}, the dates that CRM holds")


def _written(moment: datetime) -> str:
    """The instant as CRM writes it. Raises DateOutOfRange."""
    _check_range(moment.date(), moment)
    return _iso(moment)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds") + "Z"


def _local(moment: datetime, time_zone: str) -> datetime:
    """The local time in `time_zone` at an instant in UTC. Raises DateOutOfRange if its year is not possible."""
    try:
        return moment.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(time_zone)).replace(tzinfo=None)
    except OverflowError:
        raise _out_of_range(moment) from None


def same_clock(one: str, other: str, since: date | None = None) -> bool:
    """Whether two time zones (IANA) have the same local time on each day of two years, by default from today."""
    start = datetime.combine(since or date.today(), time(12), timezone.utc)
    zones = ZoneInfo(one), ZoneInfo(other)
    moments = (start + timedelta(days=number) for number in range(731))
    return all(len({moment.astimezone(zone).utcoffset() for zone in zones}) == 1 for moment in moments)


def _utc(local: datetime, time_zone: str) -> datetime:
    """The first instant with this local time in `time_zone`. Returned unchanged if the year would not be possible."""
    try:
        return local.replace(tzinfo=ZoneInfo(time_zone)).astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        return local


def _moment(value: object) -> datetime:
    """The instant in UTC, without a time zone. Raises DateOutOfRange for an impossible year such as 10000."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return moment if moment.tzinfo is None else moment.astimezone(timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise _out_of_range(value) from None


def _units(text: str) -> int:
    """Length as CRM counts it: UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(text: str, units: int) -> str:
    if text.isascii():
        return text[:units]
    return text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "ignore")
