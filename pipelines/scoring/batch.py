"""A batch of predictions: what is scored, by which version, as of when; and its pipeline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from ...events.port import ColumnType
from ..graphs.graph import Artifact, Pipeline, Step
from ..models.predictor import ModelFeature
from ..port import Output
from ..runs import step_names
from ..runs.artifacts import digest_text

_LONGEST = timedelta(hours=12)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One scoring of a prediction's rows; the same batch is published once."""

    prediction: str
    sql: str
    into: str
    shards: int
    columns: tuple[tuple[str, ColumnType], ...]  # of the rows' SELECT
    model: str
    version: int
    digest: str  # of the version's folder
    features: tuple[ModelFeature, ...]  # in the order that the model reads
    serve_as: dict[str, Any]  # features that are constant in serving
    as_of: datetime  # the time as of which features are joined
    limit: int | None = None  # only so many rows, to look at: they are not published

    @property
    def key(self) -> str:
        """The name under which the warehouse takes the batch once.

        It is a digest of what is scored and as of when: a repeat has the same key.
        """
        about = (self.prediction, self.sql, self.into, self.digest, self.as_of.isoformat())
        return digest_text(msgspec.json.encode(about))[:32]


def pipeline(batch: Batch, uri: str, *, started: datetime) -> Pipeline:
    """Return the pipeline of a batch: rows -> one score step a shard -> publish.

    All but `publish` come from the cache when a batch that was interrupted is begun again.

    Args:
        batch: The batch.
        uri: The model version's folder.
        started: The `scored_timestamp` of the rows.
    """
    settings = msgspec.to_builtins(batch)
    numbers = range(batch.shards)
    rows = Step(
        name="rows",
        function=f"{step_names.SCORE}:rows",
        parameters={"batch": settings},
        outputs=(Output(name="rows", type="int"),),
        artifacts=tuple(f"part_{number}" for number in numbers),
        timeout=_LONGEST,
    )
    score = [
        Step(
            name=f"score_{number}",
            function=f"{step_names.SCORE}:score",
            inputs={"rows": Artifact("rows", f"part_{number}"), "model": uri},
            parameters={"batch": settings},
            outputs=(Output(name="rows", type="int"),),
            artifacts=("scored",),
            timeout=_LONGEST,
        )
        for number in numbers
    ]
    publish = Step(
        name="publish",
        function=f"{step_names.SCORE}:publish",
        inputs={f"part_{number}": Artifact(f"score_{number}", "scored") for number in numbers},
        parameters={"batch": settings, "started": started.isoformat()},
        outputs=(Output(name="rows", type="int"),),
        timeout=_LONGEST,
        cache=False,  # the table may have been destroyed meanwhile; a batch is taken once anyway
    )
    last = (publish,) if batch.limit is None else ()
    return Pipeline(name=f"score_{batch.prediction}"[:28].rstrip("_"), steps=(rows, *score, *last))
