"""A queue of very many orders is told, counted and pushed beside in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.conftest import PROJECT
from tests.peak import TELL_PEAK
from tests.promises.conftest import WITHOUT_PRODUCT, Handful

MANY = 200_000
MORE_MEMORY = 350
"""MB that a command may take beyond what it takes on a short queue; read whole, such a queue takes a gigabyte."""

COMMANDS = (
    ["status"],
    ["status", "--max-blocked", "5%"],
    ["retry", "list"],
    ["report"],
    ["push"],
)

LOADER = f"""
import sys
from loader.cli import run_command
code = run_command(sys.argv[1:])
{TELL_PEAK}
print(code, file=sys.stderr)
"""


def memory(handful: Handful, command: list[str]) -> int:
    """Megabytes that a command takes at most, in a process of its own."""
    handful.release()
    ended = subprocess.run(
        [sys.executable, "-c", LOADER, *command, "--json", "--quiet"],
        cwd=PROJECT,
        env=handful.environ,
        capture_output=True,
        text=True,
        timeout=250,
    )
    megabytes, exit_code = map(int, ended.stderr.split()[-2:])
    assert exit_code in (0, 1, 3), ended.stderr
    assert json.loads(ended.stdout)["version"]
    return megabytes


def test_a_long_queue_takes_little_memory(handful: Handful) -> None:
    handful.push()
    short = {" ".join(command): memory(handful, command) for command in COMMANDS}
    handful.execute(
        "insert into main_journal.retry_queue by name select 'salesorder' as crm_table, 'GONE' || i as record_key,"
        " 'gone' || i as match_key, 'account_not_found' as reason, 'no account ' || i as message,"
        """ '[{"code": "account_not_found", "table": "account", "match": {"name": "' || i || '"}}]' as missing,"""
        " timestamp '2026-01-01' as first_failed_at, timestamp '2026-01-02' as last_failed_at, 1 as attempts,"
        " 'open' as state, 'run' as run_id"
        f" from range({MANY}) t(i)"
    )
    many = {" ".join(command): memory(handful, command) for command in COMMANDS[:-1]}
    told = handful.loader("retry", "list").data
    assert (len(told["queue"]), told["counts"]["open"]) == (1000, MANY + 1)
    assert handful.loader("status", "--max-blocked", "5%").data["waiting"] == MANY + 1
    report = handful.loader("report").data
    assert (report["waiting"]["records"], report["reasons"][0]["records"]) == (MANY + 1, 1)
    many["push"] = memory(handful, ["push"])
    more = {command: many[command] - short[command] for command in many}
    assert max(more.values()) < MORE_MEMORY, more
    told = handful.loader("retry", "list").data
    assert [entry["key"] for entry in told["queue"]] == [WITHOUT_PRODUCT], "the others are staged no more"
