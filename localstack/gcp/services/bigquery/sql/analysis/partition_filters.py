"""Check what partitioned tables ask of a query.

The rows of partitions are not kept apart.
"""

from __future__ import annotations

from ...errors import invalid_query
from .analyzer import AnalyzedStatement
from .resolved_tree import ResolvedNode


def check_filters(meaning: AnalyzedStatement) -> None:
    """Raise `invalidQuery` if a query has no filter on the partitioning column of a table.

    Only tables with require_partition_filter demand one.
    """
    scans = (
        [node for node in meaning.statement.walk() if node.kind == "table_scan"]
        if meaning.sources
        else []
    )
    for scan in scans:
        source = meaning.sources[scan.table.serialization_id]
        layout = source.table.written if source.table is not None else {}
        partitioning = layout.get("timePartitioning") or {}
        if not (layout.get("requirePartitionFilter") or partitioning.get("requirePartitionFilter")):
            continue
        name = partitioning.get("field", "")
        numbers = {
            column.column_id for column in scan.column_list if column.name.lower() == name.lower()
        }
        if not numbers & _filtered_columns(meaning.statement):
            words = (
                f"without a filter over column(s) '{name}' that can be used for partition "
                "elimination"
            )
            raise invalid_query(
                "Cannot query over table "
                f"'{source.ref.project}.{source.ref.dataset}.{source.ref.table}' {words}"
            )


def _filtered_columns(statement: ResolvedNode) -> set[int]:
    """Return the ids of the columns that a statement's conditions use."""
    names = ("filter_expr", "where_expr", "merge_expr", "join_expr")
    conditions = [
        part for node in statement.walk() for name in names if (part := node.part(name)) is not None
    ]
    return {
        node.column.column_id
        for condition in conditions
        for node in condition.walk()
        if node.kind == "column_ref"
    }
