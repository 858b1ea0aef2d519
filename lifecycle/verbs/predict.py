"""`im.predict`: score a prediction's rows, and add them to its table as one batch."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from ...endpoints.gateway.request.inputs import manifest_of
from ...errors import Invalid
from ...pipelines.runs.estimates import estimate_runs, one_run
from ...pipelines.scoring.batch import pipeline
from ...pipelines.scoring.scoring import find_prediction, plan_batch, read_unfinished
from ...pipelines.scoring.scoring import score as score_batch

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...pipelines.runs.estimates import RunEstimate
    from ...pipelines.scoring.batch import Batch
    from ...pipelines.scoring.scoring import Scored


class PlannedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that can be scored, and whether it goes on with one that was interrupted."""

    batch: Batch
    uri: str  # of the model version's folder
    started: datetime
    resumed: bool
    estimate: RunEstimate  # of its cost

    def __str__(self) -> str:
        batch = self.batch
        into = batch.into if batch.limit is None else f"a look at {batch.limit} rows"
        again = "   goes on with the batch that was interrupted" if self.resumed else ""
        return (
            f"{batch.prediction}   {batch.model}@{batch.version}   as of "
            f"{batch.as_of:%Y-%m-%d %H:%M} -> {into}   {batch.shards} at once{again}\n"
            f"{self.estimate}"
        )


def planned(
    project: Project, name: str, *, as_of: datetime | None = None, limit: int | None = None
) -> PlannedBatch:
    """Return the batch that `predict` with these arguments would score; nothing is changed.

    Raises:
        NotFound: there is no such prediction, model or alias.
        Refused: the version's features are not those of the views today.
        Invalid: the rows' SELECT is wrong, or an argument is.
    """
    prediction = find_prediction(project, name)
    if limit is not None and limit < 1:
        raise Invalid(f"a look at {limit} rows", remedy="--limit 10")
    unfinished = read_unfinished(project, name) if as_of is None and limit is None else None
    ref: str | int = int(prediction.ref) if prediction.ref.isdigit() else prediction.ref
    version = project.target.registry.get(
        prediction.model, unfinished.version if unfinished else ref
    )
    batch = plan_batch(
        project,
        prediction if limit is None else msgspec.structs.replace(prediction, shards=1),
        version,
        manifest_of(project, version.model, version.version),
        as_of=unfinished.as_of if unfinished else as_of or project.now(),
        limit=limit,
    )
    started = unfinished.started if unfinished else project.wall()
    return PlannedBatch(
        batch=batch,
        uri=version.uri,
        started=started,
        resumed=unfinished is not None,
        estimate=estimate_runs(project, one_run(pipeline(batch, version.uri, started=started))),
    )


def predict(
    project: Project, name: str, *, as_of: datetime | None = None, limit: int | None = None
) -> Scored:
    """Score the rows of a prediction, and add them to its table as one batch.

    Features are joined as of one moment. A batch that was interrupted is gone on with: shards that
    had been scored are not scored again. The same batch is added once, whoever repeats it.

    Args:
        project: The project.
        name: The prediction's name in project.yaml.
        as_of: The moment of the features, aware; None: now.
        limit: Score only so many rows, and return them instead of publishing.

    Raises:
        NotFound: there is no such prediction, model or alias.
        Refused: the version's features are not those of the views today, or the run may cost more
            than `jobs: {budget: ...}` of profiles.yaml.
        Invalid: the rows' SELECT is wrong, or a step failed. Nothing was published.
    """
    with project.lock("predict"):
        plan = planned(project, name, as_of=as_of, limit=limit)
        return score_batch(
            project, plan.batch, plan.uri, started=plan.started, resumed=plan.resumed
        )
