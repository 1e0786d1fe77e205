"""Whatever GP stages and CRM accepts, a plan right after the push finds nothing to do."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from emulator import Emulator
from loader.contract import Column, Model
from loader.push.gather import read_lookups
from loader.push.sender import Pusher, Settled
from loader.push.session import Session
from loader.sync.binding import Bindings
from loader.sync.lookups import lookup_columns
from loader.sync.plan import RecordPlan
from loader.sync.records import Staged
from tests.conftest import Built
from tests.promises.conftest import open_handful, staged_rows

quick = settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))

MODES = {
    "amounts are GP's": (True, True),
    "SOP mode, no integration user": (True, False),
    "no SOP mode": (False, True),
}


@dataclass
class Direct:
    """The loader's sync without a warehouse: staged rows in, CRM out."""

    crm: Emulator
    model: Model
    session: Session
    keys: dict[str, list[str]]
    """Staged column → keys of rows that CRM has, and one that it has not."""
    units: list[tuple[str, str, str]]
    """Product, unit, schedule that go together."""
    shared: dict[str, str] = field(default_factory=dict)

    def plan(self, orders: list[Staged]) -> list[RecordPlan]:
        return replace(self.session, shared=self.shared).plan(orders)

    def push(self, orders: list[Staged]) -> list[Settled]:
        settled: list[Settled] = []
        plans = self.plan(orders)
        Pusher(self.session, settled.extend, concurrency=1).run([list(zip(orders, plans, strict=True))])
        for each in settled:
            if each.pushed and each.plan.share:
                assert each.plan.crm_id is not None
                self.shared[each.plan.crm_id] = ":".join(each.plan.share)
        return settled


ONLY_MIDNIGHT = "only midnight of a day is kept, in UTC"


@pytest.fixture(scope="module", params=[*MODES, ONLY_MIDNIGHT])
def direct(request: pytest.FixtureRequest, small: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    sop, integration = MODES.get(request.param, (True, True))
    with ExitStack() as stack:
        bench = open_handful(stack, small, tmp_path_factory.mktemp("direct"))
        bench.crm.organization(issopintegrationenabled=sop)
        bench.crm.readings.keeps_only_midnight = request.param == ONLY_MIDNIGHT
        bench.crm.set_time_zone(92)
        for user in bench.crm.rows("systemuser"):
            bench.crm.update("systemuser", user["systemuserid"], {"isintegrationuser": integration})
        with bench.run() as run:
            headers, lines = staged_rows(run.warehouse, run.contract)
            model = run.contract.models[0]
            keys = {
                column: sorted({str(row[column]) for row in rows if row[column] is not None})
                for rows, columns in ((headers, ("customerid", "pricelevelid")), (lines, ("salesrepid",)))
                for column in columns
            }
            keys["customerid"].remove("FRANCHIS0001")
            units = sorted(
                {(row["productid"], row["uomid"], row["uomid__schedule"]) for row in lines if row["productid"]}
            )
            units = [unit for unit in units if unit[0] != "OM08670"]
            wanted = {
                key: {str(row[column]) for _, column in places for row in (*headers, *lines) if row.get(column)}
                for key, places in lookup_columns(model).items()
            }
            bindings: Bindings = run.bindings(model)
            session = Session(run.client, bindings, read_lookups(run.client, run.tables, wanted))
            yield Direct(bench.crm, model, session, keys, units)


# ------------------------------------------------------------------------------------------- what GP may hold

LETTERS = st.characters(codec="cp1252", exclude_categories=["Cc"]) | st.sampled_from("\n\t ß'\"\\<>&%")
ANY = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("😀\u200b\u2028é\u0301")


def texts(width: int) -> st.SearchStrategy[str]:
    """GP's letters and others; blanks at the end; now and then to the brim."""
    words = st.text(LETTERS, min_size=1, max_size=min(width, 30)) | st.text(ANY, min_size=1, max_size=min(width, 30))
    full = words.map(lambda word: (word * width)[:width])
    return words | words.map(lambda word: word + "   ") | full


AMOUNTS = st.decimals(Decimal(-10_000_000), Decimal(10_000_000), places=5) | st.sampled_from(
    [Decimal(text) for text in ("0", "0.00001", "0.005", "1.00500", "-0.00499", "12.34500", "-12.345", "922337.20368")]
)
POSITIVE = AMOUNTS.map(abs)
MOMENTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(9999, 12, 30)).map(lambda at: at.replace(microsecond=0))
DAYS = MOMENTS.map(lambda at: at.replace(hour=5, minute=0, second=0))
NOT_NEGATIVE = {"discountamount", "freightamount", "manualdiscountamount"}
STATUSES = [(0, 1), (0, 2), (1, 3)]


def values(column: Column) -> st.SearchStrategy[Any]:
    kind = column.data_type.lower()
    if width := re.match(r"n?varchar\((\d+)\)", kind):
        return st.none() | texts(int(width[1]))
    if kind.startswith("decimal"):
        return st.none() | (POSITIVE if column.name in NOT_NEGATIVE else AMOUNTS)
    if kind.startswith(("timestamp", "datetime")):
        return st.none() | DAYS | MOMENTS
    return st.none() | st.integers(0, 1)


@st.composite
def staged_orders(draw: st.DrawFn, direct: Direct, names: list[str]) -> list[Staged]:
    return [_order(draw, direct, name) for name in names]


def _order(draw: st.DrawFn, direct: Direct, name: str) -> Staged:
    model = direct.model
    assert model.children is not None
    header = {column.name: draw(values(column)) for column in model.columns}
    header |= {"name": name, "ordernumber": name[:100], "customerid": draw(st.sampled_from(direct.keys["customerid"]))}
    header["pricelevelid"] = draw(st.none() | st.sampled_from(direct.keys["pricelevelid"]))
    header["statecode"], header["statuscode"] = draw(st.sampled_from(STATUSES))
    for column, options in (("paymenttermscode", 4), ("shippingmethodcode", 7)):
        header[column] = draw(st.none() | st.integers(1, options))
        header[f"{column}__gp"] = "KNOWN" if header[column] else draw(st.sampled_from([None, "UNKNOWN"]))
    numbers = draw(st.lists(st.integers(0, 1_000_000_000), unique=True, max_size=3))
    lines = []
    for number in sorted(numbers):
        line = {column.name: draw(values(column)) for column in model.children.columns}
        line |= {"salesorderid": name, "lineitemnumber": number, "ispriceoverridden": 1}
        line["salesrepid"] = draw(st.none() | st.sampled_from([*direct.keys["salesrepid"], "NOBODY"]))
        line["quantity"] = draw(AMOUNTS)
        line["priceperunit"] = draw(AMOUNTS.filter(lambda price: abs(price) < 1000))
        if draw(st.booleans()):
            text = draw(texts(60).filter(lambda text: text.strip(" ")))
            line |= {"isproductoverridden": 1, "productdescription": text}
            line |= dict.fromkeys(("productid", "uomid", "uomid__schedule"))
        else:
            product, unit, schedule = draw(st.sampled_from(direct.units))
            line |= {"isproductoverridden": 0, "productdescription": None}
            line |= {"productid": product, "uomid": unit, "uomid__schedule": schedule}
        lines.append(line)
    return Staged(name, header, lines)


# ----------------------------------------------------------------------------------------------- the promise


def assert_settles(direct: Direct, orders: list[Staged]) -> None:
    for each in direct.push(orders):
        note(f"{each.plan.key}: {each.outcome} {each.reason} {each.message}")
        assert each.outcome in ("created", "updated", "unchanged") or each.reason == "value_out_of_range", each.message
    for plan in direct.plan(orders):
        left = [(row["line"], row["column"], row["before"], row["after"]) for row in plan.changes_json()]
        assert plan.action == "unchanged" or plan.reason == "value_out_of_range", left


def assert_nothing_broke(direct: Direct) -> None:
    assert direct.crm.crashes == []
    names = [row["name"] for row in direct.crm.rows("salesorder")]
    assert names.count("GENERATED-1") <= 1


@quick
@given(data=st.data())
def test_a_plan_after_a_push_is_empty(direct: Direct, data: st.DataObject) -> None:
    """The same two orders over and over: each is created once and then changed into the next."""
    orders = data.draw(staged_orders(direct, ["GENERATED-1", "GENERATED-2"]))
    assert_settles(direct, orders)
    assert_nothing_broke(direct)


@settings(parent=quick, max_examples=8)
@given(data=st.data(), number=st.integers(0, 10**9))
def test_a_plan_after_a_creation_is_empty(direct: Direct, data: st.DataObject, number: int) -> None:
    name = f"NEW-{number}"
    for row in direct.crm.rows("salesorder"):
        if row["name"].startswith("NEW-"):
            direct.crm.delete("salesorder", row["salesorderid"])
    direct.shared.clear()
    assert_settles(direct, data.draw(staged_orders(direct, [name])))
    assert_nothing_broke(direct)
