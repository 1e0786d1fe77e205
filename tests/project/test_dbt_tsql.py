"""What dbt compiles for SQL Server is T-SQL that SQL Server 2017 takes, checked without a server."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from tests.project import tsql_rules
from tests.project.dbt_runs import PROJECT, Dbt

REFUSED = {
    "boolean_literal": "select a from t where a = true",
    "concatenation_by_pipes": "select a || b as c from t",
    "double_colon_cast": "select a::int as b from t",
    "limit": "select a from t limit 1",
    "qualify": "select a from t qualify row_number() over (order by a) = 1",
    "grouping_by_number": "select a, count(*) as n from t group by 1",
    "order_by_outside_of_a_window": "select a from t order by a",
    "nested_with": "select a from (with x as (select a from t) select a from x) as y",
    "is_distinct_from": "select a from t where a is distinct from b",
    "trim_of_given_characters": "select trim('x' from a) as b from t",
    "function_of_a_later_version": "select greatest(a, b) as c from t",
    "function_of_another_dialect": "select split_part(a, 'x', 1) as c from t",
    "string_split_with_ordinals": "select value from string_split('a,b', ',', 1)",
    "condition_as_a_value": "select a = b as same from t",
    "condition_without_comparison": "select a from t where is_open",
    "row_comparison": "select a from t where (a, b) in (select a, b from u)",
    "interval_or_date_literal": "select dateadd(day, 1, date '2024-01-01') as b from t",
    "join_using": "select a from t inner join u using (a)",
    "ilike": "select a from t where a ilike 'x%'",
    "filtered_aggregate": "select count(*) filter (where a = 1) as n from t",
    "nulls_first_or_last": "select row_number() over (order by a nulls last) as n from t",
    "null_without_a_type": "with x as (select a, null as b from t) select a, b from x",
    "reserved_alias": "select a as percent from t",
    "unnamed_column": "select a, count(*) from t group by a",
    "end_that_takes_no_order": "with x as (select a from t) select distinct a from x",
}

TAKEN = """
    with x as (select a, 'true || limit 1' as label from t where a = 1 and b like '%false%'),
    y as (select string_agg(a, ',') within group (order by a) as list from t)
    select x.a, case when x.a > 1 then 1 else 0 end as is_more, upper(rtrim(x.label)) collate database_default as l,
        row_number() over (partition by x.a order by x.label desc) as n,
        (select max(u.a) from u) as newest, ltrim(x.a) as b
    from x left join u on x.a = u.a
    where not exists (select 1 from v where v.a = x.a) and (x.a = 1 or x.a is null)
    group by x.a, x.label
    having count(*) > 1
"""


@pytest.mark.parametrize("rule", tsql_rules.RULES)
def test_every_rule_catches_its_construct(rule: str) -> None:
    found = tsql_rules.breaches(REFUSED[rule], {rule: tsql_rules.RULES[rule]})
    assert found, f"{rule} lets through: {REFUSED[rule]}"


def test_the_rules_let_good_sql_through() -> None:
    assert tsql_rules.breaches(TAKEN) == []


def test_models_and_tests_compile_to_sql_that_sql_server_2017_takes(on_sqlserver: Dbt) -> None:
    sql = on_sqlserver.compiled
    assert {
        "models/crm/sales_orders/crm_salesorder.sql",
        "models/crm/sales_orders/crm_salesorderdetail.sql",
    } <= sql.keys()
    assert {name: tsql_rules.breaches(text) for name, text in sql.items() if tsql_rules.breaches(text)} == {}


def test_every_setting_compiles_to_sql_that_sql_server_2017_takes(bare_project: Path, tmp_path: Path) -> None:
    settings = (
        "{amounts: reconciled, transferred: partly, nolock: true, default_area_code: 603, gp_database: TWO,"
        " gp_companies: [{schema: gp}, {database: FAB, prefix: F-}]}"
    )
    shutil.copy(PROJECT / "profiles.example.yml", tmp_path / "profiles.yml")
    dbt = Dbt(tmp_path, bare_project, (("DBT_PROFILES_DIR", str(tmp_path)),)).compile_for(
        "azure_sql", "--vars", settings
    )
    sql = dbt.compiled
    assert {name: tsql_rules.breaches(text) for name, text in sql.items() if tsql_rules.breaches(text)} == {}
    orders = sql["models/staging/gp/stg_gp__sales_orders.sql"]
    assert 'from "TWO"."gp"."SOP10100" with (nolock)' in orders
    assert 'from "FAB"."dbo"."SOP10100" with (nolock)' in orders
    assert "select *," not in orders
    assert "'603-'" in sql["models/crm/sales_orders/crm_salesorder.sql"]


def test_gp_is_only_read_with_hints_when_that_is_set(on_sqlserver: Dbt) -> None:
    assert not [name for name, text in on_sqlserver.compiled.items() if "nolock" in text]


def test_joins_between_gp_tables_leave_gps_key_columns_bare(on_sqlserver: Dbt) -> None:
    """A function around a key would keep SQL Server off GP's index."""
    staging = {name: sql for name, sql in on_sqlserver.compiled.items() if name.startswith("models/staging/gp/stg_")}
    for table in ("sales_orders", "sales_order_lines", "sales_order_history"):
        assert "SOPNUMBE as document_key" in staging[f"models/staging/gp/stg_gp__{table}.sql"], table
    assert "SOPTYPE as document_type" in staging["models/staging/gp/stg_gp__sales_order_history.sql"]
    assert "CUSTNMBR as customer_key" in staging["models/staging/gp/stg_gp__customer_addresses.sql"]
    assert "ITEMNMBR as item_key" in staging["models/staging/gp/stg_gp__items.sql"]
    scoped = on_sqlserver.compiled["models/intermediate/int_sales_orders_scoped.sql"]
    assert re.search(r"history.document_type = 2\s+and [^()]*history.document_key = orders.document_key\s+\)", scoped)
    assert "group by" not in scoped[scoped.index("exists (") :]


def test_joins_compare_columns_with_nothing_done_to_them(on_sqlserver: Dbt) -> None:
    """What makes GP's keys comparable stands in staging alone."""
    others = {}
    for name, sql in on_sqlserver.compiled.items():
        if name.startswith(("models/intermediate/", "models/crm/")) and name.endswith(".sql"):
            for statement in sqlglot.parse(sql, read="tsql"):
                assert statement is not None
                joins = [join for join in statement.find_all(exp.Join) if not join.find_ancestor(exp.Subquery)]
                conditions = [part for join in joins for part in conjuncts(join.args["on"])]
                others[name] = [
                    part.sql() for part in conditions if part.find(exp.Column) and not compares_two_columns(part)
                ]
    assert {name: found for name, found in others.items() if found} == {}


def conjuncts(condition: exp.Expression) -> list[Any]:
    return list(condition.flatten()) if isinstance(condition, exp.And) else [condition]


def compares_two_columns(condition: exp.Expression) -> bool:
    return isinstance(condition, exp.EQ) and all(
        isinstance(side, exp.Column) for side in (condition.this, condition.expression)
    )


def test_gps_text_meets_this_projects_text_in_one_collation(on_sqlserver: Dbt) -> None:
    staging = on_sqlserver.compiled["models/staging/gp/stg_gp__sales_orders.sql"]
    assert "lower(rtrim(nullif(rtrim(PYMTRMID), ''))) collate database_default as payment_terms_key" in staging
    orders = on_sqlserver.compiled["models/crm/sales_orders/crm_salesorder.sql"]
    assert "orders.payment_terms_key = payment_terms.code_key" in orders


MAPPED = ("crm_salesorder", "crm_salesorderdetail")
LONGEST, LONGEST_PHONE = 7_000, 4_500
"""Characters of a mapped column, written out as SQL Server does it: it compiles them before it reads a row."""


def written_out(select: exp.Select) -> exp.Select:
    """The query with the columns of its derived tables written out wherever they are used, as the optimizer does it.

    Aggregates too, which it does not write out: the test then holds whatever a server makes of them.
    """
    source = select.args.get("from_")
    table = source.this if source is not None else None
    if isinstance(table, exp.Subquery):
        names = [item.alias_or_name for item in table.this.expressions]
        values = [item.unalias() for item in written_out(table.this).expressions]
    elif isinstance(table, exp.Values) and len(table.expressions) == 1:
        names, values = table.alias_column_names, table.expressions[0].expressions
    else:
        return select
    columns = dict(zip(names, values, strict=True))
    for column in list(select.find_all(exp.Column)):
        if column.table == table.alias:
            column.replace(exp.paren(columns[column.name].copy()))
    return select


def as_evaluated(column: exp.Expression) -> str:
    """A column's expression with each scalar query in it written out."""
    for query in [node for node in column.find_all(exp.Subquery) if isinstance(node.this, exp.Select)]:
        if not query.find_ancestor(exp.Subquery):
            whole = written_out(query.this)
            parts = [*whole.expressions, *(whole.args.get("joins") or [])]
            query.replace(exp.paren(exp.func("evaluated", *parts)))
    return column.sql("tsql").lower()


@pytest.mark.parametrize("model", MAPPED)
def test_no_mapped_column_grows_long_when_it_is_evaluated(on_sqlserver: Dbt, model: str) -> None:
    (statement,) = sqlglot.parse(on_sqlserver.compiled[f"models/crm/sales_orders/{model}.sql"], read="tsql")
    assert statement is not None
    final = next(cte.this for cte in statement.find_all(exp.CTE) if cte.alias == "final")
    columns = {item.alias: as_evaluated(item.unalias()) for item in final.expressions}
    phones = {
        name
        for name, column in on_sqlserver.nodes("model")[model]["columns"].items()
        if column["config"]["meta"]["crm"].get("rule") == "PHONEFROMGP"
    }
    assert phones
    assert {name: len(sql) for name, sql in columns.items() if len(sql) > LONGEST} == {}
    for name in phones:
        assert len(columns[name]) < LONGEST_PHONE, name
        assert columns[name].count("translate(") in range(1, 17), name
        assert columns[name].count(" like ") in range(1, 22), name


def readings(statement: Any, view: str) -> int:
    """How often the view is evaluated: SQL Server writes out a CTE wherever it is named."""
    ctes = {cte.alias: cte.this for cte in statement.find_all(exp.CTE)}

    def count(query: exp.Expression) -> int:
        tables = [table for table in query.find_all(exp.Table) if not table.find_ancestor(exp.CTE, exp.With)]
        named = [table.name for table in tables]
        return named.count(view) + sum(count(ctes[name].copy()) for name in named if name in ctes)

    return count(statement)


def test_the_audit_evaluates_each_crm_view_once(on_sqlserver: Dbt) -> None:
    counts = {}
    for file, sql in on_sqlserver.compiled.items():
        if file.startswith(("models/audit/", "tests/dbt/")) and file.endswith(".sql"):
            for statement in sqlglot.parse(sql, read="tsql"):
                assert statement is not None
                counts.update({(file, view): readings(statement, view) for view in MAPPED})
    assert counts["models/audit/audit_crm_differences.sql", "crm_salesorder"] == 1
    assert counts["models/audit/audit_crm_differences.sql", "crm_salesorderdetail"] == 1
    assert {place: count for place, count in counts.items() if count > 1} == {}


def test_texts_of_crm_keep_every_character_in_the_audit(on_sqlserver: Dbt) -> None:
    """A varchar holds the characters of the database's code page. GP's order and customer numbers are such texts, and
    short ones are names of columns and codes; anything else is nvarchar."""
    numbers = re.compile(r"nullif\(rtrim\([^\n]*?\), ''\) as varchar\(\d+\)")
    models = {name: sql for name, sql in on_sqlserver.compiled.items() if name.startswith("models/audit/audit_")}
    assert "as nvarchar(" in models["models/audit/audit_crm_differences.sql"]
    assert "as nvarchar(" in models["models/audit/audit_missing_references.sql"]
    wide = {
        name: [
            int(length) for length in re.findall(r"(?<!n)varchar\((\d+)\)", numbers.sub("", sql)) if int(length) > 128
        ]
        for name, sql in models.items()
    }
    assert {name: lengths for name, lengths in wide.items() if lengths} == {}
