"""Default values of columns (defaultValueExpression)."""

from __future__ import annotations

from typing import Any

from ...state.catalog import Table
from ...state.instance import Place
from ...state.job_work import Running
from ..analysis import analyzer as analysis
from . import reference_evaluation as evaluation


def values(here: Place, table: Table) -> dict[str, Any]:
    """What a column is now in a row that does not name it, by the column's name, for those that
    have a default.
    """
    return {
        field.name: _value(here, table, field.about["defaultValueExpression"])
        for field in table.fields
        if field.about.get("defaultValueExpression")
    }


def _value(here: Place, table: Table, expression: str) -> Any:
    meaning = analysis.analyze(
        here, analysis.Question(sql=f"SELECT {expression} AS value", project=table.ref.project)
    )
    fields = [field for _, field in meaning.columns]
    return evaluation.table(here, meaning, fields, Running()).column(0)[0].as_py()
