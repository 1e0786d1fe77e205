"""`loader sop-mode`: shows and changes the setting that lets CRM keep GP's amounts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from loader.context import Context
from loader.invocation import Invocation, global_options, group, pass_invocation, yes_option
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
@yes_option
@global_options
@pass_invocation
def sop_enable(invocation: Invocation, integration_user: bool, yes: bool) -> None:
    """Turn SOP integration on: new orders are Submitted, and GP's amounts are kept. Asks first.

    \b
    Example:
        loader sop-mode enable --integration-user
    """
    _switch(invocation, True, integration_user, yes)


@sop_mode.command("disable")
@yes_option
@global_options
@pass_invocation
def sop_disable(invocation: Invocation, yes: bool) -> None:
    """Turn SOP integration off: CRM computes prices. Refused while an order is Submitted. Asks first."""
    _switch(invocation, False, False, yes)


def _switch(invocation: Invocation, on: bool, integration_user: bool, yes: bool) -> None:
    asks = invocation.must_confirm(yes)
    with invocation.context() as context:
        if asks:
            switching.refuse_impossible(context, on)
            invocation.confirm(f"{_intention(context, on, integration_user)} Go on?")
        content = switching.switch(context, on, integration_user)
    invocation.output.data(content, lambda: _sop_lines(content))


def _intention(context: Context, on: bool, integration_user: bool) -> str:
    """What a switch is going to change, for whom."""
    switched = "on" if on else "off"
    told = f"SOP integration of {context.settings.crm_url} is turned {switched} for everybody who uses it: "
    told += "new orders are Submitted, and CRM keeps GP's amounts." if on else "CRM computes the prices of orders."
    if integration_user:
        told += f" {context.organization.caller_name} is marked as an integration user."
    return told
