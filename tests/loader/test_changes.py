"""Changes as JSON text are the JSON of the changes."""

from __future__ import annotations

from decimal import Decimal

import simplejson
from hypothesis import given
from hypothesis import strategies as st

from loader.sync.diff import Change, LineChange
from loader.sync.plan import RecordPlan
from loader.sync.records import Desired, Wanted

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False, places=5),
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
)
columns = st.dictionaries(st.sampled_from(["name", "totalamount", "description"]), values)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), columns, columns)
def test_of_a_new_order(key: str, header: dict[str, object], line: dict[str, object]) -> None:
    record = Desired(header, {"statecode": 0}, (Desired(line, {}, key=(16384,)),))  # type: ignore[arg-type]
    plan = RecordPlan(key, "salesorder", "create", "id", new=Wanted([], None, 1, lambda: record))
    assert simplejson.loads(plan.changes_text, use_decimal=True) == plan.changes_json()
    assert len(plan.changes_json()) == 1 + sum(v is not None for v in (*header.values(), *line.values()))


@given(values, values)
def test_of_a_changed_order(before: str, after: str) -> None:
    change = Change("quantity", before, after)
    line = LineChange("update", (16384, Decimal("1.5")), "id", (change,))
    plan = RecordPlan('O"1', "salesorder", "update", "id", header=(change,), lines=(line,))
    assert simplejson.loads(plan.changes_text, use_decimal=True) == plan.changes_json()
    assert simplejson.loads(simplejson.dumps(plan.entry()), use_decimal=True) == plan.as_json()
