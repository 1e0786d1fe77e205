"""The page of dbt's documentation shows the flow, and no test as a node of it."""

from __future__ import annotations

import sys
from importlib.resources import files

import pytest

from tests.conftest import PROJECT

sys.path.insert(0, str(PROJECT / "docs"))
import site_page

COLUMN_TEST = "test.gp_to_crm.not_null_crm_order_name"
MANIFEST = {
    "metadata": {},
    "nodes": {
        "model.gp_to_crm.crm_order": {},
        COLUMN_TEST: {"test_metadata": {"name": "not_null"}},
        "test.gp_to_crm.orders_have_a_customer": {},
        "operation.gp_to_crm.on_run_start-0": {},
    },
    "unit_tests": {"unit_test.gp_to_crm.crm_order.dates": {}},
    "parent_map": {"model.gp_to_crm.crm_order": [], "unit_test.gp_to_crm.crm_order.dates": []},
    "child_map": {
        "model.gp_to_crm.crm_order": [
            "unit_test.gp_to_crm.crm_order.dates",
            "test.gp_to_crm.orders_have_a_customer",
            COLUMN_TEST,
            "exposure.gp_to_crm.crm",
        ]
    },
}


def test_the_lineage_is_of_what_data_flows_through() -> None:
    shown = site_page.without_tests(MANIFEST)
    assert set(shown["nodes"]) == {"model.gp_to_crm.crm_order", COLUMN_TEST}
    assert shown["unit_tests"] == {}
    assert set(shown["parent_map"]) == {"model.gp_to_crm.crm_order"}
    assert shown["child_map"]["model.gp_to_crm.crm_order"] == [COLUMN_TEST, "exposure.gp_to_crm.crm"]
    assert MANIFEST["unit_tests"], "the manifest itself is left as it is"


def test_the_data_cannot_end_the_script_that_holds_it() -> None:
    page = '<script>load("MANIFEST.JSON INLINE DATA", "CATALOG.JSON INLINE DATA")</script>'
    shown = site_page.with_data(page, {"description": "</script>"}, {})
    assert shown.count("</script>") == 1
    with pytest.raises(LookupError, match=r"CATALOG\.JSON"):
        site_page.with_data('"MANIFEST.JSON INLINE DATA"', {}, {})


def test_the_edges_of_dbts_own_page_can_be_seen() -> None:
    page = files("dbt.task.docs").joinpath("index.html").read_text(encoding="utf-8")
    shown = site_page.with_light_edges(page)
    assert shown.count(site_page.LIGHT) >= 4
    assert not [colour for colour in site_page.EDGES if f'"line-color":"{colour}"' in shown]
