"""The report as one HTML page that needs nothing but itself. Pure: content in, text out.

Whatever comes from GP or CRM is escaped by the template; a policy in the page lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from loader import __version__
from loader.addresses import record_link
from loader.report import chart
from loader.report.words import counted, minute, money, span
from loader.visible import visible

_HERE = Path(__file__).parent


def render(content: Mapping[str, Any]) -> str:
    """The page for what loader.report.figures gathered."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    environment.filters.update(money=money, minute=minute, iso=_iso, plain=_plain, number=_number, code=_code)
    environment.globals.update(counted=counted, span=span, tally=chart.tally)
    style, script = _own("report.css") + _pages(content["tables"]), _own("report.js")
    runs = content["runs"]
    pushes = [run for run in runs if run["command"] != "undo"]
    return environment.get_template("report.html").render(
        **content,
        style=style,
        script=script,
        policy=(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:;"
            " base-uri 'none'; form-action 'none'"
        ),
        version=__version__,
        pushes=pushes,
        undos=[run for run in runs if run["command"] == "undo"],
        charts={"wide": chart.chart(pushes, 760, 340), "narrow": chart.chart(pushes, 344, 340)} if pushes else {},
        chart_text=chart.description(pushes),
        headline=headline(content),
        crm_link=partial(record_link, str(runs[0]["crm_url"] if runs else "")),
    )


def headline(content: Mapping[str, Any]) -> tuple[str, str]:
    """How things stand, as (good | warning | bad, sentence)."""
    last, noun = content["last"], content["noun"]
    if not content["runs"]:
        return "warning", "No run yet."
    if last is None:
        return "warning", "The first run has not ended yet."
    if last["outcome"] not in ("ok", "blocked"):
        return "bad", f"The last push did not end well: {last['outcome']}."
    is_whole = last["command"] == "push"
    trouble = last["blocked"] + last["failed"]
    waiting = content["waiting"]["records"] if content["waiting"] else trouble
    if waiting and waiting == trouble and is_whole:
        return "warning", f"{trouble:,} of {counted(last['staged'], noun)} did not arrive with the last push."
    if waiting:
        return "warning", f"{counted(waiting, noun)} {'waits' if waiting == 1 else 'wait'} in the retry queue."
    if trouble or not is_whole:
        return "good", "Nothing waits in the retry queue."
    if last["skipped"]:
        return (
            "good",
            f"Nothing waits: {last['skipped']:,} of {counted(last['staged'], noun)} skipped, the others in CRM.",
        )
    return "good", f"Nothing waits: {counted(last['staged'], noun)} in CRM as GP has them."


def _pages(tables: Sequence[Mapping[str, Any]]) -> Markup:
    """Rules of style by which a link to a table's section leaves of the page what concerns that table."""
    rules = []
    for table in tables if len(tables) > 1 else ():
        name = re.sub(r"\W", "", str(table["table"]))
        has, its = f"main:has(#table-{name}:target)", f'[data-of~="{name}"]'
        rules += [
            f"{has} > section:not(.now, {its}) {{ display: none; }}",
            f"{has} > section tr[data-of]:not({its}) {{ display: none; }}",
            f'body:has(#table-{name}:target) nav a[href="#table-{name}"] {{ color: var(--ink); font-weight: 600; }}',
        ]
    return Markup("@media screen {\n" + "\n".join(rules) + "\n}\n" if rules else "")


def _own(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _iso(instant: dt.datetime | None) -> str:
    return f"{instant.isoformat(timespec='seconds')}Z" if instant else ""


def _plain(value: Decimal | None) -> str:
    """For sorting."""
    return "" if value is None else f"{value:f}"


def _number(value: int) -> str:
    return f"{value:,}"


def _code(text: str) -> Markup:
    """May be broken after an underscore."""
    return escape(_visible(text)).replace("_", Markup("_<wbr>"))


def _visible(value: object) -> object:
    return visible(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value
