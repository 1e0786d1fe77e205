"""Writes docs/cli.md from the commands' --help.

python docs/cli_reference.py            write it
python docs/cli_reference.py --check    exit 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import click

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "cli.md"
WIDTH = 100

HEAD = """\
<!-- Written by docs/cli_reference.py from the commands' --help. Change it there. -->
# The command line

Run `loader` or `python -m loader`. Results are printed on stdout, messages and progress on stderr. Exit codes and
reason codes are in [promises.md](promises.md), schedules and monitoring in [operating.md](operating.md).

To have the shell complete commands and flags, put `eval "$(_LOADER_COMPLETE=bash_source loader)"` in `~/.bashrc` (for
zsh, `zsh_source` in `~/.zshrc`; for fish, `_LOADER_COMPLETE=fish_source loader | source` in its configuration).

"""

EVERYWHERE = """\
## Everywhere

These options can be given before or after the command's name, except `--version`, which must come before it.

"""

TAIL = """\
`--json` prints one document, even if the command fails:

```json
{
  "version": 2,
  "command": "push",
  "success": false,
  "error": {"code": "crm_unavailable", "message": "…", "remedy": "…"},
  "data": {"records": {"created": 0}}
}
```

Whenever the exit code is not 0, there is an `error` beside the available `data`. This includes commands that finished
although records are waiting (`records_waiting`), `check` found a ✗ (`check_failed`), a probe found a problem
(`not_well`) or `--detailed-exitcode` found changes (`changes_planned`). Numbers are exact decimals, and times are
UTC. The document is printed as one line.

Here, in plan files and in the journal, every change and every warning has the fields `table` (CRM's), `key`, `line`
(the line's number; null for the record itself) and `column`. A change of a look-up or an option also has
`before_shown` and `after_shown`, which are what people know it by: the row's key, the option's label. Text shows these,
and with `-v` the ids beside them.

`plan` and `push` have counts for each table in `tables`, and for all tables together in `records`. For `plan` these
are `create`, `update`, `unchanged`, `skipped` and `blocked`; for `push`, `created`, `updated`, `unchanged`,
`skipped`, `blocked` and `failed`. `causes` of `plan` counts, by table (lines have their own) and action, the columns
that change and the reasons. Each entry of `plans` and `results` has the `table` and `key` of its record.

Text from GP, CRM or a server cannot control a terminal: control characters and bidirectional controls are shown as
escapes such as `\\x1b` and `\\u202e`, even in a pipe. JSON escapes them in its own way.

With `--log-format json`, stderr has one JSON object per line: `time`, `level` (`info`, `warning`, `error`), `run_id`,
`table`, `key`, `message`; `outcome` and `reason` with a record that was blocked (warning) or failed (error), `code` and
`remedy` with an error that stops the command. It has more than the text log, which leaves out what
is printed on stdout anyway.

Output that goes to a file or a pipe is UTF-8 on every system.

## Completion

The shell completes commands and options after one line in its start-up file:

| shell | file | line |
|---|---|---|
| bash 4.4 or later | `~/.bashrc` | `eval "$(_LOADER_COMPLETE=bash_source loader)"` |
| zsh | `~/.zshrc` | `eval "$(_LOADER_COMPLETE=zsh_source loader)"` |
| fish | `~/.config/fish/completions/loader.fish` | `_LOADER_COMPLETE=fish_source loader \\| source` |
"""


def main(argv: list[str] | None = None) -> int:
    """Write the page, or with --check only compare."""
    parser = argparse.ArgumentParser(description="Write docs/cli.md from the commands' --help.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is not up to date")
    options = parser.parse_args(argv)
    page = reference()
    if not options.check:
        PAGE.write_text(page, encoding="utf-8", newline="\n")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        print("docs/cli.md is not up to date. Run: python docs/cli_reference.py", file=sys.stderr)
        return 1
    return 0


def reference() -> str:
    """The page's text."""
    sys.path.insert(0, str(PROJECT))
    from loader.cli import cli

    listed = list(commands(cli, "loader"))
    index = ["| command | |", "|---|---|"]
    index += [
        f"| [`{name}`](#{name.replace(' ', '-')}) | {_cell(command)} |"
        for name, command in listed
        if not isinstance(command, click.Group)
    ]
    sections = [f"## {name}\n\n{_block(_help(command, name, cli))}\n" for name, command in listed]
    everywhere = copy.copy(cli)
    everywhere.help = everywhere.epilog = None
    options = _help(everywhere, "loader", None).partition("Options:\n")[2].partition("\n\nCommands:")[0]
    return "\n".join([HEAD + "\n".join(index), "", *sections, EVERYWHERE + _block(options), "", TAIL])


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below a group with its full name; a group comes before its own."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def _help(command: click.Command, name: str, parent: click.Group | None) -> str:
    """The command's --help as at a terminal of one width, without the options that every command has."""
    shown = copy.copy(command)
    if parent is not None:
        common = {option.name for option in parent.params}
        shown.params = [param for param in command.params if param.name not in common]
        shown.add_help_option = False
    shown.context_settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(shown, info_name=name, **shown.context_settings)
    return shown.get_help(context)


def _cell(command: click.Command) -> str:
    return command.get_short_help_str(limit=200).replace("|", "\\|")


def _block(text: str) -> str:
    return f"```text\n{text.strip(chr(10))}\n```"


if __name__ == "__main__":
    sys.exit(main())
