"""GP's day is CRM's day: whatever the behaviour of the column, whoever calls, wherever GP is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from loader.contract import Contract, Model
from sample import organisation
from tests.conftest import Built
from tests.promises.conftest import NEW, ORDERS, Handful, open_handful
from tests.thorough import some_pairs

ORDER = NEW[1]
DAY = dt.date(2027, 6, 15)
ZONES = ["Europe/Berlin", "America/New_York", "Pacific/Auckland"]
CODES = {"UTC": 92, "America/New_York": 35, "Europe/Berlin": 110, "Pacific/Auckland": 290}
"""CRM's codes of time zones."""
STORED = {
    "DateOnly": lambda zone: "2027-06-15",
    "TimeZoneIndependent": lambda zone: "2027-06-15T00:00:00Z",
    "UserLocal": lambda zone: f"{midnight(DAY, zone):%Y-%m-%dT%H:%M:%SZ}",
}


def midnight(day: dt.date, zone: str) -> dt.datetime:
    """As the views stage a day: its midnight in GP's zone, in UTC."""
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.timezone.utc).replace(tzinfo=None)


def in_zone(contract: Contract, zone: str | None) -> Contract:
    """The contract as dbt writes it with another var `gp_time_zone`."""

    def moved(model: Model) -> Model:
        meta = model.meta.model_copy(update={"time_zone": zone})
        return replace(model, meta=meta, children=moved(model.children) if model.children else None)

    return replace(contract, models=tuple(map(moved, contract.models)))


def gp_in(handful: Handful, zone: str | None) -> None:
    contract = in_zone(handful.contract, zone)
    handful.sources = replace(handful.sources, contract=lambda manifest, adapter: contract)


@pytest.fixture
def behaviour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def with_column(behaviour: str, small: Built, in_memory: Path) -> Iterator[Handful]:
    """The organisation has added datedelivered; GP has one order."""
    snapshot = organisation.snapshot()
    snapshot["custom_columns"].append(
        {
            "table": "salesorder",
            "name": "datedelivered",
            "type": "DateTime",
            "format": "DateOnly",
            "behavior": behaviour,
        }
    )
    with ExitStack() as stack:
        handful = open_handful(stack, small, in_memory, snapshot=snapshot)
        alone(handful)
        yield handful


def alone(handful: Handful) -> None:
    for name in set(ORDERS) - {ORDER}:
        handful.unstage(name)


def pushed_once(handful: Handful) -> dict[str, Any]:
    """The order as CRM has it after a push; another push finds nothing to write."""
    ended = handful.push()
    assert ended.exit_code == 0, ended.stdout
    again = handful.push()
    assert (again.exit_code, again.data["requests"]["write"], again.orders["unchanged"]) == (0, 0, 1), again.stdout
    (held,) = handful.in_crm(ORDER)
    return held


@pytest.mark.parametrize(("behaviour", "zone"), some_pairs(STORED, ZONES, 3), indirect=["behaviour"])
def test_a_day_of_gp_is_that_day_in_every_kind_of_column(with_column: Handful, behaviour: str, zone: str) -> None:
    gp_in(with_column, zone)
    with_column.execute("update crm_salesorder set datedelivered = ?", midnight(DAY, zone))
    assert pushed_once(with_column)["datedelivered"] == STORED[behaviour](zone)

    with_column.execute("update crm_salesorder set datedelivered = ?", midnight(DAY + dt.timedelta(days=1), zone))
    pushed = with_column.push()
    assert pushed.orders["updated"] == 1
    assert with_column.in_crm(ORDER)[0]["datedelivered"] > STORED[behaviour](zone)


@pytest.mark.parametrize("behaviour", ["DateOnly", "TimeZoneIndependent"], indirect=True)
def test_a_model_without_a_time_zone_cannot_fill_a_column_that_needs_one(with_column: Handful) -> None:
    gp_in(with_column, None)
    ended = with_column.loader("plan")
    assert (ended.exit_code, ended.error["code"]) == (1, "contract_mismatch")
    assert "crm_salesorder.datedelivered" in ended.error["message"]
    assert "time_zone" in ended.error["remedy"]
    assert with_column.loader("check").exit_code == 1


# ------------------------------------------------------------- instants of which CRM may keep only the day


@pytest.mark.parametrize(
    ("keeps_only_midnight", "caller"), some_pairs([False, True], ["UTC", "America/New_York", "Europe/Berlin"], 2)
)
def test_a_dated_order_is_not_written_again_and_again(handful: Handful, caller: str, keeps_only_midnight: bool) -> None:
    handful.crm.readings.keeps_only_midnight = keeps_only_midnight
    handful.crm.set_time_zone(CODES[caller])
    alone(handful)
    handful.execute("update crm_salesorder set requestdeliveryby = ?", midnight(DAY, "America/New_York"))
    held = pushed_once(handful)
    sent, kept = (
        "2027-06-15T04:00:00Z",
        {
            "UTC": "2027-06-15T00:00:00Z",
            "America/New_York": "2027-06-15T04:00:00Z",
            "Europe/Berlin": "2027-06-14T22:00:00Z",
        },
    )
    assert held["requestdeliveryby"] == (kept[caller] if keeps_only_midnight else sent)

    for days in (1, -1):
        handful.execute("update crm_salesorder set requestdeliveryby = requestdeliveryby + to_days(?)", days)
        handful.execute("update crm_salesorderdetail set requestdeliveryby = requestdeliveryby + to_days(?)", days)
        assert handful.push().orders["updated"] == 1
        assert handful.push().data["requests"]["write"] == 0
    handful.execute("update crm_salesorder set requestdeliveryby = null")
    assert handful.push().orders["updated"] == 1
    assert handful.in_crm(ORDER)[0].get("requestdeliveryby") is None


@pytest.mark.parametrize("keeps_only_midnight", [False, True])
def test_a_caller_whose_time_zone_crm_does_not_tell_does_not_write_again_either(
    handful: Handful, keeps_only_midnight: bool
) -> None:
    handful.crm.readings.keeps_only_midnight = keeps_only_midnight
    handful.crm.set_time_zone(CODES["Europe/Berlin"])
    handful.crm.deny(None, "prvReadUserSettings")
    alone(handful)
    handful.execute("update crm_salesorder set requestdeliveryby = ?", midnight(DAY, "America/New_York"))
    pushed_once(handful)
    handful.execute("update crm_salesorder set requestdeliveryby = requestdeliveryby + to_days(1)")
    assert handful.push().orders["updated"] == 1
    (finding,) = time_zone_findings(handful)
    assert (finding["state"], "does not tell" in finding["text"]) == ("warning", True)


def time_zone_findings(handful: Handful) -> list[dict[str, Any]]:
    findings = handful.loader("check").data["findings"]
    return [finding for finding in findings if "time zone" in finding["text"]]


@pytest.mark.parametrize(("caller", "state"), [("America/New_York", "ok"), ("UTC", "warning")])
def test_check_warns_when_the_callers_time_zone_is_not_gps(handful: Handful, caller: str, state: str) -> None:
    handful.crm.set_time_zone(CODES[caller])
    (finding,) = time_zone_findings(handful)
    assert finding["state"] == state
    assert caller in finding["text"]
    assert "requestdeliveryby" in finding["text"]
    if state == "warning":
        assert "America/New_York" in finding["text"]
        assert "personal options" in finding["remedy"]


def test_an_update_of_a_day_can_be_undone_where_only_midnight_is_kept(handful: Handful) -> None:
    handful.crm.readings.keeps_only_midnight = True
    handful.crm.set_time_zone(CODES["UTC"])
    alone(handful)
    handful.execute("update crm_salesorder set requestdeliveryby = ?", midnight(DAY, "America/New_York"))
    pushed_once(handful)
    handful.execute("update crm_salesorder set requestdeliveryby = requestdeliveryby + to_days(5)")
    run_id = handful.push().data["run_id"]
    undone = handful.loader("undo", "--run", run_id, "--yes")
    assert undone.exit_code == 0, undone.stdout + undone.stderr
    assert handful.in_crm(ORDER)[0]["requestdeliveryby"] == "2027-06-15T00:00:00Z"


def test_check_names_dates_that_crm_cannot_hold(handful: Handful) -> None:
    handful.execute("update crm_salesorder set datefulfilled = ? where name = ?", dt.datetime(9999, 12, 31, 5), ORDER)
    handful.execute("update crm_salesorderdetail set requestdeliveryby = ?", dt.datetime(1752, 12, 31, 23))
    texts = [finding["text"] for finding in handful.loader("check").data["findings"] if finding["state"] == "warning"]
    assert any("crm_salesorder.datefulfilled" in text and "9999-12-31 05:00:00" in text for text in texts)
    assert any("crm_salesorderdetail.requestdeliveryby" in text and "1752-12-31" in text for text in texts)
