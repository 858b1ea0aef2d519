"""row_restriction of a read session: a condition of GoogleSQL over one table's columns."""

from __future__ import annotations

from ...errors import BigQueryError, invalid
from ...state.catalog import Table
from ...state.instance import Place
from ..analysis import analyzer as analysis
from . import translation


def condition(here: Place, table: Table, text: str) -> str:
    """Over the table's columns in DuckDB. invalid in GoogleSQL's words."""
    name = f"`{table.ref.project}.{table.ref.dataset}.{table.ref.table}`"
    question = analysis.Question(
        sql=f"SELECT * FROM {name} WHERE {text}", project=table.ref.project
    )
    try:
        return translation.condition(here, analysis.analyze(here, question))
    except BigQueryError as error:
        if error.reason == "invalidQuery":
            raise invalid(
                f"request failed: Row filter for table {name} is invalid. Filter is "
                f"'{text}': {error.message}"
            ) from error
        raise
