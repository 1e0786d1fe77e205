"""`loader emulator`: the demo's CRM by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from loader.environment import env_file, write_env
from loader.errors import UsageError
from loader.extras import require_emulator
from loader.invocation import Invocation, command
from loader.report.output import Output

LOCAL = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")


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
    "--from-gp",
    is_flag=True,
    help="Instead of the sample's rows, have what the staged rows look up: accounts, products, units, price lists,"
    " users.",
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write CRM_URL, CRM_AUTH and CRM_ACCESS_TOKEN of this CRM to a file such as .env; its other lines stay.",
)
@click.option(
    "--save-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where POST /_emulator/save may write. Without it, nowhere.",
)
@click.option("--remote-control", is_flag=True, help="Let other machines use /_emulator, too. They need its token.")
def emulator(
    invocation: Invocation,
    host: str,
    port: int,
    snapshot: Path | None,
    from_gp: bool,
    env_file: Path | None,
    save_folder: Path | None,
    remote_control: bool,
) -> None:
    """Run the local CRM of the demo, until interrupted.

    It prints its address, the bearer token that it accepts, and the token that /_emulator accepts in the header
    X-Emulator-Token. Requests to /_emulator set faults, rows and switches for tests.

    \b
    Example:
        loader emulator --port 8765
        loader emulator --from-gp --env-file .env
    """
    require_emulator()
    if env_file:
        _refuse_other_crm(env_file)
    made = _from_gp(invocation) if from_gp else None
    Served(host, port, snapshot, made, env_file, save_folder, remote_control).serve(invocation.output)


@dataclass(frozen=True)
class Served:
    """The sample organisation, a snapshot or `made`, and how it is served."""

    host: str
    port: int
    snapshot: Path | None
    made: dict[str, Any] | None
    env_file: Path | None
    save_folder: Path | None
    remote_control: bool

    def serve(self, output: Output) -> None:
        """Serves it until a signal arrives. A snapshot is then saved again."""
        from emulator import Control, Crm, SnapshotError
        from emulator import serve as serve_crm

        def announce(crm: Crm) -> None:
            settings = {"CRM_URL": crm.url, "CRM_AUTH": "token", "CRM_ACCESS_TOKEN": crm.token}
            if self.env_file:
                write_env(self.env_file, settings)
                output.talk(f"CRM_URL={crm.url}; it and its token are in {self.env_file}. Press Ctrl-C to stop it.")
            else:
                for name, value in settings.items():
                    output.talk(f"{name}={value}")
            output.talk(f"Token of {crm.url}/_emulator: {crm.control.token}")

        try:
            control = Control(folder=self.save_folder, remote=self.remote_control)
            serve_crm(self.host, self.port, self._start(), save_to=self.snapshot, on_ready=announce, control=control)
        except SnapshotError as error:
            raise UsageError(f"{self.snapshot} is not a snapshot: {error}", "Correct it, or name a new file.") from None
        except OSError as error:
            raise UsageError(
                f"The local CRM cannot listen on {self.host}, port {self.port}: {error}",
                "Give another --host or --port.",
            ) from None

    def _start(self) -> Any:
        from emulator.snapshot import read_source
        from sample import organisation, own_crm

        kept = self.snapshot if self.snapshot and self.snapshot.exists() else None
        if self.made is None:
            return kept or organisation.snapshot()
        return own_crm.merged(read_source(kept), self.made) if kept else self.made


def _from_gp(invocation: Invocation) -> dict[str, Any]:
    from sample import own_crm

    with invocation.context() as context:
        return own_crm.snapshot(context.warehouse.query, context.contract)


def _refuse_other_crm(path: Path) -> None:
    """Raises UsageError where the file has the settings of a CRM that is not a local one."""
    url = env_file(path).get("CRM_URL", "")
    if url and not url.startswith(LOCAL):
        raise UsageError(
            f"{path} has the settings of {url}; those of the local CRM would replace them.",
            "Name another file, and give it to commands with `dotenv -f FILE run -- loader …`.",
        )
