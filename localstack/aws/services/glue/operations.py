"""Additions to moto's Glue: tables are searched, and an update may leave no old version."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ...core import paging
from ...core.protocol.moto_server import SERIAL
from ...core.registry import AwsError, Context, handles

_MOST = 100  # tables a page; the service's default is not documented
_PUNCTUATION = re.compile(r"[^A-Za-z0-9_]+")
_TIMES = ("CreateTime", "UpdateTime", "LastAccessTime", "LastAnalyzedTime")
_COMPARED: dict[str, Callable[[datetime, datetime], bool]] = {
    "EQUALS": operator.eq,
    "GREATER_THAN": operator.gt,
    "LESS_THAN": operator.lt,
    "GREATER_THAN_EQUALS": operator.ge,
    "LESS_THAN_EQUALS": operator.le,
}


@handles("glue", "UpdateTable")
def update_table(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer UpdateTable: update a table, keeping its previous version."""
    if not params.get("SkipArchive"):
        return ctx.forward()
    named = {
        "DatabaseName": params["DatabaseName"],
        "Name": params.get("Name") or params["TableInput"]["Name"],
    }
    with SERIAL:  # or another update's version could be the one that goes
        previous_version = ctx.moto("glue", "GetTable", named)["Table"]["VersionId"]
        answer = ctx.forward()
        version = {
            "DatabaseName": named["DatabaseName"],
            "TableName": named["Name"],
            "VersionId": previous_version,
        }
        ctx.moto("glue", "DeleteTableVersion", version)
    return answer


@handles("glue", "SearchTables")
def search_tables(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SearchTables: find Glue tables by words in their descriptions.

    A value is split at its punctuation, and a part is the word or not (API_SearchTables). A quoted
    text is a whole value.
    """
    tables = [table for table in _tables(ctx) if _fits(table, params)]
    for criterion in reversed(params.get("SortCriteria") or ()):
        tables.sort(
            key=lambda table: _sortable(table, criterion), reverse=criterion.get("Sort") == "DESC"
        )
    page, more = paging.page(
        tables, params, _MOST, AwsError("InvalidInputException", "Invalid NextToken.")
    )
    return {"TableList": list(page), **more}


def _tables(ctx: Context) -> Iterator[dict[str, Any]]:
    """Yield every table of every Glue database."""
    glue = ctx.client("glue")
    for databases in glue.get_paginator("get_databases").paginate():
        for database in databases["DatabaseList"]:
            for tables in glue.get_paginator("get_tables").paginate(DatabaseName=database["Name"]):
                yield from tables["TableList"]


def _fits(table: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Return whether a Glue table matches the text and the filters of a search."""
    text = params.get("SearchText") or ""
    return _contains_all_words(list(_values(table)), text) and all(
        _passes(table, predicate) for predicate in params.get("Filters") or ()
    )


def _contains_all_words(values: list[str], text: str) -> bool:
    """Return whether a table's texts contain all words of a search.

    A search in quotes matches a whole text.
    """
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1].lower() in [value.lower() for value in values]
    words = {word for value in values for word in _search_words(value)}
    return all(word in words for word in text.lower().split())


def _search_words(text: str) -> set[str]:
    """Return the words of a text in a search, and the whole text as one."""
    return {word for word in _PUNCTUATION.split(text.lower()) if word} | (
        {text.lower()} if text else set()
    )


def _passes(table: Mapping[str, Any], predicate: Mapping[str, Any]) -> bool:
    """Return whether a Glue table meets one filter of a search."""
    key, value = predicate.get("Key", ""), predicate.get("Value", "")
    if key in _TIMES:
        moment = table.get(key)
        return moment is not None and _COMPARED[predicate.get("Comparator", "EQUALS")](
            moment, _moment(value)
        )
    actual = table.get(key, table.get("Parameters", {}).get(key))
    return isinstance(actual, str) and value.lower() in _search_words(actual)


def _moment(text: str) -> datetime:
    """Parse a time in ISO 8601; raise InvalidInputException if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise AwsError("InvalidInputException", f"{text} is not a time in ISO 8601.") from error
    return moment if moment.tzinfo else moment.astimezone()


def _values(value: object) -> Iterator[str]:
    """Yield every text in a table's description, and the names of its parameters."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _values(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if not name[:1].isupper():
                yield name
            yield from _values(item)


def _sortable(table: Mapping[str, Any], criterion: Mapping[str, Any]) -> tuple[bool, str]:
    """Return a field of a Glue table as a sort key; tables without the field sort first."""
    value = table.get(criterion.get("FieldName", ""))
    return value is not None, value.isoformat() if isinstance(value, datetime) else str(value)
