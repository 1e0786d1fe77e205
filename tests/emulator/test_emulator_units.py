"""Unit groups and units: the base unit, what is built on it, what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from emulator import Emulator
from tests.emulator.web_api import EACH, EACH_SCHEDULE, HOUR, PHONE, Client, outcomes, product_line, refused

GROUP = {"name": "BOX", "baseuomname": "Each", "description": "Boxes of 12"}


def base_of(client: Client, schedule: str) -> Any:
    (base,) = client.read(f"uoms?$filter=_uomscheduleid_value eq {schedule} and isschedulebaseuom eq true")["value"]
    return base


def unit(schedule: str, base: str, name: str = "Box", quantity: object = 12, **values: object) -> dict[str, object]:
    return {
        "name": name,
        "quantity": quantity,
        "uomscheduleid@odata.bind": f"/uomschedules({schedule})",
        "baseuom@odata.bind": f"/uoms({base})",
        **values,
    }


@pytest.fixture
def group(client: Client) -> tuple[str, str]:
    """A unit group and its base unit."""
    schedule = client.create("uomschedules", GROUP)
    return schedule, base_of(client, schedule)["uomid"]


# ---------------------------------------------------------------- groups


def test_a_group_comes_with_its_base_unit(client: Client) -> None:
    schedule = client.create("uomschedules", GROUP)
    units = client.read(f"uomschedules({schedule})/unit_of_measure_schedule_conversions")["value"]
    assert [(row["name"], row["quantity"], row["_baseuom_value"], row["isschedulebaseuom"]) for row in units] == [
        ("Each", 1, None, True)
    ]
    row = client.read(f"uomschedules({schedule})")
    assert (row["name"], row["baseuomname"], row["statecode"], row["statuscode"]) == ("BOX", "Each", 0, 1)


def test_a_group_without_a_base_unit_is_refused(client: Client, crm: Emulator) -> None:
    before = len(crm.rows("uom"))
    refused(client.post("uomschedules", {"name": "BOX"}), 400, "0x80043810", "baseuomname not specified")
    assert len(crm.rows("uom")) == before


def test_the_base_unit_of_a_refused_change_set_is_gone(client: Client, crm: Emulator) -> None:
    before = len(crm.rows("uom"))
    reply = client.batch([("POST", "uomschedules", GROUP), ("POST", "uomschedules", {"name": "x"})])
    assert outcomes(reply) == [400]
    assert len(crm.rows("uom")) == before


def test_the_base_units_name_is_given_once(client: Client, group: tuple[str, str]) -> None:
    assert client.patch(f"uomschedules({group[0]})", {"baseuomname": "Other", "description": "x"}).status_code == 204
    row = client.read(f"uomschedules({group[0]})")
    assert (row["baseuomname"], row["description"]) == ("Each", "x")
    assert base_of(client, group[0])["name"] == "Each"


def test_a_group_becomes_inactive_by_an_update(client: Client, group: tuple[str, str]) -> None:
    refused(client.post("uomschedules", {**GROUP, "statuscode": 2}), 400, "0x80048408", "UoMScheduleState.Active")
    refused(client.patch(f"uomschedules({group[0]})", {"statuscode": 2}), 400, "0x80048408")
    assert client.patch(f"uomschedules({group[0]})", {"statecode": 1}).status_code == 204
    assert client.read(f"uomschedules({group[0]})")["statuscode"] == 2


def test_the_id_of_the_base_unit_is_not_known_in_the_change_set_that_makes_it(client: Client, crm: Emulator) -> None:
    reply = client.batch([("POST", "uomschedules", GROUP), ("POST", "uoms", {**unit("x", EACH),
                           "uomscheduleid@odata.bind": "$1"})])  # fmt: skip
    assert "0x80043b0b" in reply.text
    assert len(crm.rows("uomschedule")) == 2


def test_a_group_is_deleted_with_its_units_unless_a_product_uses_it(client: Client, group: tuple[str, str]) -> None:
    schedule, base = group
    client.create("uoms", unit(schedule, base))
    refused(client.delete(f"uomschedules({EACH_SCHEDULE})"), 405, "0x80040227", "product")
    assert client.delete(f"uomschedules({schedule})").status_code == 204
    assert client.read(f"uoms?$filter=_uomscheduleid_value eq {schedule}")["value"] == []


# ---------------------------------------------------------------- units


def test_units_are_built_on_the_base_unit_and_on_one_another(client: Client, group: tuple[str, str]) -> None:
    schedule, base = group
    box = client.create("uoms", unit(schedule, base, quantity=Decimal("12.123456")))
    pallet = client.create("uoms", unit(schedule, box, "Pallet", 40))
    rows = [client.read(f"uoms({row_id})") for row_id in (box, pallet)]
    assert [(row["quantity"], row["_baseuom_value"], row["isschedulebaseuom"]) for row in rows] == [
        (Decimal("12.12346"), base, False),
        (40, box, False),
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": None}, "0x80043b26"),
        ({"uomscheduleid@odata.bind": None}, "0x80043b0a"),
        ({"baseuom@odata.bind": None}, "0x80043b1c"),
        ({"baseuom@odata.bind": f"/uoms({HOUR})"}, "0x80043b0b"),
        ({"quantity": None}, "0x80081012"),
        ({"quantity": -1}, "0x80044330"),
        ({"quantity": 10_000_000_001}, "0x80044330"),
    ],
)
def test_units_that_are_refused(client: Client, group: tuple[str, str], change: dict[str, object], code: str) -> None:
    body = {name: value for name, value in {**unit(*group), **change}.items() if value is not None}
    refused(client.post("uoms", body), 400, code)


def test_a_unit_keeps_its_group(client: Client, group: tuple[str, str]) -> None:
    box = client.create("uoms", unit(*group))
    moved = {"uomscheduleid@odata.bind": f"/uomschedules({EACH_SCHEDULE})", "quantity": 6}
    assert client.patch(f"uoms({box})", moved).status_code == 204
    row = client.read(f"uoms({box})")
    assert (row["_uomscheduleid_value"], row["quantity"]) == (group[0], 6)


def test_the_base_unit_keeps_its_quantity_and_has_no_base(client: Client, group: tuple[str, str]) -> None:
    _, base = group
    box = client.create("uoms", unit(*group))
    refused(client.patch(f"uoms({base})", {"quantity": 1}), 400, "0x80043b18", "Do not modify the Quantity")
    refused(client.patch(f"uoms({base})", {"baseuom@odata.bind": f"/uoms({box})"}), 400, "0x80043b17")
    assert client.patch(f"uoms({base})", {"name": "EA"}).status_code == 204
    refused(client.patch(f"uoms({base})", {"name": None}), 400, "0x80043b26")


def test_units_make_no_loop(client: Client, group: tuple[str, str], crm: Emulator) -> None:
    schedule, base = group
    box = client.create("uoms", unit(schedule, base))
    pallet = client.create("uoms", unit(schedule, box, "Pallet", 40))
    for other in (box, pallet):
        refused(client.patch(f"uoms({box})", {"baseuom@odata.bind": f"/uoms({other})"}), 400, "0x80043b1a")
    refused(client.patch(f"uoms({box})", {"baseuom": None}), 400, "0x80043b1c")
    crm.update("uom", box, {"baseuom": {"table": "uom", "id": pallet}})
    refused(client.post("uoms", unit(schedule, pallet, "Truck")), 400, "0x80043b19")


def test_two_units_of_a_group_have_two_names(client: Client, group: tuple[str, str]) -> None:
    schedule, base = group
    box = client.create("uoms", unit(schedule, base))
    refused(client.post("uoms", unit(schedule, base, "each")), 412, "0x80040237")
    refused(client.patch(f"uoms({box})", {"name": "Each"}), 412, "0x80040237")
    assert client.patch(f"uoms({box})", {"name": "BOX"}).status_code == 204
    assert client.create("uoms", unit(EACH_SCHEDULE, EACH))


def test_an_organisation_that_takes_one_name_twice(client: Client, crm: Emulator, group: tuple[str, str]) -> None:
    crm.readings.unit_names_are_unique = False
    assert client.post("uoms", unit(*group, "Each")).status_code == 204


def test_the_base_unit_stays_and_units_in_use_stay(client: Client, group: tuple[str, str]) -> None:
    schedule, base = group
    box = client.create("uoms", unit(schedule, base))
    client.create("uoms", unit(schedule, box, "Pallet", 40))
    refused(client.delete(f"uoms({base})"), 400, "0x80043b03", "cannot be deleted")
    dozen = client.create("uoms", unit(EACH_SCHEDULE, EACH, "Dozen"))
    line = product_line(**{"uomid@odata.bind": f"/uoms({dozen})"})
    order = client.order(order_details=[line])
    refused(client.delete(f"uoms({dozen})"), 405, "0x80040227", "salesorderdetail")
    client.delete(f"salesorders({order})")
    client.patch(f"products({PHONE})", {"defaultuomid@odata.bind": f"/uoms({dozen})"})
    refused(client.delete(f"uoms({dozen})"), 405, "0x80040227", "product")
    assert client.delete(f"uoms({box})").status_code == 204
    assert [row["uomid"] for row in client.read(f"uoms?$filter=_uomscheduleid_value eq {schedule}")["value"]] == [base]
