"""The tables of reasons in docs/promises.md, out of loader/reasons.py and the codes that the models make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from loader.reasons import REASONS, Reason, reason

PAGE = Path(__file__).resolve().parent / "promises.md"

_PLACE = re.compile(r"(<!-- reasons: .*? -->\n).*?(<!-- end -->)", re.DOTALL)


def promises(model_codes: Iterable[tuple[str, str]]) -> str:
    """The page with its tables generated again. `model_codes`: the codes that the models make, with their outcomes."""
    tables = "\n".join(_tables(list(dict.fromkeys(model_codes))))
    return _PLACE.sub(lambda place: f"{place[1]}{tables}\n{place[2]}", PAGE.read_text(encoding="utf-8"))


def _tables(model_codes: list[tuple[str, str]]) -> Iterator[str]:
    yield from ("| code | outcome | cause | remedy |", "|---|---|---|---|")
    for row in REASONS:
        for outcome in row.outcomes:
            if outcome != "warning" and (codes := _codes(row, outcome, model_codes)):
                yield f"| {codes} | {outcome} | {row.cause} | {row.remedy} |"
    yield from (
        "",
        "Warnings; the order goes, and the column stays as it is in CRM unless the cause says otherwise:",
        "",
    )
    yield from ("| code | cause | remedy |", "|---|---|---|")
    for row in REASONS:
        if "warning" in row.outcomes and (codes := _codes(row, "warning", model_codes)):
            yield f"| {codes} | {row.cause} | {row.remedy} |"


def _codes(row: Reason, outcome: str, model_codes: list[tuple[str, str]]) -> str:
    if "*" not in row.code:
        return f"`{row.code}`"
    return ", ".join(f"`{code}`" for code, its in model_codes if its == outcome and reason(code) is row)
