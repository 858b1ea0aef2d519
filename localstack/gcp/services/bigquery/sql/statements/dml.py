"""Run INSERT, UPDATE, DELETE, MERGE and TRUNCATE.

Each is one transaction, by the rows' numbers in DuckDB.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...data import arrow
from ...data.types import SchemaField, quoted
from ...errors import invalid_query, not_run
from ...state.catalog import Table
from ...state.instance import BigQueryState
from ...state.job_work import RunningJob
from ...state.jobs import Outcome
from ...tables import tables
from ..analysis.analyzer import AnalyzedStatement
from ..analysis.resolved_tree import ResolvedNode
from ..analysis.sources import TableSource
from ..execution import default_values, translation
from ..language import literals
from ..language.translator import SqlTranslator
from .record_members import Change, new_value

KINDS = ("insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "truncate_stmt")
_INSERT, _UPDATE, _DELETE = 0, 1, 2  # ActionType
_MATCHED, _BY_SOURCE, _BY_TARGET = 0, 1, 2  # MatchType
_TWICE = "UPDATE/MERGE must match at most one source row for each target row"


class _DmlStatement:
    """A statement over its target table, in a transaction."""

    def __init__(self, instance: BigQueryState, meaning: AnalyzedStatement, cursor: Any) -> None:
        self.statement = meaning.statement
        self.t: SqlTranslator = translation.translator(instance, meaning)
        self.cursor = cursor
        self.table = target_of(meaning)
        self.name = tables.relation(self.table.ref)
        self.defaults = default_values.values(instance, self.table)
        scan = self.statement.table_scan
        self.columns = {
            c.column_id: self.table.fields[index]
            for c, index in zip(scan.column_list, scan.column_index_list, strict=True)
        }

    def target(self) -> str:
        """Return a SELECT of the target table's rows, with their row ids, as DuckDB SQL."""
        columns = "".join(
            f", {quoted(field.name)} AS c{number}" for number, field in self.columns.items()
        )
        return f"SELECT rowid AS row_{columns} FROM {self.name}"

    def number(self, sql: str) -> int:
        """Run SQL in DuckDB that gives one number, such as that of changed rows; return it."""
        return int(self.cursor.execute(sql).fetchall()[0][0])


def target_of(meaning: AnalyzedStatement) -> Table:
    """Return the table that a DML statement changes."""
    source: TableSource = meaning.sources[meaning.statement.table_scan.table.serialization_id]
    table = source.table
    if table is None or table.kind != "TABLE" or source.parts:
        raise invalid_query("DML statements need a table")
    return table


def run(instance: BigQueryState, meaning: AnalyzedStatement, running: RunningJob) -> Outcome:
    """Run a DML statement in a transaction; return an outcome with the numbers of changed rows."""
    table = target_of(meaning)
    if any(
        part in meaning.statement
        for part in (
            "returning",
            "assert_rows_modified",
            "on_conflict_clause",
            "array_offset_column",
        )
    ):
        raise not_run("DML with THEN RETURN, ASSERT_ROWS_MODIFIED or ON CONFLICT")
    with instance.warehouse.transaction(tables.relation(table.ref)) as cursor:
        running.watch(cursor)
        with translation.bigquery_errors(running):
            affected = _RUN[meaning.statement.kind](_DmlStatement(instance, meaning, cursor))
        running.check()
    tables.note_write(instance, table.ref)
    return Outcome(affected=affected)


def _insert(work: _DmlStatement) -> Mapping[str, int]:
    """Run INSERT; return the number of rows, as "inserted"."""
    node = work.statement
    if node.insert_mode != 0:
        raise not_run("INSERT OR IGNORE")
    fields = [work.columns[c.column_id] for c in node.insert_column_list]
    names = ", ".join(quoted(field.name) for field in fields)
    if "query" in node:
        pairs = zip(fields, node.query_output_column_list, strict=True)
        columns = ", ".join(f"c{c.column_id} AS {quoted(field.name)}" for field, c in pairs)
        rows = f"SELECT {columns} FROM ({work.t.scan(node.query)}) AS new_"
    else:
        rows = (
            f"SELECT * FROM (VALUES {', '.join(_values(work, row) for row in node.row_list)}) AS "
            f"new_({names})"
        )
    return {"inserted": insert(work, fields, rows)}


def insert(work: _DmlStatement, fields: Sequence[SchemaField], rows: str) -> int:
    """Insert the rows of the SELECT `rows` into `fields`; return how many rows were inserted.

    Other columns get their defaults.
    """
    named = {field.name for field in fields}
    absent = {name: value for name, value in work.defaults.items() if name not in named}
    added = [field for field in work.table.fields if field.name in absent]
    constants = "".join(
        f", {literals.constant(absent[field.name], field)} AS {quoted(field.name)}"
        for field in added
    )
    rows = f"SELECT *{constants} FROM ({rows}) AS rows_" if added else rows
    fields = [*fields, *added]
    names = ", ".join(quoted(field.name) for field in fields)
    sql = (
        f"INSERT INTO {work.name} ({names}) SELECT {arrow.selection(fields)} FROM ({rows}) AS rows_"
    )
    return work.number(sql)


def _values(work: _DmlStatement, row: ResolvedNode) -> str:
    """Return one row of an INSERT's VALUES as DuckDB SQL."""
    values = []
    for value in row.value_list:
        if value.value.kind == "dmldefault":
            raise not_run("DEFAULT in INSERT")
        values.append(work.t.expression(value.value))
    return f"({', '.join(values)})"


def _truncate(work: _DmlStatement) -> Mapping[str, int]:
    """Run TRUNCATE TABLE; return the number of rows, as "deleted"."""
    return {"deleted": work.number(f"DELETE FROM {work.name}")}


def _delete(work: _DmlStatement) -> Mapping[str, int]:
    """Run DELETE; return the number of rows, as "deleted"."""
    where = work.t.expression(work.statement.where_expr)
    rows = f"SELECT row_ FROM ({work.target()}) AS target_ WHERE {where}"
    return {"deleted": work.number(f"DELETE FROM {work.name} WHERE rowid IN ({rows})")}


def _update(work: _DmlStatement) -> Mapping[str, int]:
    """Run UPDATE; return the number of rows, as "updated"."""
    node = work.statement
    source = f", ({work.t.scan(node.from_scan)}) AS source_" if "from_scan" in node else ""
    where = work.t.expression(node.where_expr)
    return {
        "updated": _set_items(
            work, node.update_item_list, f"({work.target()}) AS target_{source} WHERE {where}"
        )
    }


def _set_items(work: _DmlStatement, items: Sequence[ResolvedNode], rows: str) -> int:
    """Run an UPDATE's SET items on the chosen rows; return how many rows were changed.

    `rows` is what follows FROM in the SELECT of these rows.
    """
    values = _new_values(work, items)
    columns = ", ".join(f"{sql} AS {quoted(field.name)}" for field, sql in values)
    work.cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE changes_ AS SELECT row_, {columns} FROM {rows}"
    )
    if work.number("SELECT count(*) - count(DISTINCT row_) FROM changes_"):
        raise invalid_query(_TWICE)
    sets = ", ".join(
        f"{quoted(field.name)} = {arrow.expression(f'changes_.{quoted(field.name)}', field)}"
        for field, _ in values
    )
    return work.number(
        f"UPDATE {work.name} SET {sets} FROM changes_ WHERE {work.name}.rowid = changes_.row_"
    )


def _new_values(
    work: _DmlStatement, items: Sequence[ResolvedNode]
) -> list[tuple[SchemaField, str]]:
    """Return the columns that a SET clause changes, each with DuckDB SQL of its new value.

    Changes to several members of one record are combined.
    """
    changes: dict[int, list[Change]] = {}
    for item in items:
        if any(
            part in item
            for part in (
                "element_column",
                "delete_list",
                "update_list",
                "insert_list",
                "update_item_element_list",
            )
        ):
            raise not_run("UPDATE within an array")
        path: list[int] = []
        target = item.target
        while target.kind == "get_struct_field":
            path.insert(0, target.field_idx)
            target = target.expr
        if item.set_value.value.kind == "dmldefault":
            raise not_run("DEFAULT in UPDATE")
        changes.setdefault(target.column.column_id, []).append(
            (tuple(path), work.t.expression(item.set_value.value))
        )
    return [
        (work.columns[number], new_value(f"c{number}", work.columns[number], parts))
        for number, parts in changes.items()
    ]


def _merge(work: _DmlStatement) -> Mapping[str, int]:
    """Run MERGE; return how many rows were inserted, updated and deleted."""
    node, cursor = work.statement, work.cursor
    source = ", ".join(f"c{c.column_id}" for c in node.from_scan.column_list)
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE source_ AS SELECT row_number() OVER () AS "
        f"source_row_{', ' if source else ''}{source} "
        f"FROM ({work.t.scan(node.from_scan)}) AS s_"
    )
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE target_ AS {work.target()}")
    pairs = (
        "SELECT target_.*, source_.* FROM target_, source_ WHERE "
        f"{work.t.expression(node.merge_expr)}"
    )
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE matched_ AS {pairs}")
    pools = {
        _MATCHED: "matched_",
        _BY_SOURCE: "(SELECT * FROM target_ WHERE row_ NOT IN (SELECT row_ FROM matched_))",
        _BY_TARGET: "(SELECT * FROM source_ WHERE source_row_ NOT IN "
        "(SELECT source_row_ FROM matched_))",
    }
    for kind, pool in pools.items():
        conditions = [
            "WHEN "
            f"{work.t.expression(clause.match_expr) if 'match_expr' in clause else 'TRUE'} "
            f"THEN {index}"
            for index, clause in enumerate(node.when_clause_list)
            if clause.match_type == kind
        ]
        chosen = f"CASE {' '.join(conditions)} END" if conditions else "NULL"
        cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE pool_{kind}_ AS SELECT *, {chosen} AS clause_ "
            f"FROM {pool} AS p_"
        )
    if work.number(
        f"SELECT count(*) - count(DISTINCT row_) FROM pool_{_MATCHED}_ WHERE clause_ IS NOT NULL"
    ):
        raise invalid_query(_TWICE)
    affected = {"inserted": 0, "updated": 0, "deleted": 0}
    for index, clause in enumerate(node.when_clause_list):
        name, count = _merge_action(
            work, clause, f"pool_{clause.match_type}_ WHERE clause_ = {index}"
        )
        affected[name] += count
    return affected


def _merge_action(work: _DmlStatement, clause: ResolvedNode, rows: str) -> tuple[str, int]:
    """Run one WHEN clause of MERGE; return the kind of change and the number of changed rows.

    `rows` is what follows FROM in the SELECT of the rows to which it applies.
    """
    if clause.action_type == _UPDATE:
        return "updated", _set_items(work, clause.update_item_list, rows)
    if clause.action_type == _DELETE:
        return "deleted", work.number(
            f"DELETE FROM {work.name} WHERE rowid IN (SELECT row_ FROM {rows})"
        )
    fields = [work.columns[c.column_id] for c in clause.insert_column_list]
    values = zip(fields, clause.insert_row.value_list, strict=True)
    columns = ", ".join(
        f"{work.t.expression(value.value)} AS {quoted(field.name)}" for field, value in values
    )
    return "inserted", insert(work, fields, f"SELECT {columns} FROM {rows}")


_RUN = {
    "insert_stmt": _insert,
    "update_stmt": _update,
    "delete_stmt": _delete,
    "merge_stmt": _merge,
    "truncate_stmt": _truncate,
}
