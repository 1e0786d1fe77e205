"""dbt's command line as the loader starts it, and as people are told to type it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from loader.profile import Target


def same_warehouse(target: Target, project_dir: Path) -> list[str]:
    """dbt's flags for the project, profiles file and target that a run read.

    dbt alone would look for profiles.yml in the directory it is started in, not in the project's. The profile is not
    named: dbt finds the same one, and reads the whole project again wherever `--profile` is given after a command
    without it.
    """
    return [
        "--project-dir", str(project_dir.absolute()),
        "--profiles-dir", str(target.profiles_dir),
        "--target", target.name,
    ]  # fmt: skip


def shown_by(target: Target, project_dir: Path, test: str, variables: Mapping[str, object] | None = None) -> str:
    """The command that shows the rows on which a test fails, as it can be pasted into a terminal."""
    command = ["dbt", "show", "--limit", "100", "--select", test, "--target", target.name]
    if variables:
        command += ["--vars", json.dumps(variables)]
    project = project_dir.absolute()
    if project != Path.cwd():
        command += ["--project-dir", str(project)]
    if target.profiles_dir != Path.cwd():
        command += ["--profiles-dir", str(target.profiles_dir)]
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)
