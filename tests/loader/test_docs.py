"""The command line and its documents say the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import pytest

from loader import cli as cli_module
from loader.cli import cli
from tests.conftest import PROJECT

sys.path.insert(0, str(PROJECT / "docs"))
import cli_reference

COMMANDS = dict(cli_reference.commands(cli, "loader"))
LEAVES = {name: command for name, command in COMMANDS.items() if not isinstance(command, click.Group)}
HEAVY = (
    "loader.commands",
    "loader.context",
    "dbt",
    "pyodbc",
    "mssql_python",
    "msal",
    "duckdb",
    "requests",
    "jinja2",
    "rich",
    "pydantic",
    "yaml",
)


def test_the_reference_is_up_to_date() -> None:
    page = cli_reference.PAGE.read_text(encoding="utf-8")
    assert page == cli_reference.reference(), "Run: make docs"


@pytest.mark.parametrize(("name", "text"), cli_module.COMMANDS.items())
def test_help_lists_each_command_as_its_own_help_begins(name: str, text: str) -> None:
    shown = click.Command(name, help=text).get_short_help_str(limit=200)
    assert shown == cli.commands[name].get_short_help_str(limit=200)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_reference(name: str) -> None:
    page = cli_reference.PAGE.read_text(encoding="utf-8")
    assert f"## {name}\n\n```text\nUsage: {name} [OPTIONS]" in page


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_an_example_or_says_all_in_one_line(name: str) -> None:
    text = (LEAVES[name].help or "").strip()
    assert text
    if "Example:" in text:
        examples = re.findall(r"loader [^\n]*", text.partition("Example:")[2])
        assert any(f"{name} ".startswith(f"{example} ") or example.startswith(name) for example in examples)
    else:
        assert "\n" not in text


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_has_a_help(name: str) -> None:
    options = [param for param in LEAVES[name].params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("page", ["operating.md", "cli.md"])
def test_commands_and_options_in_the_documents_exist(page: str) -> None:
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    known = {word for name in COMMANDS for word in [name]} | {"loader"}
    for line in re.findall(r"loader (?:[a-z-]+ ?)+(?:--[a-z-]+)?[^\n`|]*", text):
        words = line.split()
        name = "loader"
        for word in words[1:]:
            if f"{name} {word}" not in known:
                break
            name = f"{name} {word}"
        options = {flag for param in (*_params(name), *cli.params) for flag in (*param.opts, *param.secondary_opts)}
        used = set(re.findall(r"(?<![\w-])--[a-z-]+", line.partition("&&")[0]))
        assert used <= options | {"--help"}, (line, used - options)


def _params(name: str) -> list[click.Parameter]:
    return COMMANDS[name].params if name in COMMANDS else []


@pytest.mark.parametrize("page", ["operating.md", "cli.md"])
def test_links_between_the_documents_lead_somewhere(page: str) -> None:
    path = PROJECT / "docs" / page
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists(), target
    headings = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in headings, anchor


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys, time; from loader.cli import run_command; code = run_command(['--help']);"
        f"print('LOADED', *(name for name in {HEAVY!r} if name in sys.modules));"
        "print(len(sys.modules), time.process_time()); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    *_, loaded, figures = done.stdout.splitlines()
    assert loaded.split() == ["LOADED"]
    modules, seconds = figures.split()
    assert int(modules) < 300  # 161, most of them Python's own and click's
    assert float(seconds) < 2  # of processor time, whatever else the machine does; usually 0.1


def test_output_into_a_file_is_utf8_whatever_the_code_page() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loader", "plan", "--help"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        cwd=PROJECT,
        check=False,
    )
    assert done.returncode == 0
    assert "old → new" in done.stdout.decode("utf-8")


def test_loader_alone_prints_its_help_and_is_content() -> None:
    alone = subprocess.run([sys.executable, "-m", "loader"], capture_output=True, encoding="utf-8", check=False)
    help_ = subprocess.run(
        [sys.executable, "-m", "loader", "--help"], capture_output=True, encoding="utf-8", check=False
    )
    assert (alone.returncode, alone.stdout, alone.stderr) == (0, help_.stdout, "")
    as_json = subprocess.run(
        [sys.executable, "-m", "loader", "--json"], capture_output=True, encoding="utf-8", check=False
    )
    assert as_json.returncode == 2
    assert "Missing command" in as_json.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's completion")
def test_a_shell_is_told_commands_and_flags() -> None:
    def completed(words: str, position: int) -> list[str]:
        environ = {**os.environ, "COMP_WORDS": words, "COMP_CWORD": str(position), "_LOADER_COMPLETE": "bash_complete"}
        script = "import sys; sys.argv = ['loader']; from loader.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script], env=environ, capture_output=True, encoding="utf-8", check=False
        )
        return done.stdout.split()

    assert completed("loader ret", 1) == ["plain,retry"]
    assert "plain,--order" in completed("loader plan --o", 2)
