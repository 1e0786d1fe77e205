"""The metadata that the service publishes: `EntityDefinitions` and `$metadata`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from decimal import Decimal
from uuid import NAMESPACE_OID, uuid5
from xml.sax.saxutils import quoteattr

from .callers import privilege_name
from .errors import bad_request, no_such_segment, not_found, not_implemented
from .metadata import AlternateKey, Column, Relationship, Schema, Table
from .odata_filter import matches
from .query import Expand, Options, parse_options
from .references import split_resource
from .values import DEFAULT_RANGE, FIRST_INSTANT, LAST_INSTANT

Json = dict[str, object]
NAMESPACE = "Microsoft.Dynamics.CRM."
ALLOWED = frozenset({"$select", "$filter", "$expand", "$top", "$count"})
BASE_PROPERTIES = frozenset(
    {
        "MetadataId", "LogicalName", "SchemaName", "AttributeType", "AttributeTypeName", "AttributeOf", "ColumnNumber",
        "DisplayName", "Description", "EntityLogicalName", "IsCustomAttribute", "IsManaged", "IsPrimaryId",
        "IsPrimaryName", "IsValidForCreate", "IsValidForRead", "IsValidForUpdate", "IsValidODataAttribute",
        "RequiredLevel", "SourceType", "HasChanged", "IsLogical", "IsSecured", "IsFilterable", "IsSearchable",
    }
)  # fmt: skip


def metadata_id(kind: str, name: str) -> str:
    return str(uuid5(NAMESPACE_OID, f"{kind} {name}"))


def label(text: str) -> Json:
    localized = {
        "Label": text,
        "LanguageCode": 1033,
        "IsManaged": True,
        "MetadataId": metadata_id("label", text),
        "HasChanged": None,
    }
    return {"LocalizedLabels": [localized], "UserLocalizedLabel": localized}


def managed(value: object, name: str) -> Json:
    return {"Value": value, "CanBeChanged": True, "ManagedPropertyLogicalName": name}


def attribute_class(column: Column) -> str:
    """`StringAttributeMetadata` and so on. Customers and owners count as look-ups there; an id has the base class."""
    if column.is_lookup:
        return "LookupAttributeMetadata"
    return {
        "Uniqueidentifier": "UniqueIdentifierAttributeMetadata",
        "EntityName": "EntityNameAttributeMetadata",
    }.get(column.type, f"{column.type}AttributeMetadata")


def _number(value: Decimal) -> object:
    return int(value) if value == value.to_integral_value() else value


def option_set(table: Table, column: Column) -> Json | None:
    """The result of `$expand=OptionSet`: options with labels, and for a status the state that it belongs to."""
    name = f"{table.name}_{column.name}"
    common: Json = {
        "MetadataId": metadata_id("option set", name),
        "HasChanged": None,
        "Description": label(""),
        "DisplayName": label(column.schema_name),
        "IsCustomOptionSet": column.custom,
        "IsGlobal": False,
        "IsManaged": not column.custom,
        "Name": name,
        "OptionSetType": column.type if column.type in ("State", "Status", "Boolean") else "Picklist",
    }
    if column.type == "Boolean":
        labels = {0: "No", 1: "Yes", **column.options}
        return {
            **common,
            "TrueOption": {"Value": 1, "Label": label(labels[1])},
            "FalseOption": {"Value": 0, "Label": label(labels[0])},
        }
    if column.type not in ("Picklist", "State", "Status"):
        return None
    options: list[Json] = []
    status = table.columns.get("statuscode")
    for value, text in sorted(column.options.items()):
        option: Json = {
            "Value": value,
            "Color": None,
            "IsManaged": True,
            "Label": label(text),
            "Description": label(""),
            "ExternalValue": "",
            "ParentValues": [],
        }
        if column.type == "Status":
            option = {
                "@odata.type": f"#{NAMESPACE}StatusOptionMetadata",
                **option,
                "State": column.states[value],
                "TransitionData": None,
            }
        elif column.type == "State" and status is not None:
            of_state = [reason for reason, state in status.states.items() if state == value]
            option = {
                "@odata.type": f"#{NAMESPACE}StateOptionMetadata",
                **option,
                "DefaultStatus": min(of_state, default=-1),
                "InvariantName": text,
            }
        options.append(option)
    return {**common, "Options": options}


def attribute(table: Table, column: Column, number: int) -> Json:
    kind = attribute_class(column)
    base: Json = {
        "@odata.type": f"#{NAMESPACE}{kind}",
        "MetadataId": metadata_id("attribute", f"{table.name}.{column.name}"),
        "HasChanged": None,
        "AttributeOf": None,
        "AttributeType": column.type,
        "AttributeTypeName": {"Value": f"{column.type}Type"},
        "ColumnNumber": number,
        "Description": label(""),
        "DisplayName": label(column.schema_name),
        "EntityLogicalName": table.name,
        "IsCustomAttribute": column.custom,
        "IsFilterable": True,
        "IsLogical": False,
        "IsManaged": not column.custom,
        "IsPrimaryId": column.name == table.id_column,
        "IsPrimaryName": column.name == table.name_column,
        "IsSearchable": True,
        "IsSecured": False,
        "IsValidForCreate": column.create,
        "IsValidForRead": column.read,
        "IsValidForUpdate": column.update,
        "IsValidODataAttribute": True,
        "LogicalName": column.name,
        "RequiredLevel": managed(column.required, "canmodifyrequirementlevelsettings"),
        "SchemaName": column.schema_name,
        "SourceType": None,
    }
    minimum, maximum = DEFAULT_RANGE.get(column.type, (Decimal(0), Decimal(0)))
    minimum = column.minimum if column.minimum is not None else minimum
    maximum = column.maximum if column.maximum is not None else maximum
    if column.type in ("String", "Memo"):
        form = column.format or ("Text" if column.type == "String" else "TextArea")
        base |= {"MaxLength": column.max_length, "Format": form, "FormatName": {"Value": form}, "ImeMode": "Auto"}
    elif column.type in ("Integer", "BigInt"):
        base |= {"MinValue": int(minimum), "MaxValue": int(maximum)}
        if column.type == "Integer":
            base |= {"Format": column.format or "None"}
    elif column.type in ("Money", "Decimal", "Double"):
        base |= {
            "MinValue": _number(minimum),
            "MaxValue": _number(maximum),
            "Precision": column.precision or 0,
            "ImeMode": "Auto",
        }
        if column.type == "Money":
            base |= {
                "PrecisionSource": column.precision_source,
                "IsBaseCurrency": column.is_base_amount,
                "CalculationOf": column.name.removesuffix("_base") if column.is_base_amount else None,
            }
    elif column.type == "DateTime":
        base |= {
            "Format": "DateOnly" if column.format == "DateOnly" else "DateAndTime",
            "DateTimeBehavior": {"Value": column.behavior or "UserLocal"},
            "MinSupportedValue": FIRST_INSTANT,
            "MaxSupportedValue": LAST_INSTANT,
            "ImeMode": "Auto",
        }
    elif column.is_lookup:
        base |= {"Targets": list(column.targets), "Format": None}
    elif column.type in ("Picklist", "State", "Status"):
        base |= {"DefaultFormValue": None}
    elif column.type == "Boolean":
        base |= {"DefaultValue": False}
    return base


def relationship_definition(schema: Schema, relationship: Relationship) -> Json:
    referenced = schema.tables.get(relationship.referenced)
    return {
        "MetadataId": metadata_id("relationship", relationship.name),
        "HasChanged": None,
        "SchemaName": relationship.name,
        "RelationshipType": "OneToManyRelationship",
        "IsCustomRelationship": False,
        "IsManaged": True,
        "ReferencedEntity": relationship.referenced,
        "ReferencedAttribute": referenced.id_column if referenced else f"{relationship.referenced}id",
        "ReferencedEntityNavigationPropertyName": relationship.collection_property or None,
        "ReferencingEntity": relationship.referencing,
        "ReferencingAttribute": relationship.column,
        "ReferencingEntityNavigationPropertyName": relationship.lookup_property or None,
        "CascadeConfiguration": {
            "Assign": relationship.on_assign,
            "Delete": relationship.on_delete,
            "Merge": relationship.on_merge,
            "Reparent": "NoCascade",
            "Share": "NoCascade",
            "Unshare": "NoCascade",
        },
    }


def key_definition(table: Table, key: AlternateKey) -> Json:
    return {
        "MetadataId": metadata_id("key", f"{table.name}.{key.name}"),
        "HasChanged": None,
        "LogicalName": key.name,
        "SchemaName": key.name,
        "EntityLogicalName": table.name,
        "KeyAttributes": list(key.columns),
        "EntityKeyIndexStatus": "Active",
        "IsManaged": False,
        "DisplayName": label(key.name),
    }


class Definitions:
    """Answers `EntityDefinitions…` with `$select`, `$filter` and `$expand`."""

    roots = frozenset({"$metadata", "EntityDefinitions", "GlobalOptionSetDefinitions", "RelationshipDefinitions"})

    def __init__(self, schema: Schema, untracked: Collection[str] = ()) -> None:
        self.schema = schema
        self._untracked = untracked
        self._attributes: dict[str, list[Json]] = {}

    # ------------------------------------------------ objects

    def entity(self, table: Table) -> Json:
        return {
            "MetadataId": metadata_id("entity", table.name),
            "HasChanged": None,
            "LogicalName": table.name,
            "SchemaName": table.schema_name,
            "EntitySetName": table.entity_set,
            "LogicalCollectionName": table.entity_set,
            "CollectionSchemaName": f"{table.schema_name}s",
            "ObjectTypeCode": table.type_code,
            "PrimaryIdAttribute": table.id_column,
            "PrimaryNameAttribute": table.name_column or None,
            "OwnershipType": table.ownership,
            "DisplayName": label(table.schema_name),
            "DisplayCollectionName": label(f"{table.schema_name}s"),
            "Description": label(""),
            "IsCustomEntity": False,
            "IsManaged": True,
            "IsActivity": table.name == "orderclose",
            "IsIntersect": False,
            "IsPrivate": False,
            "IsLogicalEntity": False,
            "TableType": "Standard",
            "ChangeTrackingEnabled": table.name not in self._untracked,
            "IsOptimisticConcurrencyEnabled": True,
            "IsValidForAdvancedFind": True,
            "Privileges": [
                {
                    "PrivilegeType": right,
                    "Name": privilege_name(right, table),
                    "PrivilegeId": str(uuid5(NAMESPACE_OID, f"privilege {privilege_name(right, table)}")),
                    "CanBeBasic": True,
                    "CanBeDeep": True,
                    "CanBeGlobal": True,
                    "CanBeLocal": True,
                    "CanBeEntityReference": False,
                    "CanBeParentEntityReference": False,
                }
                for right in ("Create", "Read", "Write", "Delete", "Assign", "Share", "Append", "AppendTo")
            ],
        }

    def attributes(self, table: Table) -> list[Json]:
        found = self._attributes.get(table.name)
        if found is None or len(found) != len(table.columns):
            found = [attribute(table, column, number) for number, column in enumerate(table.columns.values(), start=1)]
            self._attributes[table.name] = found
        return found

    def keys(self, table: Table) -> list[Json]:
        return [key_definition(table, key) for key in table.keys]

    def related(self, table: Table, name: str) -> list[Json]:
        found = table.references if name == "ManyToOneRelationships" else table.referenced_by
        return [relationship_definition(self.schema, relationship) for relationship in found]

    # ------------------------------------------------ requests

    def read(self, segments: list[str], pairs: list[tuple[str, str]]) -> Json:
        options = parse_options(pairs, ALLOWED)
        name, key = split_resource(segments[0])
        if name == "GlobalOptionSetDefinitions" and key is None and len(segments) == 1:
            return {"@odata.context": "$metadata#GlobalOptionSetDefinitions", "value": []}
        if name == "RelationshipDefinitions":
            if key is not None or (len(segments) > 1 and not segments[1].startswith(NAMESPACE)):
                raise not_implemented("Reading one relationship")
            every = [
                item for table in self.schema.tables.values() for item in self.related(table, "ManyToOneRelationships")
            ]
            return self._list("RelationshipDefinitions", every, options, None)
        if key is None:
            if len(segments) > 1:
                raise no_such_segment(segments[1])
            tables = list(self.schema.tables.values())
            if options.filter is not None:
                tables = [table for table in tables if matches(options.filter, self.entity(table))]
            tables = tables[: options.top] if options.top is not None else tables
            return {
                "@odata.context": "$metadata#EntityDefinitions",
                "value": [self._entity(table, options) for table in tables],
            }
        table = self._table(key)
        if len(segments) == 1:
            return {"@odata.context": "$metadata#EntityDefinitions/$entity", **self._entity(table, options)}
        return self._part(table, segments[1:], options)

    def _table(self, key: str) -> Table:
        match = re.fullmatch(r"\s*LogicalName\s*=\s*'(\w*)'\s*", key)
        for table in self.schema.tables.values():
            if (match and table.name == match.group(1)) or metadata_id("entity", table.name) == key.strip().lower():
                return table
        raise not_found("Entity", key)

    def _entity(self, table: Table, options: Options) -> Json:
        item = _select(self.entity(table), options)
        for expand in options.expand:
            if expand.property == "Attributes":
                item["Attributes"] = [
                    self._attribute(table, found, expand.options, base_only=True)
                    for found in self._filtered(self.attributes(table), expand.options)
                ]
            elif expand.property in ("ManyToOneRelationships", "OneToManyRelationships"):
                item[expand.property] = [
                    _select(found, expand.options)
                    for found in self._filtered(self.related(table, expand.property), expand.options)
                ]
            elif expand.property == "ManyToManyRelationships":
                item[expand.property] = []
            elif expand.property == "Keys":
                item["Keys"] = [_select(found, expand.options) for found in self.keys(table)]
            else:
                raise bad_request(
                    f"Could not find a property named '{expand.property}' on type '{NAMESPACE}EntityMetadata'."
                )
        return item

    def _filtered(self, items: Iterable[Json], options: Options) -> list[Json]:
        found = [item for item in items if options.filter is None or matches(options.filter, item)]
        return found[: options.top] if options.top is not None else found

    def _attribute(self, table: Table, item: Json, options: Options, *, base_only: bool) -> Json:
        if base_only:
            for name in options.select or ():
                if name not in BASE_PROPERTIES:
                    raise bad_request(
                        f"Could not find a property named '{name}' on type '{NAMESPACE}AttributeMetadata'."
                    )
        chosen = _select(item, options)
        for expand in options.expand:
            chosen[expand.property] = self._option_set(table, str(item["LogicalName"]), expand)
        return chosen

    def _option_set(self, table: Table, name: str, expand: Expand) -> Json | None:
        if expand.property == "GlobalOptionSet":
            return None
        if expand.property != "OptionSet":
            raise bad_request(f"Could not find a property named '{expand.property}' on the attribute's type.")
        found = option_set(table, table.columns[name])
        if found is None:
            raise bad_request("Could not find a property named 'OptionSet' on the attribute's type.")
        return _select(found, expand.options)

    def _list(self, context: str, items: Iterable[Json], options: Options, table: Table | None) -> Json:
        return {
            "@odata.context": f"$metadata#{context}",
            "value": [_select(item, options) for item in self._filtered(items, options)],
        }

    def _part(self, table: Table, segments: list[str], options: Options) -> Json:
        name, key = split_resource(segments[0])
        context = f"EntityDefinitions('{table.name}')/{name}"
        if name in ("ManyToOneRelationships", "OneToManyRelationships") and key is None and len(segments) == 1:
            return self._list(context, self.related(table, name), options, table)
        if name == "ManyToManyRelationships":
            return self._list(context, [], options, table)
        if name == "Keys" and key is None and len(segments) == 1:
            return self._list(context, self.keys(table), options, table)
        if name != "Attributes":
            raise no_such_segment(name)
        return self._attributes_of(table, key, segments[1:], options, context)

    def _attributes_of(self, table: Table, key: str | None, rest: list[str], options: Options, context: str) -> Json:
        items = self.attributes(table)
        if key is not None:
            match = re.fullmatch(r"\s*LogicalName\s*=\s*'(\w*)'\s*", key)
            wanted = match.group(1) if match else key.strip().lower()
            items = [item for item in items if item["LogicalName" if match else "MetadataId"] == wanted]
            if not items:
                raise not_found("Attribute", key)
        kind = None
        if rest and rest[0].startswith(NAMESPACE):
            kind = rest[0].removeprefix(NAMESPACE)
            items = [item for item in items if str(item["@odata.type"]).endswith(f".{kind}")]
            rest = rest[1:]
            if key is not None and not items:
                raise not_found(kind, key)
        if rest == ["OptionSet"] and key is not None:
            found = option_set(table, table.columns[str(items[0]["LogicalName"])])
            if found is None:
                raise no_such_segment("OptionSet")
            return {"@odata.context": f"$metadata#{context}/OptionSet", **_select(found, options)}
        if rest:
            raise no_such_segment(rest[0])
        chosen = [
            self._attribute(table, item, options, base_only=kind is None) for item in self._filtered(items, options)
        ]
        if kind is not None:
            for item in chosen:
                item.pop("@odata.type", None)
        if key is not None:
            return {"@odata.context": f"$metadata#{context}/$entity", **chosen[0]}
        return {"@odata.context": f"$metadata#{context}", "value": chosen}

    # ------------------------------------------------ RetrieveMetadataChanges

    def changes(self, query: Json) -> Json:
        """The function's answer for criteria that are conditions on the names of tables and columns."""
        try:
            return self._changes(query)
        except (AttributeError, TypeError):
            raise bad_request("The parameter 'Query' is not an EntityQueryExpression.", "0x80048d19") from None

    def _changes(self, query: Json) -> Json:
        entities = []
        for table in self.schema.tables.values():
            if not _meets(query.get("Criteria"), self.entity(table)):
                continue
            columns = query.get("AttributeQuery")
            names = _property_names(query)
            entity = {name: value for name, value in self.entity(table).items() if names is None or name in names}
            if names is None or "Attributes" in names:
                columns = columns if isinstance(columns, dict) else {}
                entity["Attributes"] = [
                    _chosen(one, _property_names(columns))
                    for one in self.attributes(table)
                    if _meets(columns.get("Criteria"), one)
                ]
            entities.append(entity)
        return {"EntityMetadata": entities, "ServerVersionStamp": "1!01/01/2026 00:00:00", "DeletedMetadata": None}

    # ------------------------------------------------ CSDL

    def csdl(self) -> str:
        """The service's `$metadata` document: types, keys, navigation, sets."""
        types, sets = [], []
        for table in self.schema.tables.values():
            types.append(self._entity_type(table))
            sets.append(f'<EntitySet Name={quoteattr(table.entity_set)} EntityType="mscrm.{table.name}" />')
        return (
            '<?xml version="1.0" encoding="utf-8"?>'
            '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
            '<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
            '<EntityType Name="crmbaseentity" Abstract="true" />'
            f'{"".join(types)}<EntityContainer Name="System">{"".join(sets)}</EntityContainer>'
            "</Schema></edmx:DataServices></edmx:Edmx>"
        )

    def _entity_type(self, table: Table) -> str:
        out = [
            f'<EntityType Name="{table.name}" BaseType="mscrm.crmbaseentity">',
            f'<Key><PropertyRef Name="{table.id_column}" /></Key>',
        ]
        for column in table.columns.values():
            if column.read or column.create or column.update:
                scale = ' Scale="Variable"' if column.edm_type == "Edm.Decimal" else ""
                out.append(f'<Property Name="{column.api_name}" Type="{column.edm_type}"{scale} />')
        for name, relationships in table.lookups.items():
            known = [item.referenced for item in relationships if item.referenced in self.schema.tables]
            if not known:
                continue
            kind = known[0] if len(known) == 1 else "crmbaseentity"
            out.append(f'<NavigationProperty Name="{name}" Type="mscrm.{kind}" />')
        for name, relationship in table.collections.items():
            out.append(f'<NavigationProperty Name="{name}" Type="Collection(mscrm.{relationship.referencing})" />')
        out.append("</EntityType>")
        return "".join(out)


def _select(item: Json, options: Options) -> Json:
    if options.select is None:
        return dict(item)
    unknown = [name for name in options.select if name not in item]
    if unknown and "@odata.type" not in item:
        raise bad_request(f"Could not find a property named '{unknown[0]}' on the metadata type.")
    if unknown:
        kind = str(item["@odata.type"]).lstrip("#")
        raise bad_request(f"Could not find a property named '{unknown[0]}' on type '{kind}'.")
    kept = {name: item[name] for name in options.select}
    if "@odata.type" in item:
        kept = {"@odata.type": item["@odata.type"], **kept}
    if "MetadataId" in item:
        kept["MetadataId"] = item["MetadataId"]
    return kept


def _property_names(query: Json) -> list[str] | None:
    """The requested names; None for all."""
    properties = query.get("Properties")
    if not isinstance(properties, dict) or properties.get("AllProperties"):
        return None
    names = properties.get("PropertyNames")
    return [str(name) for name in names] if isinstance(names, list) else None


def _chosen(item: Json, names: list[str] | None) -> Json:
    kept = {"@odata.type", "MetadataId", *(names or item)}
    return {name: value for name, value in item.items() if name in kept}


def _meets(criteria: object, item: Json) -> bool:
    if not isinstance(criteria, dict):
        return True
    for condition in criteria.get("Conditions") or []:
        value = condition.get("Value")
        wanted = value.get("Value") if isinstance(value, dict) else value
        found = item.get(str(condition.get("PropertyName")))
        operator = condition.get("ConditionOperator")
        if operator == "Equals" and found == wanted:
            continue
        if operator == "In" and isinstance(wanted, list) and found in wanted:
            continue
        if operator not in ("Equals", "In"):
            raise not_implemented(f"The operator '{operator}' of RetrieveMetadataChanges")
        return False
    return True
