"""The row_restriction of a read session: a condition of GoogleSQL over one table's columns."""

from __future__ import annotations

from ...errors import BigQueryError, invalid
from ...state.catalog import Table
from ...state.instance import BigQueryState
from ..analysis import analyzer
from . import translation


def condition(instance: BigQueryState, table: Table, text: str) -> str:
    """Return a read session's row_restriction as a condition in DuckDB SQL.

    Raises:
        BigQueryError: `invalid` in GoogleSQL's words.
    """
    name = f"`{table.ref.project}.{table.ref.dataset}.{table.ref.table}`"
    question = analyzer.AnalysisRequest(
        sql=f"SELECT * FROM {name} WHERE {text}", project=table.ref.project
    )
    try:
        return translation.condition(instance, analyzer.analyze(instance, question))
    except BigQueryError as error:
        if error.reason == "invalidQuery":
            raise invalid(
                f"request failed: Row filter for table {name} is invalid. Filter is "
                f"'{text}': {error.message}"
            ) from error
        raise
