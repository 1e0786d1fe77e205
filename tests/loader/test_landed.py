"""What a run does to records, as the look-ups of those after them see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loader.contract import Contract, Lookup
from loader.dataverse.metadata import Table
from loader.sync.landed import Landings, placeholder
from loader.sync.lookups import Found, Index, Landed, LookupKey, Missing
from loader.sync.records import Staged
from tests.made_contract import contract_of
from tests.promises.made_company import NODES


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return contract_of(tmp_path, *NODES)


def lookup(contract: Contract, table: str, column: str) -> Lookup:
    found = contract.model_of(table).column(column).meta.lookup
    assert found is not None
    return found


def test_only_tables_that_are_filled_and_looked_up_are_remembered(contract: Contract) -> None:
    landings = Landings.of(contract.models)
    assert landings.paths.keys() == {"account", "uomschedule", "uom", "product", "salesorder"}
    assert landings.concerns(contract.model_of("uomschedule"))
    assert not landings.concerns(contract.model_of("invoice"))
    assert not Landings.of([contract.model_of("salesorder")]).paths, "orders alone look nothing up that they fill"


def test_a_record_that_stays_out_is_missing_with_the_reason(contract: Contract) -> None:
    landings, index = Landings.of(contract.models), Index()
    account, customer = contract.model_of("account"), lookup(contract, "salesorder", "customerid")
    staged = Staged("LONE", {column.name: None for column in account.columns} | {"accountnumber": "LONE"}, [])
    landings.stays_out(staged, account, "is held in the retry queue")
    landings.enter(index, [LookupKey.of(customer)], expected=False)
    assert index.find(customer, ["lone "]) == Missing("account LONE is held in the retry queue")
    assert index.find(customer, ["OTHER"]) == Missing()
    landings.failed("account", "lone", "stays out as crm_rejected (No.)")
    landings.enter(index, [LookupKey.of(customer)], expected=False)
    assert index.find(customer, ["LONE"]) == Missing("account lone stays out as crm_rejected (No.)")


def test_a_row_that_the_run_will_make_is_found_and_known_by_its_key(contract: Contract) -> None:
    customer, index = lookup(contract, "salesorder", "customerid"), Index()
    index.land(LookupKey.of(customer), Landed("account", "id-1", {"accountnumber": "LONE"}, is_new=True), expected=True)
    found = index.find(customer, ["lone"])
    assert isinstance(found, Found)
    assert (found.id, index.made) == ("id-1", {"id-1": "account LONE"})
    index.land(LookupKey.of(customer), Landed("account", "id-2", {"accountnumber": "B"}, is_new=True), expected=False)
    assert isinstance(index.find(customer, ["B"]), Missing), "only CRM says so once the run writes"


def test_what_was_found_is_forgotten_when_other_rows_may_be_found(contract: Contract) -> None:
    key = LookupKey.of(lookup(contract, "salesorder", "customerid"))
    table = Table("account", "accounts", "accountid", {}, {}, {})
    row = {"accountid": "id-1", "accountnumber": "LONE"}
    index = Index()
    for change in (
        lambda: index.add(key, table, [row]),
        lambda: index.renew(key, table, [{**row, "accountnumber": "OTHER"}]),
        lambda: index.refuse(key, "BAD", "No."),
        lambda: index.land(key, Landed("account", "id-2", {"accountnumber": "B"}, is_new=True), expected=True),
        lambda: index.land(key, Landed("account", "id-1"), expected=True),
        lambda: index.land(key, Landed("account", values={"accountnumber": "C"}, why="is held"), expected=True),
    ):
        index.answers[key] = {"LONE": "worked out"}
        change()
        assert not index.answers


def test_lines_that_are_still_to_be_made_have_an_id_of_their_own() -> None:
    assert placeholder("a", ("Each",)) == placeholder("a", ("Each",))
    assert len({placeholder("a", ("Each",)), placeholder("a", ("Box",)), placeholder("b", ("Each",))}) == 3
