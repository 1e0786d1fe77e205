"""One staged record against one CRM: what is to be done with it, and why. Pure."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from json.encoder import encode_basestring
from typing import Any, Literal, TypeAlias

import simplejson

from loader.contract import Model
from loader.dataverse.batch import MAX_OPERATIONS, ChangeSet
from loader.keys import match_key
from loader.sync import changeset
from loader.sync.binding import Binding
from loader.sync.canonical import Value
from loader.sync.diff import Change, Difference, LineChange, difference, replaced
from loader.sync.ids import derived_id
from loader.sync.naming import Word, Words
from loader.sync.records import (
    Current,
    Desired,
    Obstacle,
    RecordWarning,
    Row,
    Staged,
    Wanted,
    currency_of,
    current,
    line_key,
    line_value,
)

Action = Literal["create", "update", "unchanged", "skip", "block"]

NOTHING = ChangeSet(())
_NO_WORDS: Mapping[str, Word] = {}
MESSAGES = 20
"""The most parts that the message about one record has."""
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LineKey: TypeAlias = "tuple[Value, ...] | None"
_NAMESPACE = uuid.UUID("7a1c0a52-0f8d-5c8e-9d1b-2c64f7f1f0e5")


@dataclass(frozen=True)
class RecordPlan:
    """What a push does with one record."""

    key: str
    table: str
    action: Action
    crm_id: str | None = None
    new: Wanted | None = None
    """The record to create; the changes below are of one that CRM has."""
    header: tuple[Change, ...] = ()
    state: tuple[Change, ...] = ()
    lines: tuple[LineChange, ...] = ()
    share: tuple[str, str] | None = None
    """(table, id) of the owner that the record is to be shared with."""
    refused_share: tuple[str, str] | None = None
    """The owner with whom CRM would not share it."""
    reason: str = ""
    message: str = ""
    obstacles: tuple[Obstacle, ...] = ()
    warnings: tuple[RecordWarning, ...] = ()
    etag: str = ""
    line_table: str = ""
    """CRM's table of the record's lines."""
    closes_as: tuple[tuple[str, int], ...] = ()
    """The state in which CRM leaves a record alone: the one that this ends in, or that it was skipped for."""
    is_part: bool = False
    """Its lines have to wait for a line that CRM makes together with the record."""
    staged_digest: str = field(default="", compare=False)
    line_ids: tuple[str, ...] = field(default=(), repr=False, compare=False)
    """Of a record that is as it should be: the ids of its lines in CRM."""
    made: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Ids of rows that this run makes → what they are known by before CRM has them."""
    words: Words = field(default_factory=dict, repr=False, compare=False)
    """What people know the values of its changes by."""
    build: Callable[[], ChangeSet] = field(default=lambda: NOTHING, repr=False, compare=False)

    @property
    def writes(self) -> bool:
        return self.action in ("create", "update")

    @cached_property
    def operations(self) -> ChangeSet:
        """The writes. They are made on first use, so not for a plan that is only shown."""
        return self.build()

    def without_share(self, refusal: str) -> RecordPlan:
        """The same record, without the share that CRM refused."""
        if self.share is None:
            return self
        action: Action = self.action
        if action == "update" and not (self.header or self.state or self.lines):
            action = "unchanged"
        return replace(
            self,
            action=action,
            share=None,
            refused_share=self.share,
            staged_digest="",
            warnings=(*self.warnings, share_refused(self.share, refusal)),
            build=partial(_without_share, self.build),
        )

    def count_lines(self, action: str) -> int:
        if self.new:
            return self.new.line_count if self.action == action == "create" else 0
        return sum(line.action == action for line in self.lines) if self.writes else 0

    def as_json(self) -> dict[str, Any]:
        """The plan for `plan --json`, plan files and the journal."""
        return {**self.entry(), "changes": self.changes_json()}

    def entry(self) -> dict[str, Any]:
        """`as_json` for `simplejson`, with changes that are already JSON."""
        return {
            "table": self.table,
            "key": self.key,
            "action": self.action,
            "crm_id": self.crm_id,
            "reason": self.reason or None,
            "message": self.message or None,
            "changes": simplejson.RawJSON(self.changes_text),
            "share_with": f"{self.share[0]}:{self.share[1]}" if self.share else None,
            "warnings": self.warnings_json(),
        }

    def changes_json(self) -> list[dict[str, Any]]:
        """One entry per changed column: table, key, line (None of the record), action, column, before, after.

        `before_shown` and `after_shown` are what people know ids and options by; other columns have neither.
        """
        return [
            {
                "table": table,
                "key": self.key,
                "line": line_value(line),
                "action": action,
                "column": column,
                "before": before,
                "after": after,
                **({"before_shown": word(before), "after_shown": word(after)} if word else {}),
            }
            for table, line, action, changes in self.changed()
            for column, before, after in changes
            for word in [self.words.get(table, {}).get(column)]
        ]

    def warnings_json(self) -> list[dict[str, Any]]:
        """One entry per warning: code, table, key, line, column, message. `line` is None of the record."""
        return [
            {
                "code": each.code,
                "table": self.table if each.line is None else self.line_table,
                "key": self.key,
                "line": line_value(each.line),
                "column": each.column,
                "message": each.message,
            }
            for each in self.warnings
        ]

    @cached_property
    def changes_text(self) -> str:
        """`changes_json` as JSON text. Entries of one record differ in little, and a new record has a hundred."""
        return self._text(self.words)

    def _text(self, words: Words) -> str:
        entries = (
            entry for each in self.changed() for entry in _entries(self.key, words.get(each[0], _NO_WORDS), *each)
        )
        return f"[{', '.join(entries)}]"

    def overwritten(self) -> Iterator[tuple[str, Iterable[Change]]]:
        """The changes of rows that CRM has, each with its table."""
        yield self.table, (*self.header, *self.state)
        for line in self.lines:
            if line.action != "create":
                yield self.line_table, line.changes

    def changed(self) -> Iterator[tuple[str, _LineKey, str, Iterable[tuple[str, Value, Value]]]]:
        """Table, line's key, action and changes of the record and of each of its lines."""
        if self.new:
            new = self.new.record
            yield self.table, None, "create", _from_nothing({**new.values, **new.state})
            for line in new.lines:
                if not line.is_made:
                    yield self.line_table, line.key, "create", _from_nothing(line.values)
        else:
            yield self.table, None, "update", (*self.header, *self.state)
        for each in self.lines:
            yield self.line_table, each.key, each.action, each.changes

    @property
    def digest(self) -> str:
        """The same for two plans that do the same to the same CRM content.

        Rows that this run makes have no id of CRM's yet, or have it only by now: they go by what they are known by.
        """
        text = simplejson.dumps({**self.entry(), "changes": simplejson.RawJSON(self._text({}))}, sort_keys=True)
        if self.made:
            text = _ID.sub(lambda found: self.made.get(found[0].lower(), found[0]), text)
        return hashlib.sha256(text.encode()).hexdigest()


def share_refused(owner: tuple[str, str], refusal: str = "") -> RecordWarning:
    """The warning about a record that goes unshared."""
    words = f": {refusal}" if refusal else ""
    text = f"CRM refused to share it with {owner[0]} {owner[1]}, the owner of its account{words}"
    return RecordWarning("share_refused", "ownerid", text)


def _without_share(build: Callable[[], ChangeSet]) -> ChangeSet:
    return ChangeSet(tuple(each for each in build().operations if each.path != changeset.SHARE))


def _from_nothing(values: Mapping[str, Value]) -> list[tuple[str, Value, Value]]:
    return [(column, None, value) for column, value in values.items() if value is not None]


def _entries(
    key: str,
    words: Mapping[str, Word],
    table: str,
    line: _LineKey,
    action: str,
    changes: Iterable[tuple[str, Value, Value]],
) -> list[str]:
    shown = line_value(line)
    shown = f"[{', '.join(map(_json, shown))}]" if isinstance(shown, list) else _json(shown)
    head = f'{{"table": "{table}", "key": {encode_basestring(key)}, "line": {shown}, "action": "{action}"'
    return [
        f'{head}, "column": "{column}", "before": {"null" if before is None else _json(before)}, '
        f'"after": {encode_basestring(after) if isinstance(after, str) else _json(after)}'
        + (
            f', "before_shown": {_json(words[column](before))}, "after_shown": {_json(words[column](after))}}}'
            if column in words
            else "}"
        )
        for column, before, after in changes
    ]


def _json(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Known:
    """What the journal knows of a record. An owner is written as `table:id`."""

    shared_with: str | None = None
    not_shared_with: str | None = None
    """The owner with whom CRM would not share it."""
    belonged_to: str = ""
    """Whom CRM's record belongs to, if that is somebody else and the journal does not know the record."""
    taken_for: str = ""
    """The key of a record that CRM takes for the one of this key, and that may be it."""
    is_adopted: bool = False
    """CRM's record has no key, and becomes the record."""
    in_loop: tuple[str, ...] = ()
    """The keys of the records that name each other in a circle with this one."""


def plan_record(
    staged: Staged,
    wanted: Wanted,
    found: Sequence[Row],
    binding: Binding,
    known: Known,
    id_attempt: int = 0,
    words: Words | None = None,
) -> RecordPlan:
    """Decides for one record. `found` are CRM's records of that key, `known` is what the journal remembers of it.

    `id_attempt` counts up when the id of a new record turned out to be taken. `words` are those of the plan's values.
    """
    model = binding.model
    line_table = binding.lines.table.name if binding.lines else ""
    if len(found) > 1:
        return block(
            staged.key, model, "ambiguous", f"CRM has {len(found)} {binding.table.entity_set} named {staged.key!r}"
        )
    if known.taken_for:
        message = (
            f"CRM takes its {binding.table.name} {known.taken_for!r} for {staged.key!r}, and nothing says whose it is:"
            " rename it in CRM"
        )
        return block(staged.key, model, "ambiguous", message)
    have = current(found[0], binding) if found else None
    if have and is_closed(have, model):
        return RecordPlan(
            staged.key,
            model.table,
            "skip",
            have.id,
            reason="closed_in_crm",
            message="closed in CRM; left alone",
            closes_as=_sorted(have.state),
            staged_digest=staged.digest,
        )
    if have is None and (reason := stays_out(staged, model)):
        message = "CRM does not have it, and it is not created"
        return RecordPlan(staged.key, model.table, "skip", reason=reason, message=message, staged_digest=staged.digest)

    warnings = wanted.warnings
    obstacles = (
        *_loop(known, model),
        *_other_currency(found, binding),
        *wanted.obstacles,
        *_nameless(staged, binding),
        *_repeated_lines(staged, model),
    )
    if have:
        left = {field_.name for field_ in binding.fields if field_.only_at_create}
        obstacles = tuple(each for each in obstacles if each.column not in left)
        warnings = tuple(each for each in warnings if each.line is not None or each.column not in left)
        obstacles = (*_other_made(wanted, have, binding), *obstacles)
    if obstacles:
        return RecordPlan(
            staged.key,
            model.table,
            "block",
            have.id if have else None,
            reason=obstacles[0].code,
            message=_told([obstacle.message for obstacle in obstacles]),
            obstacles=obstacles,
            warnings=warnings,
            line_table=line_table,
        )
    share = wanted.owner
    if share and known.not_shared_with == ":".join(share):
        warnings, share = (*warnings, share_refused(share)), None
    elif share and known.shared_with == ":".join(share):
        share = None
    if have is None:
        plan = _create(staged.key, wanted, share, binding, id_attempt)
    else:
        plan = _update(staged.key, wanted.record, have, share, binding)
        if known.belonged_to:
            warnings = (*warnings, _taken_over(staged, known, binding))
        if known.is_adopted:
            warnings = (*warnings, _adopted(staged, have, binding))
    plan = replace(
        plan,
        warnings=warnings,
        line_table=line_table,
        closes_as=_closes_as(staged, wanted, model),
        words=words or {},
        staged_digest=staged.digest,
    )
    if _most_operations(wanted, have, binding) > MAX_OPERATIONS and len(plan.operations) > MAX_OPERATIONS:
        message = f"needs {len(plan.operations)} operations; one change set holds {MAX_OPERATIONS}"
        too_large = block(staged.key, model, "too_large", message)
        return replace(too_large, crm_id=have.id if have else None, warnings=plan.warnings, line_table=line_table)
    return plan


def block(key: str, model: Model, why: str, message: str) -> RecordPlan:
    """The plan of a record that is kept back for a reason of the model's own, such as `order_ambiguous`."""
    return RecordPlan(key, model.table, "block", reason=model.reason(why), message=message)


def stays_out(staged: Staged, model: Model) -> str:
    """Why CRM does not get a record that it does not have; blank where it does."""
    unless = model.meta.create_unless
    if model.meta.create == "never":
        return "not_in_crm"
    return unless.reason if unless and staged.row[unless.column] else ""


def _closes_as(staged: Staged, wanted: Wanted, model: Model) -> tuple[tuple[str, int], ...]:
    states = model.meta.state
    is_closing = states is not None and staged.row.get("statecode") in states.closed
    return _sorted(wanted.record.state) if is_closing else ()


def _sorted(state: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(state.items()))


def _loop(known: Known, model: Model) -> Iterator[Obstacle]:
    if known.in_loop:
        shown = ", ".join(known.in_loop[:MESSAGES])
        yield Obstacle(
            model.reason("loop"),
            f"the {model.nouns} {shown} refer to each other in a circle, so that none of them can be created first",
        )


def _other_made(wanted: Wanted, have: Current, binding: Binding) -> Iterator[Obstacle]:
    """CRM has the record without the line that it makes together with it, or that line is built on another one."""
    children = binding.model.meta.children
    if binding.lines is None or children is None or children.made_by_parent is None:
        return
    look_ups = [field_.name for field_ in binding.lines.fields if field_.lookup]
    for line in wanted.record.lines:
        if line.is_made and not any(
            line_key(each.values, binding.model) == line.key
            and all(each.values[name] == line.values[name] for name in look_ups if name in line.values)
            for each in have.lines
        ):
            word = children.made_by_parent.called
            text = f"CRM's record was made without the {word.replace('_', ' ')} {', '.join(map(str, line.key))}"
            yield Obstacle(f"{word}_differs", text)


def _told(messages: Iterable[str]) -> str:
    """Each message once. Of a record with thousands of bad lines, only the first messages."""
    distinct = list(dict.fromkeys(messages))
    more = len(distinct) - MESSAGES
    return "; ".join(distinct[:MESSAGES]) + (f"; and {more:,} more" if more > 0 else "")


def record_id(table: str, key: str, attempt: int = 0) -> str:
    """The id of a new record. It is always the same, so that a create that is sent twice cannot make two records."""
    return derived_id(_NAMESPACE, f"{table}/{match_key(key)}" + (f"/{attempt}" if attempt else ""))


def is_closed(have: Current, model: Model) -> bool:
    states = model.meta.state
    return states is not None and have.state.get("statecode") in states.closed


def _nameless(staged: Staged, binding: Binding) -> list[Obstacle]:
    """CRM would hold no key to find the record by."""
    if match_key(staged.key):
        return []
    noun = binding.model.noun
    message = f"{binding.key.name}: {staged.key!r} has no character that CRM would keep, and is the {noun}'s key"
    return [Obstacle("value_out_of_range", message)]


def _repeated_lines(staged: Staged, model: Model) -> list[Obstacle]:
    if model.meta.children is None:
        return []
    counted = Counter(tuple([line[column] for column in model.meta.children.match_on]) for line in staged.lines)
    repeated = sorted((key for key, count in counted.items() if count > 1), key=str)
    return [Obstacle("line_repeated", f"line {', '.join(map(str, key))} is staged more than once") for key in repeated]


def _other_currency(found: Sequence[Row], binding: Binding) -> Iterator[Obstacle]:
    """CRM never changes a record's currency, and the same number in another currency is another amount."""
    held = currency_of(found[0]) if found else None
    if held and binding.currency.id and held.lower() != binding.currency.id.lower():
        code = binding.currency_codes.get(held, held)
        text = f"CRM's record is in {code}, the amounts are in {binding.currency.code}"
        yield Obstacle("currency_differs", text)


def _taken_over(staged: Staged, known: Known, binding: Binding) -> RecordWarning:
    """The warning that somebody entered the record in CRM for somebody else."""
    field_ = binding.belongs_to
    assert field_ is not None
    assert field_.lookup is not None
    table = field_.lookup.table
    text = f"CRM had it for {table} {known.belonged_to}, now it is for {table} {str(staged.row[field_.name]).rstrip()}"
    return RecordWarning(binding.model.reason("taken_over"), field_.name, text)


def _adopted(staged: Staged, have: Current, binding: Binding) -> RecordWarning:
    """A record that someone entered in CRM by hand, without the key."""
    model = binding.model
    same = ", ".join(f"{name} {have.values[name]!r}" for name in model.meta.adopt_by if have.values[name] is not None)
    text = f"CRM had {model.a_record} without {binding.key.name} that has the same {same}: it becomes {staged.key}"
    return RecordWarning(model.reason("adopted"), binding.key.name, text)


def _makes_lines(model: Model) -> bool:
    return model.meta.children is not None and model.meta.children.made_by_parent is not None


def _create(key: str, wanted: Wanted, share: tuple[str, str] | None, binding: Binding, id_attempt: int) -> RecordPlan:
    id_ = record_id(binding.table.name, key, id_attempt)
    return RecordPlan(
        key,
        binding.table.name,
        "create",
        id_,
        new=wanted,
        share=share,
        is_part=changeset.is_part(wanted.record) if _makes_lines(binding.model) else False,
        build=lambda: changeset.for_create(id_, wanted.record, share, binding),
    )


def _update(key: str, want: Desired, have: Current, share: tuple[str, str] | None, binding: Binding) -> RecordPlan:
    delta = difference(want, have, binding)
    if not delta and not share:
        ids = tuple([line.id for line in have.lines])
        return RecordPlan(key, binding.table.name, "unchanged", have.id, line_ids=ids)
    children = binding.model.meta.children
    if delta.lines and children and children.refresh == "replace":
        whole = Difference(delta.header, delta.state, replaced(want, have, binding))
        if len(changeset.for_update(want, have, whole, share, binding)) <= MAX_OPERATIONS:
            delta = whole
    return RecordPlan(
        key,
        binding.table.name,
        "update",
        have.id,
        etag=have.etag,
        header=delta.header,
        state=delta.state,
        lines=delta.lines,
        share=share,
        build=partial(changeset.for_update, want, have, delta, share, binding),
    )


def _most_operations(wanted: Wanted, have: Current | None, binding: Binding) -> int:
    """An upper bound that is quick to compute: a row takes at most six writes, and one for each of its look-ups."""
    rows = 1 + wanted.line_count + (len(have.lines) if have else 0)
    return rows * (6 + max(len(each.fields) for each in (binding, binding.lines) if each))
