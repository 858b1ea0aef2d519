"""Values of the section `predictions:` -> structs."""

from __future__ import annotations

from ..reading.fence import Fence
from ..reading.files import read_text
from ..reading.names import did_you_mean
from ..reading.report import Report
from ..sections.values import Values
from ..specs.predictions import Prediction


def build_prediction(name: str, values: Values, fence: Fence, report: Report) -> Prediction:
    """Build the Prediction struct, with the SQL of its file; report a file that is missing."""
    model, ref = values["model"]
    return Prediction(
        name=name,
        model=model,
        ref=ref,
        path=values["rows"],
        sql=_sql(name, values["rows"], fence, report),
        into=values["into"],
        shards=values.get("shards", 1),
    )


def _sql(name: str, path: str, fence: Fence, report: Report) -> str:
    """Return the text of a prediction's SQL file without a closing semicolon, or "" on an error."""
    key = f"predictions.{name}.rows"
    if not (fence.folder / path).exists():
        folder = (fence.folder / path).parent
        near = sorted(file.relative_to(fence.folder).as_posix() for file in folder.glob("*.sql"))
        report.add(
            key,
            f"there is no {path}",
            did_you_mean(path, near) or "write a SELECT of the rows to score there",
        )
        return ""
    text = read_text(fence.folder / path, path, report, fence)
    bare = (text or "").rstrip().rstrip(";").rstrip()
    if text is not None and not any(
        line.strip() and not line.strip().startswith("--") for line in bare.splitlines()
    ):
        report.add(key, f"{path} holds no SQL", "write a SELECT of the rows to score there")
    return bare
