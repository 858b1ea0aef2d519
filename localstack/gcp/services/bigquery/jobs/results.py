"""A query's rows, as pages of JSON or as an Arrow batch."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ....core.http_messages import HttpRequest
from ..data import arrow, encode
from ..data.types import arrow_schema
from ..errors import invalid
from ..request_values import whole_number, whole_number_or_none
from ..state import warehouse
from ..state.catalog import TableRef
from ..state.instance import BigQueryState
from ..state.jobs import Job, Outcome
from ..tables import tables

_PAGE = 50_000  # rows at most


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The page of a result that a request asks for."""

    start: int = 0
    limit: int | None = None

    @classmethod
    def from_request(cls, request: HttpRequest) -> Page:
        """Return the range of rows that pageToken, startIndex and maxResults ask for."""
        token = request.query.get("pageToken") or request.query.get("startIndex") or "0"
        return cls(
            start=whole_number(token, "pageToken"),
            limit=whole_number_or_none(request.query.get("maxResults"), "maxResults"),
        )


def timestamps_of(options: Mapping[str, Any]) -> str:
    """Return the format of TIMESTAMP values that a request's DataFormatOptions ask for."""
    if str(options.get("useInt64Timestamp", "")).lower() == "true":
        return encode.MICROSECONDS
    form = options.get("timestampOutputFormat") or encode.FLOAT
    if form in ("TIMESTAMP_OUTPUT_FORMAT_UNSPECIFIED", encode.FLOAT):
        return encode.FLOAT
    if form not in (encode.MICROSECONDS, encode.ISO):
        raise invalid(
            f"Invalid value for timestampOutputFormat: {form}",
            "formatOptions.timestampOutputFormat",
        )
    return str(form)


def rows_page(
    instance: BigQueryState, outcome: Outcome, page: Page, timestamps: str
) -> dict[str, Any]:
    """Return a page of a query's result as REST members: `rows`, `totalRows`, `pageToken`."""
    if outcome.table is None:
        return {}
    shown, rest = _part(instance, outcome.table, outcome, page)
    rows = encode.rows(shown, outcome.fields, timestamps)
    return {"totalRows": str(outcome.rows), **({"rows": rows} if rows else {}), **rest}


def _part(
    instance: BigQueryState, table: TableRef, outcome: Outcome, page: Page
) -> tuple[Any, dict[str, Any]]:
    """Return a page of a query's result as an Arrow table, and its next pageToken in a dictionary.

    The dictionary is empty if no rows follow.
    """
    limit = min(_PAGE, page.limit if page.limit is not None else _PAGE)
    with instance.warehouse.session() as cursor:
        part = warehouse.read(
            cursor, tables.relation(table), outcome.fields, start=page.start, limit=limit
        )
    end = page.start + part.num_rows
    more = end < outcome.rows and (page.limit is None or part.num_rows or not page.limit)
    return part, {"pageToken": str(end)} if more else {}


def arrow_answer(
    instance: BigQueryState, job: Job, page: Page, results: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Return a QueryResponse whose first page of rows is a serialized Arrow record batch.

    It answers queryResultsFormat ARROW. `results` makes the response's other members.
    """
    answer = results(instance, job, Page(limit=0), encode.MICROSECONDS)
    answer.pop("pageToken", None)
    if job.outcome is None or not job.done or job.outcome.table is None:
        return answer
    rows, rest = _part(instance, job.outcome.table, job.outcome, page)
    part = arrow.read_api_table(rows, job.outcome.fields)
    schema = arrow_schema(job.outcome.fields)
    batches = part.combine_chunks().to_batches() if part.num_rows else []
    return {
        **answer,
        **rest,
        "kind": "bigquery#queryResponse",
        "pageRowCount": str(part.num_rows),
        "arrowSchema": {
            "serializedSchema": base64.b64encode(schema.serialize().to_pybytes()).decode()
        },
        **(
            {
                "arrowRecordBatch": {
                    "serializedRecordBatch": base64.b64encode(
                        batches[0].serialize().to_pybytes()
                    ).decode()
                }
            }
            if batches
            else {}
        ),
    }
