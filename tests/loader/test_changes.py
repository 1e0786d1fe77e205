"""Changes as JSON text are the JSON of the changes, and are put together row by row."""

from __future__ import annotations

from decimal import Decimal

import pytest
import simplejson
from hypothesis import given
from hypothesis import strategies as st

from loader.report.changes import number
from loader.sync.diff import Change, LineChange, by_row
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


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, 1]), st.sampled_from(["x", "y", "z"]))))
def test_rows_keep_every_change_in_its_order_and_a_column_once(some: list[tuple[str, int | None, str]]) -> None:
    changes = [{"table": table, "line": line, "action": "update", "column": column} for table, line, column in some]
    rows = list(by_row(changes))
    assert [change for row in rows for change in row] == changes
    for row in rows:
        assert len({(change["table"], change["line"]) for change in row}) == 1
        assert len({change["column"] for change in row}) == len(row)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("4.00000", "4"),
        ("4.50000", "4.50"),
        ("59.95", "59.95"),
        ("60.00", "60.00"),
        ("0.08330", "0.0833"),
        ("-7", "-7"),
    ],
)
def test_numbers_lose_the_zeros_that_say_nothing(value: str, shown: str) -> None:
    assert number(Decimal(value)) == shown
