"""One order of thousands of lines: what is shown, kept and held in memory stays bounded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from loader.sync.plan import _repeated_lines
from loader.sync.records import Staged
from tests.conftest import PROJECT, Workbench
from tests.peak import TELL_PEAK

pytestmark = pytest.mark.gp_changes

ORDER = "ORDST2225"
_COLUMNS = "select column_name from information_schema.columns where table_schema = 'gp' and table_name = 'SOP10200'"


def add_lines(bench: Workbench, number: int, step: int = 16384, item: str = "") -> None:
    """More lines like the order's first one."""
    own = {"LNITMSEQ": f"cast(1000000 + i * {step} as int)", "DEX_ROW_ID": "cast(9000000 + i as int)"}
    if item:
        own["ITEMNMBR"] = f"'{item}' || i"
    names = [str(name) for (name,) in bench.query(_COLUMNS)]
    bench.execute(
        f"insert into gp.SOP10200 ({', '.join(names)}) select {', '.join(own.get(name, name) for name in names)}"
        f" from (select * from gp.SOP10200 where rtrim(SOPNUMBE) = '{ORDER}' and CMPNTSEQ = 0 limit 1)"
        f" cross join range({number}) as t(i)"
    )


def test_explain_and_plan_show_an_order_of_many_lines_in_short(bench: Workbench) -> None:
    add_lines(bench, 3_000)
    text = bench.loader("explain", ORDER, json_output=False).stdout
    assert len(text.splitlines()) < 4_000
    lines = 3_000 + len(bench.crm.rows("salesorderdetail"))
    content = bench.loader("explain", ORDER).data
    assert f"{content['lines_left_out']:,} of {content['line_count']:,} lines are left out; -v shows all." in text
    assert 3_000 < content["line_count"] < lines
    assert len(content["lines"]) == 100 == content["line_count"] - content["lines_left_out"]
    assert all(column["crm"] is None for line in content["lines"] for column in line["columns"]), (
        "those that differ first"
    )
    every = bench.loader("explain", ORDER, "-v").data["lines"]
    assert len(every) == content["line_count"]
    in_gp = [{value for column in line["columns"] for value in column["gp_values"]} for line in every]
    assert [line["line"] for line, values in zip(every, in_gp, strict=True) if str(line["line"]) not in values] == []
    planned = bench.loader("plan", "--order", ORDER)
    assert planned.data["plans"][0]["reason"] == "order_too_large"
    assert len(planned.stdout) < 2_000


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")
def test_fifty_thousand_lines_take_bounded_memory(bench: Workbench) -> None:
    add_lines(bench, 50_000)
    code = f"import sys; from loader.cli import run_command; assert run_command(sys.argv[1:]) == 0\n{TELL_PEAK}"
    bench.release()
    ended = subprocess.run(
        [sys.executable, "-c", code, "explain", ORDER, "--project-dir", str(PROJECT)],
        env={**bench.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ended.stdout) < 1_000_000
    assert int(ended.stderr.split()[-1]) < 830


def test_what_is_wrong_with_each_of_many_lines_is_told_of_some(bench: Workbench) -> None:
    add_lines(bench, 2_000, item="NOSUCH")
    ended = bench.loader("push", "--order", ORDER)
    message = ended.result(ORDER)["message"]
    assert (ended.result(ORDER)["reason"], len(message) < 4_000) == ("product_not_found", True)
    assert message.endswith("more")
    (entry,) = bench.loader("retry", "list").data["queue"]
    assert entry["message"] == message


def test_many_lines_of_one_missing_item_are_one_missing_row(bench: Workbench) -> None:
    add_lines(bench, 500)
    bench.execute(f"update gp.SOP10200 set ITEMNMBR = 'NOSUCH' where rtrim(SOPNUMBE) = '{ORDER}'")
    bench.loader("push", "--order", ORDER)
    (entry,) = bench.loader("retry", "list").data["queue"]
    assert len([row for row in entry["missing"] if row["table"] == "product"]) == 1


class Number(int):
    """A line's number that counts how often numbers are looked at."""

    looked_at = 0

    def __hash__(self) -> int:
        Number.looked_at += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Number.looked_at += 1
        return super().__eq__(other)


def test_many_repeated_lines_are_found_in_one_pass(bench: Workbench) -> None:
    """The shipped models drop repeated lines; others may not."""
    with bench.run() as run:
        model = run.contract.models[0]
    lines = [{"lineitemnumber": Number(number)} for _ in range(2) for number in range(30_000)]
    before = Number.looked_at
    found = _repeated_lines(Staged(ORDER, {}, lines), model)
    assert (len(found), found[0].code) == (30_000, "line_repeated")
    assert len(lines) <= Number.looked_at - before < 10 * len(lines)
