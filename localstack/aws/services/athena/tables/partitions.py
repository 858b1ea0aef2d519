"""The objects of a table, and the partition that each is in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from ....core import objects
from ..errors import QueryFailed
from ..formats.time_patterns import joda
from ..schemas import Column, Table
from .catalog import Catalog

Values = tuple[str | None, ...]  # of the partition columns, in their order
NULL = "__HIVE_DEFAULT_PARTITION__"


class Part(msgspec.Struct, frozen=True):
    """An object of a table."""

    object: objects.ListedObject
    values: Values
    columns: tuple[Column, ...] | None = None  # the partition's own, when they are not the table's


def parts(
    s3: Any, catalog: Catalog, table: Table, now: datetime, fixed: Mapping[str, frozenset[str]]
) -> Iterator[Part]:
    """Yield the S3 objects that hold a table's data, with their partitions, sorted by key.

    Hidden names (_x, .x) and empty objects are no data, as in Hive. `fixed` has the values that the
    query demands of a column; `now` is for projected dates.
    """
    if not table.location and not table.partitions:
        return
    if not table.partitions:
        yield from (Part(item, ()) for item in _visible(s3, table.location))
    elif table.parameters.get("projection.enabled", "").lower() == "true":
        yield from _projected_partitions(s3, table, now, fixed)
    else:
        for partition in catalog.partitions(table):
            location = partition["StorageDescriptor"]["Location"]
            values = tuple(None if value == NULL else value for value in partition["Values"])
            yield from (Part(item, values) for item in _visible(s3, location))


def _visible(s3: Any, location: str) -> Iterator[objects.ListedObject]:
    """Yield the S3 objects below a location that hold data: neither hidden nor empty."""
    prefix = location.rstrip("/") + "/"
    try:
        for item in objects.objects_below(s3, prefix):
            rest = item.uri.removeprefix(prefix)
            if item.size and not any(part.startswith(("_", ".")) for part in rest.split("/")):
                yield item
    except objects.NoSuchBucket as error:
        raise QueryFailed(
            "HIVE_CANNOT_OPEN_SPLIT", f"The specified bucket does not exist: {error}", category=3
        ) from error


def _projected_partitions(
    s3: Any, table: Table, now: datetime, fixed: Mapping[str, frozenset[str]]
) -> Iterator[Part]:
    """Yield the S3 objects of a table with partition projection.

    A partition is read from each object's key, and then must be among those projected. `fixed` has
    the values that the query demands of a column; `now` is for projected dates.
    """
    domains = [_domain(table, column, now, fixed) for column in table.partitions]
    template = table.parameters.get("storage.location.template")
    if template is None:
        template = "/".join(
            [table.location.rstrip("/"), *(f"{c.name}=${{{c.name}}}" for c in table.partitions)]
        )
    pieces = re.split(r"\$\{(\w+)\}", template.rstrip("/") + "/")
    order, pattern, named = [c.name for c in table.partitions], "", set()
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pattern += re.escape(piece)
        elif piece.lower() in named:
            pattern += f"(?P=p_{piece.lower()})"
        else:
            named.add(piece.lower())
            pattern += f"(?P<p_{piece.lower()}>[^/]+)"
    if named != set(order):
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            f"storage.location.template has to name every partition column: {', '.join(order)}",
        )
    expected = re.compile(pattern)
    for item in _visible(s3, pieces[0].rsplit("/", 1)[0] or pieces[0]):
        match = expected.match(item.uri)
        if match is None:
            continue
        values = tuple(match.group(f"p_{name}") for name in order)
        if all(fits(value) for fits, value in zip(domains, values, strict=True)):
            yield Part(item, values)


def _domain(
    table: Table, column: Column, now: datetime, fixed: Mapping[str, frozenset[str]]
) -> Any:
    """Return a predicate on texts: is this a value that a projected column may have?

    `fixed` has the values that the query demands of a column; `now` is for projected dates.
    """
    option = partial(_option, table, column)
    kind = option("type").lower()
    if kind == "enum":
        allowed = frozenset(value.strip() for value in option("values").split(","))
        return allowed.__contains__
    if kind == "integer":
        return _integers(table, column)
    if kind == "injected":
        if column.name not in fixed:
            raise QueryFailed(
                "CONSTRAINT_VIOLATION",
                f"For the injected projected partition column {column.name}, the WHERE "
                "clause must contain only static equality "
                "conditions, and at least one such condition must be present.",
            )
        return fixed[column.name].__contains__
    if kind == "date":
        return _dates(option("format"), option("range"), now)
    raise QueryFailed(
        "INVALID_TABLE_PROPERTY",
        f"projection.{column.name}.type has to be enum, integer, date or injected; not '{kind}'",
    )


def _option(table: Table, column: Column, name: str, default: str | None = None) -> str:
    """Return an option of a column's partition projection, or `default` where it is not set."""
    value = table.parameters.get(f"projection.{column.name}.{name}", default)
    if value is None:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            f"Table {table.database}.{table.name} is configured for partition projection, "
            f"but projection.{column.name}.{name} is missing",
        )
    return value


def _integers(table: Table, column: Column) -> Any:
    """Return a predicate on texts: is this a value of a projected integer column?"""

    def numbers(name: str, count: int, default: str | None = None) -> list[int]:
        written = _option(table, column, name, default)
        if not re.fullmatch(",".join([r"\s*-?\d+\s*"] * count), written):
            what = "a whole number" if count == 1 else f"{count} whole numbers"
            raise QueryFailed(
                "INVALID_TABLE_PROPERTY",
                f"projection.{column.name}.{name} has to be {what}, not '{written}'",
            )
        return [int(part) for part in written.split(",")]

    low, high = numbers("range", 2)
    (step,), (digits,) = numbers("interval", 1, "1"), numbers("digits", 1, "0")
    if step < 1:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            f"projection.{column.name}.interval has to be 1 at least, not '{step}'",
        )
    return lambda text: (
        text.isdecimal()
        and len(text) >= digits
        and str(int(text)).zfill(digits) == text
        and low <= int(text) <= high
        and (int(text) - low) % step == 0
    )


def _dates(pattern: str, span: str, now: datetime) -> Any:
    """Return a predicate on texts: is this a value of a projected date column?

    `pattern` is the format of its dates, and `span` their range, such as NOW-3DAYS,NOW.
    """
    form = joda(pattern).replace("%-", "%")
    bounds = [_boundary(part.strip(), form, now) for part in span.split(",")]
    if len(bounds) != 2:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY", f"the projection's range '{span}' has to be two dates"
        )
    low, high = bounds

    def fits(text: str) -> bool:
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007  a partition's value has no zone
        except ValueError:
            return False
        return moment.strftime(form) == text and _floor(low, form) <= moment <= high

    return fits


def _floor(moment: datetime, form: str) -> datetime:
    """Return a bound of a date projection, cut to the resolution of its format, `form`.

    NOW-3DAYS projects the whole first day.
    """
    return datetime.strptime(moment.strftime(form), form)  # noqa: DTZ007  a partition's value has no zone


_DAYS = {"YEAR": 365, "MONTH": 30, "WEEK": 7, "DAY": 1}


def _boundary(text: str, form: str, now: datetime) -> datetime:
    """Parse the first or last date of a date projection's range, such as NOW-3DAYS.

    `form` is the format of dates.
    """
    match = re.fullmatch(
        r"NOW\s*(?:([+-])\s*(\d+)\s*(YEAR|MONTH|WEEK|DAY|HOUR|MINUTE|SECOND)S?)?", text.upper()
    )
    if match is None:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  a partition's value has no zone
        except ValueError as error:
            raise QueryFailed(
                "INVALID_TABLE_PROPERTY",
                f"the projection's bound '{text}' does not have the format of the dates",
            ) from error
    base = now.replace(tzinfo=None)
    if match.group(1) is None:
        return base
    count, unit = int(match.group(1) + match.group(2)), match.group(3)
    if unit in _DAYS:
        return base + timedelta(days=count * _DAYS[unit])
    return base + timedelta(seconds=count * {"HOUR": 3600, "MINUTE": 60, "SECOND": 1}[unit])


def from_keys(s3: Any, table: Table) -> list[tuple[Values, str]]:
    """Return the partitions that MSCK REPAIR TABLE finds in S3: values and folder of each.

    They are the folders name=value below the table.
    """
    names = [column.name for column in table.partitions]
    prefix = table.location.rstrip("/") + "/"
    folders_by_values: dict[Values, str] = {}
    for item in _visible(s3, table.location):
        folders = item.uri.removeprefix(prefix).split("/")[:-1]
        pairs = [folder.partition("=") for folder in folders[: len(names)]]
        if len(pairs) == len(names) and all(
            pair[0].lower() == name and pair[1] for pair, name in zip(pairs, names, strict=True)
        ):
            folders_by_values[tuple(pair[2] for pair in pairs)] = prefix + "/".join(
                folders[: len(names)]
            )
    return sorted(folders_by_values.items(), key=lambda item: item[1])
