"""`loader emulator`: the demo's CRM on its own."""

from __future__ import annotations

from pathlib import Path

from loader.errors import UsageError
from loader.report.output import Output


def require_emulator() -> None:
    """Raises UsageError where the demo extra is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError("The local CRM needs the demo extra.", "pip install 'gp-to-crm[demo]'") from None


def serve(
    host: str, port: int, snapshot: Path | None, save_folder: Path | None, remote_control: bool, output: Output
) -> None:
    """Serves the sample organisation, or a snapshot, until a signal comes; a snapshot is saved back."""
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
        raise UsageError(f"{snapshot} is not a snapshot: {error}", "Correct it, or name a file that is new.") from None
    except OSError as error:
        raise UsageError(
            f"The local CRM cannot listen on {host}, port {port}: {error}", "Give another --host or --port."
        ) from None
