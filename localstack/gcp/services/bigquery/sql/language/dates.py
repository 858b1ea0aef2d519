"""Write functions of dates and times."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import literals
from .casts import utc
from .translator import SqlTranslator
from .type_kinds import DATE, DATETIME, INT64, TIME, TIMESTAMP, type_kind

# DateTimestampPart
PARTS = {
    1: "YEAR", 2: "MONTH", 3: "DAY", 4: "DAYOFWEEK", 5: "DAYOFYEAR", 6: "QUARTER", 7: "HOUR",
    8: "MINUTE", 9: "SECOND", 10: "MILLISECOND", 11: "MICROSECOND", 12: "NANOSECOND", 13: "DATE",
    14: "WEEK", 15: "DATETIME", 16: "TIME", 17: "ISOYEAR", 18: "ISOWEEK", 19: "WEEK_MONDAY",
    20: "WEEK_TUESDAY", 21: "WEEK_WEDNESDAY", 22: "WEEK_THURSDAY", 23: "WEEK_FRIDAY",
    24: "WEEK_SATURDAY",
}  # fmt: skip
_MICROSECONDS = {
    "MICROSECOND": 1,
    "MILLISECOND": 1000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"DAY": 1, "WEEK": 7}
_FORMATS = {"Y", "m", "d", "H", "M", "S", "j", "y", "B", "b", "A", "a", "p", "I", "%"}
_LONGER = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M", "D": "%m/%d/%y"}


def part_of(node: ResolvedNode) -> str:
    """Return the name of the date part that a literal node stands for, such as MONTH."""
    if node.kind != "literal":
        raise not_run("a part of a date that is not a literal")
    return PARTS[node.value.value.enum_value]


def _span(number: str, part: str) -> str:
    """Return DuckDB SQL for an interval of `number` (SQL) times a date part such as MONTH."""
    if part in _MICROSECONDS:
        return (
            f"to_microseconds({number} * {_MICROSECONDS[part]})"
            if part != "DAY"
            else f"to_days(CAST({number} AS INTEGER))"
        )
    if part in _MONTHS:
        return f"to_months(CAST({number} * {_MONTHS[part]} AS INTEGER))"
    if part in _DAYS:
        return f"to_days(CAST({number} * {_DAYS[part]} AS INTEGER))"
    raise not_run(f"an interval of {part}")


def _shift_rule(sign: str, kind: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates DATE_ADD, DATE_SUB and the like into DuckDB SQL.

    `sign` is + or -, `kind` the type of the date.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        value, number = (t.expression(argument) for argument in node.argument_list[:2])
        if type_kind(node, 1) != INT64:
            raise not_run("adding an INTERVAL")
        return _plus(value, sign, _span(number, part_of(node.argument_list[2])), kind)

    return write


def _plus(value: str, sign: str, span: str, kind: str) -> str:
    """Return DuckDB SQL that adds the interval `span` to `value`, or subtracts it, by `sign`.

    A TIMESTAMP is moved in UTC, so that a day is 24 hours; `kind` is the value's type.
    """
    if kind == "TIMESTAMPTZ":
        return utc(f"({utc(value)} {sign} {span})")
    return f"CAST({value} {sign} {span} AS {kind})"


_NAMES = {DATE: "DATE", TIMESTAMP: "TIMESTAMPTZ", DATETIME: "TIMESTAMP"}


def arithmetic(t: SqlTranslator, node: ResolvedNode, operator: str) -> str:
    """Return the DuckDB SQL for + or - of dates with days or intervals in a GoogleSQL query."""
    first, second = node.argument_list
    if operator in "+-" and type_kind(node) == DATE and type_kind(node, 1) == INT64:
        return f"({t.expression(first)} {operator} CAST({t.expression(second)} AS INTEGER))"
    if operator == "+" and type_kind(node) == INT64 and type_kind(node, 1) == DATE:
        return f"({t.expression(second)} + CAST({t.expression(first)} AS INTEGER))"
    interval = second.kind == "function_call" and second.function.name == "ZetaSQL:$interval"
    if operator in "+-" and interval and type_kind(node) in (TIMESTAMP, DATETIME):
        span = _span(t.expression(second.argument_list[0]), part_of(second.argument_list[1]))
        return _plus(t.expression(first), operator, span, _NAMES[type_kind(node)])
    raise not_run(f"the operator {operator} of these types")


def _difference(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for DATE_DIFF, TIMESTAMP_DIFF and DATETIME_DIFF of GoogleSQL.

    A TIMESTAMP counts whole units, towards zero; a DATE or DATETIME counts boundaries.
    """
    later, earlier = (t.expression(argument) for argument in node.argument_list[:2])
    part = part_of(node.argument_list[2])
    if type_kind(node) == TIMESTAMP:
        if part not in _MICROSECONDS:
            raise not_run(f"TIMESTAMP_DIFF of {part}")
        return f"((epoch_us({later}) - epoch_us({earlier})) // {_MICROSECONDS[part]})"
    if type_kind(node) == TIME or part == "NANOSECOND":
        raise not_run(f"a difference of {part}")
    if part in ("WEEK", "ISOWEEK") or part.startswith("WEEK_"):
        return f"date_diff('day', {_week(earlier, part)}, {_week(later, part)}) // 7"
    if part not in {*_MICROSECONDS, *_MONTHS}:
        raise not_run(f"a difference of {part}")
    return f"date_diff('{part.lower()}', {earlier}, {later})"


_FIRST = {
    "WEEK": 0,
    "WEEK_MONDAY": 1,
    "ISOWEEK": 1,
    "WEEK_TUESDAY": 2,
    "WEEK_WEDNESDAY": 3,
    "WEEK_THURSDAY": 4,
    "WEEK_FRIDAY": 5,
    "WEEK_SATURDAY": 6,
}


def _week(value: str, part: str) -> str:
    """Return DuckDB SQL for the first day of the week with the date `value`.

    `part` is the date part, such as WEEK(MONDAY), which says when weeks begin.
    """
    day = f"CAST({value} AS DATE)"
    return f"({day} - CAST((dayofweek({day}) + {7 - _FIRST[part]}) % 7 AS INTEGER))"


def truncation(value: str, part: str) -> str:
    """Return DuckDB SQL that truncates a DATE or DATETIME to a date part such as MONTH."""
    if part in _FIRST:
        return _week(value, part)
    if part == "ISOYEAR":
        raise not_run("truncating to ISOYEAR")
    if part not in {*_MICROSECONDS, *_MONTHS}:
        raise not_run(f"truncating to {part}")
    return f"date_trunc('{part.lower()}', {value})"


def _trunc(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for DATE_TRUNC, TIMESTAMP_TRUNC and DATETIME_TRUNC of GoogleSQL."""
    value, part = t.expression(node.argument_list[0]), part_of(node.argument_list[1])
    kind = type_kind(node)
    if kind == TIMESTAMP:
        zone = t.expression(node.argument_list[2]) if len(node.argument_list) > 2 else "'UTC'"
        if part in ("HOUR", "MINUTE") and len(node.argument_list) > 2:
            raise not_run(f"truncating to {part} in a time zone")
        return (
            f"(CAST({truncation(f'({value} AT TIME ZONE {zone})', part)} AS TIMESTAMP) AT TIME "
            f"ZONE {zone})"
        )
    if kind not in (DATE, DATETIME):
        raise not_run("TIME_TRUNC")
    return f"CAST({truncation(value, part)} AS {_NAMES[kind]})"


def _extract(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for EXTRACT in a GoogleSQL query."""
    value, part = t.expression(node.argument_list[0]), part_of(node.argument_list[1])
    kind = type_kind(node)
    if kind == TIMESTAMP:
        zone = t.expression(node.argument_list[2]) if len(node.argument_list) > 2 else "'UTC'"
        value = f"({value} AT TIME ZONE {zone})"
    elif kind not in (DATE, DATETIME, TIME):
        raise not_run("EXTRACT of this type")
    return extraction(value, part)


def extraction(value: str, part: str) -> str:
    """Return DuckDB SQL that extracts a part, such as YEAR, from a DATE, DATETIME or TIME."""
    if part in ("DATE", "TIME"):
        return f"CAST({value} AS {part})"
    if part == "DATETIME":
        return value
    special = {
        "DAYOFWEEK": f"dayofweek({value}) + 1",
        "DAYOFYEAR": f"dayofyear({value})",
        "ISOWEEK": f"weekofyear({value})",
        "ISOYEAR": f"isoyear({value})",
        "WEEK": f"strftime({value}, '%U')",
        "MILLISECOND": f"extract('millisecond' FROM {value}) % 1000",
        "MICROSECOND": f"extract('microsecond' FROM {value}) % 1000000",
        "SECOND": f"floor(extract('second' FROM {value}))",
    }
    plain = {"YEAR", "MONTH", "DAY", "QUARTER", "HOUR", "MINUTE"}
    if part not in special and part not in plain:
        raise not_run(f"EXTRACT of {part}")
    word = special.get(part) or f"extract('{part.lower()}' FROM {value})"
    return f"CAST({word} AS BIGINT)"


def _extract_part(part: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates EXTRACT of one date part into DuckDB SQL."""

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        value = t.expression(node.argument_list[0])
        if type_kind(node) == TIMESTAMP:
            zone = t.expression(node.argument_list[1]) if len(node.argument_list) > 1 else "'UTC'"
            value = f"({value} AT TIME ZONE {zone})"
        return extraction(value, part)

    return write


def _since(unit: int) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates UNIX_SECONDS and the like into DuckDB SQL.

    `unit` is the length of the result's unit in microseconds; fractions are rounded down.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        value = f"epoch_us({t.expression(node.argument_list[0])})"
        return value if unit == 1 else f"CAST(floor_div_({value}, {unit}) AS BIGINT)"

    return write


def _from(unit: int) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates TIMESTAMP_SECONDS and the like into DuckDB SQL.

    `unit` is the length of the argument's unit in microseconds.
    """
    return lambda t, node: f"make_timestamptz_({t.expression(node.argument_list[0])} * {unit})"


def _days_since_1970(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for UNIX_DATE in a GoogleSQL query."""
    return f"CAST(({t.expression(node.argument_list[0])} - DATE '1970-01-01') AS BIGINT)"


def _date_of_days(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for DATE_FROM_UNIX_DATE in a GoogleSQL query."""
    return f"(DATE '1970-01-01' + CAST({t.expression(node.argument_list[0])} AS INTEGER))"


def _current(kind: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates CURRENT_DATE and the like, of type `kind`, into DuckDB SQL.

    The time is that of the stack's clock, not DuckDB's own.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        moment = f"CAST({literals.text(t.now.isoformat())} AS TIMESTAMPTZ)"
        zone = t.expression(node.argument_list[0]) if node.argument_list else "'UTC'"
        return (
            moment if kind == "TIMESTAMPTZ" else f"CAST(({moment} AT TIME ZONE {zone}) AS {kind})"
        )

    return write


def _pattern(node: ResolvedNode) -> str:
    """Return a GoogleSQL format literal as DuckDB's strftime format, in a SQL literal.

    Raises:
        BigQueryError: `notImplemented` where the two differ.
    """
    if node.kind != "literal":
        raise not_run("a format that is not a literal")
    text, result, place = node.value.value.string_value, "", 0
    while place < len(text):
        if text[place] != "%":
            result, place = result + text[place], place + 1
            continue
        letter = text[place + 1 : place + 2]
        if letter not in _FORMATS and letter not in _LONGER:
            raise not_run(f"the format element %{letter}")
        result, place = result + _LONGER.get(letter, f"%{letter}"), place + 2
    return literals.text(result)


def _format(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for FORMAT_DATE, FORMAT_TIMESTAMP and FORMAT_DATETIME of GoogleSQL."""
    pattern, value = _pattern(node.argument_list[0]), t.expression(node.argument_list[1])
    kind = type_kind(node, 1)
    if kind == TIMESTAMP:
        zone = t.expression(node.argument_list[2]) if len(node.argument_list) > 2 else "'UTC'"
        value = f"({value} AT TIME ZONE {zone})"
    elif kind not in (DATE, DATETIME):
        raise not_run("FORMAT_TIME")
    return f"strftime({value}, {pattern})"


def _date(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for DATE() in a GoogleSQL query."""
    values = [t.expression(argument) for argument in node.argument_list]
    if len(values) == 3:
        return f"make_date({', '.join(values)})"
    if type_kind(node) == TIMESTAMP:
        return (
            f"CAST(({values[0]} AT TIME ZONE {values[1] if len(values) > 1 else repr('UTC')}) AS "
            "DATE)"
        )
    if type_kind(node) in (DATE, DATETIME) and len(values) == 1:
        return f"CAST({values[0]} AS DATE)"
    raise not_run("DATE of these arguments")


def _timestamp(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for TIMESTAMP() in a GoogleSQL query."""
    values = [t.expression(argument) for argument in node.argument_list]
    zone = values[1] if len(values) > 1 else "'UTC'"
    if type_kind(node) in (DATE, DATETIME):
        return f"(CAST({values[0]} AS TIMESTAMP) AT TIME ZONE {zone})"
    if type_kind(node) == TIMESTAMP and len(values) == 1:
        return values[0]
    raise not_run("TIMESTAMP of these arguments")


def _datetime(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for DATETIME() in a GoogleSQL query."""
    values = [t.expression(argument) for argument in node.argument_list]
    if type_kind(node) == TIMESTAMP:
        return f"({values[0]} AT TIME ZONE {values[1] if len(values) > 1 else repr('UTC')})"
    if type_kind(node) in (DATE, DATETIME) and len(values) == 1:
        return f"CAST({values[0]} AS TIMESTAMP)"
    if type_kind(node) == DATE and type_kind(node, 1) == TIME:
        return f"({values[0]} + {values[1]})"
    raise not_run("DATETIME of these arguments")


FUNCTIONS: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    **{
        f"{name}_{word}": _shift_rule(sign, kind)
        for name, kind in (
            ("date", "DATE"),
            ("timestamp", "TIMESTAMPTZ"),
            ("datetime", "TIMESTAMP"),
        )
        for word, sign in (("add", "+"), ("sub", "-"))
    },
    **dict.fromkeys(("date_diff", "timestamp_diff", "datetime_diff"), _difference),
    **dict.fromkeys(("date_trunc", "timestamp_trunc", "datetime_trunc"), _trunc),
    **dict.fromkeys(("format_date", "format_timestamp", "format_datetime"), _format),
    "$extract": _extract,
    "$extract_date": _extract_part("DATE"),
    "$extract_time": _extract_part("TIME"),
    "$extract_datetime": _extract_part("DATETIME"),
    "unix_seconds": _since(1_000_000),
    "unix_millis": _since(1000),
    "unix_micros": _since(1),
    "timestamp_seconds": _from(1_000_000),
    "timestamp_millis": _from(1000),
    "timestamp_micros": _from(1),
    "unix_date": _days_since_1970,
    "date_from_unix_date": _date_of_days,
    "current_timestamp": _current("TIMESTAMPTZ"),
    "current_date": _current("DATE"),
    "current_datetime": _current("TIMESTAMP"),
    "current_time": _current("TIME"),
    "date": _date,
    "timestamp": _timestamp,
    "datetime": _datetime,
}
