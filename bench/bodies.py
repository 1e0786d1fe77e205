"""The orders that a first push creates, as JSON bodies for another client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import simplejson

from bench.process import PROJECT
from loader.context import Context
from loader.push.session import open_session, planned_in_waves
from loader.push.staging import models_of, stage


def write_bodies(environ: Mapping[str, str], path: Path, most: int) -> int:
    """Writes `[[order, [line, …]], …]` for `most` staged orders; CRM has none of them. Returns how many there are."""
    content: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    with Context(PROJECT, environ={**os.environ, **environ}) as run:
        staged = next(each for each in stage(run, models_of(run)) if each.model.table == "salesorder")
        session = open_session(run, staged, is_expecting=True)
        for plan in (plan for chunk in planned_in_waves(session, staged, 1) for _, plan in chunk):
            order = dict(plan.operations.operations[0].body or {})
            lines = order.pop("order_details")
            # Ids are the client's own business; so is where they come from.
            order.pop("salesorderid")
            content.append((order, [{k: v for k, v in line.items() if k != "salesorderdetailid"} for line in lines]))
            if len(content) == most:
                break
    path.write_text(simplejson.dumps(content, use_decimal=True), encoding="utf-8")
    return len(content)
