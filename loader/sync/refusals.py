"""Which write of a change set CRM refused: names the line, its item and the column as the models do. Pure."""

from __future__ import annotations

import re

from loader.dataverse.batch import ChangeSet, Operation
from loader.dataverse.errors import CrmError
from loader.sync.binding import Binding
from loader.sync.changeset import SHARE
from loader.sync.records import Staged, line_words

_MOST_COLUMNS = 3
"""The most columns to list if CRM's message names none: a long list would not help to find the refused one."""


def located(error: CrmError, operations: ChangeSet, staged: Staged, binding: Binding) -> str:
    """CRM's message, preceded by what the refused operation was about, if CRM says which one it was."""
    operation = _refused(error, operations)
    place = _place(operation, error, staged, binding) if operation else ""
    return f"{place}: {error}" if place else str(error)


def _refused(error: CrmError, operations: ChangeSet) -> Operation | None:
    """Operations are numbered from 1; CRM names the one that failed (docs/dataverse.md, "Batches")."""
    number = error.content_id or ""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", number) or int(number) > len(operations):
        return None
    return operations.operations[int(number) - 1]


def _place(operation: Operation, error: CrmError, staged: Staged, binding: Binding) -> str:
    if operation.path == SHARE:
        return "sharing"
    columns = _columns(operation, error, binding)
    if not operation.line:
        return ", ".join(columns)
    place = f"line {line_words(operation.line, staged.lines, binding.model)}"
    if operation.method == "DELETE" and not columns:
        return f"deleting {place}"
    return ", ".join([place, *columns])


def _columns(operation: Operation, error: CrmError, binding: Binding) -> list[str]:
    """Those of the operation's columns that CRM's message names; otherwise all of them, if they are few."""
    bound = binding.lines if operation.line and binding.lines else binding
    written = {*(operation.body or {}), *operation.path.split("/")[1:2]}
    names = [
        field.name
        for field in (*bound.fields, *bound.state_fields)
        if (field.sent_name in written or field.navigation in written) and field is not binding.key
    ]
    named = [name for name in names if re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", error.message)]
    return named or (names if len(names) <= _MOST_COLUMNS else [])
