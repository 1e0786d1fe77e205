"""Reads what CRM says about itself: its tables (EntityDefinitions), the organisation and the caller."""

from __future__ import annotations

from collections.abc import Iterable

from loader.dataverse.batch import Query
from loader.dataverse.client import Client, RequestFailed
from loader.dataverse.metadata import Attribute, Table
from loader.dataverse.organization import Organization
from loader.dataverse.query import definition_of, rows_where_in
from loader.dataverse.replies import (
    Row,
    flag,
    identifier,
    nested,
    number,
    option,
    optional_text,
    rows,
    text,
    whole,
)
from loader.errors import AccessRefused, UsageError

_CASTS = {
    "String": "MaxLength",
    "Memo": "MaxLength",
    "Money": "MinValue,MaxValue,Precision,PrecisionSource",
    "Decimal": "MinValue,MaxValue,Precision",
    "Integer": "MinValue,MaxValue",
    "DateTime": "Format,DateTimeBehavior",
    "Lookup": "Targets",
}
_OPTION_CASTS = ("Picklist", "State", "Status")


def read_organization(client: Client) -> Organization:
    """The settings that decide how records are stored, and who the caller is."""
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
        pricing_decimals=2 if pricing_decimals is None else pricing_decimals,  # 0 is a valid setting
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


def read_flags(client: Client, names: Iterable[str]) -> dict[str, bool]:
    """More yes-or-no settings of the organisation; one that CRM does not have is absent."""
    return {name: flag(row, name) for name in names for row in _with_setting(client, name)}


def _with_setting(client: Client, name: str) -> list[Row]:
    """The organisation with one more column; nothing if CRM has no column of this name."""
    try:
        (answer,) = client.query([Query(f"organizations?$select={name}")])
    except RequestFailed as failure:
        if failure.error.status != 400:
            raise
        return []
    return rows(answer)[:1]


def has_action(client: Client, name: str) -> bool:
    """Whether CRM knows an action of this name; True if it does not say."""
    try:
        (found,) = client.query([Query(rows_where_in("sdkmessages", "name", [name], ["name"]))])
    except (RequestFailed, AccessRefused):
        return True
    return bool(rows(found))


def _time_zone(client: Client, caller: str) -> str | None:
    """The caller's time zone. CRM uses the names that Windows has for time zones."""
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


def read_tables(client: Client, names: Iterable[str]) -> dict[str, Table]:
    """The definitions of the named tables, in one request. Raises UsageError for a table that CRM does not have."""
    wanted = list(dict.fromkeys(names))
    queries = [Query(path) for name in wanted for path in _paths(name)]
    try:
        answers = client.query(queries)
    except RequestFailed as failure:
        if failure.error.status != 404:
            raise
        raise UsageError(
            f"CRM does not have a table that meta.crm names: {failure.error}", "Correct meta.crm.table."
        ) from failure
    size = len(queries) // max(1, len(wanted))
    return {name: _table(name, answers[number * size : (number + 1) * size]) for number, name in enumerate(wanted)}


def _paths(name: str) -> list[str]:
    entity = definition_of(name)
    base = "LogicalName,AttributeType,IsValidForCreate,IsValidForUpdate,IsValidForRead,AttributeOf"
    return [
        f"{entity}?$select=LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled"
        "&$expand=ManyToOneRelationships($select=ReferencingAttribute,ReferencedEntity,"
        "ReferencingEntityNavigationPropertyName),OneToManyRelationships($select=ReferencingEntity,"
        "ReferencingAttribute,ReferencedEntityNavigationPropertyName)",
        f"{entity}/Attributes?$select={base}",
        *(
            f"{entity}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata?$select=LogicalName,{columns}"
            for kind, columns in _CASTS.items()
        ),
        *(
            f"{entity}/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata"
            "?$select=LogicalName&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"
            for kind in _OPTION_CASTS
        ),
    ]


def _table(name: str, answers: list[Row]) -> Table:
    entity, attributes, *typed = answers
    details: dict[str, Row] = {}
    for answer in typed:
        for row in rows(answer):
            details.setdefault(text(row, "LogicalName"), {}).update(row)
    return Table(
        name=name,
        entity_set=text(entity, "EntitySetName"),
        id_column=text(entity, "PrimaryIdAttribute"),
        attributes={
            attribute.name: attribute
            for attribute in (_attribute(row, details.get(text(row, "LogicalName"), {})) for row in rows(attributes))
        },
        single=_navigations(
            entity,
            "ManyToOneRelationships",
            ("ReferencingAttribute", "ReferencedEntity", "ReferencingEntityNavigationPropertyName"),
        ),
        collections=_navigations(
            entity,
            "OneToManyRelationships",
            ("ReferencingEntity", "ReferencingAttribute", "ReferencedEntityNavigationPropertyName"),
        ),
        tracks_changes=entity.get("ChangeTrackingEnabled") is not False,
    )


def _navigations(entity: Row, name: str, columns: tuple[str, str, str]) -> dict[tuple[str, str], str]:
    """Navigation properties by the two columns that identify them."""
    found: dict[tuple[str, str], str] = {}
    for row in rows(entity, name):
        first, second, navigation = (optional_text(row, column) for column in columns)
        if first and second and navigation:
            found[(first, second)] = navigation
    return found


def _attribute(row: Row, detail: Row) -> Attribute:
    held = nested(detail, "OptionSet") or nested(detail, "GlobalOptionSet")
    options = rows(held, "Options") if held.get("Options") else []
    behaviour = detail.get("DateTimeBehavior")
    targets = detail.get("Targets")
    return Attribute(
        name=text(row, "LogicalName"),
        kind=text(row, "AttributeType"),
        creatable=flag(row, "IsValidForCreate"),
        updatable=flag(row, "IsValidForUpdate"),
        readable=flag(row, "IsValidForRead"),
        max_length=whole(detail, "MaxLength"),
        minimum=number(detail, "MinValue"),
        maximum=number(detail, "MaxValue"),
        precision=whole(detail, "Precision"),
        precision_source=whole(detail, "PrecisionSource"),
        date_format=optional_text(detail, "Format"),
        date_behaviour=optional_text(behaviour, "Value")
        if isinstance(behaviour, dict)
        else optional_text(detail, "DateTimeBehavior"),
        targets=tuple(map(str, targets)) if isinstance(targets, list) else (),
        options={option(each, "Value"): _label(each) for each in options},
        states={option(each, "Value"): option(each, "State") for each in options if "State" in each},
    )


def _label(held: Row) -> str:
    label = nested(nested(held, "Label"), "UserLocalizedLabel")
    return str(label.get("Label") or option(held, "Value"))
