"""Default values of columns (defaultValueExpression)."""

from __future__ import annotations

from typing import Any

from ...state.catalog import Table
from ...state.instance import BigQueryState
from ...state.job_work import RunningJob
from ..analysis import analyzer
from . import reference_evaluation


def values(instance: BigQueryState, table: Table) -> dict[str, Any]:
    """Return the current default values of a table's columns, by column name.

    They are computed anew, as a default may be an expression such as CURRENT_DATE().
    """
    return {
        field.name: _value(instance, table, field.about["defaultValueExpression"])
        for field in table.fields
        if field.about.get("defaultValueExpression")
    }


def _value(instance: BigQueryState, table: Table, expression: str) -> Any:
    """Compute a column's default expression, and return its current value."""
    meaning = analyzer.analyze(
        instance,
        analyzer.AnalysisRequest(sql=f"SELECT {expression} AS value", project=table.ref.project),
    )
    fields = [field for _, field in meaning.columns]
    return reference_evaluation.table(instance, meaning, fields, RunningJob()).column(0)[0].as_py()
