"""Read OPTIONS(...) of DDL as the REST API's resources have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...data.encode import microseconds
from ...data.googlesql_values import field_of, python_value
from ...errors import invalid_query, not_run
from ..analysis.resolved_tree import ResolvedNode

_TABLE = {
    "description": "description",
    "friendly_name": "friendlyName",
    "require_partition_filter": "requirePartitionFilter",
    "default_rounding_mode": "defaultRoundingMode",
}
_DAY = 86_400_000  # ms


def values(nodes: Sequence[ResolvedNode]) -> dict[str, Any]:
    """Return the Python values of a DDL statement's OPTIONS, by option name."""
    return {node.name.lower(): _constant(node.value) for node in nodes}


def _constant(node: ResolvedNode) -> Any:
    """Return the Python value of an option in OPTIONS, which must be a constant."""
    if node.kind == "literal":
        return python_value(node.value.value, field_of(node.value.type))
    if node.kind == "function_call" and node.function.name == "ZetaSQL:$make_array":
        return [_constant(argument) for argument in node.argument_list]
    if node.kind == "make_struct":
        return tuple(_constant(value) for value in node.field_list)
    raise not_run("an option that is not a constant")


def table(nodes: Sequence[ResolvedNode]) -> dict[str, Any]:
    """Return a table's OPTIONS as members of a REST Table resource; None removes one."""
    written: dict[str, Any] = {}
    for name, value in values(nodes).items():
        if name in _TABLE:
            written[_TABLE[name]] = value
        elif name == "labels":
            written["labels"] = _labels(value) or None
        elif name == "expiration_timestamp":
            written["expirationTime"] = (
                str(microseconds(value) // 1000) if value is not None else None
            )
        elif name == "partition_expiration_days":
            written["timePartitioning"] = {
                "expirationMs": str(int(value * _DAY)) if value is not None else None
            }
        else:
            raise invalid_query(f"Unknown option: {name}")
    return written


def column(nodes: Sequence[ResolvedNode]) -> dict[str, Any]:
    """Return a column's OPTIONS as members of its REST schema; None removes one."""
    about = values(nodes)
    if others := sorted(set(about) - {"description"}):
        raise not_run(f"the option {others[0]} of a column")
    return about


def with_changes(layout: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's REST members after changes from OPTIONS.

    partition_expiration_days is a part of timePartitioning, which is merged.
    """
    both = {key: value for key, value in {**layout, **changes}.items() if value is not None}
    if "timePartitioning" not in changes:
        return both
    if not layout.get("timePartitioning"):
        raise invalid_query(
            "partition_expiration_days can only be set for a table that is partitioned by time"
        )
    partitioning = {**layout["timePartitioning"], **changes["timePartitioning"]}
    return {
        **both,
        "timePartitioning": {
            key: value for key, value in partitioning.items() if value is not None
        },
    }


def _labels(value: Any) -> dict[str, str]:
    """Return the labels, by key, from the array of pairs that OPTIONS has."""
    pairs = (tuple(pair.values()) if isinstance(pair, dict) else pair for pair in value or ())
    return {str(key): str(text) for key, text in pairs}


def dataset(nodes: Sequence[ResolvedNode]) -> dict[str, Any]:
    """Return the OPTIONS of a CREATE SCHEMA as members of a REST Dataset resource."""
    written: dict[str, Any] = {}
    for name, value in values(nodes).items():
        if name in ("description", "location"):
            written[name] = value
        elif name == "friendly_name":
            written["friendlyName"] = value
        elif name == "labels":
            written["labels"] = _labels(value)
        elif name == "default_table_expiration_days":
            written["defaultTableExpirationMs"] = str(int(value * _DAY))
        else:
            raise invalid_query(f"Unknown option: {name}")
    return written
