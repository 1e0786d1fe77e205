"""What meta.crm says of look-ups is checked before anything is read: errors name model and column."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loader.contract import Contract, read_contract
from loader.errors import ContractError
from loader.sync.lookups import LookupKey
from tests.conftest import Built

Yaml = dict[str, Any]


def changed(
    built: Built, folder: Path, change: Callable[[Yaml], object], model: str = "crm_salesorderdetail"
) -> Contract:
    """The contract, with the model's node in the manifest changed."""
    manifest = json.loads((built.target_path / "manifest.json").read_text(encoding="utf-8"))
    change(manifest["nodes"][f"model.gp_to_crm.{model}"])
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return read_contract(path, "duckdb")


def lookup(node: Yaml, column: str) -> Yaml:
    found: Yaml = node["columns"][column]["config"]["meta"]["crm"]["lookup"]
    return found


WRONG: dict[str, tuple[Callable[[Yaml], object], str]] = {
    "inactive without active": (
        lambda node: lookup(node, "uomid").update(inactive="warn"),
        "column uomid: .*inactive says nothing without active",
    ),
    "disagree without agree": (
        lambda node: lookup(node, "productid").update(disagree="leave"),
        "column productid: .*disagree says nothing without agree",
    ),
    "a policy that is none": (
        lambda node: lookup(node, "productid").update(inactive="ignore"),
        "column productid: meta.crm.lookup.inactive: Input should be 'warn', 'block' or 'missing'",
    ),
    "agreement with an unknown column": (
        lambda node: lookup(node, "uomid").update(agree={"uomscheduleid.name": "product.defaultuomscheduleid.name"}),
        "uomid: lookup.agree: there is no column 'product'",
    ),
    "agreement with what is no look-up": (
        lambda node: lookup(node, "uomid").update(agree={"uomscheduleid.name": "quantity.parent.name"}),
        "uomid: lookup.agree: 'quantity' is not a look-up",
    ),
    "agreement without a step": (
        lambda node: lookup(node, "uomid").update(agree={"uomscheduleid": "productid.defaultuomscheduleid.name"}),
        "column uomid: .*agree: 'uomscheduleid' is not of the form lookup.column",
    ),
    "blank of what is not matched": (
        lambda node: lookup(node, "uomid").update(blank={"quantity": "there is none"}),
        "uomid: lookup.blank: 'quantity' is not matched by the look-up",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_what_a_lookup_says_wrongly_is_named(built: Built, tmp_path: Path, mistake: str) -> None:
    change, words = WRONG[mistake]
    with pytest.raises(ContractError, match=f"Model crm_salesorderdetail, {words}"):
        changed(built, tmp_path, lambda node: change(node))


ORIGINS: dict[str, tuple[object, str]] = {
    "a column without its table": ("CITY", "meta.crm.gp: .*'CITY' is not of the form TABLE.COLUMN"),
    "one of a list": (["RM00102.CITY", "dbo.RM00102.CITY"], "meta.crm.gp: .*'dbo.RM00102.CITY' is not of the form"),
    "what is no text": ({"columns": ["RM00102.CITY"]}, "meta.crm.gp: .*name a GP column as TABLE.COLUMN"),
    "none": ([], "meta.crm.gp: .*name a GP column as TABLE.COLUMN"),
}


@pytest.mark.parametrize("mistake", ORIGINS)
def test_a_gp_column_that_is_none_is_named_with_its_file(built: Built, tmp_path: Path, mistake: str) -> None:
    value, words = ORIGINS[mistake]

    def change(node: Yaml) -> None:
        node["columns"]["billto_city"]["config"]["meta"]["crm"]["gp"] = value

    file = r"models/crm/sales_orders/crm_salesorder\.yml"
    with pytest.raises(ContractError, match=f"{file}: Model crm_salesorder, column billto_city: {words}"):
        changed(built, tmp_path, change, "crm_salesorder")


def test_gp_is_one_column_or_several_and_a_rule_only_where_there_is_one(built: Built, tmp_path: Path) -> None:
    (model,) = changed(built, tmp_path, lambda node: None).models
    origins = {name: model.column(name).meta for name in ("billto_city", "billto_fax", "discountamount")}
    assert {name: meta.gp for name, meta in origins.items()} == {
        "billto_city": ("RM00102.CITY",),
        "billto_fax": ("RM00102.FAX",),
        "discountamount": ("SOP10100.DISTKNAM", "SOP10100.TRDISAMT"),
    }
    assert [meta.rule for meta in origins.values()][:2] == ["", "PHONEFROMGP"]


def test_what_belongs_to_somebody_is_a_lookup(built: Built, tmp_path: Path) -> None:
    def change(node: Yaml) -> None:
        node["config"]["meta"]["crm"]["belongs_to"] = "name"

    with pytest.raises(ContractError, match="Model crm_salesorder, belongs_to: 'name' is not a look-up"):
        changed(built, tmp_path, change, "crm_salesorder")


def test_a_lookup_reads_what_others_have_to_agree_with(built: Built, tmp_path: Path) -> None:
    (model,) = changed(built, tmp_path, lambda node: None).models
    assert model.children is not None
    product, unit = (model.children.column(name).meta.lookup for name in ("productid", "uomid"))
    assert product is not None
    assert unit is not None
    assert LookupKey.of(product).reads == ("statecode", "defaultuomscheduleid.name")
    assert LookupKey.of(unit).reads == ("uomscheduleid.name",)
