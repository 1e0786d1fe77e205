"""CRM on paper: applies a change set as strictly as CRM may, and says what one order is then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loader.dataverse.batch import ChangeSet, Operation
from loader.sync.binding import Binding, Field
from loader.sync.records import Current

SUBMITTED = {"statecode": 1, "statuscode": 3}
NEW_STATE = {"statecode": 0, "statuscode": 1}


@dataclass
class PaperCrm:
    """One order. Every rule that an operation breaks is an AssertionError."""

    binding: Binding
    id: str = ""
    etag: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    state: dict[str, int] = field(default_factory=dict)
    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    shared_with: list[str] = field(default_factory=list)

    @classmethod
    def holding(cls, have: Current, binding: Binding) -> PaperCrm:
        lines = {line.id: dict(line.values) for line in have.lines}
        return cls(binding, have.id, have.etag, dict(have.values), dict(have.state), lines)

    def apply(self, change_set: ChangeSet) -> PaperCrm:
        for number, operation in enumerate(change_set.operations):
            condition = operation.headers.get("If-Match")
            if operation.path == "GrantAccess":
                assert all(later.path == "GrantAccess" for later in change_set.operations[number:]), "shares come last"
                self._grant(operation)
            elif operation.method == "POST" and operation.path == self.binding.table.entity_set:
                assert number == 0
                assert not self.id, "the order is there already"
                self._create(operation.body or {})
            else:
                assert self.id, "there is no such order"
                is_first = number == 0 and self.etag
                is_of_a_row = operation.method in ("PATCH", "DELETE") and not operation.path.endswith("/$ref")
                assert condition == (self.etag if is_first else "*" if is_of_a_row else None), (
                    "the first write names the version, the others only rows that are there"
                )
                self._write(operation)
        return self

    def _create(self, body: Mapping[str, Any]) -> None:
        binding = self.binding
        body = dict(body)
        lines = body.pop(binding.lines_navigation, [])
        self.id = body.pop(binding.table.id_column)
        assert {name: body.pop(name) for name in binding.new_currency} == binding.new_currency, "the models' currency"
        self.values = {each.name: None for each in binding.fields} | _content(body, binding.fields, is_new=True)
        self.state = dict(SUBMITTED if binding.is_created_locked else NEW_STATE)
        for line in lines:
            self._add_line(line)

    def _add_line(self, body: Mapping[str, Any]) -> None:
        lines = self.binding.lines
        assert lines is not None
        body = dict(body)
        id_ = body.pop(lines.table.id_column)
        assert id_ not in self.lines, "the line is there already"
        self.lines[id_] = {each.name: None for each in lines.fields} | _content(body, lines.fields, is_new=True)

    def _write(self, operation: Operation) -> None:
        binding, lines = self.binding, self.binding.lines
        assert lines is not None
        body = dict(operation.body or {})
        if operation.path == f"{binding.table.entity_set}({self.id})" and "statecode" in body:
            assert body.keys() == {"statecode", "statuscode"}, "a state is set by itself"
            if self.state["statecode"] == 1:
                assert body == NEW_STATE, "what is Submitted is reopened first"
            assert body != self.state, "the state is that already"
            self.state = body
            return
        assert self.state["statecode"] == 0, "what is Submitted cannot be changed"
        if operation.method == "POST":
            assert operation.path == lines.table.entity_set
            parent = body.pop(f"{binding.parent_navigation}@odata.bind")
            assert parent == f"/{binding.table.entity_set}({self.id})"
            self._add_line(body)
            return
        match = re.fullmatch(r"(\w+)\(([-0-9a-f]+)\)(?:/(\w+)/\$ref)?", operation.path)
        assert match, operation.path
        entity_set, id_, navigation = match.groups()
        is_line = entity_set == lines.table.entity_set
        row = self.lines[id_] if is_line else self.values
        assert is_line or id_ == self.id
        if navigation:
            assert operation.method == "DELETE"
            (cleared,) = [each for each in (lines if is_line else binding).fields if each.navigation == navigation]
            row[cleared.name] = None
        elif operation.method == "DELETE":
            assert is_line, "no order is ever deleted"
            del self.lines[id_]
        else:
            assert operation.method == "PATCH"
            row.update(_content(body, (lines if is_line else binding).fields, is_new=False))

    def _grant(self, operation: Operation) -> None:
        body: Any = operation.body
        assert body["Target"][self.binding.table.id_column] == self.id
        principal = body["PrincipalAccess"]["Principal"]
        self.shared_with += [value for name, value in principal.items() if name.endswith("id")]


def _content(body: Mapping[str, Any], fields: tuple[Field, ...], is_new: bool) -> dict[str, Any]:
    known = {f"{each.navigation}@odata.bind" if each.navigation else each.name: each for each in fields}
    stored: dict[str, Any] = {}
    for name, value in body.items():
        each = known[name]
        assert each.on_create if is_new else each.on_update, f"CRM would ignore {name}"
        if each.navigation:
            match = re.fullmatch(rf"/{each.target_set}\(([-0-9a-f]+)\)", value)
            assert match, value
            value = match[1]
        stored[each.name] = value
    return stored
