"""Which records a run compares with CRM's: all of a model's, or those that moved in GP or in CRM since the last run.

What moved in CRM, CRM tells by change tracking. The links are taken before anything is read and kept only by a run that
settled everything (docs/promises.md, "Everything is compared").
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from loader.context import Context, StagedRecords
from loader.contract import Model
from loader.dataverse.batch import Query
from loader.dataverse.describe import read_tables
from loader.dataverse.errors import CrmError
from loader.dataverse.metadata import Table
from loader.dataverse.replies import Row
from loader.dataverse.tracking import Moved, begin_tracking, read_moves, version_of
from loader.keys import fold, match_key, near_key
from loader.push.fingerprint import CHANGED, fingerprint
from loader.push.gather import open_keys
from loader.push.session import why_absent
from loader.sync.landed import Landings
from loader.sync.lookups import Index, lookup_columns, lookup_keys, parent_table
from loader.warehouse import staged as rows_of
from loader.warehouse.journal import Link, LookedUp, State, short_id

OPEN = "open"
"""In the place of a column: keys of records that CRM has open and that the journal does not know."""
ALWAYS = "CRM_FULL_COMPARE is always"
_COMPARED_AT = "compared_at"


@dataclass(frozen=True)
class Comparison:
    """Whether all records of a model are compared, and why; or those that moved."""

    kind: Literal["full", "changes"]
    why: str = ""


class Changes:
    """What one run knows of what moved.

    `is_whole`: it goes through all models and all their records, so it may move the links. `named`: why it does not ask
    what moved; `full`: everything is to be compared.
    """

    def __init__(
        self, context: Context, models: Sequence[Model], *, is_whole: bool, named: str = "", full: bool = False
    ) -> None:
        self._context, self._models, self._is_whole = context, models, is_whole
        self._named = named or ("--full was given" if full else "")
        self._comparisons: dict[str, Comparison] = {}
        self._fingerprints: dict[str, Mapping[str, str]] = {}
        self._refused: dict[str, str] = {}
        """Table → why CRM does not tell what moved in it."""
        self._seen: dict[str, set[LookedUp]] = {}
        self._remembered: dict[str, set[LookedUp]] = {}
        self._saw_all = True
        """Whether what was seen of looked-up rows is of all records, if all are compared."""
        self._present: dict[str, list[StagedRecords]] = {}
        """By table, what its models stage."""
        self._links: dict[str, Link] = {}
        """By table, the links that this run leaves behind."""
        self.compared: dict[str, int] = {}
        """By table, how many records were compared."""

    # ------------------------------------------------------------------------------------------------ per model

    def comparison(self, model: Model) -> Comparison:
        """How the model's records are compared. Asks CRM what moved, the first time."""
        if model.name not in self._comparisons:
            why = self._named or self._settings_say or self._why_full(model)
            self._comparisons[model.name] = Comparison("full" if why else "changes", why)
            if why and self._is_whole and self._keeps_state:
                _ = self._moves  # the links are taken before any record is read
        return self._comparisons[model.name]

    def as_json(self) -> dict[str, Any]:
        """For `plan --json` and `push --json`: of all models together, how many records were compared, and why all."""
        whys = dict.fromkeys(each.why for each in self._comparisons.values() if each.kind == "full")
        kind = "full" if whys else "changes"
        return {"kind": kind, "why": "; ".join(whys) or None, "compared": sum(self.compared.values())}

    def narrow(self, staged: StagedRecords, landings: Landings) -> StagedRecords:
        """The records, of which only those are compared that may differ."""
        model, journal = staged.model, self._context.journal
        self._present.setdefault(model.table, []).append(staged)
        known, waiting = journal.known_rows(model.table), journal.waiting_keys(model.table)
        narrowed = staged
        if self.comparison(model).kind == "changes" and known and waiting:
            moved = self._moved(staged, landings)
            if isinstance(moved, str):
                self._comparisons[model.name] = Comparison("full", moved)
                self._saw_all = False
            else:
                narrowed = self._with_own(staged.narrowed(known, waiting, moved), staged, known, waiting, moved)
                for record, reason, message in narrowed.absent() if landings.concerns(model) else ():
                    landings.stays_out(record, model, why_absent(reason, message), as_it_was=True)
        self.compared[model.table] = self.compared.get(model.table, 0) + len(narrowed.compared)
        return narrowed

    def open_keys(self, model: Model, taken: set[str], only: Sequence[str] | None) -> list[str]:
        """CRM's open records of a table that no other model stages: those that may be, if what moved is known."""
        context, journal, table = self._context, self._context.journal, model.table
        binding = context.bindings(model).base
        if only is None and self.comparison(model).kind == "changes":
            told = self._moves[table]
            assert isinstance(told, Moved)
            moved = {str(row[model.key_column]) for row in told.rows if row.get(model.key_column)}
            remembered = {value for column, _, value in self._looked_up(table) if column == OPEN}
            self._see(table, ((OPEN, "", match_key(key)) for key in moved))
            asked = {*moved, *remembered, *journal.open_known_keys(table), *journal.open_keys(table)}
            only = sorted(key for key in asked if match_key(key) not in taken)
            return (
                [key for key in open_keys(context.client, binding, only) if match_key(key) not in taken] if only else []
            )
        found = open_keys(context.client, binding, only)
        if only is None:
            self._see(table, ((OPEN, "", match_key(key)) for key in found))
        return [key for key in found if match_key(key) not in taken]

    def moved_ids(self, models: Sequence[Model]) -> set[str] | None:
        """The ids of the rows of these models' table that moved in CRM; None where all have to be looked at."""
        if any(self.comparison(model).kind == "full" for model in models):
            return None
        table = models[0].table
        return {str(row[self._context.tables[table].id_column]).lower() for row in self._moves[table].rows}

    def used(self, index: Index) -> None:
        """Remembers by which values rows were found: when they have others, their records are compared."""
        for table, row in index.looked_up():
            self._seen.setdefault(table, set()).add(row)
        if not self._keeps_state:
            return
        new = {table: rows - self._looked_up(table) for table, rows in self._seen.items() if rows}
        if any(new.values()):
            self._context.journal.add_looked_up(new)
            for table, rows in new.items():
                self._looked_up(table).update(rows)

    def keep(self, run_id: str) -> None:
        """Has the next run begin where this one began: it has settled everything."""
        if not (self._is_whole and self._keeps_state):
            return
        journal = self._context.journal
        looked_up = None
        if self._saw_all and all(self.comparison(model).kind == "full" for model in self._models):
            known = {table: journal.known_keys_folded(table) for table, rows in self._seen.items() if _has_open(rows)}
            looked_up = {
                table: {row for row in rows if row[0] != OPEN or row[2] not in known[table]}
                for table, rows in self._seen.items()
            }
        for table in self._present:  # nobody looked at what CRM said of the others
            journal.forget_compared(table, self.gone(table))
        models = {}
        for model in self._models:
            before = self._state.models.get(model.name, {})
            its = {part: text or before.get(part, "") for part, text in self._fingerprint(model).items()}
            is_full = self._comparisons[model.name].kind == "full"
            models[model.name] = {**its, _COMPARED_AT: self._began if is_full else before[_COMPARED_AT]}
        journal.put_state(State(self._links, models), looked_up, run_id)

    def gone(self, table: str) -> set[str]:
        """The records of a table that were compared before and that none of its models stages."""
        known = self._context.journal.known_rows(table)
        most, *others = sorted(self._present[table], key=lambda each: -len(each.keys))
        gone = set(most.rows.gone(known) if known else ())
        for each in others if gone else ():
            gone.difference_update(map(fold, each.keys))
        return gone

    # ---------------------------------------------------------------------------------------- why all is compared

    @property
    def _keeps_state(self) -> bool:
        return bool(self._context.settings.full_compare)

    @property
    def _settings_say(self) -> str:
        return "" if self._context.settings.full_compare else ALWAYS

    @cached_property
    def _began(self) -> str:
        return self._context.journal.now().isoformat(timespec="seconds")

    @cached_property
    def _state(self) -> State:
        _ = self._began
        return self._context.journal.state()

    def _fingerprint(self, model: Model) -> Mapping[str, str]:
        if model.name not in self._fingerprints:
            self._fingerprints[model.name] = fingerprint(self._context, model)
        return self._fingerprints[model.name]

    def _why_full(self, model: Model) -> str:
        before = self._state.models.get(model.name)
        if not before:
            return "no run has settled everything yet"
        now = self._fingerprint(model)
        changed = [part for part, text in now.items() if text and before.get(part) and before[part] != text]
        if changed:
            return "; ".join(CHANGED[part] for part in changed)
        last = dt.datetime.fromisoformat(before[_COMPARED_AT])
        hours = self._context.settings.full_compare
        if dt.datetime.fromisoformat(self._began) - last >= dt.timedelta(hours=hours):
            return f"everything was last compared at {last:%Y-%m-%d %H:%M} UTC (CRM_FULL_COMPARE)"
        if not self._context.journal.known_rows(model.table):
            return "the journal is of an older loader"
        _ = self._moves
        return next((self._refused[table] for table in self._tables_of(model) if table in self._refused), "")

    # -------------------------------------------------------------------------------------------- what CRM says

    def _tables_of(self, model: Model) -> dict[str, set[str]]:
        """CRM's tables on which the model's records depend, and the columns that tell which records a row concerns."""
        tables = self._context.tables
        needed: dict[str, set[str]] = {model.table: set()}
        if model.has_plain_key:
            needed[model.table].update((model.key_column, *model.meta.adopt_by[:1]))
        if model.children and model.meta.children:
            needed.setdefault(model.children.table, set()).add(f"_{model.meta.children.via}_value")
        for key in lookup_keys(model):
            needed.setdefault(key.table, set()).add(key.own_column)
            for path in key.paths:
                if "." in path:
                    needed.setdefault(parent_table(path, tables[key.table])[1], set())
        return needed

    @cached_property
    def _columns(self) -> dict[str, str]:
        """Table → the columns that CRM tells of a row that moved, as they stand in its link."""
        needed: dict[str, set[str]] = {}
        for model in self._context.contract.models:
            for table, columns in self._tables_of(model).items():
                needed.setdefault(table, set()).update(columns)
        tables = self._context.tables
        return {
            table: ",".join(dict.fromkeys([tables[table].id_column, *sorted(columns)])) if table in tables else ""
            for table, columns in needed.items()
        }

    @cached_property
    def _moves(self) -> dict[str, Moved]:
        """What moved in each table that CRM tells it of. The others are in `_refused`."""
        needed = self._columns if self._is_whole else dict.fromkeys(t for m in self._models for t in self._tables_of(m))
        known = {table: link for table, link in self._state.links.items() if table in needed}
        links = {
            table: link.url
            for table, link in known.items()
            if self._is_tracked(table) and self._columns[table] in ("", link.columns)
        }
        moves: dict[str, Moved] = {}
        witnesses = self._witnesses(links)
        told, answers = read_moves(self._context.client, links, list(witnesses.values())) if links else ({}, [])
        for table, answer in told.items():
            if isinstance(answer, CrmError):
                self._refused[table] = f"CRM does not tell any more what moved in {table}: {answer}"
                continue
            before, now = version_of(links[table]), version_of(answer.link)
            if before is not None and now is not None and now < before:
                self._refused[table] = f"CRM was restored: its changes of {table} go back behind the last run"
                continue
            moves[table] = answer
        self._look_for(dict(zip(witnesses, answers, strict=True)), moves)
        for table in needed:
            if table not in moves and not self._is_tracked(table):
                self._refused[table] = f"CRM does not track changes of {table}"
            elif table not in moves:
                columns = self._columns[table]
                is_other = table in known and columns not in ("", known[table].columns)
                why = "the look-ups need other columns of" if is_other else "there is no link to the changes of"
                self._refused.setdefault(table, f"{why} {table}")
        self._links = {table: Link(each.link, known[table].columns) for table, each in moves.items()}
        if self._is_whole:
            self._begin([table for table in needed if table not in moves and self._is_tracked(table)])
        return moves

    def _is_tracked(self, table: str) -> bool:
        its = self._context.tables.get(table)
        return its is None or its.tracks_changes

    def _begin(self, names: Sequence[str]) -> None:
        """Takes links to what moves from now on."""
        tables: dict[str, Table] = {**self._context.tables}
        if unknown := [name for name in names if name not in tables]:
            tables.update(read_tables(self._context.client, unknown))
        wanted = [(tables[name], self._columns[name].split(",") if self._columns[name] else []) for name in names]
        wanted = [(table, columns or [table.id_column]) for table, columns in wanted]
        for table, _ in wanted:
            if not table.tracks_changes:
                self._refused[table.name] = f"CRM does not track changes of {table.name}"
        wanted = [(table, columns) for table, columns in wanted if table.tracks_changes]
        for (table, columns), link in zip(
            wanted, begin_tracking(self._context.client, wanted).values() if wanted else (), strict=True
        ):
            if isinstance(link, CrmError):
                self._refused[table.name] = f"CRM does not tell what moves in {table.name}: {link}"
            else:
                self._links[table.name] = Link(link, ",".join(columns))

    def _witnesses(self, names: Collection[str]) -> dict[tuple[str, str], Query]:
        """Table and id of records that were pushed and found equal, and how to ask whether CRM has them."""
        tables, found = self._context.tables, self._context.journal.witnesses() if names else {}
        return {
            (name, found[name]): Query(f"{tables[name].entity_set}({found[name]})?$select={tables[name].id_column}")
            for name in names
            if name in found and self._is_pushed(name)
        }

    def _is_pushed(self, table: str) -> bool:
        return any(model.table == table for model in self._models)

    def _look_for(self, witnesses: Mapping[tuple[str, str], Row | CrmError], moves: Mapping[str, Moved]) -> None:
        """One that CRM has lost without telling so: CRM was restored."""
        for (name, id_), answer in witnesses.items():
            is_gone = isinstance(answer, CrmError) and answer.status == 404
            if is_gone and name in moves and id_.lower() not in moves[name].deleted:
                self._refused[name] = f"CRM was restored: its {name} {id_} is gone, and CRM does not tell since when"

    # ------------------------------------------------------------------------------------- what that has to do with

    def _moved(self, staged: StagedRecords, landings: Landings) -> rows_of.Moved | str:
        """Which of the model's records may have moved, or why nobody can say."""
        model, moves, tables = staged.model, self._moves, self._context.tables
        own = moves[model.table]
        ids = {str(row[tables[model.table].id_column]).lower() for row in own.rows}
        keys: set[str] = set()
        naming: list[tuple[Model, str, set[str]]] = []
        if model.has_plain_key:
            names = [str(row[model.key_column]) for row in own.rows if row.get(model.key_column)]
            keys = set(map(match_key, names))
            keys |= self._taken_for(model, names)
            if len(names) < len(own.rows):
                naming += self._adopting(staged, [row for row in own.rows if not row.get(model.key_column)])
        elif unknown := ids - self._context.journal.crm_ids(model.table):
            return f"CRM has {len(unknown)} new rows in {model.table}, whose key has several parts"
        ids |= set(own.deleted)
        line_ids: set[str] = set()
        if model.children and model.meta.children:
            lines, via = moves[model.children.table], model.meta.children.via
            ids |= {str(row[f"_{via}_value"]).lower() for row in lines.rows if row.get(f"_{via}_value")}
            id_column = tables[model.children.table].id_column  # a line that moved to another record has left one
            line_ids = {short_id(each) for each in (*lines.deleted, *(str(row[id_column]) for row in lines.rows))}
        for key, places in lookup_columns(model).items():
            landed = list(landings.rows_of(key.table))
            for path in key.paths:
                step = parent_table(path, tables[key.table])[1] if "." in path else None
                if step and (moves[step].rows or moves[step].deleted or any(landings.rows_of(step, written=True))):
                    return f"{step} moved, by which rows of {key.table} are found"
            table = moves[key.table]
            moved = {str(row[tables[key.table].id_column]).lower() for row in table.rows} | set(table.deleted)
            moved |= {row.id.lower() for row in landed if row.id}
            if not moved and not landed:
                continue
            values = {match_key(row[key.own_column]) for row in table.rows if row.get(key.own_column) is not None}
            values |= {match_key(row.values[key.own_column]) for row in landed if row.values.get(key.own_column)}
            before = self._looked_up(key.table)
            values |= {value for column, id_, value in before if column == key.own_column and id_ in moved}
            for each, column in places:
                naming += _naming(staged, each, column, values)
        return rows_of.Moved(keys, ids, line_ids, naming)

    def _taken_for(self, model: Model, names: Sequence[str]) -> set[str]:
        """The records that CRM does not have, and for which it takes one of these."""
        near = set(map(near_key, names))
        absent = self._context.journal.absent_keys(model.table) if names else ()
        return {match_key(key) for key in absent if near_key(key) in near}

    def _adopting(self, staged: StagedRecords, rows: Sequence[Row]) -> list[tuple[Model, str, set[str]]]:
        """Those that may be one of CRM's records without a key."""
        columns = staged.model.meta.adopt_by[:1]
        values = {match_key(row[column]) for column in columns for row in rows if row.get(column)}
        return [each for column in columns for each in _naming(staged, staged.model, column, values)]

    def _with_own(
        self, narrowed: StagedRecords, staged: StagedRecords, known: str, waiting: str, moved: rows_of.Moved
    ) -> StagedRecords:
        """Also those that refer to compared records of the same model, which this run may write before them."""
        model = staged.model
        columns = [
            column.meta.lookup.match[model.key_column]
            for column in model.own_lookups
            if column.meta.lookup and model.key_column in column.meta.lookup.match
        ]
        compared = 0
        while columns and compared < len(narrowed.compared):
            compared = len(narrowed.compared)
            own = [(model, column, {fold(key) for key in narrowed.compared}) for column in columns]
            naming = [*moved.naming, *own]
            narrowed = staged.narrowed(known, waiting, rows_of.Moved(moved.keys, moved.ids, moved.line_ids, naming))
        return narrowed

    def _looked_up(self, table: str) -> set[LookedUp]:
        if table not in self._remembered:
            self._remembered[table] = self._context.journal.looked_up(table)
        return self._remembered[table]

    def _see(self, table: str, rows: Iterable[LookedUp]) -> None:
        self._seen.setdefault(table, set()).update(rows)


def _naming(
    staged: StagedRecords, model: Model, column: str, values: Collection[str]
) -> list[tuple[Model, str, set[str]]]:
    """The records, or those whose lines, have one of these values in this column."""
    told = {str(row[0]) for row in staged.rows.distinct(model, [column], column)} if values else set()
    named = {fold(value) for value in told if match_key(value) in values}
    return [(model, column, named)] if named else []


def _has_open(rows: Iterable[LookedUp]) -> bool:
    return any(row[0] == OPEN for row in rows)
