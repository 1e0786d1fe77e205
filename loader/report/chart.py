"""The trend of the runs as geometry: two panels over one time line, drawn by the template. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loader.report.words import counted, minute, span

PANELS = (("Written to CRM", ("created", "updated")), ("Did not arrive", ("blocked", "failed")))
FINE = ("ok", "blocked", "running")
_TICKS = (1, 2, 5)
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 46.0, 14.0, 22.0, 56.0, 36.0
_LABEL = 46.0
"""Room that a date needs."""
_LEAST = 2.0
"""Height of the smallest bar: one order beside a thousand is still seen."""


@dataclass(frozen=True)
class Bar:
    series: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True)
class Panel:
    """`top` and `base` are the heights of its largest tick and of its zero line."""

    title: str
    top: float
    base: float
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Slot:
    """One run on the time line: where the pointer finds it, and what it is told."""

    x: float
    width: float
    centre: float
    label: str
    text: str
    is_bad: bool


@dataclass(frozen=True)
class Chart:
    width: float
    height: float
    left: float
    right: float
    panels: tuple[Panel, ...]
    slots: tuple[Slot, ...]


def chart(runs: Sequence[Mapping[str, Any]], width: float, height: float) -> Chart:
    """`runs` newest first; drawn oldest first."""
    ordered = list(reversed(runs))
    inner = (height - _TOP - _BOTTOM - _GAP) / 2
    step = (width - _LEFT - _RIGHT) / max(len(ordered), 8)
    panels = tuple(
        _panel(title, series, ordered, step, _TOP + number * (inner + _GAP), inner)
        for number, (title, series) in enumerate(PANELS)
    )
    slots = tuple(
        Slot(
            x=_LEFT + number * step,
            width=step,
            centre=_LEFT + (number + 0.5) * step,
            label=label,
            text=sentence(run),
            is_bad=run["outcome"] not in FINE,
        )
        for number, (run, label) in enumerate(zip(ordered, _labels(ordered, step), strict=True))
    )
    return Chart(width, height, _LEFT, width - _RIGHT, panels, slots)


def sentence(run: Mapping[str, Any]) -> str:
    """A run in words."""
    return f"{minute(run['started_at'])} UTC, {run['command']}, {run['outcome']}: {tally(run)}"


def tally(run: Mapping[str, Any]) -> str:
    """What a run did, without the zeros."""
    if run.get("command") == "undo":
        refused = f", {run['skipped']:,} refused" if run["skipped"] else ""
        return f"{counted(run['updated'], 'record')} restored{refused}"
    counts = [f"{run[name]:,} {name}" for _, series in PANELS for name in series if run[name]]
    return ", ".join(counts) or "nothing to write"


def _labels(runs: Sequence[Mapping[str, Any]], step: float) -> Iterator[str]:
    """The date where a day begins, as far as there is room; times where all is one day."""
    one_day = runs[0]["started_at"].date() == runs[-1]["started_at"].date()
    last, room = "", 0.0
    for run in runs:
        label = f"{run['started_at']:%H:%M}" if one_day else f"{run['started_at']:%m-%d}"
        if label != last and room <= 0:
            yield label
            last, room = label, _LABEL
        else:
            yield ""
        room -= step


def description(runs: Sequence[Mapping[str, Any]]) -> str:
    """What the chart shows, for those who do not see it."""
    if not runs:
        return ""
    period = span(runs[0]["started_at"] - runs[-1]["started_at"])
    parts = [f"{counted(len(runs), 'run')} in {period}. The latest, {sentence(runs[0])}."]
    for _, series in PANELS:
        for name in series:
            most = max(runs, key=lambda run: run[name])
            if most[name]:
                parts.append(f"Most {name}: {most[name]:,}, {minute(most['started_at'])}.")
    bad = sum(run["outcome"] not in FINE for run in runs)
    parts.append(f"{counted(bad, 'run')} did not end well." if bad else "No run ended early.")
    return " ".join(parts)


def _panel(
    title: str, series: Sequence[str], runs: Sequence[Mapping[str, Any]], step: float, top: float, height: float
) -> Panel:
    most = max(sum(run[name] for name in series) for run in runs)
    values = list(ticks(most))
    scale = height / values[-1]
    base = top + height
    shown = tuple(Tick(base - value * scale, f"{value:,}") for value in values)
    return Panel(title, top, base, shown, tuple(_bars(series, runs, step, base, scale)))


def _bars(
    series: Sequence[str], runs: Sequence[Mapping[str, Any]], step: float, base: float, scale: float
) -> Iterator[Bar]:
    width = min(step * 0.72, 28.0)
    for number, run in enumerate(runs):
        y = base
        for name in series:
            if run[name]:
                height = max(run[name] * scale, _LEAST)
                y -= height
                yield Bar(name, _LEFT + (number + 0.5) * step - width / 2, y, width, height)


def ticks(most: int) -> Iterator[int]:
    """Zero and up to four round numbers above it, the last one not below `most`."""
    size = 1
    while True:
        for factor in _TICKS:
            step = factor * size
            if step * 4 >= most:
                yield from range(0, max(-(-most // step), 1) * step + 1, step)
                return
        size *= 10
