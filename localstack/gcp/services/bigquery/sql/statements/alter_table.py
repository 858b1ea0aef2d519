"""ALTER TABLE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ...data.types import SchemaField
from ...errors import invalid_query, not_run
from ...state.catalog import Table, TableRef
from ...state.instance import BigQueryState, time_of_rest
from ...tables import tables
from ..analysis.resolved_tree import ResolvedNode
from . import column_definitions, ddl_options

_WIDER = {"INTEGER": ("NUMERIC", "FLOAT"), "NUMERIC": ("FLOAT",)}  # what a column's values fit, too
_PARAMETERS = ("maxLength", "precision", "scale")  # of a type


def alter(instance: BigQueryState, ref: TableRef, actions: Sequence[ResolvedNode]) -> None:
    """Apply the actions of an ALTER TABLE to a table, all of them or none.

    Raises:
        BigQueryError: `notFound`, `duplicate`, `invalid`, `invalidQuery` or `notImplemented`.
    """
    kind = instance.catalog.table(ref).kind
    if kind != "TABLE":
        raise invalid_query(
            f"{ref} is not allowed for this operation because it is currently a {kind}."
        )
    if any(action.kind == "rename_to_action" for action in actions):
        _rename(instance, ref, actions)
        return
    name = tables.relation(ref)
    with instance.warehouse.transaction(name) as cursor:
        old = instance.catalog.table(ref)
        new, origins = _change(old, actions)
        tables.reshape(cursor, name, old.fields, new.fields, origins)
        tables.alter(instance, new)


def _rename(instance: BigQueryState, ref: TableRef, actions: Sequence[ResolvedNode]) -> None:
    """Run ALTER TABLE ... RENAME TO."""
    path = next(action.new_path for action in actions if action.kind == "rename_to_action")
    if len(actions) > 1:
        raise not_run("ALTER TABLE: RENAME TO beside other actions")
    if len(path) > 1 or "." in path[0]:
        raise invalid_query(f'name "{".".join(path)}" cannot contain dot.')
    tables.rename(instance, ref, path[0])


def _change(table: Table, actions: Sequence[ResolvedNode]) -> tuple[Table, Mapping[str, str]]:
    """Return a table's definition after ALTER TABLE actions, and the old names of columns.

    The old names are by the new name in lower case.
    """
    origins: dict[str, str] = {}
    for action in actions:
        if action.kind not in _ACTIONS:
            raise not_run(
                f"ALTER TABLE: {action.kind.removesuffix('_action').replace('_', ' ').upper()}"
            )
        previous, table = table, _ACTIONS[action.kind](table, action)
        if action.kind == "rename_column_action" and table is not previous:
            origins[action.new_name.lower()] = origins.pop(action.name.lower(), action.name)
    return table, origins


def _with_fields(table: Table, fields: Sequence[SchemaField]) -> Table:
    """Return a table's definition with other columns."""
    return msgspec.structs.replace(table, fields=tuple(fields))


def _set_options(table: Table, action: ResolvedNode) -> Table:
    """Return a table's definition after SET OPTIONS."""
    changes = ddl_options.table(action.option_list)
    if "expirationTime" in changes:
        expires = changes.pop("expirationTime")
        table = msgspec.structs.replace(table, expires=time_of_rest(expires) if expires else None)
    return msgspec.structs.replace(table, written=ddl_options.with_changes(table.written, changes))


def _add_column(table: Table, action: ResolvedNode) -> Table:
    """Return a table's definition after ADD COLUMN."""
    column = column_definitions.column(action.column_definition)
    if column.name.lower() in {field.name.lower() for field in table.fields}:
        if action.is_if_not_exists:
            return table
        raise invalid_query(f"Column already exists: {column.name}")
    fields = [*table.fields, column]
    tables.check_change(table.ref, table.fields, fields)
    return _with_fields(table, fields)


def _column_index(table: Table, name: str, *, optional: bool) -> int | None:
    """Return a column's position in a table; None if it is absent and `optional`."""
    names = [field.name.lower() for field in table.fields]
    if name.lower() in names:
        return names.index(name.lower())
    if optional:
        return None
    raise invalid_query(f"Column not found: {name}")


def _check_not_in_layout(table: Table, name: str) -> None:
    """Raise `invalidQuery` if the table is partitioned or clustered by a column."""
    layout = [*_partitioning(table), *((table.written.get("clustering") or {}).get("fields") or ())]
    if name.lower() in {column.lower() for column in layout}:
        raise invalid_query(
            f"ALTER TABLE cannot rename or drop {name}, by which the table is partitioned or "
            "clustered"
        )


def _partitioning(table: Table) -> list[str]:
    """Return the name of the column that partitions a table, as a list of one or none."""
    layouts = [table.written.get(key) or {} for key in ("timePartitioning", "rangePartitioning")]
    return [layout["field"] for layout in layouts if layout.get("field")]


def _rename_column(table: Table, action: ResolvedNode) -> Table:
    """Return a table's definition after RENAME COLUMN."""
    place = _column_index(table, action.name, optional=action.is_if_exists)
    if place is None:
        return table
    _check_not_in_layout(table, action.name)
    if action.new_name.lower() in {field.name.lower() for field in table.fields} - {
        action.name.lower()
    }:
        raise invalid_query(f"Column already exists: {action.new_name}")
    fields = list(table.fields)
    fields[place] = msgspec.structs.replace(fields[place], name=action.new_name)
    return _with_fields(table, fields)


def _drop_column(table: Table, action: ResolvedNode) -> Table:
    """Return a table's definition after DROP COLUMN."""
    place = _column_index(table, action.name, optional=action.is_if_exists)
    if place is None:
        return table
    _check_not_in_layout(table, action.name)
    if len(table.fields) == 1:
        raise invalid_query(f"ALTER TABLE cannot drop {action.name}, the only column of the table")
    return _with_fields(table, [*table.fields[:place], *table.fields[place + 1 :]])


def _column_action(
    change: Callable[[SchemaField, ResolvedNode], SchemaField],
) -> Callable[[Table, ResolvedNode], Table]:
    """Turn a function that changes one column's definition into one that changes a table's."""

    def change_table(table: Table, action: ResolvedNode) -> Table:
        place = _column_index(table, action.column, optional=action.is_if_exists)
        if place is None:
            return table
        fields = list(table.fields)
        fields[place] = change(fields[place], action)
        if fields[place].type != table.fields[place].type and fields[place].name in _partitioning(
            table
        ):
            raise invalid_query(
                f"ALTER TABLE cannot change the type of {fields[place].name}, by which the "
                "table is partitioned"
            )
        return _with_fields(table, fields)

    return change_table


def _drop_not_null(field: SchemaField, _action: ResolvedNode) -> SchemaField:
    """Return a column's definition after DROP NOT NULL."""
    if field.mode != "REQUIRED":
        raise invalid_query(
            "ALTER TABLE ALTER COLUMN DROP NOT NULL needs a column with NOT NULL, which "
            f"{field.name} is not"
        )
    return msgspec.structs.replace(field, mode="NULLABLE")


def _set_column_options(field: SchemaField, action: ResolvedNode) -> SchemaField:
    """Return a column's definition after ALTER COLUMN ... SET OPTIONS."""
    about = {**field.about, **ddl_options.column(action.option_list)}
    return msgspec.structs.replace(
        field, about={key: value for key, value in about.items() if value is not None}
    )


def _set_data_type(old: SchemaField, action: ResolvedNode) -> SchemaField:
    """Return a column's definition after SET DATA TYPE, which may only widen the type."""
    new = column_definitions.column_of(action)
    same = (new.type, new.repeated, new.fields) == (old.type, old.repeated, old.fields)
    wider = not old.repeated and not new.repeated and new.type in _WIDER.get(old.type, ())
    if new.about or not (same or wider):
        raise not_run(
            f"ALTER TABLE: SET DATA TYPE of {old.name} from {old.type} to {new.type} with "
            "these parameters or fields"
        )
    about = {key: value for key, value in old.about.items() if key not in _PARAMETERS}
    return msgspec.structs.replace(old, type=new.type, about=about)


def _set_default(field: SchemaField, action: ResolvedNode) -> SchemaField:
    """Return a column's definition after SET DEFAULT or DROP DEFAULT."""
    about = {key: value for key, value in field.about.items() if key != "defaultValueExpression"}
    if action.kind == "alter_column_set_default_action":
        about["defaultValueExpression"] = action.default_value.sql
    return msgspec.structs.replace(field, about=about)


_ACTIONS: Mapping[str, Callable[[Table, ResolvedNode], Table]] = {
    "set_options_action": _set_options,
    "add_column_action": _add_column,
    "rename_column_action": _rename_column,
    "drop_column_action": _drop_column,
    "alter_column_drop_not_null_action": _column_action(_drop_not_null),
    "alter_column_options_action": _column_action(_set_column_options),
    "alter_column_set_data_type_action": _column_action(_set_data_type),
    "alter_column_set_default_action": _column_action(_set_default),
    "alter_column_drop_default_action": _column_action(_set_default),
}
