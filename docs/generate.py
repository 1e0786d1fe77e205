"""Writes docs/mapping.md from the models' YAML, so that the page cannot say anything else than the models do;
docs/cli.md from the commands' --help (cli_reference.py); the tables of reasons in docs/promises.md
(reason_tables.py); and those of docs/settings.md (settings_tables.py).

python docs/generate.py            write them
python docs/generate.py --check    exit 1 if they are not up to date
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cli_reference
import reason_tables
import settings_tables
import yaml

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "mapping.md"

Yaml = dict[str, Any]

HEAD = """\
<!-- Written by docs/generate.py from the models' YAML. Change it there. -->
# The mapping

Which column of Dynamics GP ends up in which column of CRM, and by which rule. The SQL is in `models/`, one view per CRM
table, and beside every view its YAML with one sentence per column and a unit test per rule. A blank rule means that the
value stays as GP has it.

`dbt show --select crm_salesorder` shows staged orders; `loader explain ORDER` shows one order from GP's row to CRM's.
"""

SETTINGS = """\
## What can be set

Under `vars:` in `dbt_project.yml`, or for one run with `--vars`. A value that is not allowed stops dbt and names the
allowed ones.

| var | default | what it does |
|---|---|---|
| `gp_database` | `GP_CRM_GP_DATABASE`, else the target's own | the database of GP's company |
| `gp_schema` | `dbo` (DuckDB: `gp`) | the schema of GP's tables there |
| `gp_companies` | none | several companies instead, with prefixes ([operating.md](operating.md)) |
| `gp_currency` | the CRM organisation's base currency | ISO code of the currency that GP's functional amounts are in |
| `gp_time_zone` | US Eastern: `{iana: …, windows: …}` | GP's zone, as DuckDB and as SQL Server names it |
| `default_area_code` | `"000"` | put in front of a phone number without an area code; `"000"` is none |
| `amounts` | `spec` | `reconciled` sends figures that add up: trade discount, gross amounts, discounts of whole lines |
| `transferred` | `fully` | `partly` takes an order out of scope as soon as any quantity was transferred |
| `sync` | all `false` | `units`, `products`, `customers`, `transferred_orders`, `invoices`: which are built |
| `account_owner` | `create` | `always` keeps GP's salesperson as an account's owner, also of its orders and invoices |
| `nolock` | `false` | `true` reads GP's tables `with (nolock)` |
"""

RULES = """\
## Rules

- **Text**: GP's blank padding goes; blank is null. SQL never cuts a text: what is too long for CRM is the loader's to
  cut, and what CRM refuses (control characters) it replaces by a blank, each with a warning.
- **Dates**: a date of the year 1900 is none. Others are midnight in GP's time zone, as UTC. Requested delivery is the
  day after: the day is added before the conversion, so that a clock change does not move it. There is no day after
  9999-12-31: null, and a dbt test warns. CRM holds 1753-01-01 to 9999-12-30: the loader leaves any other date
  empty, with a warning. Where clocks change at midnight (Cuba, Lebanon, the Azores), a day that has no midnight begins
  when it begins, at 1:00, and one that has two begins with the first, on both warehouses. When a zone's clocks change
  is for the database to know: DuckDB and Windows learn of new rules with their updates.
- **Phones**: GP's 14 digits are area code, number and extension. `60355512340567` is `603-555-1234 x567`; extension
  0000 goes, so do an extension's leading zeros; area code 000 is none; all zeros are null. What was typed in is read
  likewise: `(603) 555-1234 Ext. 567`. What is not a US number stays as it is, a number that a spreadsheet has eaten
  (`6.03556E+13`) is null; a dbt test warns of both.
- **Codes** that are looked up (customers, items, units, price levels, terms, methods, territories) match whatever their
  case and trailing blanks. A blank code clears the column in CRM.
- **Cross-references** (`seeds/xref/`) turn GP's status, terms and shipping methods into CRM's options. A code that is
  missing there leaves CRM's terms or method as they are, with a warning; a missing status blocks the order.
- **Lines**: components of kits stay out; a repeated line counts once. A line that GP does not know as an item
  (`NONINVEN` above 0) is a write-in: it has a description and neither product nor unit.
- **Amounts** with var `amounts: reconciled`: the base amount is `QUANTITY × UNITPRCE`, rounded once to five decimals,
  and the discount what `XTNDPRCE` is less. A difference that GP's rounding of `XTNDPRCE` makes is no discount: up to
  half a cent, or up to a half where `XTNDPRCE` is a whole amount (of yen) above the product. Then the discount is 0 and
  the base amount is `XTNDPRCE`. A discount that a markdown (`MRKDNAMT`) gives stays, however little it is.
- **Numbers** go as GP has them. The loader rounds to CRM's precision, half away from zero, and blocks an order with a
  value that CRM cannot hold.
- **Null**: GP's columns are never null. In a copy of its tables (a mirror, a file) null is read as what GP would hold:
  0, blank or 1900-01-01. The tests `nulls_in_<table>` warn and name the columns.
- A GP row that makes no sense never fails a view: it becomes null or is staged as it is, and a test or the loader says
  so.

## Which orders

`int_sales_orders_scoped` gives every order that GP has open its `scope_reason`; CRM gets those that are `open`. GP has
no column that says "transferred", so an order is open when it is an order (`SOPTYPE` 2), not voided, has a customer,
is not also in history (`SOP30200`), and something is left: no sales line yet, or one with
`QUANTITY − QTYCANCE − QTYPRINV − QTYPRORD − QTYPRBAC` other than 0. With var `transferred: partly`, it must also have
nothing in `QTYPRINV`, `QTYPRORD` and `QTYPRBAC`. `audit_order_status` shows the verdict on each order.
"""

LOADER_RULES = """\
The loader does the rest: `DBLOOKUP`, `DBLOOKUP2` and `DBLOOKUPCached` against CRM (each key once a run), `OR`,
`ISERROR` and `ENDJOBFAILEDMSG` (product or unit not found blocks the order), account dependency, update against
insert, the lines' refresh and sharing with the account's owner.
"""


def main(argv: list[str] | None = None) -> int:
    """Write the pages, or with --check only compare."""
    parser = argparse.ArgumentParser(
        description="Write docs/mapping.md, docs/cli.md, and the tables of docs/promises.md and docs/settings.md."
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is not up to date")
    options = parser.parse_args(argv)
    stale = False
    pages = {
        PAGE: mapping(),
        cli_reference.PAGE: cli_reference.reference(),
        reason_tables.PAGE: reason_tables.promises(model_codes()),
        settings_tables.PAGE: settings_tables.page(),
    }
    for path, page in pages.items():
        if not options.check:
            path.write_text(page, encoding="utf-8", newline="\n")
        elif not path.exists() or path.read_text(encoding="utf-8") != page:
            print(f"docs/{path.name} is not up to date. Run: python docs/generate.py", file=sys.stderr)
            stale = True
    return int(stale)


def mapping(project: Path = PROJECT) -> str:
    """The page's text."""
    parts = [HEAD]
    models = list(crm_models(project))
    nouns = _nouns(models)
    parts += [_model(model, nouns[model["name"]]) for model in models]
    parts += [RULES, SETTINGS, _cross_references(project), _tests(project)]
    return "\n".join(parts)


def crm_models(project: Path = PROJECT) -> Iterator[Yaml]:
    """The models that the loader pushes, as their YAML describes them."""
    for path in sorted((project / "models" / "crm").rglob("*.yml")):
        yield from _read(path).get("models", [])


def model_codes(project: Path = PROJECT) -> Iterator[tuple[str, str]]:
    """The reason codes that the models' look-ups and cross-references make, each with its outcome."""
    outcome = {"block": "blocked", "leave": "warning"}
    for model in crm_models(project):
        yield from _own_codes(model)
        for meta in map(crm_meta, model["columns"]):
            if lookup := meta.get("lookup"):
                if (missing := lookup.get("missing", "block")) in outcome:
                    yield f"{lookup['called']}_not_found", outcome[missing]
                yield f"{lookup['called']}_ambiguous", outcome[lookup.get("ambiguous", "block")]
                if lookup.get("inactive") in ("warn", "block"):
                    yield f"{lookup['called']}_inactive", {"warn": "warning", "block": "blocked"}[lookup["inactive"]]
                for its in lookup.get("agree", {}).values():
                    yield f"{lookup['called']}_{_disagreement(model, its)}", outcome[lookup.get("disagree", "block")]
            if xref := meta.get("xref"):
                yield f"{xref['called']}_unmapped", outcome[xref["unmapped"]]


def _own_codes(model: Yaml) -> Iterator[tuple[str, str]]:
    """The reason codes that begin with the model's noun, or that its lines make."""
    meta = crm_meta(model)
    noun = meta.get("noun", "").replace(" ", "_")
    children = meta.get("children", {})
    if not noun:
        return
    yield f"{noun}_ambiguous", "blocked"
    if children:
        yield f"{noun}_too_large", "blocked"
    if meta.get("belongs_to"):
        yield f"{noun}_taken_over", "warning"
    if meta.get("adopt_by"):
        yield f"{noun}_adopted", "warning"
    if any(crm_meta(column).get("lookup", {}).get("table") == meta["table"] for column in model["columns"]):
        yield f"{noun}_loop", "blocked"
    if made := children.get("made_by_parent"):
        yield f"{made['called']}_differs", "blocked"


def _disagreement(model: Yaml, path: str) -> str:
    column, dot, _ = path.partition(".")
    if not dot:
        return "currency"
    others = {each["name"]: crm_meta(each).get("lookup", {}) for each in model["columns"]}
    return f"not_of_{others[column]['called']}"


def crm_meta(node: Yaml) -> Yaml:
    """What a model or a column tells the loader."""
    meta: Yaml = node.get("config", {}).get("meta", {}).get("crm", {})
    return meta


def gp_columns_of(meta: Yaml) -> list[str]:
    """The GP columns that a column comes from: `gp` is one or a list of them."""
    names = meta.get("gp", [])
    return [names] if isinstance(names, str) else names


def _nouns(models: list[Yaml]) -> dict[str, str]:
    """What people call the record that a model's rows belong to, by model: lines are part of their parent's record."""
    nouns = {model["name"]: crm_meta(model).get("noun", "record") for model in models}
    for model in models:
        if children := crm_meta(model).get("children"):
            nouns[children["model"]] = nouns[model["name"]]
    return nouns


def _model(model: Yaml, noun: str) -> str:
    lines = [
        f"## `{crm_meta(model)['table']}`, from `{model['name']}`",
        "",
        _one_line(model["description"]),
        "",
        "| CRM column | type | GP column | rule | in CRM |",
        "|---|---|---|---|---|",
    ]
    lines += [_column(column, noun) for column in model["columns"]]
    return "\n".join(lines) + "\n"


def _column(column: Yaml, noun: str) -> str:
    meta = crm_meta(column)
    gp_columns = "<br>".join(f"`{name}`" for name in gp_columns_of(meta)) or "–"
    cells = [
        f"`{column['name']}`",
        _type(column["data_type"]),
        gp_columns,
        meta.get("rule", ""),
        _in_crm(column["name"], meta, noun),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(data_type: str) -> str:
    """The type, on both warehouses where they differ."""
    choice = re.fullmatch(r"\{\{ '(.+)' if target.type == 'duckdb' else '(.+)' \}\}", data_type)
    return f"{choice[2]} (DuckDB: {choice[1]})" if choice else data_type


def _in_crm(name: str, meta: Yaml, noun: str) -> str:
    if "__" in name:
        return "not sent"
    notes = []
    if lookup := meta.get("lookup"):
        keys = " and ".join(f"`{column}`" for column in lookup["match"])
        effects = {
            "block": f"the {noun} waits",
            "leave": "left as it is in CRM",
            "clear": "empty in CRM",
            "warn": "used with a warning",
        }
        missing = effects[lookup.get("missing", "block")]
        notes.append(f"id of the `{lookup['table']}` by {keys}; not found: {missing}")
        if lookup.get("inactive", "missing") != "missing":
            notes.append(f"not active: {effects[lookup['inactive']]}")
        for its, other in lookup.get("agree", {}).items():
            whose = f"the {noun}'s own currency" if "." not in other else f"`{other}`"
            notes.append(f"`{its}` must be {whose}, else: {effects[lookup.get('disagree', 'block')]}")
    if xref := meta.get("xref"):
        unmapped = {"block": f"the {noun} waits", "leave": "left as it is in CRM"}[xref["unmapped"]]
        notes.append(f"unmapped code: {unmapped}")
    if "{{" in meta.get("only_at", ""):
        notes.append("sent when it is created; later as the var says")
    elif meta.get("only_at") == "create":
        notes.append("sent only when it is created")
    if meta.get("if_absent") == "skip":
        notes.append("only where the organisation has the column")
    if meta.get("computed"):
        notes.append("computed by CRM, unless in SOP mode with an integration user")
    return "; ".join(notes) or "the value"


def _cross_references(project: Path) -> str:
    lines = ["## Cross-references", "", "| seed | what it does |", "|---|---|"]
    for path in sorted((project / "seeds").rglob("*.yml")):
        lines += [f"| `{seed['name']}` | {_one_line(seed['description'])} |" for seed in _read(path)["seeds"]]
    return "\n".join(lines) + "\n"


def _tests(project: Path) -> str:
    """The formulas and business rules, and the unit tests that hold them."""
    covered: dict[str, list[str]] = {}
    for path in sorted((project / "models").rglob("*.yml")):
        for test in _read(path).get("unit_tests", []):
            for rule in test.get("config", {}).get("meta", {}).get("covers", []):
                covered.setdefault(rule, []).append(f"`{test['name']}` ({test['model']})")
    lines = [
        "## Formulas and business rules, and their unit tests",
        "",
        "`dbt test --select test_type:unit` runs them, on both warehouses.",
        "",
        "| formula or rule | unit tests |",
        "|---|---|",
    ]
    lines += [f"| {rule} | {'<br>'.join(tests)} |" for rule, tests in sorted(covered.items(), key=_formulas_first)]
    return "\n".join(lines) + "\n\n" + LOADER_RULES


def _formulas_first(item: tuple[str, list[str]]) -> tuple[bool, str]:
    return (not item[0].isupper(), item[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _read(path: Path) -> Yaml:
    content: Yaml = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    sys.exit(main())
