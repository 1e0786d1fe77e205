"""Figures as people read them."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

_CENT = Decimal("0.01")


def span(duration: dt.timedelta) -> str:
    """A length of time by its two largest units: `45 s`, `12 min`, `5 h 10 min`, `3 d 4 h`."""
    seconds = max(int(duration.total_seconds()), 0)
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60 % 60, seconds // 3600 % 24, seconds // 86400
    if days:
        parts = (f"{days} d", f"{hours} h" if hours else "")
    else:
        parts = (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")
    return " ".join(filter(None, parts))


def money(amount: Decimal | None) -> str:
    """To the cent; a dash where it is not known."""
    return "–" if amount is None else f"{amount.quantize(_CENT, ROUND_HALF_UP):,}"


def counted(number: int, noun: str, nouns: str = "") -> str:
    """`1 order`, `1,200 orders`, `2 tries`."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def minute(instant: dt.datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M}" if instant else ""
