"""A canonical value is what CRM gives back: storing it once more changes nothing."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.keys import cleaned, match_key
from loader.sync.canonical import (
    DateOutOfRange,
    Day,
    DayInstant,
    Identifier,
    Instant,
    Number,
    Option,
    Text,
    Type,
    ValueOutOfRange,
    WallClock,
    Whole,
    YesNo,
    same_clock,
)

MONEY = Number(2, Decimal("-922337203685477"), Decimal("922337203685477"))


@pytest.mark.parametrize(
    ("staged", "stored"),
    [("0.005", "0.01"), ("-0.005", "-0.01"), ("2.675", "2.68"), ("59.95000", "59.95"), ("-0.001", "0.00")],
)
def test_money_is_rounded_half_away_from_zero(staged: str, stored: str) -> None:
    assert MONEY.canonical(Decimal(staged)) == Decimal(stored)


def test_a_value_is_in_range_or_not_after_rounding() -> None:
    discount = Number(2, Decimal(0), Decimal(1000))
    assert discount.canonical(Decimal("-0.004")) == 0
    assert discount.canonical(Decimal("1000.004")) == 1000
    with pytest.raises(ValueOutOfRange, match=r"-0\.005 is not between 0 and 1000"):
        discount.canonical(Decimal("-0.005"))


def test_text_is_cut_to_utf16_units_and_never_in_the_middle_of_a_character() -> None:
    assert Text(3).canonical("ab😀") == "ab"
    assert Text(4).canonical("ab😀") == "ab😀"
    assert Text(3).shortened("ab😀") == "cut from 4 to 3 characters"
    assert Text(4).shortened("ab😀  ") is None


def test_blank_text_is_none() -> None:
    assert Text(10).canonical("   ") is None
    assert Text(10).read("") is None


def test_an_unknown_option_is_out_of_range_and_the_known_ones_are_named() -> None:
    with pytest.raises(ValueOutOfRange, match="9 is not an option; CRM has 1 Net 30"):
        Option({1: "Net 30"}).canonical(9)


def test_dates_are_instants_or_days() -> None:
    moment = datetime(2024, 11, 3, 4)
    assert Instant().canonical(moment) == "2024-11-03T04:00:00Z"
    assert Instant().read("2024-11-03T04:00:00Z") == "2024-11-03T04:00:00Z"
    assert Day("America/New_York").canonical(moment) == "2024-11-03"
    assert Day("America/New_York").canonical(datetime(2024, 11, 3, 3)) == "2024-11-02"
    assert Day("UTC").canonical(date(2024, 2, 29)) == "2024-02-29"
    with pytest.raises(DateOutOfRange, match="1753"):
        Instant().canonical(datetime(1752, 12, 31))


def test_a_day_is_in_range_where_it_is_meant_not_in_utc() -> None:
    first, last = "1753-01-01", "9999-12-30"
    assert Day("Europe/Berlin").canonical(datetime(1752, 12, 31, 23, 30)) == first
    assert Day("Pacific/Auckland").canonical(datetime(9999, 12, 29, 12)) == last
    assert Day("America/New_York").canonical(datetime(9999, 12, 31, 4)) == last
    for impossible in (datetime(9999, 12, 31, 5), datetime(9999, 12, 31, 23), date(9999, 12, 31), date(1, 1, 1)):
        with pytest.raises(DateOutOfRange):
            Day("America/New_York").canonical(impossible)
    with pytest.raises(DateOutOfRange):
        Day("Pacific/Auckland").canonical(datetime(9999, 12, 31, 23))


@pytest.mark.parametrize("kind", [Instant(), DayInstant(), WallClock(time_zone="Europe/Berlin"), Day("Europe/Berlin")])
@pytest.mark.parametrize(
    "value",
    ["10000-01-01 00:00:00", "44-03-15 (BC)", datetime.max, datetime.max.replace(tzinfo=timezone(-timedelta(hours=1)))],
)
def test_a_date_that_no_calendar_has_is_out_of_range_too(kind: Type, value: object) -> None:
    with pytest.raises(DateOutOfRange):
        kind.canonical(value)
    assert str(kind.read("10000-01-01T00:00:00+00:00")).startswith("10000-01-01")


def test_crms_dates_as_they_are_staged() -> None:
    berlin = datetime(2027, 6, 14, 22)
    assert Day("Europe/Berlin").staged("2027-06-15") == berlin
    assert WallClock(time_zone="Europe/Berlin").staged("2027-06-15T00:00:00Z") == berlin
    havana = datetime(2027, 3, 14, 5)  # the clocks of that day begin with one o'clock
    assert Day("America/Havana").staged("2027-03-14") == havana
    assert WallClock(time_zone="America/Havana", is_day=True).canonical(havana) == "2027-03-14T00:00:00Z"
    assert Instant().staged("2027-06-14T22:00:00Z") == "2027-06-14T22:00:00Z"
    assert Day("Europe/Berlin").staged(None) is WallClock().staged(None) is None


@pytest.mark.parametrize(
    ("zone", "held", "same"),
    [
        ("UTC", "2027-06-15T00:00:00Z", True),
        ("UTC", "2027-06-14T00:00:00Z", False),
        ("UTC", "2027-06-16T00:00:00Z", False),
        ("Europe/Berlin", "2027-06-14T22:00:00Z", True),
        ("Europe/Berlin", "2027-06-15T22:00:00Z", False),
        (None, "2027-06-14T22:00:00Z", True),
        (None, "2027-06-14T04:00:00Z", False),
        (None, "2027-06-15T04:00:01Z", False),
        ("UTC", None, False),
        ("America/New_York", "9999-12-31T23:00:00Z", False),
    ],
)
def test_a_day_that_crm_keeps_is_the_one_it_was_sent(zone: str | None, held: str | None, same: bool) -> None:
    kind = DayInstant(time_zone=zone)
    assert kind.same("2027-06-15T04:00:00Z", held) is same
    assert kind.same(held, held)


def test_time_zones_are_one_when_their_clocks_are() -> None:
    assert same_clock("Europe/Berlin", "Europe/Vienna")
    assert same_clock("Etc/UTC", "UTC")
    assert not same_clock("Europe/Berlin", "Africa/Lagos")
    assert not same_clock("America/New_York", "America/Panama")


def test_ids_and_flags() -> None:
    assert Identifier().canonical("{A1B2}") == "a1b2"
    assert YesNo().canonical(1) is True
    assert Whole(0, 10).canonical(Decimal("10.4")) == 10
    with pytest.raises(ValueOutOfRange):
        Whole(0, 10).canonical(11)


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=5), st.integers(0, 10))
def test_storing_a_stored_number_changes_nothing(value: Decimal, precision: int) -> None:
    number = Number(precision)
    stored = number.canonical(value)
    assert number.read(stored) == stored
    assert number.canonical(stored) == stored
    assert abs(Decimal(str(stored)) - value) <= Decimal(1).scaleb(-precision) / 2


@given(st.text(), st.integers(1, 50))
def test_storing_a_stored_text_changes_nothing(value: str, length: int) -> None:
    kind = Text(length)
    stored = kind.canonical(value)
    if stored is not None:
        assert kind.read(stored) == stored == kind.canonical(stored)
        assert kind.replaced(stored) is kind.shortened(stored) is None


XML = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""https://www.w3.org/TR/xml/#charsets"""


@given(st.text(st.characters(exclude_categories=[]) | st.sampled_from("\0\x0b\x1f\ud800\ufffe\uffff\t\r\n")))
def test_a_stored_text_holds_no_character_that_crm_refuses(value: str) -> None:
    kind = Text(20)
    stored = kind.canonical(value)
    assert stored is None or XML.fullmatch(str(stored))
    assert len(cleaned(value)) == len(value)
    assert match_key(value) == match_key(cleaned(value))
    assert (kind.replaced(value) is None) == bool(XML.fullmatch(value))
    assert stored is None or kind.canonical(kind.read(stored)) == stored


KINDS = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"]).flatmap(
    lambda zone: st.sampled_from([Instant(), DayInstant(time_zone=zone), WallClock(time_zone=zone), Day(zone)])
)


@given(
    KINDS, st.datetimes(min_value=datetime(1753, 1, 3), max_value=datetime(9999, 12, 29)) | st.dates(date(1753, 1, 1))
)
def test_storing_a_stored_date_changes_nothing(kind: Type, value: datetime | date) -> None:
    try:
        stored = kind.canonical(value)
    except DateOutOfRange:
        assert not isinstance(value, datetime)
        return
    assert kind.read(stored) == stored == kind.canonical(stored) == kind.canonical(kind.read(stored))
    assert kind.same(stored, stored)
    if isinstance(value, datetime):
        staged = kind.staged(stored)
        assert kind.canonical(staged if isinstance(staged, datetime) else stored) == stored
