"""What people do to GP's rows and to CRM's between two runs, at random: the models' declarations say what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from emulator import Emulator
from emulator.errors import CrmError
from emulator.store import Ref
from loader.contract import Column, Contract, Model
from loader.errors import NotFound
from loader.keys import fold
from loader.warehouse.connection import Warehouse, quoted
from loader.warehouse.journal import Journal

GP_STATES: dict[str, list[tuple[int, int]]] = {
    "crm_salesorder": [(0, 1), (0, 2), (1, 3)],
    "crm_salesorder_ended": [(3, 100001), (2, 4)],
    "crm_invoice": [(0, 4), (2, 100001), (2, 100002), (3, 100003)],
    "crm_product": [(0, 1), (1, 2)],
    "crm_account": [(0, 1), (1, 2)],
}
CRM_STATES: dict[str, list[tuple[int, int]]] = {
    "salesorder": [(0, 1), (0, 2), (1, 3), (2, 4), (3, 100001)],
    "invoice": [(0, 1), (0, 4), (2, 100001), (3, 100003)],
    "product": [(0, 1), (1, 2), (2, 0)],
    "account": [(0, 1), (1, 2)],
    "pricelevel": [(0, 100001), (1, 100002)],
    "uomschedule": [(0, 1), (1, 2)],
}
NOBODY = "NOBODY"
"""A code that CRM does not know, until someone types it in."""


@dataclass
class Edits:
    """The two sides, and what was done to them."""

    contract: Contract
    gp: Warehouse
    crm: Emulator
    journal: Journal
    random: Random
    story: list[str] = field(default_factory=list)
    _serial: int = 0

    def __post_init__(self) -> None:
        self.whole = len({model.table for model in self.contract.models}) > 1
        self._caller = self.crm.caller(self.crm.organisation.caller, {})
        models = self.contract.models
        looked_up = {
            column.meta.lookup.table
            for each in (*models, *(model.children for model in models if model.children))
            for column in each.columns
            if column.meta.lookup
        }
        self.tables = sorted({model.table for model in models})
        self.lines = {model.table: model for model in models if model.children and model.meta.create == "always"}
        self.looked_up = sorted(looked_up)

    def edit(self) -> None:
        """One edit, chosen at random."""
        doing: Callable[[], str | None] = self.random.choices(self._choices, self._weights)[0]
        with self.crm.lock:
            told = None
            with suppress(CrmError):  # as someone whose edit CRM refuses
                told = doing()
        if told:
            self.story.append(f"{doing.__name__} {told}")

    @property
    def _choices(self) -> list[Callable[[], str | None]]:
        return [getattr(self, name) for name in EDITS]

    @property
    def _weights(self) -> list[int]:
        return [WEIGHTS.get(name, 2) for name in EDITS]

    def _new(self) -> str:
        self._serial += 1
        return f"v{self._serial}"

    # ------------------------------------------------------------------------------------------------------- GP's side

    def _model(self, lines: bool | None = None) -> Model:
        """A model that has rows, or a model of lines."""
        of_lines = self.random.random() < 0.5 if lines is None else lines
        models = [each.children if of_lines else each for each in self.contract.models if each.children or not of_lines]
        filled = [each for each in models if each and self.gp.query(f"select 1 from {each.relation} limit 1")]
        return self.random.choice(filled or [self.contract.models[-1]])

    def _parent(self, lines: Model) -> Model:
        return next(each for each in self.contract.models if each.children and each.children.name == lines.name)

    def _keys(self, model: Model) -> list[str]:
        """The columns that make a row's key."""
        for each in self.contract.models:
            if each.children and each.children.name == model.name and each.meta.children:
                return [each.meta.children.via, *each.meta.children.match_on]
        return [*model.meta.match_on, *filter(None, [model.meta.sought_by])]

    def _row(self, model: Model) -> dict[str, Any] | None:
        names = [column.name for column in model.columns]
        rows = self.gp.query(f"select {', '.join(map(quoted, names))} from {model.relation} order by all")
        return dict(zip(names, self.random.choice(rows), strict=True)) if rows else None

    def _set(self, model: Model, row: dict[str, Any], **values: object) -> str:
        keys = self._keys(model)
        self.gp.execute(
            f"update {model.relation} set {', '.join(f'{quoted(name)} = ?' for name in values)}"
            f" where {' and '.join(f'{quoted(key)} = ?' for key in keys)}",
            [*values.values(), *(row[key] for key in keys)],
        )
        return f"{model.name} {[row[key] for key in keys]} {values}"

    def gp_value(self) -> str | None:
        model = self._model()
        row, columns = self._row(model), [each for each in model.sent if self._is_free(model, each)]
        if row is None or not columns:
            return None
        column = self.random.choice(columns)
        old, kind = row[column.name], column.data_type.lower()
        if self.random.random() < 0.15:
            new: object = None
        elif kind.startswith(("decimal", "numeric")):
            new = (old or Decimal(0)) + self.random.choice([Decimal("1"), Decimal("0.001"), Decimal("0.00001")])
        elif kind.startswith(("varchar", "nvarchar")):
            new = self.random.choice([self._new(), (old or "x").swapcase(), (old or "y") + "  ", self._new() * 60])
            width = int(kind.partition("(")[2].rstrip(")") or 50)
            new = str(new)[:width]
        else:
            return None
        return self._set(model, row, **{column.name: new})

    def _is_free(self, model: Model, column: Column) -> bool:
        fixed = {*self._keys(model), "statecode", "statuscode", "baseuomname"}
        return not column.meta.lookup and not column.meta.xref and column.name not in fixed

    def gp_look_up(self) -> str | None:
        model = self._model()
        row = self._row(model)
        columns = [each for each in model.columns if each.meta.lookup and each.name not in self._keys(model)]
        if row is None or not columns:
            return None
        column = self.random.choice(columns)
        its = quoted(column.name)
        rows = self.gp.query(f"select distinct {its} from first.{model.name} where {its} is not null order by 1")
        values = [value for (value,) in rows] or [None]
        new = self.random.choice([*values, *values, NOBODY, None])
        return self._set(model, row, **{column.name: new})

    def gp_state(self) -> str | None:
        model = self._model(lines=False)
        row = self._row(model)
        if row is None or model.name not in GP_STATES:
            return None
        state, status = self.random.choice(GP_STATES[model.name])
        values: dict[str, object] = {"statecode": state, "statuscode": status}
        if any(column.name == "statecode__gp_inactive" for column in model.columns):
            values["statecode__gp_inactive"] = int(state != 0)
        return self._set(model, row, **values)

    def gp_line_added(self) -> str | None:
        lines = self._model(lines=True)
        row, key = self._row(lines), self._keys(lines)[1]
        if row is None:
            return None
        new = row[key] + self.random.randint(1, 9) if isinstance(row[key], int) else self._new()
        if self.gp.query(
            f"select 1 from {lines.relation} where {quoted(key)} = ? and {quoted(self._keys(lines)[0])} = ?",
            [new, row[self._keys(lines)[0]]],
        ):
            return None
        row = {**row, key: new}
        if "name__is_base" in row:
            row["name__is_base"], row["quantity"] = 0, Decimal(self.random.randint(2, 9))
        self._insert(lines, row)
        return f"{lines.name} {[row[each] for each in self._keys(lines)]}"

    def gp_line_removed(self) -> str | None:
        lines = self._model(lines=True)
        row = self._row(lines)
        if row is None or row.get("name__is_base"):
            return None
        self._delete(lines, row, self._keys(lines))
        return f"{lines.name} {[row[each] for each in self._keys(lines)]}"

    def gp_record_dropped(self) -> str | None:
        model = self._model(lines=False)
        row = self._row(model)
        if row is None or (self.whole and self.gp.query(f"select count(*) from {model.relation}") == [(1,)]):
            return None
        self._drop(model, row)
        return f"{model.name} {row[model.key_column]}"

    def gp_record_restored(self) -> str | None:
        model = self._model(lines=False)
        rows = self.gp.query(f"select distinct {quoted(model.key_column)} from first.{model.name} order by 1")
        if not rows:
            return None
        key = self.random.choice(rows)[0]
        self._drop(model, {model.key_column: key})
        for each, column in self._with_lines(model):
            self.gp.execute(
                f"insert into {each.relation} select * from first.{each.name} where {quoted(column)} = ?", [key]
            )
        return f"{model.name} {key}"

    def gp_record_added(self) -> str | None:
        """A copy of a record with a key of its own, or one that has the key in other letters."""
        model = self._model(lines=False)
        row = self._row(model)
        if row is None or model.meta.create == "never":
            return None
        old = row[model.key_column]
        new = self.random.choice([f"{old}-{self._new()}", f"{old}-{self._new()}", str(old).swapcase()])
        if new.swapcase() == old:
            for each, column in self._with_lines(model):
                self.gp.execute(
                    f"update {each.relation} set {quoted(column)} = ? where {quoted(column)} = ?", [new, old]
                )
            return f"{model.name} {old} is written {new}"
        columns = [column.name for column in model.columns]
        numbers = {"ordernumber", "invoicenumber"} & set(columns)
        self._insert(model, {**row, model.key_column: new, **dict.fromkeys(numbers, new[:100])})
        for each, column in self._with_lines(model)[1:]:
            self.gp.execute(
                f"insert into {each.relation} select * replace (? as {quoted(column)}) from {each.relation}"
                f" where {quoted(column)} = ?",
                [new, old],
            )
        return f"{model.name} {new}"

    def gp_transfers(self) -> str | None:
        """An open order goes to GP's history."""
        names = {model.name for model in self.contract.models}
        if "crm_salesorder_ended" not in names:
            return None
        order = self._row(self.contract.model_of("salesorder"))
        if order is None:
            return None
        name, state = order["name"], self.random.choice(GP_STATES["crm_salesorder_ended"])
        for table, key in (("crm_salesorder_ended", "name"), ("crm_salesorderdetail_ended", "salesorderid")):
            self.gp.execute(f"delete from {table} where {key} = ?", [name])
        self.gp.execute(
            "insert into crm_salesorder_ended by name select o.* exclude (statuscode__gp)"
            " replace (? as statecode, ? as statuscode), lower(o.name) as name__gp"
            " from crm_salesorder as o where o.name = ?",
            [*state, name],
        )
        self.gp.execute(
            "insert into crm_salesorderdetail_ended by name select l.* replace (quantity + 1 as quantity),"
            " lower(salesorderid) as name__gp from crm_salesorderdetail as l where l.salesorderid = ?",
            [name],
        )
        self._drop(self.contract.model_of("salesorder"), order)
        return f"{name} as {state}"

    def _with_lines(self, model: Model) -> list[tuple[Model, str]]:
        pairs = [(model, model.key_column)]
        if model.children and model.meta.children:
            pairs.append((model.children, model.meta.children.via))
        return pairs

    def _drop(self, model: Model, row: dict[str, Any]) -> None:
        for each, column in self._with_lines(model):
            self.gp.execute(f"delete from {each.relation} where {quoted(column)} = ?", [row[model.key_column]])

    def _insert(self, model: Model, row: dict[str, Any]) -> None:
        names = ", ".join(map(quoted, row))
        self.gp.execute(f"insert into {model.relation} ({names}) values ({', '.join('?' * len(row))})", [*row.values()])

    def _delete(self, model: Model, row: dict[str, Any], keys: Sequence[str]) -> None:
        condition = " and ".join(f"{quoted(key)} = ?" for key in keys)
        self.gp.execute(f"delete from {model.relation} where {condition}", [row[key] for key in keys])

    # ------------------------------------------------------------------------------------------------------ CRM's side

    def _crm_model(self) -> Model:
        chosen = [each for each in self.contract.models if each.meta.create == "always"]
        return self.random.choice(chosen)

    def _crm_row(self, table: str) -> tuple[str, dict[str, Any]] | None:
        """A row and its id; rather one that the loader pushes than one that is there from the beginning."""
        rows = self.crm.store.tables[table].rows
        if not rows:
            return None
        ids = sorted(rows, key=lambda id_: self._sort_key(table, id_))
        model = next((each for each in self.contract.models if each.table == table), None)
        if model:
            found = {
                fold(str(key)) for (key,) in self.gp.query(f"select {quoted(model.key_column)} from {model.relation}")
            }
            staged = [id_ for id_ in ids if fold(str(rows[id_].get(model.key_column))) in found]
            ids = staged if staged and self.random.random() < 0.85 else ids
        id_ = self.random.choice(ids)
        return id_, dict(rows[id_])

    def _sort_key(self, table: str, id_: str) -> tuple[str, int]:
        """The same from run to run: ids of new rows are not."""
        row = self.crm.store.tables[table].rows[id_]
        return str(row.get(self.crm.schema.tables[table].name_column) or ""), int(str(row["#"]))

    def _update(self, table: str, id_: str, **values: Any) -> str:
        name = self._sort_key(table, id_)[0]
        self.crm.update(table, id_, values)
        return f"{table} {name or id_} {values}"

    def _any_table(self) -> tuple[Model, str]:
        model = self._crm_model()
        is_line = model.children is not None and self.random.random() < 0.5
        return (model.children if is_line and model.children else model), (
            model.children.table if is_line and model.children else model.table
        )

    def crm_value(self) -> str | None:
        model, table = self._any_table()
        found = self._crm_row(table)
        declared = self.crm.schema.tables[table].columns
        columns = [each for each in model.sent if self._is_free(model, each) and each.name in declared]
        if found is None or not columns:
            return None
        column = self.random.choice(columns)
        kind = declared[column.name].type
        if kind in ("String", "Memo"):
            new: object = self.random.choice([self._new()[: declared[column.name].max_length], None])
        elif kind in ("Money", "Decimal"):
            new = Decimal(self.random.randint(1, 99))
        else:
            return None
        return self._update(table, found[0], **{column.name: new})

    def crm_look_up(self) -> str | None:
        """Someone points a record elsewhere, or nowhere."""
        model, table = self._any_table()
        found = self._crm_row(table)
        columns = [each for each in model.columns if each.meta.lookup]
        if found is None or not columns:
            return None
        column = self.random.choice(columns)
        assert column.meta.lookup is not None
        other = self._crm_row(column.meta.lookup.table)
        if other is None or (self.random.random() < 0.3 and column.name not in ("customerid", "ownerid")):
            return self._update(table, found[0], **{column.name: None})
        return self._update(table, found[0], **{column.name: {"table": column.meta.lookup.table, "id": other[0]}})

    def crm_state(self) -> str | None:
        table = self.random.choice(self.tables)
        found = self._crm_row(table)
        if found is None or table not in CRM_STATES:
            return None
        state, status = self.random.choice(CRM_STATES[table])
        return self._update(table, found[0], statecode=state, statuscode=status)

    def crm_renamed(self) -> str | None:
        model = self._crm_model()
        found = self._crm_row(model.table)
        if found is None:
            return None
        old = str(found[1].get(model.key_column) or "")
        return self._update(
            model.table, found[0], **{model.key_column: self.random.choice([self._new(), old.swapcase()])}
        )

    def crm_keys_swapped(self) -> str | None:
        """Two records exchange their numbers; accounts rather than others."""
        table = self.random.choice(["account", *self.tables])
        model = next((each for each in self.contract.models if each.table == table), None)
        key = model.key_column if model else "accountnumber"
        one, other = self._crm_row(table), self._crm_row(table)
        if one is None or other is None or one[0] == other[0]:
            return None
        self._update(table, one[0], **{key: other[1].get(key)})
        return self._update(table, other[0], **{key: one[1].get(key)})

    def crm_deleted(self) -> str | None:
        table = self.random.choice([*self.tables, "salesorder"])
        found = self._crm_row(table)
        return self._remove(table, found[0]) if found else None

    def crm_line_deleted(self) -> str | None:
        model = self._crm_model()
        found = self._crm_row(model.children.table) if model.children else None
        return self._remove(model.children.table, found[0]) if found and model.children else None

    def _remove(self, table: str, id_: str) -> str:
        name = self._sort_key(table, id_)[0]
        with self.crm.store.transaction():
            self.crm.records.delete(self.crm.schema.tables[table], id_, self._caller)
        return f"{table} {name or id_}"

    def crm_line_doubled(self) -> str | None:
        model = self._crm_model()
        found = self._crm_row(model.children.table) if model.children else None
        if found is None or model.children is None:
            return None
        self._copy(model.children.table, found[1])
        return f"{model.children.table} {found[1].get('lineitemnumber') or found[1].get('name')}"

    def crm_line_moved(self) -> str | None:
        """A line goes to another record."""
        model = self._crm_model()
        if model.children is None or model.meta.children is None:
            return None
        line, parent = self._crm_row(model.children.table), self._crm_row(model.table)
        if line is None or parent is None:
            return None
        return self._update(
            model.children.table, line[0], **{model.meta.children.via: {"table": model.table, "id": parent[0]}}
        )

    def crm_doubled(self) -> str | None:
        """A second record of a key; the look-up tables' as well."""
        table = self.random.choice([*self.tables, *self.looked_up])
        found = self._crm_row(table)
        if found is None:
            return None
        self._copy(table, found[1])
        return f"{table} {self._sort_key(table, found[0])[0]}"

    def _copy(self, table: str, row: dict[str, Any], **values: Any) -> None:
        left_out = {self.crm.id_column(table), "versionnumber", "#"}
        public = {
            name: {"table": value.table, "id": value.id} if isinstance(value, Ref) else value
            for name, value in row.items()
            if name not in left_out
        }
        self.crm.insert(table, {**public, **values})

    def crm_owner(self) -> str | None:
        table = self.random.choice(["account", "account", *self.tables])
        found, user = self._crm_row(table), self._crm_row("systemuser")
        if found is None or user is None or "ownerid" not in self.crm.schema.tables[table].columns:
            return None
        return self._update(table, found[0], ownerid={"table": "systemuser", "id": user[0]})

    def _looked_up_row(self) -> tuple[str, str, str] | None:
        """Table and id of a row that look-ups find, and the column by which they do."""
        columns = {
            (lookup.table, path)
            for model in self.contract.models
            for each in (model, model.children)
            if each
            for column in each.columns
            if (lookup := column.meta.lookup)
            for path in lookup.match
            if "." not in path
        }
        table, column = self.random.choice(sorted(columns))
        rows = self.crm.store.tables[table].rows
        ids = sorted((id_ for id_ in rows if rows[id_].get(column)), key=lambda id_: self._sort_key(table, id_))
        return (table, self.random.choice(ids), column) if ids else None

    def crm_looked_up_row_renamed(self) -> str | None:
        found = self._looked_up_row()
        if found is None:
            return None
        table, id_, column = found
        return self._update(table, id_, **{column: self.random.choice([NOBODY, self._new()])})

    def crm_looked_up_row_added(self) -> str | None:
        """A row with the code that nobody knew, or with that of a row that is there."""
        found = self._looked_up_row()
        if found is None:
            return None
        table, id_, column = found
        row = dict(self.crm.store.tables[table].rows[id_])
        self._copy(table, row, **{column: self.random.choice([NOBODY, row[column]])})
        return f"{table} {column} beside {row[column]}"

    def crm_looked_up_row_switched(self) -> str | None:
        """It is deactivated, or activated again."""
        found = self._looked_up_row()
        if found is None:
            return None
        table, id_, _ = found
        row = self.crm.store.tables[table].rows[id_]
        if table == "systemuser":
            return self._update(table, id_, isdisabled=not row.get("isdisabled"))
        if table not in CRM_STATES or table == "salesorder":
            return None
        state, status = self.random.choice(CRM_STATES[table])
        return self._update(table, id_, statecode=state, statuscode=status)

    def crm_looked_up_row_deleted(self) -> str | None:
        found = self._looked_up_row()
        if found is None or found[0] == "systemuser":
            return None
        return self._remove(found[0], found[1])

    def crm_looked_up_row_moved(self) -> str | None:
        """A product gets another unit group, a price list another currency, a unit another name."""
        found = self._looked_up_row()
        if found is None:
            return None
        table, id_, _ = found
        column = {"product": "defaultuomscheduleid", "uom": "uomscheduleid"}.get(table)
        other = self._crm_row("uomschedule")
        if column is None or other is None:
            return None
        return self._update(table, id_, **{column: {"table": "uomschedule", "id": other[0]}})

    def crm_share_revoked(self) -> str | None:
        shares = self.crm.store.tables["principalobjectaccess"].rows
        if not shares:
            return None
        id_ = self.random.choice(sorted(shares, key=lambda each: int(str(shares[each]["#"]))))
        self.crm.store.remove("principalobjectaccess", id_)
        return "one"

    def crm_sop_mode(self) -> str | None:
        row = next(iter(self.crm.store.tables["organization"].rows.values()))
        mode = not row.get("issopintegrationenabled")
        self.crm.organization(issopintegrationenabled=mode)
        return str(mode)

    # ---------------------------------------------------------------------------------------------------- the queue's

    def queue_decision(self) -> str | None:
        """Somebody holds, ignores or releases a record."""
        waiting = self.gp.query(
            "select crm_table, record_key from main_journal.retry_queue where state <> 'resolved' order by all"
        )
        if waiting and self.random.random() < 0.7:
            table, key = map(str, self.random.choice(waiting))
        else:
            model = self._model(lines=False)
            row = self._row(model)
            if row is None:
                return None
            table, key = model.table, model.key_of(row)
        state: Any = self.random.choice(["held", "ignored", "open", "open"])
        with suppress(NotFound):
            self.journal.set_state(table, key, state)
            return f"{table} {key} {state}"
        return None


EDITS = [name for name in vars(Edits) if name.startswith(("gp_", "crm_", "queue_"))]
WEIGHTS = {"gp_value": 6, "gp_record_restored": 6, "crm_value": 4, "gp_look_up": 4, "crm_sop_mode": 1}
