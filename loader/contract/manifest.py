"""Reads the contract from dbt's manifest, target/manifest.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from loader.checksum import checksum
from loader.contract.checks import check_key_and_noun, check_keys_of_tables, check_lines, check_names
from loader.contract.models import Column, Contract, ContractTest, JournalTable, Model, Origin, SeedOptions
from loader.contract.order import in_order
from loader.contract.words import ColumnMeta, ModelMeta, settle_reads
from loader.errors import ContractError

JOURNAL_TABLES = (
    "sync_run",
    "sync_event",
    "retry_queue",
    "crm_xref",
    "sync_lock",
    "sync_state",
    "sync_lookup",
    "sync_noted",
)


def read_contract(manifest: Path, adapter: str) -> Contract:
    """Reads `target/manifest.json`. Raises ContractError naming file, model and column."""
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ContractError(f"{manifest} does not exist.", "Run `dbt build` first: it writes the manifest.") from None
    except (OSError, ValueError) as error:
        raise ContractError(f"{manifest} cannot be read: {error}", "Run `dbt build` again.") from None

    built_for = content.get("metadata", {}).get("adapter_type")
    if built_for != adapter:
        raise ContractError(
            f"{manifest} was built for {built_for}, but the target is {adapter}.",
            "Run `dbt build` with the same --target as the loader.",
        )
    nodes = {node["name"]: node for node in content.get("nodes", {}).values() if node.get("resource_type") == "model"}
    declared = {name: node for name, node in nodes.items() if "crm" in _meta(node)}
    models = {name: _model(node) for name, node in declared.items()}
    return Contract(
        adapter=adapter,
        models=tuple(replace(model, origin=_origin(model, content)) for model in _parents(models)),
        journal={name: _journal_table(nodes, name) for name in JOURNAL_TABLES},
        options=tuple(_options(content.get("nodes", {}).values())),
        relations={name: node["relation_name"] for name, node in nodes.items()},
        tests=dict(_tests(content.get("nodes", {}), {node["unique_id"]: name for name, node in declared.items()})),
    )


def _origin(model: Model, content: Mapping[str, Any]) -> Origin:
    """What dbt read and ran for a model. `dbt build` compiles everything; other commands leave some of the SQL out."""
    nodes: Mapping[str, Any] = content.get("nodes", {})
    waiting = [model.unique_id, *([model.children.unique_id] if model.children else [])]
    found: dict[str, Mapping[str, Any]] = {}
    while waiting:
        name = waiting.pop()
        if name not in found and name in nodes:
            found[name] = nodes[name]
            waiting += nodes[name].get("depends_on", {}).get("nodes", [])
    seeds = {name: str(node.get("checksum")) for name, node in found.items() if node.get("resource_type") == "seed"}
    models = {name: node.get("compiled_code") for name, node in found.items() if node.get("resource_type") == "model"}
    return Origin(
        checksum(seeds) if seeds else "",
        "" if None in models.values() else checksum({name: str(sql) for name, sql in models.items()}),
    )


def _meta(node: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = node.get("config", {}).get("meta") or node.get("meta") or {}
    return meta


def _model(node: Mapping[str, Any]) -> Model:
    name = node["name"]
    if not node.get("config", {}).get("contract", {}).get("enforced"):
        raise ContractError(f"Model {name}: meta.crm needs an enforced contract.", "Set contract: {enforced: true}.")
    where = f"{_yaml_file(node)}: Model {name}"
    columns = tuple(
        Column(
            name=column["name"],
            data_type=column.get("data_type") or "",
            description=column.get("description") or "",
            meta=_validated(ColumnMeta, _meta(column).get("crm") or {}, f"{where}, column {column['name']}"),
        )
        for column in node["columns"].values()
    )
    meta = _validated(ModelMeta, _meta(node)["crm"], where)
    model = Model(name, node["unique_id"], node["relation_name"], columns, meta)
    check_names(model)
    settle_reads({column.name: column.meta.lookup for column in model.columns if column.meta.lookup})
    return model


def _yaml_file(node: Mapping[str, Any]) -> str:
    """The YAML file that describes a model, below the project's folder."""
    return str(node.get("patch_path") or node["original_file_path"]).partition("://")[2] or node["original_file_path"]


def _validated(kind: type[Any], value: object, where: str) -> Any:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(["meta.crm", *(str(part) for part in first["loc"])])
        raise ContractError(
            f"{where}: {place}: {first['msg']}.", "docs/contract.md lists what meta.crm may hold."
        ) from None


def _parents(models: Mapping[str, Model]) -> tuple[Model, ...]:
    """Top-level models with their children attached, in the order in which they are pushed."""
    children = {model.meta.children.model for model in models.values() if model.meta.children}
    parents = [_with_children(model, models) for model in models.values() if model.name not in children]
    if not parents:
        raise ContractError("No model in the manifest has meta.crm.", "Run `dbt build` of the whole project.")
    check_keys_of_tables(parents)
    return in_order(parents)


def _with_children(model: Model, models: Mapping[str, Model]) -> Model:
    check_key_and_noun(model)
    children = model.meta.children
    if children is None:
        return model
    lines = models.get(children.model)
    if lines is None:
        raise ContractError(
            f"Model {model.name}: children.model {children.model!r} has no meta.crm.", "Add it to that model."
        )
    check_lines(model, children, lines)
    zone = lines.meta.time_zone or model.meta.time_zone
    return replace(model, children=replace(lines, meta=lines.meta.model_copy(update={"time_zone": zone})))


def _tests(nodes: Mapping[str, Mapping[str, Any]], models: Mapping[str, str]) -> Iterator[tuple[str, ContractTest]]:
    for unique_id, node in nodes.items():
        if node.get("resource_type") == "test":
            about = [node.get("attached_node"), *node.get("depends_on", {}).get("nodes", [])]
            model = next((models[each] for each in about if each in models), None)
            if model:
                yield unique_id, ContractTest(node["name"], model)


def _options(nodes: Iterable[Mapping[str, Any]]) -> Iterator[SeedOptions]:
    for node in nodes:
        for column in node["columns"].values() if node.get("resource_type") == "seed" else ():
            target = (_meta(column).get("crm") or {}).get("option_of")
            if target:
                table, dot, attribute = str(target).partition(".")
                if not dot:
                    where = f"Seed {node['name']}, column {column['name']}: meta.crm.option_of"
                    raise ContractError(f"{where}: {target!r} is not table.column.", "Name the CRM column it holds.")
                yield SeedOptions(node["name"], node["relation_name"], column["name"], table, attribute)


def _journal_table(nodes: Mapping[str, Mapping[str, Any]], name: str) -> JournalTable:
    node = nodes.get(name)
    if node is None:
        raise ContractError(
            f"The manifest has no journal model {name!r}.", "Restore models/journal/ and run `dbt build`."
        )
    return JournalTable(
        node["relation_name"],
        tuple((column["name"], column["data_type"]) for column in node["columns"].values()),
    )
