"""meta.crm for many tables: in which order they go, and which words are refused, with file, model and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.contract import Contract
from loader.errors import ContractError
from tests.made_contract import Columns, Yaml, contract_of, node


def look_up(table: str, column: str, **words: Any) -> tuple[str, Yaml]:
    return "varchar(20)", {"lookup": {"table": table, "match": {"name": column}, "called": table, **words}}


def model(name: str, table: str, *looks_up: str, **words: Any) -> Yaml:
    """A model of a table that looks up these tables."""
    columns: Columns = {"name": "varchar(20)", **{f"{each}id": look_up(each, f"{each}id") for each in looks_up}}
    return node(name, {"table": table, "noun": "thing", "match_on": ["name"], **words}, columns)


def names(contract: Contract) -> list[str]:
    return [each.name for each in contract.models]


def test_a_table_comes_after_those_that_it_looks_up(tmp_path: Path) -> None:
    contract = contract_of(
        tmp_path,
        model("a_invoice", "invoice", "account", "salesorder"),
        model("b_order", "salesorder", "account", "uom"),
        model("c_account", "account", "account"),
        model("d_schedule", "uomschedule", children={"model": "e_unit", "via": "uomscheduleid", "match_on": ["name"]}),
        node("e_unit", {"table": "uom"}, {"uomscheduleid": "varchar(20)", "name": "varchar(20)"}),
    )
    assert names(contract) == ["c_account", "d_schedule", "b_order", "a_invoice"]


def test_of_the_models_of_one_table_the_one_that_creates_goes_first(tmp_path: Path) -> None:
    contract = contract_of(
        tmp_path,
        model("a_ended", "salesorder", create="never"),
        model("b_deleted", "salesorder", create="never"),
        model("c_open", "salesorder"),
        model("d_invoice", "invoice", "salesorder"),
    )
    assert names(contract) == ["c_open", "a_ended", "b_deleted", "d_invoice"]


def test_tables_that_look_each_other_up_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match="Models a, b look each other up in a circle, so none of them can be pushed first"
    ):
        contract_of(tmp_path, model("a", "one", "two"), model("b", "two", "one"), model("c", "three", "one"))


@given(st.permutations(range(6)), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_every_table_comes_after_what_it_looks_up_whatever_the_models_are_called(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], pairs: set[tuple[int, int]]
) -> None:
    looks_up = {table: sorted({low for high, low in pairs if high == table and low < high}) for table in range(6)}
    nodes = [
        model(f"m{order[table]}", f"t{table}", *(f"t{each}" for each in (*looks_up[table], table)))
        for table in range(6)
    ]
    contract = contract_of(tmp_path_factory.mktemp("contract"), *nodes)
    place = {each.table: number for number, each in enumerate(contract.models)}
    assert all(place[f"t{low}"] < place[f"t{high}"] for high, lows in looks_up.items() for low in lows)


ACTION = {"name": "CloseIt", "parameter": "Close", "type": "closing", "bind": "thingid"}
EDITABLE = {"statecode": 0}

WRONG: dict[str, tuple[Yaml, str]] = {
    "another version": ({"version": 1}, r"models/m\.yml: Model m: meta\.crm\.version: Input should be 2"),
    "no noun": ({"noun": ""}, "Model m: noun says in small letters what one record is called"),
    "a noun in capitals": ({"noun": "Order"}, "Model m: noun says in small letters"),
    "no key": ({"match_on": []}, "Model m: match_on needs at least one column"),
    "a key that is not there": ({"match_on": ["number"]}, "Model m, match_on: there is no column 'number'"),
    "a key that is not sent": ({"match_on": ["name__gp"]}, "Model m, match_on: 'name__gp' is not sent"),
    "a title that is not there": ({"title": "nowhere"}, "Model m, title: there is no column 'nowhere'"),
    "an amount that is not there": ({"amount": "nowhere"}, "Model m, amount: there is no column 'nowhere'"),
    "a word that is none": ({"create": "sometimes"}, r"meta\.crm\.create: Input should be 'always' or 'never'"),
    "absent records of a model that never creates": (
        {"create": "never", "create_unless": {"column": "name__gp", "reason": "inactive"}},
        r"models/m\.yml: Model m: meta\.crm: .*create_unless says nothing with create: never",
    ),
    "create_unless of no column": (
        {"create_unless": {"column": "nowhere", "reason": "inactive"}},
        "Model m, create_unless: there is no column 'nowhere'",
    ),
    "sought_by where records are created": ({"sought_by": "name__gp"}, "sought_by says nothing without create: never"),
    "prefixes of keys that nothing is sought by": (
        {"create": "never", "key_prefixes": ["C-"]},
        "key_prefixes says nothing without sought_by",
    ),
    "sought_by of no column": (
        {"create": "never", "sought_by": "nowhere"},
        "Model m, sought_by: there is no column 'nowhere'",
    ),
    "adoption where nothing is created": (
        {"create": "never", "adopt_by": ["name"]},
        "adopt_by says nothing with create: never",
    ),
    "a key of several where nothing is created": (
        {"create": "never", "match_on": ["name", "thatid"]},
        r"models/m\.yml: Model m: meta\.crm: .*in match_on, but it has name and thatid: .*Give the table one column",
    ),
    "adoption by no column": ({"adopt_by": ["nowhere"]}, "Model m, adopt_by: there is no column 'nowhere'"),
    "adoption by a look-up": ({"adopt_by": ["thatid"]}, "Model m, adopt_by: 'thatid' is a look-up"),
    "adoption with a key of several": (
        {"adopt_by": ["name"], "match_on": ["name", "thatid"]},
        "adopt_by needs a single column in match_on",
    ),
    "a state that is editable and closed": (
        {"state": {"editable": EDITABLE, "closed": [0]}},
        r"meta\.crm\.state: .*statecode 0 is editable, so it cannot be in closed",
    ),
    "an action that lacks a word": (
        {"state": {"editable": EDITABLE, "actions": {"3": {"name": "CloseIt"}}}},
        r"meta\.crm\.state\.actions\.3\.parameter: Field required",
    ),
    "an action for no number": (
        {"state": {"editable": EDITABLE, "actions": {"closed": ACTION}}},
        r"meta\.crm\.state\.actions\.closed",
    ),
    "a state by a setting with one side": (
        {"state": {"editable": EDITABLE, "born": {"setting": "some", "true": EDITABLE}}},
        r"meta\.crm\.state\.born: .*a setting needs a state for true and one for false",
    ),
    "no state at birth": (
        {"state": {"editable": EDITABLE, "born": {}}},
        r"meta\.crm\.state\.born: .*give a state, or a setting",
    ),
    "lines that are replaced and never deleted": (
        {"children": {"model": "line", "via": "mid", "match_on": ["name"], "refresh": "replace", "delete": False}},
        r"meta\.crm\.children: .*refresh: replace deletes every line, delete: false none",
    ),
    "lines made by the parent, by no column": (
        {
            "children": {
                "model": "line",
                "via": "mid",
                "match_on": ["name"],
                "made_by_parent": {"column": "nowhere", "called": "base"},
            }
        },
        "Model line: there is no column 'nowhere', named by m",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_word_that_says_nothing_is_refused_with_its_place(tmp_path: Path, mistake: str) -> None:
    words, message = WRONG[mistake]
    columns: Columns = {"name": "varchar(20)", "name__gp": "varchar(20)", "thatid": look_up("that", "thatid")}
    crm = {"table": "thing", "noun": "thing", "match_on": ["name"], **words}
    line = node("line", {"table": "line"}, {"mid": "varchar(20)", "name": "varchar(20)"})
    with pytest.raises(ContractError, match=message):
        contract_of(tmp_path, node("m", crm, columns), line)


def test_a_column_goes_always_or_at_create(tmp_path: Path) -> None:
    columns = {"name": ("varchar(20)", {"only_at": "update"})}
    with pytest.raises(
        ContractError, match=r"models/m\.yml: Model m, column name: meta\.crm\.only_at: Input should be"
    ):
        contract_of(tmp_path, node("m", {"table": "thing", "noun": "thing", "match_on": ["name"]}, columns))


def test_a_model_that_never_creates_is_not_matched_by_a_look_up(tmp_path: Path) -> None:
    message = "Model m, match_on: 'thatid' is a look-up, and create: never needs a column that is the key itself"
    with pytest.raises(ContractError, match=message):
        contract_of(tmp_path, model("m", "thing", "that", create="never", match_on=["thatid"]))


def test_models_of_one_table_have_one_key(tmp_path: Path) -> None:
    ended = model("b_ended", "salesorder", "account", create="never", match_on=["accountid"])
    with pytest.raises(ContractError, match="Models a_open and b_ended fill salesorder, but match_on differs"):
        contract_of(tmp_path, model("a_open", "salesorder"), ended)


def test_the_state_at_birth_is_one_or_depends_on_a_setting(tmp_path: Path) -> None:
    new, draft = {"statecode": 0, "statuscode": 1}, {"statecode": 2, "statuscode": 0}
    by_setting = {"editable": new, "born": {"setting": "startactive", "true": new, "false": draft}}
    one, two = contract_of(
        tmp_path,
        model("a", "one", state={"editable": new, "born": draft}),
        model("b", "two", state=by_setting),
    ).models
    assert one.meta.state and one.meta.state.born  # noqa: PT018
    assert one.meta.state.born.state == draft
    assert two.meta.state and two.meta.state.born  # noqa: PT018
    born = two.meta.state.born
    assert (born.setting, born.true, born.false) == ("startactive", new, draft)


def test_records_are_counted_in_their_own_words(tmp_path: Path) -> None:
    entry, schedule = contract_of(
        tmp_path,
        model("a", "entry", noun="entry", nouns="entries"),
        model("b", "uomschedule", "entry", noun="unit schedule", match_on=["name", "entryid"]),
    ).models
    assert [entry.counted(1), entry.counted(2_000)] == ["1 entry", "2,000 entries"]
    assert schedule.counted(2) == "2 unit schedules"
    assert schedule.reason("ambiguous") == "unit_schedule_ambiguous"
    assert schedule.key_of({"name": "A ", "entryid": "B  "}) == "A / B"
