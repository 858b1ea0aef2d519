"""The common part of the List operations of endpoints."""

from __future__ import annotations

from typing import Any

from .....core import paging
from .....core.registry import Context
from ..checks import refusal

_BOUNDS = (("CreationTimeAfter", "CreationTime", 1), ("CreationTimeBefore", "CreationTime", -1))
_MODIFIED = (
    ("LastModifiedTimeAfter", "LastModifiedTime", 1),
    ("LastModifiedTimeBefore", "LastModifiedTime", -1),
)


def page(
    ctx: Context, rows: list[dict[str, Any]], params: dict[str, Any], name: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return one page of a List operation's rows, newest first by default, with the NextToken.

    The request's filters are applied; `name` is the member that holds a row's name.
    """
    for key, column, sign in (*_BOUNDS, *_MODIFIED):
        if params.get(key) is not None:
            rows = [row for row in rows if (row[column] - params[key]).total_seconds() * sign > 0]
    if params.get("NameContains"):
        rows = [row for row in rows if params["NameContains"] in row[name]]
    if params.get("StatusEquals"):
        rows = [row for row in rows if row["EndpointStatus"] == params["StatusEquals"]]
    column = {"Name": name, "Status": "EndpointStatus"}.get(
        params.get("SortBy", ""), "CreationTime"
    )
    rows = sorted(
        rows,
        key=lambda row: row[column],
        reverse=params.get("SortOrder", "Descending") == "Descending",
    )
    size = 100 if ctx.moto_answers else 10  # moto's, the service's
    part, more = paging.page(rows, params, size, refusal("Invalid pagination token."))
    return list(part), more
