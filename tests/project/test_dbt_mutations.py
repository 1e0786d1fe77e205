"""The unit tests notice when the mapping breaks: every mapped column, and every rule, is broken once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import duckdb
import pytest

from tests.project.dbt_runs import Dbt, Node
from tests.thorough import THOROUGH

MAPPED = ("crm_salesorder", "crm_salesorderdetail")
END = "select * from final"

Row = tuple[object, ...]


@dataclass(frozen=True)
class UnitTest:
    """A unit test that dbt has compiled: SQL with its fixtures in it, and the rows expected of it."""

    name: str
    model: str
    sql: str
    expected: list[dict[str, object]]

    @property
    def columns(self) -> list[str]:
        return list(self.expected[0])

    def values_in(self, column: str) -> int:
        """How many different values are expected of the column."""
        return len({str(row[column]) for row in self.expected if row.get(column) is not None})

    def passes(self, sql: str) -> bool:
        """Does `sql` give the expected rows? A broken query fails as well as a wrong row."""
        columns = ", ".join(f'"{column}"' for column in self.columns)
        try:
            actual = duckdb.execute(f"select {columns} from ({sql})").fetchall()
        except duckdb.Error:
            return False
        return sorted(map(repr, actual)) == sorted(map(repr, self._expected_rows))

    @cached_property
    def types(self) -> dict[str, str]:
        return {row[0]: str(row[1]) for row in duckdb.execute(f"describe {self.sql}").fetchall()}

    @cached_property
    def _expected_rows(self) -> list[Row]:
        casts = ", ".join(f"cast(? as {self.types[column]})" for column in self.columns)
        return [
            duckdb.execute(f"select {casts}", [as_text(row[column]) for column in self.columns]).fetchall()[0]
            for row in self.expected
        ]


def as_text(value: object) -> str | None:
    """A value of the YAML as its literal."""
    if value is None:
        return None
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


@pytest.fixture(scope="module")
def unit_tests(built: Dbt) -> dict[str, list[UnitTest]]:
    """The unit tests by model."""
    found: dict[str, list[UnitTest]] = {}
    sql = {name.rsplit("/", 1)[1].removesuffix(".sql"): text for name, text in built.compiled.items()}
    for name, node in built.nodes("unit_test").items():
        test = UnitTest(name, node["model"], sql[name], rows_of(node))
        found.setdefault(node["model"], []).append(test)
    return found


def rows_of(unit_test: Node) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = unit_test["expect"]["rows"]
    return rows


@pytest.mark.parametrize("model", MAPPED)
def test_the_unit_tests_pass_unbroken(unit_tests: dict[str, list[UnitTest]], model: str) -> None:
    assert [test.name for test in unit_tests[model] if not test.passes(test.sql)] == []


@pytest.mark.parametrize("model", MAPPED)
def test_a_column_that_is_lost_fails_a_unit_test(unit_tests: dict[str, list[UnitTest]], model: str) -> None:
    columns = unit_tests[model][0].types
    lost = [
        column for column in columns if not is_noticed(unit_tests[model], column, f"cast(null as {columns[column]})")
    ]
    assert lost == []


@pytest.mark.parametrize("model", MAPPED)
def test_a_column_that_is_swapped_fails_a_unit_test(unit_tests: dict[str, list[UnitTest]], model: str) -> None:
    columns = unit_tests[model][0].types
    swapped = [
        (column, other)
        for column, other in swaps(columns)
        if not is_noticed(unit_tests[model], column, f'cast("{other}" as {columns[column]})')
    ]
    assert set(swapped) == SAME_BY_RULE.get(model, set()).intersection(swaps(columns))


SAME_BY_RULE = {
    "crm_salesorder": {("name", "ordernumber"), ("ordernumber", "name")},
}
"""Columns that hold the same thing."""


def swaps(columns: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each column with the one before it of its type, or with those before and after it."""
    for kind in sorted({kind_of(data_type) for data_type in columns.values()}):
        names = [name for name, data_type in columns.items() if kind_of(data_type) == kind]
        yield from ((name, names[at - 1]) for at, name in enumerate(names) if len(names) > 1)
        if THOROUGH:
            yield from ((name, names[at - len(names) + 1]) for at, name in enumerate(names) if len(names) > 2)


def kind_of(data_type: str) -> str:
    return data_type.partition("(")[0]


def is_noticed(tests: list[UnitTest], column: str, value: str) -> bool:
    broken = f'select * replace ({value} as "{column}") from final'
    relevant = [test for test in tests if column in test.columns]
    relevant.sort(key=lambda test: -test.values_in(column))  # those that are likely to notice first
    return any(not test.passes(broken.join(test.sql.rsplit(END, 1))) for test in relevant)


KEYED = ("stg_gp__sales_orders", "stg_gp__sales_order_lines", "stg_gp__items", "stg_gp__customer_addresses")

BROKEN_RULES = [
    # which orders
    ("int_sales_orders_scoped", r"\bdocument_type = 2\b(?=\s+\),\s+lines)", "1 = 1"),
    ("int_sales_orders_scoped", r"history.document_type = 2\s+and", ""),
    ("int_sales_orders_scoped", r"and history.company = orders.company", ""),
    ("int_sales_orders_scoped", r"and history.document_key = orders.document_key", ""),
    ("int_sales_orders_scoped", r"orders.company = lines.company and", ""),
    ("int_sales_orders_scoped", r"and orders.document_key = lines.document_key", ""),
    ("int_sales_orders_scoped", r"document_type = 2 and component_sequence = 0", "component_sequence = 0"),
    ("int_sales_orders_scoped", r"document_type = 2 and component_sequence = 0", "document_type = 2"),
    ("int_sales_orders_scoped", r"void_status <> 0", "1 = 0"),
    ("int_sales_orders_scoped", r"orders.customer_number is null", "1 = 0"),
    ("int_sales_orders_scoped", r"orders.document_number is null", "1 = 0"),
    ("int_sales_orders_scoped", r"when exists \(", "when not exists ("),
    ("int_sales_orders_scoped", r"quantity - quantity_cancelled", "quantity"),
    ("int_sales_orders_scoped", r" - quantity_invoiced", ""),
    ("int_sales_orders_scoped", r" - quantity_reordered", ""),
    ("int_sales_orders_scoped", r" - quantity_back_ordered", ""),
    ("int_sales_orders_scoped", r"quantity_back_ordered <> 0\s+then 1", "quantity_back_ordered > 0 then 1"),
    ("int_sales_orders_scoped", r"quantity_invoiced <> 0 or", "1 = 0 or"),
    ("int_sales_orders_scoped", r"quantity_reordered <> 0 or", "1 = 0 or"),
    ("int_sales_orders_scoped", r"or quantity_back_ordered <> 0", "or 1 = 0"),
    ("int_sales_orders_scoped", r"lines.document_key is null then 'open'", "lines.document_key is null then 'stub'"),
    ("int_sales_orders_scoped", r"when lines.is_any_left = 1 then 'open'", ""),
    ("int_sales_orders_scoped", r"when lines.is_any_transferred = 1 then 'transferred'\s+else", "else"),
    ("int_sales_orders_scoped", r"when lines.is_any_transferred = 1 then 'transferred'\s+when", "when"),
    ("int_sales_orders_open", r"where scope_reason = 'open'", ""),
    ("int_sales_orders_open", r"where document_type = 2", ""),
    ("int_sales_orders_open", r"scoped.company = orders.company and", ""),
    ("int_sales_orders_open", r"and scoped.document_key = orders.document_key", ""),
    # orders
    ("crm_salesorder", r"to_days\(1\)", "to_days(0)"),
    ("crm_salesorder", r"and orders.requested_ship_date <= cast\('9999-12-30' as date\)", ""),
    ("crm_salesorder", r"and orders.document_date <= cast\('9999-12-31' as date\)", "and 1 = 0"),
    ("crm_salesorder", r"orders.invoice_date >= cast\('1753-01-01' as date\)", "1 = 1"),
    ("crm_salesorder", r"timezone\('America/New_York', ", "("),
    ("crm_salesorder", r"Europe/Berlin", "America/New_York"),
    ("crm_salesorder", r"orders.customer_key = ", "orders.customer_key >= "),
    ("crm_salesorder", r"orders.bill_to_address_key = ", "orders.bill_to_address_key <= "),
    ("crm_salesorder", r"orders.company = addresses.company\s+and", ""),
    ("crm_salesorder", r"lower\(rtrim\(gp_code", "(rtrim(gp_code"),
    ("crm_salesorder", r"rtrim\(gp_code, ' '\)", "(gp_code)"),
    ("crm_salesorder", r"left join (\S+ as addresses)", r"inner join \1"),
    ("crm_salesorder", r"left join order_status", "inner join order_status"),
    ("crm_salesorder", r"left join(?= \((?:(?!left join)[\s\S])*\) as payment_terms)", "inner join"),
    ("crm_salesorder", r"left join(?= \((?:(?!left join)[\s\S])*\) as shipping_methods)", "inner join"),
    ("crm_salesorder", r"orders.trade_discount_amount", "orders.terms_discount_amount"),
    ("crm_salesorder", r"orders.terms_discount_amount", "orders.trade_discount_amount"),
    # lines
    ("crm_salesorderdetail", r"and lines.document_type = orders.document_type", ""),
    ("crm_salesorderdetail", r"where lines.component_sequence = 0", ""),
    ("crm_salesorderdetail", r"where numbered.repeat_number = 1", ""),
    ("crm_salesorderdetail", r"order by lines.row_id", "order by lines.row_id desc"),
    ("crm_salesorderdetail", r"lines.company, lines.document_key, ", ""),
    ("crm_salesorderdetail", r"lines.document_key, lines.line_sequence", "lines.document_key"),
    ("crm_salesorderdetail", r"non_inventory > 0", "non_inventory = 1"),
    ("crm_salesorderdetail", r"non_inventory > 0", "non_inventory >= 0"),
    (
        "crm_salesorderdetail",
        r"coalesce\(numbered.item_description, numbered.item_number\)",
        "numbered.item_description",
    ),
    ("crm_salesorderdetail", r"left join (\S+ as items)", r"inner join \1"),
    ("crm_salesorderdetail", r"numbered.company = items.company and", ""),
    ("crm_salesorderdetail", r"and numbered.item_key = items.item_key", ""),
    ("crm_salesorderdetail", r"lines.company = orders.company\s+and", ""),
    ("crm_salesorderdetail", r"and lines.document_key = orders.document_key", ""),
    (
        "crm_salesorderdetail",
        r"when numbered.is_write_in = 0 then items.unit_schedule",
        "when 1 = 1 then items.unit_schedule",
    ),
    (
        "crm_salesorderdetail",
        r"when numbered.is_write_in = 0 then numbered.unit",
        "when 1 = 1 then numbered.unit",
    ),
    (
        "crm_salesorderdetail",
        r"when numbered.is_write_in = 0 then numbered.item_number",
        "when 1 = 1 then numbered.item_number",
    ),
    ("crm_salesorderdetail", r"when numbered.is_write_in = 1", "when 1 = 1"),
    ("crm_salesorderdetail", r"to_days\(1\)", "to_days(0)"),
    ("crm_salesorderdetail", r"and numbered.requested_ship_date <= cast\('9999-12-30' as date\)", ""),
    ("crm_salesorderdetail", r"numbered.extended_price \+ numbered.tax_amount", "numbered.extended_price"),
    ("crm_salesorderdetail", r"decimal\(38, 5\)", "decimal(19, 5)"),
    # staging
    ("stg_gp__sales_orders", r"<> 1900", "<> 1901"),
    ("stg_gp__sales_orders", r"<> 1900", "> 1900"),
    ("stg_gp__sales_orders", r"(?<=then cast\()([A-Za-z]+) as date", r"\1 as timestamp"),
    ("stg_gp__sales_orders", r"nullif\(rtrim\((\w+)\), ''\)", r"rtrim(\1)"),
    ("stg_gp__sales_order_lines", r"nullif\(rtrim\((\w+)\), ''\)", r"rtrim(\1)"),
    ("stg_gp__customer_addresses", r"nullif\(rtrim\((\w+)\), ''\)", r"rtrim(\1)"),
    *((table, key, r"(\1)") for table in KEYED for key in (r"lower\((rtrim\(coalesce\(\w+, ''\), ' '\))\)",)),
    *((table, key, r"\1") for table in KEYED for key in (r"rtrim\((coalesce\(\w+, ''\)), ' '\)",)),
    ("stg_gp__sales_orders", r"lower\((rtrim\(nullif)", r"(\1"),
    # phones
    ("crm_salesorder", r"regexp_full_match\(.*?, 'x\*0\[0x\]\*'\)", "1 = 0"),
    ("crm_salesorder", r"regexp_matches\(.*?, '\[0-9\]e\[\+\]\[0-9\]'\)", "1 = 0"),
    ("crm_salesorder", r"'\(000\)\?0000000\(x\[0-9\]\*\|\[0-9\]\{4\}\)\?'", "'nothing'"),
    ("crm_salesorder", r"'extension\|ext\|#'", "'extension|ext'"),
    ("crm_salesorder", r"'extension\|ext\|#'", "'extension|#'"),
    ("crm_salesorder", r"\(\?:\[\+\]\?1\)\?", ""),
    ("crm_salesorder", r"\[2-9\]", "[0-9]"),
    ("crm_salesorder", r"\|000\)\?", ")?"),
    ("crm_salesorder", r"\(\?:0000\|0\*", "(?:"),
    ("crm_salesorder", r"\(\?:x0\*", "(?:x"),
    ("crm_salesorder", r", ' x\$', ''\)", ", 'nothing', '')"),
    ("crm_salesorder", r"'\^-', '207-'", "'^-', ''"),
    ("crm_salesorder", r"lower\(orders.ship_to_phone\)", "orders.ship_to_phone"),
    # audit
    ("audit_order_status", r"crm_table = 'salesorder'", "1 = 1"),
    ("audit_journal_records", r"coalesce\(runs.run_no, 0\) desc", "coalesce(runs.run_no, 0)"),
    ("audit_journal_records", r"(?<=from ranked_events\n    )where age = 1", ""),
    ("audit_order_status", r"void_status <> 0", "1 = 0"),
    ("audit_journal_records", r"queue.state in \('open', 'held', 'ignored'\)", "queue.state is not null"),
    ("audit_order_status", r"and not exists \(", "and exists ("),
    ("audit_order_status", r"open_documents.document_type = 2\s+and", ""),
    ("audit_order_status", r"(?<=where\n        )history.document_type = 2\s+and not", "not"),
    ("audit_order_status", r"in_crm = 1\s+and not exists", "in_crm = 1 and exists"),
]


def assert_noticed(tests: list[UnitTest], rule: str, broken: str) -> None:
    """A rule that is broken in the SQL of a model's unit tests fails one of them."""
    mutants = [(test, re.sub(rule, broken, test.sql)) for test in tests]
    reached = [(test, sql) for test, sql in mutants if sql != test.sql]
    assert reached, "there is no such rule in the SQL"
    assert any(not test.passes(sql) for test, sql in reached)


@pytest.mark.parametrize(("model", "rule", "broken"), BROKEN_RULES, ids=lambda value: str(value)[:40])
def test_a_rule_that_is_broken_fails_a_unit_test(
    unit_tests: dict[str, list[UnitTest]], model: str, rule: str, broken: str
) -> None:
    assert_noticed(unit_tests[model], rule, broken)
