"""With --json, whatever ends a command with another code than 0 is the envelope's `error`, beside the data there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
import pytest

from loader.cli import cli
from loader.contract import Contract
from loader.warehouse.connection import Warehouse
from loader.warehouse.journal import Journal
from tests.conftest import Built, Workbench, open_bench


def leaves(group: click.Group = cli, *above: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, *above, name)
        else:
            yield " ".join((*above, name))


def an_option_that_crm_lacks(bench: Workbench) -> None:
    bench.execute("insert into xref_payment_terms values ('Net 99', 99, 'nothing')")


def a_push(bench: Workbench) -> None:
    bench.loader("push", "--order", "ORDST2270")


def an_order_that_was_created(bench: Workbench) -> str:
    ended = bench.loader("push", "--order", "ORDST0007")
    assert ended.orders["created"] == 1
    return str(ended.data["run_id"])


CASES: list[tuple[str, int, str, bool]] = [
    # command line, exit code, error code, with data
    ("check", 1, "check_failed", True),
    ("xref check", 1, "check_failed", True),
    ("plan --detailed-exitcode", 4, "changes_planned", True),
    ("plan --detailed-exitcode --order ORDST2270", 3, "records_waiting", True),
    ("plan --order NOSUCH", 1, "not_found", False),
    ("push --order ORDST2270", 3, "records_waiting", True),
    ("push --max-changes 1", 7, "guard_tripped", False),
    ("status --max-blocked 0", 1, "not_well", True),
    ("status --run nosuch", 1, "not_found", False),
    ("report --out nosuch/report.html", 2, "usage", False),
    ("retry list --target moon", 2, "usage", False),
    ("retry now", 3, "records_waiting", True),
    ("retry hold NOSUCH", 1, "not_found", False),
    ("retry ignore NOSUCH", 1, "not_found", False),
    ("retry release NOSUCH", 1, "not_found", False),
    ("explain NOSUCH", 1, "not_found", False),
    ("undo --run CREATED --yes", 3, "records_waiting", True),
    ("reconcile --target moon", 2, "usage", False),
    ("sop-mode show --nonsense", 2, "usage", False),
    ("sop-mode enable --nonsense", 2, "usage", False),
    ("sop-mode disable --yes", 7, "guard_tripped", False),
    ("driver", 2, "usage", False),
    ("emulator --port 70000", 2, "usage", False),
    ("emulator --host 203.0.113.1", 2, "usage", False),
    ("demo --target moon", 2, "usage", False),
    ("init --target moon", 2, "usage", False),
    ("show nosuch.plan", 2, "usage", False),
    ("sample load nosuch", 2, "usage", False),
    ("sample select --nonsense", 2, "usage", False),
    ("sample export --nonsense", 2, "usage", False),
    ("frobnicate", 2, "usage", False),
]


@pytest.fixture(scope="module")
def in_trouble(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The company with an option that CRM lacks and an order that waits. CRM has nothing of either."""
    with ExitStack() as stack:
        bench = open_bench(stack, built.as_tables, tmp_path_factory.mktemp("trouble"))
        an_option_that_crm_lacks(bench)
        a_push(bench)
    return Built(bench.path, built.target_path)


@pytest.fixture
def troubled(in_trouble: Built, tmp_path: Path) -> Iterator[Workbench]:
    with ExitStack() as stack:
        yield open_bench(stack, in_trouble, tmp_path)


@pytest.mark.parametrize(("line", "exit_code", "code", "has_data"), CASES, ids=[case[0] for case in CASES])
def test_every_exit_code_but_zero_has_an_error(
    troubled: Workbench, line: str, exit_code: int, code: str, has_data: bool
) -> None:
    if "CREATED" in line:
        line = line.replace("CREATED", an_order_that_was_created(troubled))
    ended = troubled.loader(*line.split())
    assert (ended.exit_code, ended.error["code"]) == (exit_code, code)
    assert ended.envelope["success"] is False
    assert ended.error["message"]
    assert ended.error["remedy"]
    assert bool(ended.envelope.get("data")) == has_data


def test_the_cases_go_through_all_commands() -> None:
    named = [line for line, *_ in CASES]
    assert [leaf for leaf in leaves() if not any(f"{line} ".startswith(f"{leaf} ") for line in named)] == []


def test_success_has_data_and_no_error(bench: Workbench) -> None:
    for arguments in (("status",), ("plan",), ("push", "--order", "ORDST2225"), ("reconcile",)):
        ended = bench.loader(*arguments)
        assert (ended.exit_code, ended.envelope["success"]) == (0, True)
        assert "error" not in ended.envelope


def test_a_bug_is_an_error_too(bench: Workbench) -> None:
    def broken(warehouse: Warehouse, contract: Contract) -> Journal:
        raise RuntimeError("nobody\x1b[2J expected this")

    bench.sources = replace(bench.sources, journal=broken)
    ended = bench.loader("status")
    plain = bench.loader("status", json_output=False)
    assert (ended.exit_code, ended.error["code"]) == (1, "unexpected")
    assert "RuntimeError: nobody" in ended.error["message"]
    assert "Traceback" in ended.stderr
    assert (plain.exit_code, plain.stdout) == (1, "")
    assert "\x1b" not in plain.stderr
    assert plain.stderr.splitlines()[-2].startswith("Error: RuntimeError")


def test_what_ends_with_zero_alone_sets_no_code(bench: Workbench, tmp_path: Path) -> None:
    out = tmp_path / "x.plan"
    assert bench.loader("plan", "--out", str(out)).exit_code == 0
    assert out.exists()
