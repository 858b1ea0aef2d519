"""Columns as DDL defines them."""

from __future__ import annotations

import msgspec

from ...data.googlesql_values import field_of
from ...data.types import SchemaField
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import ddl_options


def column(definition: ResolvedNode) -> SchemaField:
    """Return the column that a column definition in CREATE TABLE describes."""
    field = field_of(definition.type, definition.name)
    return _annotated(field, definition.annotations)


def _annotated(field: SchemaField, annotations: ResolvedNode | None) -> SchemaField:
    """Return a column with NOT NULL, OPTIONS and type parameters from its definition."""
    if annotations is None:
        return field
    about = ddl_options.column(annotations.option_list)
    about |= _parameters(annotations, field)
    mode = "REQUIRED" if annotations.not_null and not field.repeated else field.mode
    children = annotations.child_list
    if field.repeated and children and field.fields:
        children = children[0].child_list
    inner = tuple(
        _annotated(child, children[i] if i < len(children) else None)
        for i, child in enumerate(field.fields)
    )
    return msgspec.structs.replace(field, mode=mode, about=about, fields=inner)


def _parameters(annotations: ResolvedNode, field: SchemaField) -> dict[str, str]:
    """Return a type's parameters, such as those of NUMERIC(9, 2), as REST schema members."""
    if "type_parameters" not in annotations:
        return {}
    parameters = annotations.type_parameters
    if parameters.HasField("string_type_parameters"):
        return {"maxLength": str(parameters.string_type_parameters.max_length)}
    if parameters.HasField("numeric_type_parameters"):
        numeric = parameters.numeric_type_parameters
        return {
            "precision": str(numeric.precision),
            **({"scale": str(numeric.scale)} if numeric.scale else {}),
        }
    raise not_run(f"type parameters of the column {field.name}")


def column_of(action: ResolvedNode) -> SchemaField:
    """Return the column that ALTER COLUMN ... SET DATA TYPE describes."""
    return _annotated(
        field_of(action.updated_type, action.column), action.part("updated_annotations")
    )
