"""Lines of text that fit a terminal: how wide it is, and how what is longer goes on below."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence

from loader.visible import plain, visible

WIDEST = 100
"""Wider lines are hard to read. It is also the width of what goes into a file or a pipe."""
_NARROWEST = 40


def terminal_width() -> int:
    """How many columns lines may have: COLUMNS if that is set, otherwise what the terminal has."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        width = int(columns)
    else:
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns or WIDEST
        except (OSError, ValueError):  # a file, a pipe, or no stream of the system's at all
            width = WIDEST
    return max(_NARROWEST, min(width, WIDEST))


def cells(text: str) -> int:
    """How many columns of a terminal the text takes; marks of `styled` take none."""
    return sum(_cells_of(character) for character in visible(plain(text)))


def _cells_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int, below: int = 0) -> Iterator[str]:
    """The text as lines of at most `width` columns, broken at blanks; all but the first are indented by `below`.

    Only a word that is longer than a line is broken itself.
    """
    if cells(text) <= width:
        yield text
        return
    words = text.lstrip(" ").split(" ")
    line, has_words = " " * (len(text) - len(text.lstrip(" "))), False
    for word in words:
        if has_words and cells(line) + 1 + cells(word) > width:
            yield line
            line, has_words = " " * below, False
        line += f" {word}" if has_words else word
        has_words = True
        while cells(line) > width:
            line = plain(line)
            kept = _cut(line, width)
            yield line[:kept]
            line = " " * below + line[kept:]
    yield line


def _cut(line: str, width: int) -> int:
    """How many characters of the line fit; at least one beyond its indentation."""
    taken, least = 0, len(line) - len(line.lstrip(" ")) + 1
    for number, character in enumerate(line):
        taken += cells(character)
        if taken > width and number >= least:
            return number
    return len(line)


def shares(needs: Sequence[int], room: int) -> list[int]:
    """How wide columns become that need so much and have `room` together: those that need little get all of it."""
    widths = [0] * len(needs)
    for place, number in enumerate(sorted(range(len(needs)), key=lambda each: needs[each])):
        widths[number] = min(needs[number], room // (len(needs) - place))
        room -= widths[number]
    return widths
