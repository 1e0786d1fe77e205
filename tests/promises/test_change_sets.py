"""Differences and change sets, as properties: the writes are right, in an order CRM accepts, and as few as can be."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader.dataverse.batch import MAX_OPERATIONS
from loader.sync import changeset
from loader.sync.binding import Binding, Field
from loader.sync.diff import Difference, difference, replaced
from loader.sync.plan import RecordPlan, record_id
from loader.sync.records import Current, Desired
from tests.conftest import Built
from tests.promises.conftest import open_handful
from tests.promises.paper_crm import NEW_STATE, SUBMITTED, PaperCrm

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHARE = ("systemuser", "00000000-0000-4000-8000-00000000beef")


@pytest.fixture(scope="module", params=[True, False], ids=["SOP mode", "no SOP mode"])
def binding(
    request: pytest.FixtureRequest, small: Built, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Binding]:
    """The sample's own contract, bound to live metadata."""
    with ExitStack() as stack:
        bench = open_handful(stack, small, tmp_path_factory.mktemp("binding"))
        bench.crm.organization(issopintegrationenabled=request.param)
        with bench.run() as run:
            yield run.bindings(run.contract.models[0]).base


def _value(each: Field) -> st.SearchStrategy[Any]:
    """Few values, so that equal ones come up."""
    kind = each.attribute.kind
    some: st.SearchStrategy[Any]
    if each.navigation:
        some = st.sampled_from([str(uuid.UUID(int=number)) for number in range(3)])
    elif kind in ("Money", "Decimal", "Double"):
        some = st.sampled_from([Decimal("0.00"), Decimal("1.50"), Decimal("7.25")])
    elif kind == "Boolean":
        return st.booleans()
    elif kind in ("Integer", "Picklist"):
        some = st.integers(1, 3)
    else:
        some = st.sampled_from(["a", "b", "2027-01-01T05:00:00Z"])
    return st.none() | some


def _rows(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows that differ from one another in a few columns."""
    base = {each.name: None for each in fields} | {"name": "ORDER 1", "isproductoverridden": False}
    base = {name: value for name, value in base.items() if name in {each.name for each in fields}}
    changed = st.lists(st.sampled_from(fields), max_size=4).flatmap(
        lambda some: st.fixed_dictionaries({each.name: _value(each) for each in some if each.name != "name"})
    )
    return changed.map(lambda values: {**base, **values})


STATES = st.sampled_from([NEW_STATE, SUBMITTED, {"statecode": 0, "statuscode": 2}])


@st.composite
def orders(draw: st.DrawFn, binding: Binding) -> tuple[Desired, Current]:
    """An order as GP wants it and as CRM has it: lines more, fewer, other, doubled, without a number."""
    assert binding.lines is not None
    line = _rows(binding.lines.fields)
    numbers = draw(st.lists(st.integers(1, 5), unique=True, max_size=4))
    want_lines = []
    for number in numbers:
        values = {**draw(line), "lineitemnumber": number}
        want_lines.append(Desired(values, {}, key=(number,)))
    have_lines = [
        Current(str(uuid.UUID(int=1000 + place)), "", {**draw(line), "lineitemnumber": number}, {})
        for place, number in enumerate(draw(st.lists(st.none() | st.integers(1, 5), max_size=6)))
    ]
    header = _rows(binding.fields)
    want_values = draw(header)
    for left in draw(st.lists(st.sampled_from(["paymenttermscode", "pricelevelid"]), unique=True)):
        del want_values[left]
    want = Desired(want_values, draw(STATES), tuple(want_lines))
    have = Current(str(uuid.UUID(int=1)), 'W/"77"', draw(header), draw(STATES), tuple(have_lines))
    return want, have


def _longer(want: Desired, beyond: int) -> Desired:
    """The order with its lines again and again: as many as a deep insert takes, and so many beyond."""
    kinds = want.lines and itertools.islice(itertools.cycle(want.lines), changeset.LINES_INSIDE + beyond)
    numbered = enumerate(kinds, 1)
    lines = (replace(line, values={**line.values, "lineitemnumber": n}, key=(n,)) for n, line in numbered)
    return replace(want, lines=tuple(lines))


def _lines(rows: Any) -> list[Any]:
    return sorted(rows, key=lambda row: (row["lineitemnumber"] or 0, repr(row)))


def _expected_header(want: Desired, have: dict[str, Any], binding: Binding, on: str) -> dict[str, Any]:
    """What CRM holds after the writes: what is create-only, or left as it is, stays."""
    writable = {each.name for each in binding.fields if each.on_update or (on == "create" and each.on_create)}
    return {**have, **{name: value for name, value in want.values.items() if name in writable}}


@quick
@given(data=st.data(), share=st.sampled_from([None, SHARE]))
def test_an_update_makes_crms_order_the_desired_one(binding: Binding, data: st.DataObject, share: Any) -> None:
    want, have = data.draw(orders(binding))
    delta = difference(want, have, binding)
    change_set = changeset.for_update(want, have, delta, share, binding)
    crm = PaperCrm.holding(have, binding).apply(change_set)
    assert crm.values == _expected_header(want, dict(have.values), binding, "update")
    assert crm.state == want.state
    assert _lines(crm.lines.values()) == _lines(line.values for line in want.lines)
    assert crm.shared_with == ([SHARE[1]] if share else [])
    assert bool(change_set.operations) == bool(delta or share)


@quick
@given(data=st.data())
def test_replacing_all_lines_ends_the_same(binding: Binding, data: st.DataObject) -> None:
    want, have = data.draw(orders(binding))
    delta = difference(want, have, binding)
    if not delta.lines:
        return
    whole = Difference(delta.header, delta.state, replaced(want, have, binding))
    crm = PaperCrm.holding(have, binding).apply(changeset.for_update(want, have, whole, None, binding))
    assert _lines(crm.lines.values()) == _lines(line.values for line in want.lines)
    assert crm.state == want.state
    assert not set(crm.lines) & {line.id for line in have.lines}


@quick
@given(data=st.data(), share=st.sampled_from([None, SHARE]))
def test_a_creation_makes_the_desired_order(binding: Binding, data: st.DataObject, share: Any) -> None:
    want, _ = data.draw(orders(binding))
    want = data.draw(st.sampled_from([want, *(_longer(want, beyond) for beyond in range(-1, 5))]))
    id_ = record_id("salesorder", "ORDER 1")
    change_set = changeset.for_create(id_, want, share, binding)
    inside = min(changeset.LINES_INSIDE, len(want.lines))
    assert len((change_set.operations[0].body or {}).get("order_details", ())) == inside
    crm = PaperCrm(binding).apply(change_set)
    assert crm.id == id_
    assert crm.values == _expected_header(want, dict.fromkeys(crm.values), binding, "create")
    assert crm.state == want.state
    assert _lines(crm.lines.values()) == _lines(line.values for line in want.lines)
    assert crm.shared_with == ([SHARE[1]] if share else [])


@quick
@given(data=st.data())
def test_after_the_writes_there_is_no_difference(binding: Binding, data: st.DataObject) -> None:
    want, have = data.draw(orders(binding))
    crm = PaperCrm.holding(have, binding).apply(
        changeset.for_update(want, have, difference(want, have, binding), None, binding)
    )
    lines = tuple(Current(id_, "", values, {}) for id_, values in crm.lines.items())
    then = Current(crm.id, 'W/"78"', crm.values, crm.state, lines)
    assert not difference(want, then, binding)
    assert changeset.for_update(want, then, difference(want, then, binding), None, binding).operations == ()


@quick
@given(data=st.data())
def test_crm_may_give_lines_in_any_order(binding: Binding, data: st.DataObject) -> None:
    want, have = data.draw(orders(binding))
    again = replace(have, lines=tuple(data.draw(st.permutations(have.lines))))
    assert difference(want, again, binding) == difference(want, have, binding)
    assert replaced(want, again, binding) == replaced(want, have, binding)


@quick
@given(data=st.data())
def test_no_line_is_written_without_need(binding: Binding, data: st.DataObject) -> None:
    """Lines keep their ids: of those with one number the nearest is changed, or left, and only the others go."""
    want, have = data.draw(orders(binding))
    assert binding.lines is not None
    fixed = [each.name for each in binding.lines.fields if each.on_create and not each.on_update]
    wanted = {line.values["lineitemnumber"]: line.values for line in want.lines}
    present: dict[Any, list[Any]] = {}
    for line in have.lines:
        present.setdefault(line.values["lineitemnumber"], []).append(line.values)

    fewest = {"create": 0, "update": 0, "delete": 0}
    columns = 0
    for number in {*wanted, *present}:
        values, held = wanted.get(number), present.get(number, [])
        fitting = [row for row in held if values and all(row[name] == values[name] for name in fixed)]
        if values is None or not fitting:
            fewest["delete"] += len(held)
            fewest["create"] += values is not None
            continue
        differing = min(
            sum(row[each.name] != values[each.name] for each in binding.lines.fields if each.on_update)
            for row in fitting
        )
        fewest["delete"] += len(held) - 1
        fewest["update"] += differing > 0
        columns += differing
    delta = difference(want, have, binding)
    assert {action: sum(line.action == action for line in delta.lines) for action in fewest} == fewest
    assert sum(len(line.changes) for line in delta.lines if line.action == "update") == columns


@quick
@given(data=st.data())
def test_the_plan_of_an_order_is_the_same_for_the_same_change_alone(binding: Binding, data: st.DataObject) -> None:
    want, have = data.draw(orders(binding))
    other, _ = data.draw(orders(binding))

    def plan(record: Desired) -> RecordPlan:
        delta = difference(record, have, binding)
        return RecordPlan(
            "ORDER 1", "salesorder", "update", have.id,
            header=delta.header, state=delta.state, lines=delta.lines, etag=have.etag,
        )  # fmt: skip

    same = plan(replace(want, values=dict(reversed(list(want.values.items())))))
    assert plan(want).digest == same.digest
    differs = difference(want, have, binding) != difference(other, have, binding)
    assert (plan(want).digest != plan(other).digest) == differs


def test_a_line_of_a_locked_order_alone_reopens_and_locks_again(binding: Binding) -> None:
    assert binding.lines is not None
    values = {each.name: None for each in binding.fields} | {"name": "ORDER 1"}
    line = {each.name: None for each in binding.lines.fields} | {"lineitemnumber": 1, "isproductoverridden": False}
    have = Current(str(uuid.UUID(int=1)), 'W/"77"', values, SUBMITTED, (Current(str(uuid.UUID(int=2)), "", line, {}),))
    want = Desired(values, SUBMITTED, (Desired({**line, "shipto_city": "Redmond"}, {}, key=(1,)),))
    written = changeset.for_update(want, have, difference(want, have, binding), SHARE, binding).operations
    assert [(each.method, dict(each.body or {})) for each in written[:3]] == [
        ("PATCH", NEW_STATE),
        ("PATCH", {"shipto_city": "Redmond"}),
        ("PATCH", SUBMITTED),
    ]
    assert [each.headers for each in written] == [{"If-Match": 'W/"77"'}, {"If-Match": "*"}, {"If-Match": "*"}, {}]
    assert written[3].path == "GrantAccess"


def test_a_line_alone_still_names_the_version_of_the_order(binding: Binding) -> None:
    """A line's write does not check its order: the order itself is written first, unchanged."""
    assert binding.lines is not None
    values = {each.name: None for each in binding.fields} | {"name": "ORDER 1"}
    line = {each.name: None for each in binding.lines.fields} | {"lineitemnumber": 1, "isproductoverridden": False}
    have = Current(str(uuid.UUID(int=1)), 'W/"77"', values, NEW_STATE, (Current(str(uuid.UUID(int=2)), "", line, {}),))
    want = Desired(values, NEW_STATE, ())
    first, second = changeset.for_update(want, have, difference(want, have, binding), None, binding).operations
    assert (first.method, first.body, first.headers) == ("PATCH", {"name": "ORDER 1"}, {"If-Match": 'W/"77"'})
    assert (second.method, second.path) == ("DELETE", f"salesorderdetails({uuid.UUID(int=2)})")


def test_ids_are_the_same_every_time_and_differ_between_orders() -> None:
    names = ["ORD-1", "ORD-2", "ORD-11", "1", "A/1"]
    ids = {record_id("salesorder", name, attempt) for name in names for attempt in range(3)}
    assert len(ids) == 3 * len(names)
    assert record_id("salesorder", "Ord-1 ") == record_id("salesorder", "ORD-1")
    assert record_id("invoice", "ORD-1") != record_id("salesorder", "ORD-1")


@pytest.mark.parametrize("lines", [0, 1, 249, 333, 498, 499, 500, 999, 1200])
def test_no_change_set_is_larger_than_crm_takes(binding: Binding, lines: int) -> None:
    """Whatever an order needs is known before it is sent."""
    assert binding.lines is not None
    line = {each.name: Decimal(1) if each.attribute.kind == "Money" else None for each in binding.lines.fields}
    want = Desired(
        {each.name: None for each in binding.fields} | {"name": "ORDER 1"},
        SUBMITTED,
        tuple(Desired({**line, "lineitemnumber": number}, {}, key=(number,)) for number in range(1, lines + 1)),
    )
    change_set = changeset.for_create(record_id("salesorder", "ORDER 1"), want, SHARE, binding)
    late = lines if binding.lines.update_only else 0
    fewest = 1 + late + bool(binding.is_created_locked) + 2
    assert len(change_set) == min(fewest + max(0, lines - 50), max(fewest, MAX_OPERATIONS))
    inside = len((change_set.operations[0].body or {}).get("order_details", ()))
    assert inside <= 50 or len(change_set) >= MAX_OPERATIONS, "more lines are inside only where there is no other room"
    assert (len(change_set) > MAX_OPERATIONS) == (late + 4 > MAX_OPERATIONS)
