"""The demo's steps: the sample company from GP's rows to CRM's rows, and the proof that both say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from loader.errors import LoaderError, UsageError
from loader.files import private_files
from loader.push.building import build
from loader.push.explaining import explain
from loader.push.pushing import push
from loader.push.sender import Settled
from loader.push.tally import PushReport
from loader.report import explained
from loader.report.text import place_of
from loader.run import Run
from loader.visible import styled
from loader.warehouse.connect import connect
from loader.warehouse.connection import Warehouse, columns_of

if TYPE_CHECKING:  # installed with the demo extra only
    from emulator import Emulator

Access: TypeAlias = Literal["read", "write", "push"]

EXPLAINED = "ORDST2226"
EDITED = "ORDST2225"


class DemoFailed(LoaderError):
    """CRM does not hold what is staged."""

    code = "demo_failed"
    remedy = "This is a bug: please report it with the lines above."


class Demonstration:
    """The steps, in their order; each shows what it did. `open_run` opens the warehouse and the CRM of the demo."""

    def __init__(self, open_run: Callable[[Access], Run], crm: Emulator, say: Callable[[str], None]) -> None:
        self._open, self._crm, self._say = open_run, crm, say
        self._expected: set[str] = set()
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
        return self.verify()

    def load_company(self) -> None:
        from sample import company

        self._title("1. A GP company")
        with self._open("read") as run, private_files():
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
        with self._open("read") as run:
            build(run, self._say)
            model = run.contract.models[0]
            self._say(f"{len(run.keys(model))} open orders staged in {model.relation}.")

    def first_push(self) -> None:
        self._title("3. The first push")
        report = self._push()
        self._expected = self._in_sync()
        self._content["first_push"] = report.as_json()["records"]
        for settled in self._settled:
            if settled.outcome in ("blocked", "failed", "skipped"):
                self._say(f"  {settled.plan.key}: {settled.outcome}, {settled.reason}: {settled.message}")
        self._say(_summary(report))

    def one_order(self) -> None:
        self._title(f"4. One order from GP row to CRM row: {EXPLAINED}")
        with self._open("read") as run:
            for line in explained.lines(explain(run, EXPLAINED, words=explained.plan_text), ()):
                self._say(line)

    def second_push(self) -> None:
        self._title("5. The second push finds nothing to write")
        report = self._push()
        self._content["second_push"] = report.as_json()["records"]
        self._say(_summary(report))
        if report.requests["write"] or report.records["created"] or report.records["updated"]:
            raise DemoFailed("The second push wrote to CRM.")

    def change_in_gp(self) -> None:
        from sample import company

        self._title("6. A change in GP arrives as one order update")
        with self._open("write") as run:
            edit = company.edit_order(run.warehouse, EDITED, schema="gp" if run.target.type == "duckdb" else "dbo")
        self._say(f"In GP: {edit.number}, {edit.item}, quantity {edit.before:f} → {edit.after:f}.")
        report = self._push()
        self._content["after_change"] = report.as_json()["records"]
        for settled in self._settled:
            if settled.pushed:
                for change in settled.plan.changes_json():
                    self._say(f"  {place_of(change)} {change['column']}: {change['before']} → {change['after']}")
        self._say(_summary(report))
        if report.records["updated"] != 1 or report.records["created"]:
            raise DemoFailed("The change did not arrive as exactly one order update.")

    def verify(self) -> dict[str, Any]:
        from sample.verify import staged, verify

        self._title("7. CRM against the staged rows, value by value")
        with self._open("read") as run:
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
        self._title("To look at it yourself")
        if run.target.type == "duckdb":
            self._say(f"DuckDB file: {run.target.path}")
        relations, model = run.contract.relations, run.contract.models[0]
        shown = [name for name in (*model.meta.match_on, model.meta.title, model.meta.amount) if name]
        for sql in (
            f"select {', '.join(shown)} from {model.relation}",
            f"select order_number, status, reason, message from {relations['audit_order_status']} where in_scope = 1",
            f"select * from {relations['audit_missing_references']} order by amount desc",
            f"select * from {relations['audit_run_history']} order by run_number",
        ):
            self._say(f"  {sql}")

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
        with self._open("read") as run:
            return set(run.keys(run.contract.models[0])) - apart

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


def _summary(report: PushReport) -> str:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in report.records.items() if count)
    return (
        f"{report.counted()}: {outcomes}; requests: {report.requests['read']} read, {report.requests['write']} write."
    )
