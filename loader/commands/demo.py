"""`loader demo`: the sample company, pushed to a local CRM and checked value by value."""

from __future__ import annotations

import contextlib
import os
import time

import click

from loader.context import Context
from loader.demonstration import Access, Demonstration
from loader.extras import require_emulator
from loader.invocation import Invocation, command

DEMO_FILE = "demo.duckdb"


@command("demo")
@click.option("--keep-emulator", is_flag=True, help="Leave the local CRM running afterwards, until interrupted.")
def demo(invocation: Invocation, keep_emulator: bool) -> None:
    """Build the sample company, push it to an empty local CRM and check the result value by value.

    \b
    Example:
        loader demo
    """
    require_emulator()
    from emulator import Emulator
    from sample import organisation

    started = time.monotonic()
    output = invocation.output
    say = output.talk if output.json else output.line
    environ = dict(os.environ)
    if invocation.target in (None, "duckdb"):
        environ.setdefault("GP_CRM_DUCKDB_PATH", str(invocation.project_dir.resolve() / DEMO_FILE))

    def open_run(access: Access) -> Context:
        folders = (invocation.project_dir, invocation.profiles_dir)
        return Context(*folders, invocation.target, environ=environ, access=access)

    with Emulator(snapshot=organisation.empty()) as crm:
        environ.update({"CRM_URL": crm.url, "CRM_AUTH": "token", "CRM_ACCESS_TOKEN": crm.token})
        content = Demonstration(open_run, crm, say).run()
        say("")
        say(f"Done in {time.monotonic() - started:.0f} seconds.")
        if keep_emulator:
            say(f"The local CRM is at {crm.url}, token {crm.token}. Press Ctrl-C to stop it.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
    if output.json:
        output.data(content, lambda: iter(()))
