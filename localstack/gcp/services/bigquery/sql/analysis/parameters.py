"""Read the REST API's query parameters, and check labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...data import decode
from ...data.types import SchemaField, from_rest, range_field
from ...errors import invalid

_LABEL = re.compile(r"[\w-]{0,63}")
_MOST_LABELS = 64
_SECONDS = re.compile(r"[+-]?[\d.]+([eE][+-]?\d+)?")


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A query parameter, or a variable of a script."""

    name: str  # "" where it goes by its place
    field: SchemaField
    value: Any


def read(mode: str | None, resources: Sequence[Mapping[str, Any]]) -> tuple[Parameter, ...]:
    """Convert the queryParameters of a request, NAMED or POSITIONAL by `mode`, to typed ones.

    Raises BigQueryError `invalid` with the parameter's name.
    """
    parameters = tuple(_read(resource, index) for index, resource in enumerate(resources))
    if (mode or "").upper() == "NAMED" and any(not parameter.name for parameter in parameters):
        raise invalid("Named query parameters must have a name", "queryParameters")
    return parameters


def _read(resource: Mapping[str, Any], index: int) -> Parameter:
    """Convert the QueryParameter at `index` in a request to a typed parameter with its value."""
    name = resource.get("name") or ""
    field = _field(resource.get("parameterType") or {}, name or "value")
    place = name or f"at position {index + 1}"
    try:
        value = _value(resource.get("parameterValue") or {}, field)
    except decode.WrongValue as error:
        raise invalid(
            f"Invalid value of query parameter {place}: {error.words}", "queryParameters"
        ) from error
    return Parameter(name=name.lower(), field=field, value=value)


def _field(kind: Mapping[str, Any], name: str) -> SchemaField:
    """Return the column that a QueryParameterType describes."""
    text = str(kind.get("type", "")).upper()
    if text == "ARRAY":
        element = _field(kind.get("arrayType") or {}, name)
        if element.repeated:
            raise invalid("An array of arrays is not a type of BigQuery", "queryParameters")
        return SchemaField(name=name, type=element.type, mode="REPEATED", fields=element.fields)
    if text == "RANGE":
        return range_field(name, str((kind.get("rangeElementType") or {}).get("type", "")).upper())
    if text in ("STRUCT", "RECORD"):
        members = [
            _field(member.get("type") or {}, member.get("name") or f"_field_{i + 1}")
            for i, member in enumerate(kind.get("structTypes") or ())
        ]
        return SchemaField(name=name, type="RECORD", fields=tuple(members))
    return from_rest({"name": name, "type": text})


def _value(content: Mapping[str, Any], field: SchemaField) -> Any:
    """Convert a QueryParameterValue (JSON) to a Python value of the parameter's type."""
    if field.repeated:
        element = SchemaField(name=field.name, type=field.type, fields=field.fields)
        return [_value(member, element) for member in content.get("arrayValues") or ()]
    if field.type == "RECORD":
        members = content.get("structValues")
        if members is None:
            return None
        return {child.name: _value(members.get(child.name) or {}, child) for child in field.fields}
    if field.type == "RANGE":
        ends = content.get("rangeValue") or {}
        return {child.name: _value(ends.get(child.name) or {}, child) for child in field.fields}
    value = content.get("value")
    if field.type == "TIMESTAMP" and _SECONDS.fullmatch(str(value)):
        raise decode.WrongValue(field.name, f"Invalid TIMESTAMP value: {value}")
    return None if value is None else decode.column(value, field)


def check_labels(labels: Any) -> None:
    """Raise `invalid` if labels are not as BigQuery allows.

    Source: [docs: bigquery/docs/labels-intro].
    """
    if labels is None:
        return
    if not isinstance(labels, dict) or len(labels) > _MOST_LABELS:
        raise invalid(f"At most {_MOST_LABELS} labels are allowed", "labels")
    for key, value in labels.items():
        if not key or not _LABEL.fullmatch(key) or key[0].isdigit() or key != key.lower():
            raise invalid(
                f"Label key {key!r} must be lowercase letters, digits, underscores and "
                "dashes, at most 63",
                "labels",
            )
        if value is not None and (
            not isinstance(value, str) or not _LABEL.fullmatch(value) or value != value.lower()
        ):
            raise invalid(
                f"Label value {value!r} must be lowercase letters, digits, underscores and "
                "dashes, at most 63",
                "labels",
            )
