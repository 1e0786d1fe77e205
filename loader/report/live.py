"""The line on a terminal that says what a command is doing, until the command has something to say."""

from __future__ import annotations

from threading import RLock, Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

DELAY = 0.5
"""Seconds after which it appears: what is done sooner leaves no flicker."""


class Live:
    """One line with a bar on stderr. It moves while the command waits, and vanishes when it is stopped."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._timer: Timer | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._said = ("", 0, 0)

    def show(self, text: str, done: int = 0, total: int = 0) -> None:
        """`total` is 0 as long as nobody knows how much there is to do."""
        with self._lock:
            self._said = (text, done, total)
            if self._bar is not None:
                self._draw(self._bar)
            elif self._timer is None:
                self._timer = Timer(DELAY, self._start)
                self._timer.daemon = True
                self._timer.start()

    def stop(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if self._bar is not None:
                self._bar.stop()
            self._timer = self._bar = self._task = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[counted]}", markup=False),
            TextColumn("{task.description}", markup=False),
        )
        with self._lock:
            if self._timer is None:
                return  # stopped meanwhile
            self._timer = None
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._draw(self._bar)

    def _draw(self, bar: Progress) -> None:
        text, done, total = self._said
        counted = f"{done:,}/{total:,}" if total else ""
        if self._task is not None and bar.tasks[0].total is not None and not total:
            bar.remove_task(self._task)  # a bar that had a total never pulses again
            self._task = None
        if self._task is None:
            self._task = bar.add_task(text, completed=done, total=total or None, counted=counted)
        else:
            bar.update(self._task, description=text, completed=done, total=total or None, counted=counted)
