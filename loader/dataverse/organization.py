"""The organisation's settings that decide how orders are stored, and who the caller is (dataverse facts 2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
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
    caller = client.get("WhoAmI")["UserId"]
    organizations, user, currencies = client.query(
        [
            Query("organizations?$select=issopintegrationenabled,pricingdecimalprecision,_basecurrencyid_value"),
            Query(f"systemusers({caller})?$select=fullname,isintegrationuser"),
            Query("transactioncurrencies?$select=currencyprecision,isocurrencycode"),
        ]
    )
    organization = organizations["value"][0]
    pricing_decimals = organization.get("pricingdecimalprecision")
    return Organization(
        id=organization["organizationid"],
        caller_id=caller,
        caller_name=user.get("fullname") or caller,
        sop_integration=bool(organization.get("issopintegrationenabled")),
        integration_user=bool(user.get("isintegrationuser")),
        pricing_decimals=2 if pricing_decimals is None else int(pricing_decimals),  # 0 is a choice, too
        base_currency=organization.get("_basecurrencyid_value") or "",
        currency_precision={
            row["transactioncurrencyid"]: int(row.get("currencyprecision") or 0) for row in currencies["value"]
        },
        currency_codes={
            row["transactioncurrencyid"]: str(row.get("isocurrencycode") or "") for row in currencies["value"]
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
    names = {row.get("timezonecode"): str(row.get("standardname")) for row in zones["value"]}
    zone = get_global("windows_zone_mapping").get(names.get(settings.get("timezonecode"), ""))
    return None if zone is None else str(zone)
