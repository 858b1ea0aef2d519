"""Values of the section `predictions:` -> structs."""

from __future__ import annotations

from ..reading.fence import ProjectPaths
from ..reading.files import read_sql
from ..reading.report import ProblemReport
from ..sections.values import YamlValues
from ..specs.predictions import Prediction


def build_prediction(
    name: str, values: YamlValues, fence: ProjectPaths, report: ProblemReport
) -> Prediction:
    """Build the Prediction struct, with the SQL of its file; report a file that is missing.

    `fence` are the folders and files that the project may read.
    """
    model, ref = values["model"]
    return Prediction(
        name=name,
        model=model,
        ref=ref,
        path=values["rows"],
        sql=read_sql(
            fence,
            values["rows"],
            f"predictions.{name}.rows",
            report,
            remedy="write a SELECT of the rows to score there",
        ),
        into=values["into"],
        shards=values.get("shards", 1),
    )
