"""The organisation's settings that affect how records are stored, and the caller. describe.py reads them from CRM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Organization:
    """`currency_precision` maps a currency's id to its decimals, `currency_codes` to its ISO code."""

    id: str
    caller_id: str
    caller_name: str
    sop_integration: bool
    integration_user: bool
    pricing_decimals: int
    base_currency: str
    currency_precision: Mapping[str, int]
    currency_codes: Mapping[str, str]
    time_zone: str | None = None
    """The caller's time zone, by its IANA name; None if CRM does not reveal it."""
    settings: Mapping[str, bool] = field(default_factory=dict)
    """Other yes-or-no settings that were asked for; one that CRM does not have is absent."""

    @property
    def keeps_amounts(self) -> bool:
        """Whether CRM stores totals instead of computing them: SOP mode is on and the caller an integration user."""
        return self.sop_integration and self.integration_user
