"""Score a prediction's rows (`isthmus predict`): they become one batch of its table."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Invalid, NotFound, Refused
from ...events.port import Column, ColumnType
from ...feature_store.views.row_queries import row_query
from ...feature_store.views.schema import view_schemas
from ...project.reading.names import did_you_mean
from ...reports.columns import plural
from ...reports.results import Shown
from ...times import utc_milliseconds
from ..models.predictor import ModelManifest
from ..runs import names as run_names
from ..runs.document import StepResult, read
from ..runs.estimates import one_run, require_budget
from ..runs.step_results import step_folder
from ..runs.submission import submit
from ..runs.watch import artifact_uri, failure, values, watch
from .batch import Batch, pipeline
from .shards import FILE

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...project.specs.predictions import Prediction
    from ..port import ModelVersion, RunState, StepState


class Unfinished(StoredDocument, frozen=True, kw_only=True):
    """The state `predictions/<name>`: a batch that was begun and has not been published."""

    as_of: datetime
    started: datetime
    version: int


class Scored(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A batch of predictions that is in its table, or a look at its first rows."""

    target: str
    prediction: str
    run: str
    version: str  # model@number
    as_of: datetime
    rows: int
    into: str | None  # the table; None: of a look at the first rows, which is not published
    shards: int
    cached: int  # shards that had been scored before
    batch: str  # the key under which the table took it, once
    resumed: bool  # whether it had been begun and interrupted
    first: tuple[dict[str, Any], ...] = ()  # the scored rows of such a look

    def __str__(self) -> str:
        again = f", {self.cached} of them from before" if self.cached else ""
        resumed = "   resumed" if self.resumed else ""
        return (
            f"{self.target:<7} {self.prediction}   {self.version}   {plural(self.rows, 'row')} as "
            f"of {self.as_of:%Y-%m-%d %H:%M} -> {self.into or 'not published'}   "
            f"{plural(self.shards, 'shard')}{again}{resumed}   run {self.run}"
        )


def find_prediction(project: Project, name: str) -> Prediction:
    """Return a declared prediction by its name; raise NotFound if there is none."""
    declared = project.spec.predictions
    if name not in declared:
        raise NotFound(
            f"there is no prediction {name}",
            remedy=did_you_mean(name, declared, has="predictions are")
            or "declare it in project.yaml: predictions:",
        )
    return declared[name]


def plan_batch(
    project: Project,
    prediction: Prediction,
    version: ModelVersion,
    manifest: ModelManifest,
    *,
    as_of: datetime,
    limit: int | None = None,
) -> Batch:
    """Check a prediction as far as possible, and return the batch that it would score now.

    Raises:
        Refused: the version's features are not those of the views today.
        Invalid: the SELECT of the rows is wrong, or `as_of` is in the future.
    """
    if as_of > project.now():
        raise Invalid(
            f"as of {as_of:%Y-%m-%d %H:%M} is in the future: it is {project.now():%Y-%m-%d %H:%M}",
            remedy="leave --as-of out for now",
        )
    query = row_query(project.description, prediction)
    if query.problems:
        first = query.problems[0]
        raise Invalid(f"{first.file}:{first.line}: {first.message}", remedy=first.remedy)
    _check_features(project, version, manifest, query.columns)
    return Batch(
        prediction=prediction.name,
        sql=prediction.sql,
        into=prediction.into,
        shards=prediction.shards,
        columns=tuple((column.name, column.type) for column in query.columns),
        model=version.model,
        version=version.version,
        digest=version.digest,
        features=manifest.features,
        serve_as=manifest.serve_as,
        as_of=utc_milliseconds(as_of),
        limit=limit,
    )


def _check_features(
    project: Project, version: ModelVersion, manifest: ModelManifest, rows: Sequence[Column]
) -> None:
    """Check that the views and the rows have each feature of a version in its type.

    Raises:
        Refused: a view has it no more, or in another type.
        Invalid: the rows do not have an attribute, or have it in another type.
    """
    schemas, _ = view_schemas(project.description)
    columns: dict[str | None, dict[str, ColumnType]] = {
        name: {column.name: column.type for column in schema.features}
        for name, schema in schemas.items()
    }
    columns[None] = {column.name: column.type for column in rows}
    for feature in manifest.features:
        if feature.name in manifest.serve_as:
            continue
        kind = columns.get(feature.view, {}).get(feature.name)
        if kind is not None and feature.type in (kind, None):
            continue
        trained = f"{version.model}@{version.version} was trained on "
        if feature.view is None:
            raise Invalid(
                f"{trained}{feature.name} ({feature.type}), and the rows have "
                f"{'none' if kind is None else f'it as {kind}'}",
                remedy=f"{feature.name} in the SELECT, by a CAST if need be",
            )
        raise Refused(
            f"{trained}{feature.view}.{feature.name} ({feature.type}), which is "
            f"{'no feature' if kind is None else kind} today",
            remedy=f"isthmus train {manifest.configuration}, or undo the change of the view",
        )


def read_unfinished(project: Project, name: str) -> Unfinished | None:
    """Return the batch of a prediction that was begun and not published; None if there is none."""
    stored = project.target.state.get(_key(name))
    return decode(stored.value, Unfinished, what=f"state {_key(name)}") if stored else None


def score(
    project: Project, batch: Batch, uri: str, *, started: datetime, resumed: bool = False
) -> Scored:
    """Score a batch and publish it, by a pipeline of the target, and return what was done.

    Until it is published the project's state holds that it was begun; `read_unfinished` tells it.

    Args:
        project: The project.
        batch: The batch.
        uri: The model version's folder.
        started: The `scored_timestamp` of the rows.
        resumed: Whether the batch had been begun before.

    Raises:
        Invalid: a step failed; the error names its log. Nothing was published.
        Refused: the run may cost more than `jobs: {budget: ...}` of profiles.yaml.
    """
    planned = pipeline(batch, uri, started=utc_milliseconds(started))
    require_budget(project, one_run(planned))
    if batch.limit is None:
        _mark_begun(project, batch, started)
    name = run_names.next_name(project)
    total = len(planned.steps)

    def progress(state: RunState) -> None:
        done = sum(step.phase in ("done", "skipped") for step in state.steps)
        project.progress(f"{name} scores {batch.prediction}: steps done", done, total)

    state = watch(project, submit(project, planned, run=name), on_change=progress)
    failed = next((step for step in state.steps if step.phase == "failed"), None)
    if state.phase != "done" or failed is not None:
        raise _failed(project, batch, name, state, failed)
    _unmark(project, batch)
    last = "publish" if batch.limit is None else "score_0"
    return Scored(
        target=project.target.name,
        prediction=batch.prediction,
        run=name,
        version=f"{batch.model}@{batch.version}",
        as_of=batch.as_of,
        rows=int(values(project, name, last)["rows"]),
        into=batch.into if batch.limit is None else None,
        shards=batch.shards,
        cached=sum(_from_before(project, name, number) for number in range(batch.shards)),
        batch=batch.key,
        resumed=resumed,
        first=_first(project, name) if batch.limit is not None else (),
    )


def _failed(
    project: Project, batch: Batch, run: str, state: RunState, failed: StepState | None
) -> Invalid:
    """Return the error for a run that did not publish its batch.

    `failed` is the step that failed. If it left no record of the reason, it was killed: the batch
    stays marked as begun, as a repeat may succeed. Otherwise the mark is removed.
    """
    step = failed.name if failed else state.phase
    record = failure(project, run, step) if failed else None
    was_killed = failed is not None and record is None
    if not was_killed:
        _unmark(project, batch)
    reason = (record.message if record else None) or (failed.reason if failed else "")
    remedy = (record.remedy if record else None) or f"isthmus runs log {run} {step}"
    if was_killed and batch.limit is None:
        remedy = (
            f"go on with it by isthmus predict {batch.prediction}; --as-of begins another; {remedy}"
        )
    return Invalid(
        f"scoring {batch.prediction} failed in step {step}: {reason or 'it was stopped'}",
        remedy=f"{remedy}; nothing was published",
    )


def _first(project: Project, run: str) -> tuple[dict[str, Any], ...]:
    """Return the scored rows of a run's first shard, by column."""
    import pyarrow.parquet as pq

    blobs = project.target.blobs
    uri = f"{artifact_uri(project, run, 'score_0', 'scored')}/{FILE}"
    return tuple(pq.read_table(io.BytesIO(blobs.get(uri))).to_pylist())


def _from_before(project: Project, run: str, number: int) -> bool:
    """Return whether a run took the predictions of shard `number` from the cache."""
    uri = f"{step_folder(project.target.blobs, run, f'score_{number}')}/step.json"
    return read(project.target.blobs, uri, StepResult).cached_from is not None


def _key(name: str) -> str:
    """Return the state key of a prediction's unfinished batch."""
    return f"predictions/{name}"


def _mark_begun(project: Project, batch: Batch, started: datetime) -> None:
    """Store in the project's state that a batch was begun, over an earlier one."""
    state, key = project.target.state, _key(batch.prediction)
    stored = state.get(key)
    begun = Unfinished(as_of=batch.as_of, started=started, version=batch.version)
    state.put(key, msgspec.json.encode(begun), expect=stored.token if stored else None)


def _unmark(project: Project, batch: Batch) -> None:
    """Delete the state that says that a batch was begun, if it is there."""
    state = project.target.state
    if batch.limit is None and (stored := state.get(_key(batch.prediction))):
        state.delete(_key(batch.prediction), expect=stored.token)
