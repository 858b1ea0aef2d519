"""Convert GoogleSQL's types and values between its messages and ours.

Ours are Field, and Python's values as decode.py reads them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ..errors import not_run
from .bignumeric import SCALE, key, number
from .encode import microseconds
from .types import STANDARD, SchemaField, range_field

# TypeKind -> the name that the REST API answers with.
_KINDS = {
    2: "INTEGER", 5: "BOOLEAN", 7: "FLOAT", 8: "STRING", 9: "BYTES", 10: "DATE", 19: "TIMESTAMP",
    20: "TIME", 21: "DATETIME", 23: "NUMERIC", 24: "BIGNUMERIC", 26: "JSON", 27: "INTERVAL",
    22: "GEOGRAPHY",
}  # fmt: skip
_ARRAY, _STRUCT, _RANGE = 16, 17, 29
_OTHER = {28: "TOKENLIST", 31: "UUID", 4: "UINT64", 1: "INT32", 3: "UINT32", 6: "FLOAT32"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANO = 1000


def field_of(kind: Any, name: str = "") -> SchemaField:
    """Return the column (name, type, mode) that a TypeProto of GoogleSQL describes.

    Raises:
        BigQueryError: `notImplemented`, for a type that this stack does not hold.
    """
    if kind.type_kind == _ARRAY:
        element = field_of(kind.array_type.element_type, name)
        return SchemaField(name=name, type=element.type, mode="REPEATED", fields=element.fields)
    if kind.type_kind == _STRUCT:
        members = [
            field_of(f.field_type, f.field_name or f"_field_{i + 1}")
            for i, f in enumerate(kind.struct_type.field)
        ]
        return SchemaField(name=name, type="RECORD", fields=tuple(members))
    if kind.type_kind == _RANGE:
        return range_field(name, field_of(kind.range_type.element_type).type)
    if kind.type_kind not in _KINDS:
        raise not_run(f"type {_OTHER.get(kind.type_kind, kind.type_kind)}")
    return SchemaField(name=name, type=_KINDS[kind.type_kind])


def type_text(field: SchemaField) -> str:
    """Return the GoogleSQL type of a column as text, such as ARRAY<INT64>."""
    name = STANDARD.get(field.type, field.type)
    if field.type == "RECORD":
        name = (
            f"STRUCT<{', '.join(f'`{child.name}` {type_text(child)}' for child in field.fields)}>"
        )
    if field.type == "RANGE":
        name = f"RANGE<{field.fields[0].type}>"
    return f"ARRAY<{name}>" if field.repeated else name


def element_of(field: SchemaField) -> SchemaField:
    """Return a repeated column's element as a column that does not repeat."""
    return SchemaField(name=field.name, type=field.type, fields=field.fields)


def python_value(message: Any, field: SchemaField) -> Any:
    """Return the Python value of a ValueProto; None is NULL."""
    which = message.WhichOneof("value")
    if which is None:
        return None
    if field.repeated:
        return [python_value(element, element_of(field)) for element in message.array_value.element]
    if field.type == "RECORD":
        members = zip(field.fields, message.struct_value.field, strict=True)
        return {child.name: python_value(value, child) for child, value in members}
    if field.type == "RANGE":
        return {
            "start": python_value(message.range_value.start, field.fields[0]),
            "end": python_value(message.range_value.end, field.fields[1]),
        }
    return _READ[field.type](message)


def proto_value(value: Any, field: SchemaField) -> Any:
    """Return a Python value as a ValueProto of a column's type."""
    from zetasql.wasi._pb2.zetasql.public.value_pb2 import ValueProto

    message = ValueProto()
    if field.repeated:
        message.array_value.SetInParent()
        message.array_value.element.extend(
            proto_value(element, element_of(field)) for element in value or ()
        )
    elif value is None:
        pass
    elif field.type == "RECORD":
        message.struct_value.SetInParent()
        message.struct_value.field.extend(
            proto_value(value[child.name], child) for child in field.fields
        )
    elif field.type == "RANGE":
        message.range_value.start.CopyFrom(proto_value(value["start"], field.fields[0]))
        message.range_value.end.CopyFrom(proto_value(value["end"], field.fields[1]))
    elif field.type not in _WRITE:
        raise not_run(f"a value of type {field.type} in this query")
    else:
        _WRITE[field.type](message, value)
    return message


def _timestamp(message: Any) -> datetime:
    """Return a ValueProto's TIMESTAMP as a datetime."""
    stamp = message.timestamp_value
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // _NANO)


def _write_timestamp(message: Any, value: datetime) -> None:
    """Write a datetime into a ValueProto as its TIMESTAMP."""
    stamp = message.timestamp_value
    stamp.seconds, rest = divmod(microseconds(value), 1_000_000)
    stamp.nanos = rest * _NANO


def _time_of_bits(bits: int, micro: int) -> time:
    """Return the time of day in GoogleSQL's packed `bits` (hours to seconds) and microseconds."""
    return time(bits >> 12 & 0x1F, bits >> 6 & 0x3F, bits & 0x3F, micro)


def _time(message: Any) -> time:
    """Read a TIME: hour, minute, second and nanosecond in 5, 6, 6 and 30 bits.

    Source: zetasql/public/civil_time.h.
    """
    bits = message.time_value
    return _time_of_bits(bits >> 30, (bits & (1 << 30) - 1) // _NANO)


def _write_time(message: Any, value: time) -> None:
    """Write a time into a ValueProto as its TIME."""
    message.time_value = _bits_of_time(value) << 30 | value.microsecond * _NANO


def _bits_of_time(value: time | datetime) -> int:
    """Return hour, minute and second as GoogleSQL packs them into bits."""
    return value.hour << 12 | value.minute << 6 | value.second


def _datetime(message: Any) -> datetime:
    """Return a ValueProto's DATETIME as a datetime."""
    bits = message.datetime_value.bit_field_datetime_seconds
    day = date(bits >> 26, bits >> 22 & 0xF, bits >> 17 & 0x1F)
    return datetime.combine(day, _time_of_bits(bits, message.datetime_value.nanos // _NANO))


def _write_datetime(message: Any, value: datetime) -> None:
    """Write a datetime into a ValueProto as its DATETIME."""
    day = value.year << 26 | value.month << 22 | value.day << 17
    message.datetime_value.bit_field_datetime_seconds = day | _bits_of_time(value)
    message.datetime_value.nanos = value.microsecond * _NANO


def _decimal_of_bytes(data: bytes, scale: int) -> Decimal:
    """Return the Decimal in a ValueProto's little-endian bytes, which has `scale` decimals."""
    from decimal import localcontext

    with localcontext() as context:
        context.prec = 120
        return Decimal(int.from_bytes(data, "little", signed=True)).scaleb(-scale)


def _bytes_of_decimal(value: Decimal, scale: int) -> bytes:
    """Return a Decimal, of at most `scale` decimals, as a ValueProto's little-endian bytes."""
    from decimal import localcontext

    with localcontext() as context:
        context.prec = 120
        units = int(value.scaleb(scale))
    return units.to_bytes(units.bit_length() // 8 + 1, "little", signed=True)


def _interval(_message: Any) -> Any:
    """Raise the error for an INTERVAL literal, which is not supported."""
    raise not_run("a literal of type INTERVAL outside of date arithmetic")


def _geography(_message: Any) -> Any:
    """Raise the error for a GEOGRAPHY value, which is not supported."""
    raise not_run("GEOGRAPHY in a query")


_READ: dict[str, Any] = {
    "INTEGER": lambda m: m.int64_value,
    "BOOLEAN": lambda m: m.bool_value,
    "FLOAT": lambda m: m.double_value,
    "STRING": lambda m: m.string_value,
    "BYTES": lambda m: m.bytes_value,
    "DATE": lambda m: date(1970, 1, 1) + timedelta(days=m.date_value),
    "TIMESTAMP": _timestamp,
    "TIME": _time,
    "DATETIME": _datetime,
    "NUMERIC": lambda m: _decimal_of_bytes(m.numeric_value, 9),
    "BIGNUMERIC": lambda m: {"bignumeric": key(_decimal_of_bytes(m.bignumeric_value, SCALE))},
    "JSON": lambda m: m.json_value,
    "INTERVAL": _interval,
    "GEOGRAPHY": _geography,
}
_WRITE: dict[str, Any] = {
    "INTEGER": lambda m, v: setattr(m, "int64_value", v),
    "BOOLEAN": lambda m, v: setattr(m, "bool_value", v),
    "FLOAT": lambda m, v: setattr(m, "double_value", v),
    "STRING": lambda m, v: setattr(m, "string_value", v),
    "BYTES": lambda m, v: setattr(m, "bytes_value", v),
    "DATE": lambda m, v: setattr(m, "date_value", (v - date(1970, 1, 1)).days),
    "TIMESTAMP": _write_timestamp,
    "TIME": _write_time,
    "DATETIME": _write_datetime,
    "NUMERIC": lambda m, v: setattr(m, "numeric_value", _bytes_of_decimal(v, 9)),
    "BIGNUMERIC": lambda m, v: setattr(
        m, "bignumeric_value", _bytes_of_decimal(number(v["bignumeric"]), SCALE)
    ),
    "JSON": lambda m, v: setattr(m, "json_value", v),
}
