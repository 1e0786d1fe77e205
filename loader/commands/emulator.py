"""`loader emulator`: the demo's CRM by itself."""

from __future__ import annotations

from pathlib import Path

import click

from loader.errors import UsageError
from loader.extras import require_emulator
from loader.invocation import Invocation, command
from loader.report.output import Output


@command("emulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--snapshot", type=click.Path(dir_okay=False, path_type=Path), help="JSON file to start from and save to."
)
@click.option(
    "--save-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where POST /_emulator/save may write. Without it, nowhere.",
)
@click.option("--remote-control", is_flag=True, help="Let other machines use /_emulator, too. They need its token.")
def emulator(
    invocation: Invocation, host: str, port: int, snapshot: Path | None, save_folder: Path | None, remote_control: bool
) -> None:
    """Run the local CRM of the demo, until interrupted.

    It prints its address, the bearer token that it accepts, and the token that /_emulator accepts in the header
    X-Emulator-Token. Requests to /_emulator set faults, rows and switches for tests.

    \b
    Example:
        loader emulator --port 8765
    """
    serve(host, port, snapshot, save_folder, remote_control, invocation.output)


def serve(
    host: str, port: int, snapshot: Path | None, save_folder: Path | None, remote_control: bool, output: Output
) -> None:
    """Serves the sample organisation or a snapshot until a signal arrives. A snapshot is then saved again."""
    require_emulator()
    from emulator import Control, Crm, SnapshotError
    from emulator import serve as serve_crm
    from sample import organisation

    def announce(crm: Crm) -> None:
        for line in (f"CRM_URL={crm.url}", "CRM_AUTH=token", f"CRM_ACCESS_TOKEN={crm.token}"):
            output.talk(line)
        output.talk(f"Token of {crm.url}/_emulator: {crm.control.token}")

    start = snapshot if snapshot and snapshot.exists() else organisation.snapshot()
    try:
        control = Control(folder=save_folder, remote=remote_control)
        serve_crm(host, port, start, save_to=snapshot, on_ready=announce, control=control)
    except SnapshotError as error:
        raise UsageError(f"{snapshot} is not a snapshot: {error}", "Correct it, or name a new file.") from None
    except OSError as error:
        raise UsageError(
            f"The local CRM cannot listen on {host}, port {port}: {error}", "Give another --host or --port."
        ) from None
