"""`loader demo`: the sample company from GP rows to CRM rows, and the proof that both say the same."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import click

from loader.contract import Model
from loader.errors import LoaderError, UsageError
from loader.extras import require_emulator
from loader.files import private_files
from loader.invocation import Invocation, command
from loader.push.building import build
from loader.push.pushing import push
from loader.push.sender import Settled
from loader.push.tally import PushReport
from loader.report.text import place_of, table
from loader.run import Run
from loader.visible import styled, visible
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse, columns_of

if TYPE_CHECKING:  # installed with the demo extra only
    from emulator import Emulator
    from loader.invocation import Invocation

DEMO_FILE = "demo.duckdb"
EXPLAINED = "ORDST2226"
EDITED = "ORDST2225"


class DemoFailed(LoaderError):
    """CRM does not hold what is staged."""

    code = "demo_failed"
    remedy = "This is a bug: please report it with the lines above."


@command("demo")
@click.option("--keep-emulator", is_flag=True, help="Leave the local CRM running afterwards, until interrupted.")
def demo(invocation: Invocation, keep_emulator: bool) -> None:
    """Build the sample company, push it to a local CRM and check the result value by value.

    \b
    Example:
        loader demo
    """
    _demonstrate(invocation, keep_emulator)


def _demonstrate(invocation: Invocation, keep_emulator: bool) -> None:
    """Runs the whole path. Raises DemoFailed where CRM's content differs from the staged rows."""
    require_emulator()
    from emulator import Emulator
    from sample import organisation

    started = time.monotonic()
    say = invocation.output.talk if invocation.output.json else invocation.output.line
    environ = dict(os.environ)
    if invocation.target in (None, "duckdb"):
        environ.setdefault("GP_CRM_DUCKDB_PATH", str(invocation.project_dir.resolve() / DEMO_FILE))
    with Emulator(snapshot=organisation.snapshot()) as crm:
        environ.update({"CRM_URL": crm.url, "CRM_AUTH": "token", "CRM_ACCESS_TOKEN": crm.token})
        show = _Demo(invocation, environ, crm, say)
        show.load_company()
        show.build()
        show.first_push()
        show.one_order()
        show.second_push()
        show.change_in_gp()
        content = show.verify()
        say("")
        say(f"Done in {time.monotonic() - started:.0f} seconds.")
        if keep_emulator:
            say(f"The local CRM is at {crm.url}, token {crm.token}. Ctrl-C ends it.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
    if invocation.output.json:
        invocation.output.data(content, lambda: iter(()))


class _Demo:
    def __init__(self, invocation: Invocation, environ: Mapping[str, str], crm: Emulator, say: Any) -> None:
        self._invocation, self._environ, self._crm, self._say = invocation, environ, crm, say
        self._expected: set[str] = set()
        self._settled: list[Settled] = []
        self._content: dict[str, Any] = {}

    def load_company(self) -> None:
        from sample import company

        self._title("1. A GP company")
        with self._open() as run, private_files():
            target = run.target
            warehouse = connect(target, for_run=True, create=True)
            try:
                _refuse_real_data(warehouse, target.type)
                counts = company.load(warehouse, schema="gp" if target.type == "duckdb" else "dbo")
            finally:
                warehouse.close()
            self._say(f"{counts['SOP10100']} documents with {counts['SOP10200']} lines in {target.address}.")

    def build(self) -> None:
        self._title("2. dbt build: staged as CRM's tables, tested")
        with self._open() as run:
            build(run, self._say)
            model = run.contract.models[0]
            self._say(f"{len(run.keys(model))} open orders staged in {model.relation}.")

    def first_push(self) -> None:
        self._title("3. The first push")
        report = self._push()
        self._expected = self._in_sync()
        self._content["first_push"] = report.as_json()["orders"]
        for settled in self._settled:
            if settled.outcome in ("blocked", "failed", "skipped"):
                self._say(f"  {settled.plan.key}: {settled.outcome}, {settled.reason}: {settled.message}")
        self._say(_summary(report))

    def one_order(self) -> None:
        self._title(f"4. One order from GP row to CRM row: {EXPLAINED}")
        with self._open() as run:
            for line in self._explained(run, run.contract.models[0]):
                self._say(line)

    def second_push(self) -> None:
        self._title("5. The second push finds nothing to write")
        report = self._push()
        self._content["second_push"] = report.as_json()["orders"]
        self._say(_summary(report))
        if report.requests["write"] or report.orders["created"] or report.orders["updated"]:
            raise DemoFailed("The second push wrote to CRM.")

    def change_in_gp(self) -> None:
        from sample import company

        self._title("6. A change in GP arrives as one order update")
        with self._open("write") as run:
            edit = company.edit_order(run.warehouse, EDITED, schema="gp" if run.target.type == "duckdb" else "dbo")
        self._say(f"In GP: {edit.number}, {edit.item}, quantity {edit.before:f} → {edit.after:f}.")
        report = self._push()
        self._content["after_change"] = report.as_json()["orders"]
        for settled in self._settled:
            if settled.pushed:
                for change in settled.plan.changes_json():
                    self._say(f"  {place_of(change)} {change['column']}: {change['before']} → {change['after']}")
        self._say(_summary(report))
        if report.orders["updated"] != 1 or report.orders["created"]:
            raise DemoFailed("The change did not arrive as exactly one order update.")

    def verify(self) -> dict[str, Any]:
        from sample.verify import staged, verify

        self._title("7. CRM against the staged rows, value by value")
        with self._open() as run:
            model = run.contract.models[0]
            assert model.children is not None
            query = run.warehouse.query
            headers = list(staged(query, model.relation, [column.name for column in model.columns]))
            lines = list(staged(query, model.children.relation, [column.name for column in model.children.columns]))
            sop_mode = run.organization.keeps_amounts
            result = verify(headers, lines, self._crm, self._expected, sop_mode)
            self._say(f"{result.values} values of {result.orders} orders and {result.lines} lines compared.")
            for difference in result.differences:
                self._say(f"  {difference}")
            if result.differences or not result.orders:
                raise DemoFailed(f"{len(result.differences)} values differ.")
            self._say("All equal.")
            self._queries(run)
        return {**self._content, "compared": result.values, "differences": 0}

    def _queries(self, run: Run) -> None:
        journal = run.contract.journal
        self._title("To look at it yourself")
        if run.target.type == "duckdb":
            self._say(f"DuckDB file: {run.target.path}")
        for sql in (
            f"select name, customerid, totalamount, statuscode from {run.contract.models[0].relation}",
            f"select record_key, reason, message from {journal['retry_queue'].relation} where state = 'open'",
            f"select happened_at, record_key, changes from {journal['sync_event'].relation}"
            " where outcome = 'updated' order by happened_at",
        ):
            self._say(f"  {sql}")

    def _explained(self, run: Run, model: Model) -> Iterator[str]:
        """GP's value, the rule, the staged value and CRM's value of each column of one order."""
        names = [column.name for column in model.columns]
        quoted_names = ", ".join(f'"{name}"' for name in names)
        row = run.warehouse.query(f"select {quoted_names} from {model.relation} where name = ?", [EXPLAINED])[0]
        staged = dict(zip(names, row, strict=True))
        gp = _gp_row(run.warehouse, "gp" if run.target.type == "duckdb" else "dbo")
        crm = next(order for order in self._crm.rows("salesorder") if order["name"] == EXPLAINED)
        rows = [("GP COLUMN", "GP VALUE", "STAGED AS", "STAGED VALUE", "CRM VALUE")]
        for column in model.sent:
            sources = [source for source in column.meta.gp if source.split(".")[0] == "SOP10100"]
            if sources and staged[column.name] is not None:
                value = gp[sources[0].partition(".")[2].upper()]
                rows.append(
                    (sources[0], _shown(value), column.name, _shown(staged[column.name]), _shown(crm.get(column.name)))
                )
        yield from table(rows)

    def _push(self) -> PushReport:
        with self._open("push") as run:
            self._settled.clear()
            report = push(run, tell=self._settled.append)
        if report.failure:
            raise report.failure
        return report

    def _in_sync(self) -> set[str]:
        """Orders that CRM should now hold as staged: all but those that did not go."""
        apart = {settled.plan.key for settled in self._settled if settled.outcome in ("skipped", "blocked", "failed")}
        with self._open() as run:
            return set(run.keys(run.contract.models[0])) - apart

    def _open(self, access: Literal["read", "write", "push"] = "read") -> Run:
        invocation = self._invocation
        return Run(
            invocation.project_dir, invocation.profiles_dir, invocation.target, environ=self._environ, access=access
        )

    def _title(self, text: str) -> None:
        self._say("")
        self._say(styled(text, bold=True))


def _refuse_real_data(warehouse: Warehouse, kind: str) -> None:
    """The demo makes GP's tables anew: never where somebody's data may be."""
    from sample import company

    schema = "gp" if kind == "duckdb" else "dbo"
    if not columns_of(warehouse, f"{schema}.RM00101"):
        return
    theirs = {str(number).rstrip(" ") for (number,) in warehouse.query(f"select CUSTNMBR from {schema}.RM00101")}
    strangers = sorted(theirs - {str(customer["CUSTNMBR"]).rstrip(" ") for customer in company.read()["RM00101"]})
    if strangers:
        raise UsageError(
            f"{schema}.RM00101 holds customers that are not the sample's, such as {', '.join(strangers[:3])}; the demo"
            " would replace them.",
            "Give the demo an empty database of its own.",
        )


def _gp_row(warehouse: Warehouse, schema: str) -> dict[str, object]:
    names = columns_of(warehouse, f"{schema}.SOP10100")
    quoted_names = ", ".join(f'"{name}"' for name in names)
    row = warehouse.query(
        f"select {quoted_names} from {schema}.SOP10100 where SOPTYPE = 2 and rtrim(SOPNUMBE) = ?", [EXPLAINED]
    )[0]
    return {name.upper(): value for name, value in zip(names, row, strict=True)}


def _summary(report: PushReport) -> str:
    orders = ", ".join(f"{count} {outcome}" for outcome, count in report.orders.items() if count)
    return (
        f"{report.staged} orders: {orders}; requests: {report.requests['read']} read, {report.requests['write']} write."
    )


def _shown(value: object, width: int = 28) -> str:
    if isinstance(value, dict):
        return f"{value['table']} {value['id'][:8]}…"
    text = "" if value is None else visible(str(value).rstrip())
    return text if len(text) <= width else text[: width - 1] + "…"
