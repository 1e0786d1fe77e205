"""The demo's steps: the sample company from GP's rows to CRM's rows, and the proof that both say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from loader.context import Context
from loader.errors import LoaderError, UsageError
from loader.files import private_files
from loader.push.building import build
from loader.push.explaining import explain
from loader.push.pushing import push
from loader.push.sender import Settled
from loader.push.tally import PushReport
from loader.report import explained
from loader.report.changes import Telling
from loader.report.text import place_of
from loader.report.text import table as table_of
from loader.report.words import counted
from loader.report.wrapping import terminal_width
from loader.visible import styled
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse, columns_of

if TYPE_CHECKING:  # installed with the demo extra only
    from emulator import Emulator

Access: TypeAlias = Literal["read", "write", "push"]


class DemoFailed(LoaderError):
    """CRM does not hold what is staged."""

    code = "demo_failed"
    remedy = "This is a bug: please report it with the lines above."


class Demonstration:
    """The steps, in their order; each shows what it did. `open_run` opens the warehouse and the CRM of the demo."""

    def __init__(self, open_run: Callable[[Access], Context], crm: Emulator, say: Callable[[str], None]) -> None:
        self._open, self._crm, self._say = open_run, crm, say
        self._apart: set[tuple[str, str]] = set()
        self._created: set[tuple[str, str]] = set()
        self._settled: list[Settled] = []
        self._content: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """All of it. Raises DemoFailed where CRM does not hold what is staged."""
        self.load_company()
        self.build()
        self.first_push()
        self.one_order()
        self.second_push()
        self.change_in_gp()
        self.transfer_in_gp()
        return self.verify()

    def load_company(self) -> None:
        from sample import company

        self._title("1. A GP company, and a CRM that is as good as empty")
        with self._open("read") as context, private_files():
            target = context.target
            warehouse = connect(target, for_run=True, create=True)
            context.doing("Loading the sample company")
            try:
                _refuse_real_data(warehouse, target.type)
                counts = company.load(warehouse, schema="gp" if target.type == "duckdb" else "dbo")
            finally:
                warehouse.close()
            self._say(f"{counts['SOP10100']} documents with {counts['SOP10200']} lines in {target.address}.")

    def build(self) -> None:
        from sample import story

        self._title("2. dbt build: staged as CRM's tables, tested")
        with self._open("read") as context:
            build(context, self._say, story.VARS)
            for model in context.contract.models:
                ((staged,),) = context.warehouse.query(f"select count(*) from {model.relation}")
                self._say(f"  {counted(int(str(staged)), 'row')} in {model.relation}")
            self._say(self._in_crm(context, "CRM has"))

    def first_push(self) -> None:
        self._title("3. One push, and everything is there")
        report = self._push()
        self._content["first_push"] = report.as_json()["records"]
        for settled in self._settled:
            its = settled.plan
            if settled.outcome in ("blocked", "failed", "skipped"):
                self._say(f"  {its.table} {its.key}: {settled.outcome}, {settled.reason}: {settled.message}")
        self._say("")
        for line in _table(report):
            self._say(line)
        self._say(_summary(report))
        with self._open("read") as context:
            self._say(self._in_crm(context, "CRM now has"))

    def one_order(self) -> None:
        from sample import story

        self._title(f"4. One order from GP row to CRM row: {story.EXPLAINED}")
        with self._open("read") as context:
            telling = Telling(context.contract)
            content = explain(context, story.EXPLAINED, words=explained.plan_text(telling), table=story.ORDERS)
            for line in explained.lines(content, (), telling, terminal_width()):
                self._say(line)

    def second_push(self) -> None:
        self._title("5. The second push finds nothing to write")
        report = self._push()
        self._content["second_push"] = report.as_json()["records"]
        self._say(_summary(report))
        if report.requests["write"] or report.records["created"] or report.records["updated"]:
            raise DemoFailed("The second push wrote to CRM.")

    def change_in_gp(self) -> None:
        from sample import company, story

        self._title("6. A change in GP arrives as one order update")
        with self._open("write") as context:
            schema = "gp" if context.target.type == "duckdb" else "dbo"
            edit = company.edit_order(context.warehouse, story.EDITED, schema=schema)
        self._say(f"In GP: {edit.number}, {edit.item}, quantity {edit.before:f} → {edit.after:f}.")
        report = self._push()
        self._content["after_change"] = report.as_json()["records"]
        self._tell_changes()
        self._say(_summary(report))
        if report.records["updated"] != 1 or report.records["created"]:
            raise DemoFailed("The change did not arrive as exactly one order update.")

    def transfer_in_gp(self) -> None:
        from sample import company, story

        self._title("7. GP transfers an order: CRM closes it, with its invoice beside it")
        with self._open("write") as context:
            schema = "gp" if context.target.type == "duckdb" else "dbo"
            company.transfer_order(context.warehouse, story.TRANSFERRED, story.INVOICE, schema=schema)
        self._say(f"In GP: order {story.TRANSFERRED} went to history; invoice {story.INVOICE} is posted and not paid.")
        report = self._push()
        self._content["after_transfer"] = report.as_json()["records"]
        self._tell_changes()
        self._say(_summary(report))
        if report.records["updated"] != 1 or report.records["created"] != 1:
            raise DemoFailed("The transfer did not arrive as one order that is closed and one new invoice.")

    def verify(self) -> dict[str, Any]:
        from sample.verify import staged, verify

        self._title("8. CRM against the staged rows, value by value")
        with self._open("read") as context:
            context.doing("Comparing every value")
            result = verify(
                [staged(context.warehouse.query, model) for model in context.contract.models],
                self._crm,
                apart=self._apart,
                created=self._created,
                keeps_amounts=context.organization.keeps_amounts,
            )
            for table, number in result.records.items():
                self._say(f"  {table}: {number:,} compared")
            for difference in result.differences:
                self._say(f"  {difference}")
            if result.differences or not result.values:
                raise DemoFailed(f"{counted(len(result.differences), 'difference')} in values.")
            self._say(f"{result.values:,} values. All equal.")
            self._queries(context)
        return {**self._content, "compared": result.values, "differences": 0}

    def _queries(self, context: Context) -> None:
        from sample import story

        self._title("To look at it yourself")
        self._say(f"In {context.target.address}:")
        relations, model = context.contract.relations, context.contract.model_of(story.ORDERS)
        shown = [name for name in (*model.meta.match_on, model.meta.title, model.meta.amount) if name]
        for sql in (
            f"select {', '.join(shown)} from {model.relation}",
            f"select order_number, status, reason, message from {relations['audit_order_status']} where in_scope = 1",
            f"select * from {relations['audit_missing_references']} order by amount desc",
            f"select * from {relations['audit_run_history']} order by run_number",
        ):
            self._say(f"  {sql};")

    def _push(self) -> PushReport:
        with self._open("push") as context:
            self._settled.clear()
            report = push(
                context,
                progress=lambda done, total: context.doing("Pushing", done, total),
                tell=self._settled.append,
            )
        if report.failure:
            raise report.failure
        for settled in self._settled:
            its = (settled.plan.table, settled.plan.key)
            if settled.outcome in ("skipped", "blocked", "failed"):
                self._apart.add(its)
            if settled.outcome == "created":
                self._created.add(its)
        return report

    def _tell_changes(self) -> None:
        for settled in self._settled:
            if settled.outcome == "created":
                self._say(f"  {settled.plan.table} {settled.plan.key}: created")
            for change in settled.plan.changes_json() if settled.outcome == "updated" else ():
                self._say(f"  {settled.plan.table} {place_of(change)} {Telling().change(change)}")

    def _in_crm(self, context: Context, said: str) -> str:
        """What CRM holds of the contract's tables."""
        counts = {model.table: len(self._crm.rows(model.table)) for model in context.contract.models}
        return f"{said} {context.contract.counted(counts)}."

    def _title(self, text: str) -> None:
        self._say("")
        self._say(styled(text, bold=True))


def _refuse_real_data(warehouse: Warehouse, kind: str) -> None:
    """Refuses a database that may contain somebody's data, because the demo replaces GP's tables."""
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


def _table(report: PushReport) -> list[str]:
    """Outcomes by table, those without a single record left out."""
    shown = [outcome for outcome, count in report.records.items() if count]
    rows = [["", *shown]]
    rows += [[table, *(f"{counts[outcome]:,}" for outcome in shown)] for table, counts in report.tables.items()]
    return list(table_of(rows))


def _summary(report: PushReport) -> str:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in report.records.items() if count)
    return (
        f"{report.counted()}: {outcomes}; requests: {report.requests['read']} read, {report.requests['write']} write."
    )
