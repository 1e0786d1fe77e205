"""`loader init`: asks for the first settings, tries them, and writes them to `.env`."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from loader.first_settings import TARGET, FirstSettings, Question, flags
from loader.invocation import Invocation, command

NEXT = ("dotenv run -- dbt build", "loader check", "loader plan")


def _flags(function: Any) -> Any:
    for each in reversed(flags()):
        function = click.option(each.flag, each.name, metavar="TEXT", help=f"{each.text}.")(function)
    return function


@command("init")
@_flags
def init(invocation: Invocation, **answers: str | None) -> None:
    """Set up the project: ask for the warehouse, GP's database and CRM, try each, and write `.env`.

    Every command reads `.env`; the environment takes precedence over it. Passwords and secrets are asked for without
    echo, or taken from the environment: they have no flag. Values that are given by flags are not asked for.

    \b
    Example:
        loader init
        loader init --target sqlserver --sqlserver-host sql01 --gp-database TWO
    """
    asks = sys.stdin.isatty() and not invocation.output.json
    given = {name: value for name, value in {**answers, TARGET.name: invocation.target}.items() if value is not None}
    output = invocation.output
    first = FirstSettings(
        invocation.project_dir, os.environ, given, _ask if asks else None, say=output.talk, doing=output.doing
    )
    first.warehouse()
    first.crm()
    first.write()
    done = {"file": str(first.path), "next": list(NEXT)}
    invocation.output.data(done, lambda: iter([f"Written to {first.path}. Next:", *(f"  {each}" for each in NEXT)]))


def _ask(question: Question) -> str:
    if question.secret:
        known = " (press Enter to keep the current one)" if question.default else ""
        answer = click.prompt(f"{question.text}{known}", default="", hide_input=True, show_default=False, err=True)
        return str(answer) or question.default
    return str(click.prompt(question.text, default=question.default or None, err=True))
