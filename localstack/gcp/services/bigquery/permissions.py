"""The IAM permissions of BigQuery's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_CHANGES = re.compile(
    r"\s*(insert|update|delete|merge|create|drop|alter|truncate)\b", re.IGNORECASE
)
_LARGEST = 1 << 20  # bytes of a body that is looked into
PERMISSIONS: Mapping[str, str] = {
    "bigquery.datasets.list": "datasets.get",
    "bigquery.datasets.insert": "datasets.create",
    "bigquery.datasets.patch": "datasets.get datasets.update",
    "bigquery.datasets.update": "datasets.get datasets.update",
    "bigquery.tables.insert": "tables.create",
    "bigquery.tables.patch": "tables.get tables.update",
    "bigquery.tables.update": "tables.get tables.update",
    "bigquery.tabledata.insertAll": "tables.updateData",
    "bigquery.tabledata.list": "tables.getData",
    "bigquery.jobs.get": "",
    "bigquery.jobs.getQueryResults": "",
    "bigquery.jobs.cancel": "",
    "bigquery.jobs.insert": "jobs.create",
    "bigquery.jobs.query": "jobs.create tables.getData",
    "BigQueryRead.CreateReadSession": "readsessions.create tables.getData",
    "BigQueryRead.ReadRows": "readsessions.getData",
    "BigQueryRead.SplitReadStream": "readsessions.getData",
}


def of_job(request: Any) -> Iterator[str]:
    """Yield the IAM permissions that an insert request for a BigQuery job needs."""
    body = getattr(request, "body", b"")
    part = getattr(request, "method", "") == "PUT"  # of a resumable upload
    if not body or part or len(body) > _LARGEST or not body.lstrip().startswith(b"{"):
        if body:  # rows that are uploaded with it
            yield from ("tables.create", "tables.updateData")
        return
    content = request.json()
    configuration = content.get("configuration") or {"query": content}
    if "load" in configuration or "copy" in configuration:
        yield from ("tables.create", "tables.updateData")
    if "copy" in configuration or "extract" in configuration:
        yield "tables.getData"
    query = configuration.get("query")
    if isinstance(query, dict) and query.get("query"):
        yield "tables.getData"
        if query.get("destinationTable") or _CHANGES.match(str(query["query"])):
            yield from ("tables.create", "tables.updateData")
