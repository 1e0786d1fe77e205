"""The environment of a command: the process's own, and below it what the project's `.env` says.

dbt started by the loader gets both. A variable that is set in the process, even to nothing, goes before the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from loader.errors import UsageError
from loader.files import PRIVATE, open_private

FILE_NAME = ".env"


class Environ(Mapping[str, str]):
    """Variables by name; `origin` says where one is set."""

    def __init__(self, process: Mapping[str, str], file: Mapping[str, str], path: Path) -> None:
        self._process, self._file, self._path = process, file, path

    def __getitem__(self, name: str) -> str:
        return self._process[name] if name in self._process else self._file[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._process
        yield from (name for name in self._file if name not in self._process)

    def __len__(self) -> int:
        return len(set(self._process) | set(self._file))

    def origin(self, name: str) -> str:
        """The words for where a variable is set: the environment, or the path of the file."""
        return str(self._path) if name not in self._process and name in self._file else "environment"


def read_environ(project_dir: Path, process: Mapping[str, str] | None = None) -> Environ:
    """The process's environment with the project's `.env` below it. Raises UsageError for a file that is unreadable."""
    path = project_dir / FILE_NAME
    return Environ(os.environ if process is None else process, env_file(path), path)


def env_file(path: Path) -> dict[str, str]:
    """The variables of a `.env` file; none where there is no such file. Raises UsageError."""
    try:
        with path.open(encoding="utf-8") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Make it a readable UTF-8 file.") from None
    return {name: value for name, value in values.items() if value is not None}


def env_text(before: str, values: Mapping[str, str]) -> str:
    """The text of a `.env` file with these variables set in it, each in its line; all other lines stay as they are.

    A shell reads the file as well: values stand in single quotes.
    """
    left = dict(values)
    lines = []
    for line in before.splitlines():
        named = re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", line)
        if named and named[1] in values:
            if named[1] in left:
                lines.append(f"{named[1]}={_quoted(left.pop(named[1]))}")
        else:
            lines.append(line)
    lines += [f"{name}={_quoted(value)}" for name, value in left.items()]
    return "".join(f"{line}\n" for line in lines)


def write_env(path: Path, values: Mapping[str, str]) -> None:
    """Sets variables in a `.env` file, which only its owner can read then."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    with open_private(path) as file:
        path.chmod(0o666 & ~PRIVATE)
        file.write(env_text(text, values))


def _quoted(value: str) -> str:
    """In single quotes. A quote within is written as dotenv reads it, where a shell would need another way."""
    if re.fullmatch(r"[\w./:@%+,=-]*", value, re.ASCII):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
