"""`loader sop-mode`: shows and changes the setting that lets CRM keep GP's amounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from loader.invocation import Invocation, global_options, group, pass_invocation
from loader.push import sop_mode as switching


@group("sop-mode")
def sop_mode() -> None:
    """The organisation's sales order processing integration: whether CRM keeps GP's amounts."""


def _sop_lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"SOP integration is {'on' if content['sop_integration'] else 'off'}."
    role = "an" if content["integration_user"] else "not an"
    yield f"{content['caller']} is {role} integration user. Amounts are {content['amounts']}."


@sop_mode.command("show")
@global_options
@pass_invocation
def sop_show(invocation: Invocation) -> None:
    """Show the setting and the caller's role."""
    with invocation.context() as context:
        content = switching.show(context)
    invocation.output.data(content, lambda: _sop_lines(content))


@sop_mode.command("enable")
@click.option("--integration-user", is_flag=True, help="Mark the caller as an integration user as well.")
@global_options
@pass_invocation
def sop_enable(invocation: Invocation, integration_user: bool) -> None:
    """Turn SOP integration on: new orders are Submitted, and GP's amounts are kept.

    \b
    Example:
        loader sop-mode enable --integration-user
    """
    _switch(invocation, True, integration_user)


@sop_mode.command("disable")
@global_options
@pass_invocation
def sop_disable(invocation: Invocation) -> None:
    """Turn SOP integration off: CRM computes prices. Refused while an order is Submitted."""
    _switch(invocation, False, False)


def _switch(invocation: Invocation, on: bool, integration_user: bool) -> None:
    with invocation.context() as context:
        content = switching.switch(context, on, integration_user)
    invocation.output.data(content, lambda: _sop_lines(content))
