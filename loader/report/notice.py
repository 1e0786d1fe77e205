"""What people are told after a run: a short JSON document for a webhook. A webhook that fails stops nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from loader.addresses import record_link
from loader.context import Context
from loader.dataverse.http import Session
from loader.errors import LoaderError
from loader.keys import fold
from loader.push.audits import about, latest_runs, money_waiting, sum_of
from loader.report.chart import tally
from loader.report.words import minute, money
from loader.secrets import Secret
from loader.visible import json_text, visible
from loader.warehouse.journal import QueueEntry, RunRecord

SHOWN = 10
"""Records that are named in a notice."""
_LATEST = 50
_BAD = ("error", "stopped", "died")
_TEAMS = re.compile(r"\.(logic\.azure|powerplatform|powerautomate|webhook\.office)\.(com|us|cn)$")
_CARD = "application/vnd.microsoft.card.adaptive"


@dataclass(frozen=True)
class Facts:
    """What is known after a run."""

    run: RunRecord
    previous: RunRecord | None
    """The last push before it that ended."""
    first: Sequence[QueueEntry] = ()
    """The first of the records that have waited since this run only."""
    new: Mapping[str, int] | None = None
    """How many they are, by table."""
    resolved: int = 0
    """Records that waited until this run."""
    waiting: int = 0

    @property
    def news(self) -> list[str]:
        """Why people are told: `waiting`, `failed`, `well`; none of these if nothing is new."""
        was_bad = self.previous is not None and self.previous.outcome in _BAD
        is_bad = self.run.outcome in _BAD
        found = ["failed"] if is_bad and not was_bad else []
        found += ["waiting"] if self.new else []
        is_over = was_bad or (self.resolved and not self.waiting)
        return found + (["well"] if is_over and not (is_bad or self.new) and self.run.outcome != "interrupted" else [])


@contextmanager
def notifying(context: Context, talk: Callable[[str], None]) -> Iterator[None]:
    """Tells of the run that the block makes, if settings name a webhook, however the run ends."""
    if context.settings.notify_url is None or context.settings.notify == "never":
        yield
        return
    try:
        yield
    except LoaderError:
        _tell(context, talk)
        raise
    _tell(context, talk)


def _tell(context: Context, talk: Callable[[str], None]) -> None:
    url = context.settings.notify_url
    assert url is not None
    try:
        facts = _facts(context)
        if facts is None or not (facts.news or context.settings.notify == "always"):
            return
        body = message(facts, context, context.settings.notify_format)
        failure = send(url, body, context.sources.webhook_timeout)
    except LoaderError as error:  # the journal cannot be read: the run itself says so, too
        failure = str(error)
    if failure:
        talk(f"Warning: the webhook at {urlsplit(url.reveal()).hostname} was not told of the run: {failure}")


def _facts(context: Context) -> Facts | None:
    runs = latest_runs(context, _LATEST)
    run = next((each for each in runs if each.run_id == context.journal.started), None)
    if run is None:
        return None
    earlier = [each for each in runs[runs.index(run) + 1 :] if each.finished_at and each.command != "undo"]
    first, new, resolved = context.journal.news_of_queue(run.run_id, SHOWN)
    waiting = context.journal.queue_counts()["open"]
    return Facts(run, earlier[0] if earlier else None, first, new, resolved, waiting)


def send(url: Secret, body: Mapping[str, Any], timeout: float) -> str:
    """Posts it. Says what went wrong, without the address: it holds a secret."""
    try:
        with Session(timeout) as session:
            headers = {"Content-Type": "application/json; charset=utf-8"}
            reply = session.post(url.reveal(), data=json_text(body).encode(), headers=headers)
    except (requests.RequestException, OSError, ValueError) as error:
        return _kind(error, timeout)
    return "" if 200 <= reply.status_code < 300 else f"it answered {reply.status_code}"


def _kind(error: BaseException, timeout: float) -> str:
    """The kind of error alone: messages of requests repeat the address."""
    if isinstance(error, (requests.Timeout, TimeoutError)):
        return f"no answer within {timeout:.0f} seconds"
    return "no connection" if isinstance(error, requests.ConnectionError) else type(error).__name__


# ---------------------------------------------------------------------------------------------------- what is said


def message(facts: Facts, context: Context, form: str = "auto") -> dict[str, Any]:
    """The body of the request: an Adaptive Card for Teams, otherwise `text`, which Slack shows, and the figures."""
    url = context.settings.notify_url
    if form == "auto":
        host = (urlsplit(url.reveal()).hostname or "") if url else ""
        form = "teams" if _TEAMS.search(host) else "slack" if host == "hooks.slack.com" else "json"
    entries = _entries(facts, context)
    title, *lines = _lines(facts, context, entries)
    if form == "teams":
        return _card(title, lines, entries)
    text = "\n".join([title, *lines])
    if form == "slack":
        for character, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(character, code)
        return {"text": text}
    run = facts.run
    return {
        "text": text,
        "news": facts.news,
        "target": context.target.name,
        "crm_url": context.settings.crm_url,
        "run": {
            "run_id": run.run_id,
            "command": run.command,
            "outcome": run.outcome,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "message": run.message,
            **vars(run.counts),
        },
        "waiting": {"records": facts.waiting, "amount": sum_of(money_waiting(context))},
        "new": entries,
    }


def _lines(facts: Facts, context: Context, entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    run, contract = facts.run, context.contract
    host = urlsplit(context.settings.crm_url).hostname
    yield f"GP → CRM, {host} ({context.target.name}): {_headline(facts, context)}"
    if run.message and run.outcome in _BAD:
        yield visible(run.message)
    for entry in entries:
        about_it = ", ".join(filter(None, (entry["title"], money(entry["amount"]) if entry["amount"] else "")))
        named = f"{contract.named(entry['table'], entry['key'])}{f' ({about_it})' if about_it else ''}"
        link = f" {entry['link']}" if entry["link"] else ""
        yield visible(f"• {named}: {entry['reason']}, {entry['message']}") + link
    more = sum((facts.new or {}).values()) - len(entries)
    if more > 0:
        yield f"• and {more:,} more; `loader retry list` shows them all."
    yield f"Run {run.run_id[:8]} (loader {run.command}) began {minute(run.started_at)} UTC: {tally(vars(run.counts))}."


def _headline(facts: Facts, context: Context) -> str:
    waits = ""
    if facts.new:
        number = sum(facts.new.values())
        waits = f"{context.contract.counted(facts.new)} {'waits' if number == 1 else 'wait'} since this run"
    if "failed" in facts.news:
        ended = f"the {_called(facts.run)} ended early ({facts.run.outcome})"
        return f"{ended}; {waits}." if waits else f"{ended}."
    if waits:
        return f"{waits}."
    if "well" in facts.news:
        return "all is well again." if not facts.waiting else f"runs end well again; {facts.waiting:,} still wait."
    return f"the {_called(facts.run)} ended as {facts.run.outcome}, {facts.waiting:,} waiting."


def _called(run: RunRecord) -> str:
    return "push" if run.command.startswith("push") else run.command


def _entries(facts: Facts, context: Context) -> list[dict[str, Any]]:
    known = about(context, [(entry.table, entry.key) for entry in facts.first])
    entries = []
    for entry in facts.first:
        title, amount, crm_id = known.get((entry.table, fold(entry.key)), (None, None, None))
        entries.append(
            {
                "table": entry.table,
                "key": entry.key,
                "title": title,
                "amount": amount,
                "reason": entry.reason,
                "message": entry.message,
                "link": record_link(context.settings.crm_url, entry.table, crm_id),
            }
        )
    return entries


def _card(title: str, lines: Sequence[str], entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A message as Teams' Workflows take it."""
    blocks = [{"type": "TextBlock", "text": _flat(title), "weight": "Bolder", "wrap": True}]
    blocks += [{"type": "TextBlock", "text": _flat(line), "wrap": True, "spacing": "Small"} for line in lines]
    opened = [
        {"type": "Action.OpenUrl", "title": f"Open {entry['key']}", "url": entry["link"]}
        for entry in entries
        if entry["link"]
    ]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    if opened:
        card["actions"] = opened[:6]
    return {"type": "message", "attachments": [{"contentType": _CARD, "contentUrl": None, "content": card}]}


def _flat(text: str) -> str:
    """Text in which nothing that comes from GP is taken for a link or an emphasis."""
    return re.sub(r"([\[\]*_`])", r"\\\1", text)
