"""`loader demo`: the sample company, pushed to a local CRM and checked value by value."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from loader.context import Context
from loader.demonstration import Access, Demonstration
from loader.environment import write_env
from loader.extras import require_emulator
from loader.invocation import Invocation, command
from loader.visible import styled

DEMO_FILE = "demo.duckdb"
CRM_FILE = "demo.crm.json"
ENV_FILE = "demo.env"
HANDED_ON = ("DBT_TARGET_PATH", "GP_CRM_DUCKDB_PATH", "CRM_URL", "CRM_AUTH", "CRM_ACCESS_TOKEN")
"""The demo's settings that the commands need that go on with it."""


@command("demo")
@click.option("--keep-emulator", is_flag=True, help="Leave the local CRM running afterwards, until interrupted.")
def demo(invocation: Invocation, keep_emulator: bool) -> None:
    """Build the sample company, push it to an empty local CRM and check the result value by value.

    Its warehouse, its CRM and its settings stay in the files demo.duckdb, demo.crm.json and demo.env. The last lines
    say how to go on with them.

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
    # The demo switches on more than the project does: what it builds is not what the next command should read.
    environ.setdefault("DBT_TARGET_PATH", str(invocation.project_dir.resolve() / "target" / "demo"))

    def open_run(access: Access) -> Context:
        folders = (invocation.project_dir, invocation.profiles_dir)
        return Context(*folders, invocation.target, environ=environ, access=access, doing=output.doing)

    with Emulator(snapshot=organisation.empty()) as crm:
        environ.update({"CRM_URL": crm.url, "CRM_AUTH": "token", "CRM_ACCESS_TOKEN": crm.token})
        content = Demonstration(open_run, crm, say).run()
        with open_run("read") as context:
            folder = (context.target.path or invocation.project_dir.resolve() / DEMO_FILE).parent
            settings = {name: environ[name] for name in HANDED_ON if name in environ}
            write_env(folder / ENV_FILE, {"DBT_TARGET": context.target.name, **settings})
        crm.save(folder / CRM_FILE)
        say("")
        say(styled("To go on with it", bold=True))
        for line in _going_on(invocation.project_dir, folder, is_running=keep_emulator):
            say(line)
        say("")
        say(f"Done in {time.monotonic() - started:.0f} seconds.")
        if keep_emulator:
            say(f"The local CRM is at {crm.url}. Press Ctrl-C to stop it.")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
            crm.save(folder / CRM_FILE)
    if output.json:
        output.data(content, lambda: iter(()))


def _going_on(project_dir: Path, folder: Path, *, is_running: bool) -> Iterator[str]:
    """The commands that go on with the demo, to be pasted as they are."""
    from sample import story

    place = project_dir.resolve()
    change = f"cd {_quoted(place)}"
    snapshot, settings = (_shown(folder / name, place) for name in (CRM_FILE, ENV_FILE))
    if not is_running:
        yield "The demo's CRM once more, until Ctrl-C:"
        serve = f"loader emulator --snapshot {snapshot} --env-file {settings}"
        for line in (*([] if place == Path.cwd() else [change]), *_activation(place), serve):
            yield f"  {line}"
    yield "And in a second terminal:"
    commands = ("loader plan", f"loader explain {story.EXPLAINED}", "loader status", "loader retry list")
    for line in (change, *_activation(place), *(f"dotenv -f {settings} run -- {each}" for each in commands)):
        yield f"  {line}"


def _activation(place: Path) -> Iterator[str]:
    """What makes `loader` known to a terminal where it is not."""
    scripts = Path(sys.executable).parent
    found = shutil.which("loader")
    if found and Path(found).parent == scripts:
        return
    if sys.platform == "win32":
        yield _shown(scripts / "activate", place)
    elif (scripts / "activate").exists():
        yield f". {_shown(scripts / 'activate', place)}"


def _shown(path: Path, place: Path) -> str:
    """A path as it is typed in the directory `place`."""
    return _quoted(path.relative_to(place) if path.is_relative_to(place) else path)


def _quoted(path: Path) -> str:
    return subprocess.list2cmdline([str(path)]) if sys.platform == "win32" else shlex.quote(str(path))
