"""The organisation's settings that decide how orders are stored, and who the caller is (dataverse facts 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.replies import flag, identifier, optional_text, rows, whole
from loader.errors import AccessRefused


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
    """The caller's, by IANA's name; None where CRM does not tell it."""

    @property
    def keeps_amounts(self) -> bool:
        """CRM keeps totals that it is sent instead of computing them: SOP mode, and the caller an integration user."""
        return self.sop_integration and self.integration_user


def read_organization(client: Client) -> Organization:
    caller = identifier(client.get("WhoAmI"), "UserId")
    organizations, user, currencies = client.query(
        [
            Query("organizations?$select=issopintegrationenabled,pricingdecimalprecision,_basecurrencyid_value"),
            Query(f"systemusers({caller})?$select=fullname,isintegrationuser"),
            Query("transactioncurrencies?$select=currencyprecision,isocurrencycode"),
        ]
    )
    organization = next(iter(rows(organizations)), {})
    pricing_decimals = whole(organization, "pricingdecimalprecision")
    return Organization(
        id=identifier(organization, "organizationid"),
        caller_id=caller,
        caller_name=optional_text(user, "fullname") or caller,
        sop_integration=flag(organization, "issopintegrationenabled"),
        integration_user=flag(user, "isintegrationuser"),
        pricing_decimals=2 if pricing_decimals is None else pricing_decimals,  # 0 is a choice, too
        base_currency=optional_text(organization, "_basecurrencyid_value") or "",
        currency_precision={
            identifier(row, "transactioncurrencyid"): whole(row, "currencyprecision") or 0 for row in rows(currencies)
        },
        currency_codes={
            identifier(row, "transactioncurrencyid"): optional_text(row, "isocurrencycode") or ""
            for row in rows(currencies)
        },
        time_zone=_time_zone(client, caller),
    )


def _time_zone(client: Client, caller: str) -> str | None:
    """The caller's time zone: CRM names zones as Windows does."""
    from babel.core import get_global

    try:
        settings, zones = client.query(
            [
                Query(f"usersettingscollection({caller})?$select=timezonecode"),
                Query("timezonedefinitions?$select=timezonecode,standardname"),
            ]
        )
    except (RequestFailed, AccessRefused):
        return None
    names = {whole(row, "timezonecode"): optional_text(row, "standardname") for row in rows(zones)}
    zone = get_global("windows_zone_mapping").get(names.get(whole(settings, "timezonecode")) or "")
    return None if zone is None else str(zone)
