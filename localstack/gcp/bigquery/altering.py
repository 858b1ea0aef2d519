"""ALTER TABLE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from . import columns, options, tables
from .catalog import Table, TableRef
from .errors import invalid_query, not_run
from .place import Place
from .resolved import Node
from .types import Field, schema_to_rest

_WIDER = {"INTEGER": ("NUMERIC", "FLOAT"), "NUMERIC": ("FLOAT",)}  # what a column's values fit, too


def alter(here: Place, ref: TableRef, action: Node) -> None:
    """Do one action of an ALTER TABLE. invalidQuery, notImplemented."""
    table = here.catalog.table(ref)
    if action.kind in _RESHAPED:
        fields, origins = _RESHAPED[action.kind](table, action)
        tables.reshaped(here, ref, fields, origins)
    elif action.kind == "rename_to_action":
        tables.rename(here, ref, action.new_path[-1])
    else:
        content, written = _altered(action, table.fields, table.written)
        if content is not None:
            tables.change(here, ref, content, written, None)


def _altered(action: Node, fields: Sequence[Field], written: Mapping[str, Any]) -> tuple[dict[str, Any] | None, Mapping[str, Any]]:
    """The part of a table's resource that an action changes, and what its owner wrote."""
    names = [field.name.lower() for field in fields]
    if action.kind == "set_options_action":
        changes = options.table(action.option_list)
        content = {"expirationTime": changes.pop("expirationTime")} if "expirationTime" in changes else {}
        return content, options.laid_out(written, changes)
    if action.kind == "add_column_action":
        column = columns.column(action.column_definition)
        if column.name.lower() in names:
            if action.is_if_not_exists:
                return None, written
            raise invalid_query(f"Column already exists: {column.name}")
        return {"schema": schema_to_rest([*fields, column])}, written
    if action.kind == "alter_column_drop_not_null_action":
        relaxed = [msgspec.structs.replace(f, mode="NULLABLE") if f.name.lower() == action.column.lower() else f for f in fields]
        return {"schema": schema_to_rest(relaxed)}, written
    if action.kind == "alter_column_options_action":
        about = options.values(action.option_list)
        described = [
            msgspec.structs.replace(f, about={**f.about, **about}) if f.name.lower() == action.column.lower() else f for f in fields
        ]
        return {"schema": schema_to_rest(described)}, written
    raise not_run(f"ALTER TABLE: {action.kind.removesuffix('_action').replace('_', ' ').upper()}")


Reshape = tuple[list[Field], Mapping[str, str]]  # the new columns; of one with another name, its old one


def _place(table: Table, name: str) -> int:
    names = [field.name.lower() for field in table.fields]
    if name.lower() not in names:
        raise invalid_query(f"Column not found: {name}")
    return names.index(name.lower())


def _laid_out(table: Table, name: str) -> None:
    """InvalidQuery, where the table is partitioned or clustered by a column."""
    layout = [(table.written.get("timePartitioning") or {}).get("field"), (table.written.get("rangePartitioning") or {}).get("field")]
    layout += (table.written.get("clustering") or {}).get("fields") or ()
    if name.lower() in {str(column).lower() for column in layout if column}:
        raise invalid_query(f"ALTER TABLE cannot rename or drop {name}, by which the table is partitioned or clustered")


def _renamed(table: Table, action: Node) -> Reshape:
    fields, names = list(table.fields), {field.name.lower() for field in table.fields}
    if action.is_if_exists and action.name.lower() not in names:
        return fields, {}
    place = _place(table, action.name)
    _laid_out(table, action.name)
    if action.new_name.lower() in names - {action.name.lower()}:
        raise invalid_query(f"Column already exists: {action.new_name}")
    old = fields[place].name
    fields[place] = msgspec.structs.replace(fields[place], name=action.new_name)
    return fields, {action.new_name.lower(): old}


def _dropped(table: Table, action: Node) -> Reshape:
    fields = list(table.fields)
    if action.is_if_exists and action.name.lower() not in {field.name.lower() for field in fields}:
        return fields, {}
    place = _place(table, action.name)
    _laid_out(table, action.name)
    if len(fields) == 1:
        raise invalid_query(f"ALTER TABLE cannot drop {action.name}, the only column of the table")
    del fields[place]
    return fields, {}


def _retyped(table: Table, action: Node) -> Reshape:
    fields, place = list(table.fields), _place(table, action.column)
    old, new = fields[place], columns.typed(action)
    if new.type != old.type and (old.repeated or new.repeated or new.type not in _WIDER.get(old.type, ())):
        words = f"requires that the existing column type ({old.type}) is assignable to the new type ({new.type})"
        raise invalid_query(f"ALTER TABLE ALTER COLUMN SET DATA TYPE {words}")
    if new.type == old.type and (new.about or new.fields != old.fields):
        raise not_run(f"SET DATA TYPE of {action.column} to the same type with other parameters or fields")
    fields[place] = msgspec.structs.replace(old, type=new.type)
    return fields, {}


def _defaulted(table: Table, action: Node) -> Reshape:
    fields, place = list(table.fields), _place(table, action.column)
    about = {key: value for key, value in fields[place].about.items() if key != "defaultValueExpression"}
    if action.kind == "alter_column_set_default_action":
        about["defaultValueExpression"] = action.default_value.sql
    fields[place] = msgspec.structs.replace(fields[place], about=about)
    return fields, {}


_RESHAPED = {
    "rename_column_action": _renamed,
    "drop_column_action": _dropped,
    "alter_column_set_data_type_action": _retyped,
    "alter_column_set_default_action": _defaulted,
    "alter_column_drop_default_action": _defaulted,
}
