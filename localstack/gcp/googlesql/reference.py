"""Compute a query's rows by GoogleSQL's reference implementation, over given rows.

It is slow, and right by definition: for tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from .analyzer import Path, Table, analyzer_options, catalog_of
from .service import service
from .types import encoded, text_of
from .values import decoded_value, encoded_value


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """Columns, by name and type's text, and rows in that order.

    The values are as values.py has them. A result's column may have no name.
    """

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[object]]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    type: str
    value: object


def evaluate(
    sql: str, tables: Mapping[Path, Relation] = {}, parameters: Mapping[str, Parameter] = {}
) -> Relation:
    """Evaluate a query by GoogleSQL's reference implementation, and return its rows.

    Raises:
        SqlRejected: The analyzer refuses it, or it fails on these rows (`division by zero`).
    """
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    request = messages.EvaluateQueryRequest(
        sql=sql, options=analyzer_options({name: p.type for name, p in parameters.items()})
    )
    request.simple_catalog.CopyFrom(
        catalog_of(
            {path: Table(columns=dict(relation.columns)) for path, relation in tables.items()}
        )
    )
    for path, relation in tables.items():
        types = [encoded(text) for _, text in relation.columns]
        content = request.table_content[path[-1]].table_data
        content.SetInParent()  # none of its rows is not the same as nothing known of it
        for row in relation.rows:
            content.row.add().cell.extend(
                encoded_value(value, kind) for value, kind in zip(row, types, strict=True)
            )
    for name, parameter in parameters.items():
        request.params.add(name=name, value=encoded_value(parameter.value, encoded(parameter.type)))
    answer = messages.EvaluateQueryResponse.FromString(service().call("EvaluateQuery", request))
    columns = answer.prepared.columns
    return Relation(
        columns=[(column.name, text_of(column.type)) for column in columns],
        rows=[
            [
                decoded_value(cell, column.type)
                for cell, column in zip(row.cell, columns, strict=True)
            ]
            for row in answer.content.table_data.row
        ],
    )
