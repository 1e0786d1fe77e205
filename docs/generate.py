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

Which column of Dynamics GP goes to which column of CRM, and by which rule. The SQL is in `models/`, with one view per
CRM table. Beside each view is its YAML, with one sentence per column and a unit test per rule. A blank rule means
that GP's value is copied as it is.

`dbt show --select crm_salesorder` shows staged orders. `loader explain ORDER` shows one order from GP's row to CRM's.
"""

SETTINGS = """\
## What can be set

Set these under `vars:` in `dbt_project.yml`, or for one run with `--vars`. If a value is not allowed, dbt stops, and
the message names the allowed ones.

| var | default | what it does |
|---|---|---|
| `gp_database` | `GP_CRM_GP_DATABASE`, otherwise the target's own | the GP company's database |
| `gp_schema` | `dbo` (DuckDB: `gp`) | the schema of GP's tables there |
| `gp_companies` | none | several companies, with prefixes ([operating.md](operating.md)) |
| `gp_currency` | the CRM organisation's base currency | ISO code of GP's functional currency |
| `gp_time_zone` | US Eastern: `{iana: …, windows: …}` | GP's time zone, by its names in DuckDB and in SQL Server |
| `delivery_days` | `1` | days from the requested ship date to the requested delivery date, 0 to 365 |
| `default_area_code` | `"000"` | put in front of a phone number without an area code; `"000"` means none |
| `amounts` | `spec` | `reconciled` sends amounts that add up: trade discount, gross amounts, discounts per line |
| `transferred` | `fully` | with `partly`, an order is no longer pushed once any quantity has been transferred |
| `sync` | all `false` | which of `units`, `products`, `customers`, `transferred_orders`, `invoices` are built |
| `account_owner` | `create` | with `always`, GP's salesperson stays the owner of an account, its orders and invoices |
| `transferred_as` | `fulfilled` | `invoiced` closes an order that GP has transferred as Invoiced, not as Fulfilled |
| `deleted_orders` | `leave` | `cancel` cancels orders in CRM that GP has deleted |
| `invoices_since` | `90` | invoices from this document date on: so many days back, or a date such as `"2024-01-31"` |
| `nolock` | `false` | with `true`, GP's tables are read `with (nolock)` |
"""

RULES = """\
## Rules

- **Text**: GP's trailing blanks are removed, and a blank text is null. SQL never cuts a text. The loader cuts texts
  that are too long for CRM, and replaces characters that CRM refuses (control characters) by blanks, each with a
  warning.
- **Dates**: a date in the year 1900 means no date. Other dates become midnight in GP's time zone, in UTC. The
  requested delivery date is one day later, or as many as var `delivery_days` says: days are added before the
  conversion, so that a clock change does not move it. 9999-12-31 has no day after it, so it becomes null and a dbt
  test warns. CRM stores dates from 1753-01-01
  to 9999-12-30; the loader leaves any other date empty, with a warning. In time zones whose clocks change at midnight
  (Cuba, Lebanon, the Azores), a day without a midnight begins at 1:00, and a day with two midnights begins at the
  first, on both warehouses. The database knows when a zone's clocks change: DuckDB and Windows get new rules with
  their updates.
- **Phones**: GP's 14 digits are area code, number and extension. `60355512340567` becomes `603-555-1234 x567`.
  Extension 0000 and leading zeros of an extension are removed, area code 000 means none, and all zeros become null.
  Numbers that were typed in another form are read in the same way: `(603) 555-1234 Ext. 567`. A number that is not a
  US number stays as it is, and one that a spreadsheet has mangled (`6.03556E+13`) becomes null; a dbt test warns of
  both.
- **Codes** that are looked up (customers, items, units, price levels, terms, methods, territories) match regardless
  of case and trailing blanks. A blank code clears the column in CRM.
- **Cross-references** (`seeds/xref/`) translate GP's status, terms and shipping methods into CRM's options. If a code
  is missing there, CRM's terms or method stay as they are, with a warning; a missing status blocks the order. (The
  journal's table `crm_xref` is something else: it says which CRM record belongs to which GP record.)
- **Lines**: components of kits are left out, and a repeated line counts once. A line for something that is not an
  item in GP (`NONINVEN` above 0) is a write-in line: it has a description, but no product and no unit.
- **Amounts** with var `amounts: reconciled`: the base amount is `QUANTITY × UNITPRCE`, rounded once to five decimals,
  and the discount is that amount minus `XTNDPRCE`. A difference that comes from GP's rounding of `XTNDPRCE` is not a
  discount: up to half a cent or, if `XTNDPRCE` is a whole amount (of yen) above the product, up to a half. In that
  case the discount is 0 and the base amount is `XTNDPRCE`. A discount from a markdown (`MRKDNAMT`) is kept, however
  small it is.
- **Numbers** are staged as GP has them. The loader rounds them to CRM's precision, half away from zero, and blocks an
  order with a value that CRM cannot store.
- **Null**: GP's columns are never null. In a copy of its tables (a mirror, a file), null is read as what GP would
  have: 0, blank or 1900-01-01. The tests `nulls_in_<table>` warn and name the columns.
- A bad value in GP never makes a view fail: it becomes null or is staged as it is, and a test or the loader reports
  it.

## Which orders

`int_sales_orders_scoped` gives each order in GP's table of open documents a `scope_reason`; those that are `open` are
pushed. GP has no column that says "transferred". An order counts as open if it is an order (`SOPTYPE` 2), is not
voided, has a customer, is not also in history (`SOP30200`), and has something left: no sales line yet, or a line for
which `QUANTITY − QTYCANCE − QTYPRINV − QTYPRORD − QTYPRBAC` is not 0. With var `transferred: partly`, `QTYPRINV`,
`QTYPRORD` and `QTYPRBAC` must also be 0. `audit_order_status` shows the result for each order.
"""

LOADER_RULES = """\
The loader does the rest: `DBLOOKUP`, `DBLOOKUP2` and `DBLOOKUPCached` in CRM (each key once per run), `OR`,
`ISERROR` and `ENDJOBFAILEDMSG` (an order is blocked if a product or unit is not found), the dependency on the
account, the choice between update and insert, the refresh of lines, and sharing with the account's owner.
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
    """The `meta.crm` of a model or a column."""
    meta: Yaml = node.get("config", {}).get("meta", {}).get("crm", {})
    return meta


def gp_columns_of(meta: Yaml) -> list[str]:
    """The GP columns that a column comes from. `gp` is one of them or a list."""
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
    """The data type; both of them if the warehouses differ."""
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
    """The formulas and business rules, and the unit tests for them."""
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
