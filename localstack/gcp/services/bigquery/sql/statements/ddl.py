"""Run CREATE, ALTER and DROP of tables, views, functions and datasets."""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import BigQueryError, invalid_query, not_run
from ...state.catalog import TableRef
from ...state.instance import BigQueryState
from ...state.job_work import RunningJob
from ...state.jobs import Outcome
from ...tables import datasets, row_writes, tables
from ..analysis import routines, sources
from ..analysis.analyzer import AnalyzedStatement
from ..analysis.resolved_tree import ResolvedNode
from ..execution import reference_evaluation
from ..language.dates import part_of
from . import alter_table, column_definitions, ddl_options

_REPLACE, _IF_NOT_EXISTS = 1, 2  # CreateMode
_CASCADE = 2  # DropMode
_TEMPORARY = 3  # CreateScope


def run(instance: BigQueryState, meaning: AnalyzedStatement, running: RunningJob) -> Outcome:
    """Run a DDL statement, and return its outcome; `running` lets a cancelled job stop it."""
    return _RUN[meaning.statement.kind](instance, meaning, running)


def _table_ref(instance: BigQueryState, meaning: AnalyzedStatement) -> TableRef:
    """Return the table that a DDL statement creates, changes or drops."""
    node, question = meaning.statement, meaning.question
    if "create_scope" in node and node.create_scope == _TEMPORARY:
        if question.temporary is None or len(node.name_path) != 1:
            raise invalid_query("Use of CREATE TEMPORARY TABLE requires a script or session")
        return TableRef(question.project, question.temporary, node.name_path[0])
    if question.temporary is not None and len(node.name_path) == 1:
        temporary = TableRef(question.project, question.temporary, node.name_path[0])
        if instance.catalog.find(temporary) is not None:
            return temporary
    return sources.table_of(instance, node.name_path, question.project, question.dataset)


def _outcome(operation: str, ref: TableRef | None = None, **more: Any) -> Outcome:
    """Return a DDL statement's outcome, with its operation, its table and `more` fields."""
    target = {"ddlTargetTable": ref.rest()} if ref is not None else {}
    return Outcome(statistics={"ddlOperationPerformed": operation, **target}, **more)


def _create_operation(instance: BigQueryState, node: ResolvedNode, ref: TableRef) -> str:
    """Return the operation that a CREATE TABLE or VIEW performs: CREATE, REPLACE or SKIP.

    Raises BigQueryError `duplicate` if the table exists, without OR REPLACE or IF NOT EXISTS.
    """
    instance.catalog.dataset(ref.project, ref.dataset)
    if instance.catalog.find(ref) is None:
        return "CREATE"
    if node.create_mode == _REPLACE:
        return "REPLACE"
    if node.create_mode == _IF_NOT_EXISTS:
        return "SKIP"
    raise BigQueryError("duplicate", f"Already Exists: Table {ref}")


def _create_table(
    instance: BigQueryState, meaning: AnalyzedStatement, running: RunningJob
) -> Outcome:
    """Run CREATE TABLE, also AS a query; return the statement's outcome."""
    node, ref = meaning.statement, _table_ref(instance, meaning)
    if any(
        part in node
        for part in (
            "like_table",
            "clone_from",
            "copy_from",
            "primary_key",
            "foreign_key_list",
            "connection",
        )
    ):
        raise not_run("CREATE TABLE with LIKE, CLONE, COPY or keys")
    operation = _create_operation(instance, node, ref)
    if operation == "SKIP":
        return _outcome(operation, ref)
    written = ddl_options.with_changes(_layout(node), ddl_options.table(node.option_list))
    expires = written.pop("expirationTime", None)
    defined = tuple(
        column_definitions.column(definition) for definition in node.column_definition_list
    )
    new = tables.new_table(
        instance, ref, written, defined, expires
    )  # refused before anything is replaced
    if node.kind == "create_table_stmt":
        if operation == "REPLACE":
            tables.drop(instance, ref)
        tables.create(
            instance, ref, {**written, **({"expirationTime": expires} if expires else {})}, defined
        )
        return _outcome(operation, ref)
    fields = [field for _, field in meaning.columns]

    def write(fill: row_writes.Fill) -> int:
        target = row_writes.WriteTarget(ref=ref, write="WRITE_TRUNCATE", written=written)
        return row_writes.write(instance, target, defined, fill)

    if operation == "REPLACE" and instance.catalog.table(ref).kind != "TABLE":
        tables.drop(instance, ref)
    rows = reference_evaluation.select(instance, meaning, fields, running, write)
    instance.catalog.change_table(
        ref,
        lambda table: msgspec.structs.replace(
            table, written=written, created=new.created, expires=new.expires
        ),
    )
    return _outcome(operation, ref, rows=rows)


def _layout(node: ResolvedNode) -> dict[str, Any]:
    """Return the partitioning and clustering of a CREATE TABLE as REST members."""
    layout: dict[str, Any] = {}
    if node.partition_by_list:
        layout |= _partitioning(node.partition_by_list[0])
    if node.cluster_by_list:
        if any(column.kind != "column_ref" for column in node.cluster_by_list):
            raise invalid_query("Entries in the CLUSTER BY clause must be column names")
        layout["clustering"] = {"fields": [column.column.name for column in node.cluster_by_list]}
    return layout


def _range_partitioning(node: ResolvedNode) -> dict[str, Any]:
    """Return the REST member rangePartitioning for a PARTITION BY RANGE_BUCKET(...)."""
    name, bounds = node.argument_list
    if (
        name.kind != "column_ref"
        or bounds.kind != "function_call"
        or any(bound.kind != "literal" for bound in bounds.argument_list)
    ):
        raise not_run(
            "PARTITION BY RANGE_BUCKET of other than a column and GENERATE_ARRAY of three numbers"
        )
    numbers = [str(bound.value.value.int64_value) for bound in bounds.argument_list]
    if len(numbers) != 3:
        raise not_run(
            "PARTITION BY RANGE_BUCKET of other than a column and GENERATE_ARRAY of three numbers"
        )
    return {
        "rangePartitioning": {
            "field": name.column.name,
            "range": dict(zip(("start", "end", "interval"), numbers, strict=True)),
        }
    }


def _partitioning(node: ResolvedNode) -> dict[str, Any]:
    """Return the partitioning of a PARTITION BY as a REST member."""
    name, granularity = node, "DAY"
    if node.kind == "function_call":
        function = node.function.name.removeprefix("ZetaSQL:")
        if function == "range_bucket":
            return _range_partitioning(node)
        if function not in ("date", "date_trunc", "timestamp_trunc", "datetime_trunc"):
            raise not_run(f"PARTITION BY {function.upper()}")
        name = node.argument_list[0]
        granularity = part_of(node.argument_list[1]) if len(node.argument_list) > 1 else "DAY"
    if name.kind != "column_ref":
        raise not_run("PARTITION BY this expression")
    if name.column.name in ("_PARTITIONTIME", "_PARTITIONDATE"):
        return {"timePartitioning": {"type": granularity}}
    return {"timePartitioning": {"type": granularity, "field": name.column.name}}


def _create_view(
    instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob
) -> Outcome:
    """Run CREATE VIEW; return the statement's outcome."""
    node, ref = meaning.statement, _table_ref(instance, meaning)
    operation = _create_operation(instance, node, ref)
    if operation == "SKIP":
        return _outcome(operation, ref)
    if operation == "REPLACE":
        if instance.catalog.table(ref).kind != "VIEW":
            raise invalid_query(f"{ref} is not a view and cannot be replaced by one")
        tables.drop(instance, ref)
    names = [column.name for column in node.output_column_list]
    if node.has_explicit_columns:
        raise not_run(f"CREATE VIEW with a list of columns ({', '.join(names)})")
    tables.create(
        instance,
        ref,
        {**ddl_options.table(node.option_list), "view": {"query": node.sql, "useLegacySql": False}},
    )
    return _outcome(operation, ref)


def _drop(instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob) -> Outcome:
    """Run DROP TABLE, VIEW or SCHEMA; return the statement's outcome."""
    node = meaning.statement
    if node.object_type == "SCHEMA":
        return _drop_schema(instance, meaning)
    ref = _table_ref(instance, meaning)
    table = instance.catalog.find(ref)
    if node.object_type not in ("TABLE", "VIEW"):
        raise not_run(f"DROP {node.object_type}")
    if table is None:
        if node.is_if_exists:
            return _outcome("SKIP", ref)
        instance.catalog.table(ref)
    elif table.kind != node.object_type:
        raise invalid_query(f"{ref} is a {table.kind}: DROP {node.object_type} does not drop it")
    tables.drop(instance, ref)
    return _outcome("DROP", ref)


def _create_function(
    instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob
) -> Outcome:
    """Run CREATE FUNCTION; return the statement's outcome."""
    node, question = meaning.statement, meaning.question
    function = routines.function_of(question.sql, node)
    if node.create_scope == _TEMPORARY:
        raise invalid_query(
            "CREATE TEMPORARY FUNCTION statements must be followed by an actual query."
        )
    ref = sources.table_of(instance, node.name_path, question.project, question.dataset)
    return _routine_outcome(routines.store(instance, ref, function, node.create_mode), ref)


def _drop_function(
    instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob
) -> Outcome:
    """Run DROP FUNCTION; return the statement's outcome."""
    node, question = meaning.statement, meaning.question
    ref = sources.table_of(instance, node.name_path, question.project, question.dataset)
    return _routine_outcome(routines.drop(instance, ref, if_exists=node.is_if_exists), ref)


def _routine_outcome(operation: str, ref: TableRef) -> Outcome:
    """Return a DDL statement's outcome, which names the operation and the function."""
    target = {"projectId": ref.project, "datasetId": ref.dataset, "routineId": ref.table}
    return Outcome(statistics={"ddlOperationPerformed": operation, "ddlTargetRoutine": target})


def _dataset_name(instance: BigQueryState, meaning: AnalyzedStatement) -> tuple[str, str]:
    """Return the project and the name of the dataset that a CREATE or DROP SCHEMA names."""
    parts = [part for segment in meaning.statement.name_path for part in segment.split(".")]
    if len(parts) == 1:
        return meaning.question.project, parts[0]
    return instance.catalog.id_of(parts[0]), parts[1]


def _drop_schema(instance: BigQueryState, meaning: AnalyzedStatement) -> Outcome:
    """Run DROP SCHEMA (a dataset); return the statement's outcome."""
    project, name = _dataset_name(instance, meaning)
    if meaning.statement.is_if_exists and not any(
        dataset.id == name for dataset in instance.catalog.datasets(project)
    ):
        return _outcome("SKIP")
    datasets.remove(instance, project, name, contents=meaning.statement.drop_mode == _CASCADE)
    return _outcome("DROP")


def _create_schema(
    instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob
) -> Outcome:
    """Run CREATE SCHEMA (a dataset); return the statement's outcome."""
    node, (project, name) = meaning.statement, _dataset_name(instance, meaning)
    if node.create_mode == _IF_NOT_EXISTS and any(
        dataset.id == name for dataset in instance.catalog.datasets(project)
    ):
        return _outcome("SKIP")
    if node.create_mode == _REPLACE:
        raise not_run("CREATE OR REPLACE SCHEMA")
    datasets.create(instance, project, name, ddl_options.dataset(node.option_list))
    return _outcome("CREATE")


def _alter_table(
    instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob
) -> Outcome:
    """Run ALTER TABLE; return the statement's outcome."""
    node, ref = meaning.statement, _table_ref(instance, meaning)
    if instance.catalog.find(ref) is None and node.is_if_exists:
        return _outcome("SKIP", ref)
    alter_table.alter(instance, ref, node.alter_action_list)
    return _outcome("ALTER", ref)


def _set_options(
    instance: BigQueryState, meaning: AnalyzedStatement, _running: RunningJob
) -> Outcome:
    """Run ALTER TABLE SET OPTIONS; return the statement's outcome."""
    ref = _table_ref(instance, meaning)
    changes = ddl_options.table(meaning.statement.option_list)
    content = (
        {"expirationTime": changes.pop("expirationTime")} if "expirationTime" in changes else {}
    )
    tables.change(
        instance,
        ref,
        content,
        ddl_options.with_changes(instance.catalog.table(ref).written, changes),
        None,
    )
    return _outcome("ALTER", ref)


_RUN = {
    "create_table_stmt": _create_table,
    "create_table_as_select_stmt": _create_table,
    "create_view_stmt": _create_view,
    "drop_stmt": _drop,
    "create_function_stmt": _create_function,
    "drop_function_stmt": _drop_function,
    "create_schema_stmt": _create_schema,
    "alter_table_stmt": _alter_table,
    "alter_table_set_options_stmt": _set_options,
}
KINDS = tuple(_RUN)
