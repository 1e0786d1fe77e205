"""The organisation's switch that lets CRM keep GP's amounts."""

from __future__ import annotations

from typing import Any

from loader.context import Context
from loader.dataverse.query import rows
from loader.errors import GuardTripped


def show(context: Context) -> dict[str, Any]:
    """The two switches, and what follows from them."""
    organization = context.organization
    return {
        "sop_integration": organization.sop_integration,
        "integration_user": organization.integration_user,
        "caller": organization.caller_name,
        "amounts": "kept as GP has them" if organization.keeps_amounts else "computed by CRM",
    }


def switch(context: Context, on: bool, integration_user: bool) -> dict[str, Any]:
    """Turns SOP mode on or off; `integration_user` also marks the caller as one.

    Raises GuardTripped when turning it off while orders are Submitted: nobody could edit them any more.
    """
    refuse_impossible(context, on)
    context.client.patch(f"organizations({context.organization.id})", {"issopintegrationenabled": on})
    if integration_user:
        context.client.patch(f"systemusers({context.organization.caller_id})", {"isintegrationuser": True})
    context.forget_organization()
    return show(context)


def refuse_impossible(context: Context, on: bool) -> None:
    """Raises GuardTripped when turning it off while orders are in a state that only SOP mode reopens."""
    for model in context.contract.models if not on else ():
        locked = model.meta.state.locked if model.meta.state else []
        if not locked:
            continue
        table = context.tables[model.table]
        condition = " or ".join(f"statecode eq {state}" for state in locked)
        page = next(context.client.pages(rows(table.entity_set, [model.key_column], condition=condition)))
        if page:
            names = ", ".join(str(row.get(model.key_column)) for row in page[:5])
            more = f" and {len(page) - 5} more" if len(page) > 5 else ""
            raise GuardTripped(
                f"{table.entity_set} are Submitted: {names}{more}. SOP mode stays on.",
                "Set them to Active first: without SOP mode nobody can.",
            )
