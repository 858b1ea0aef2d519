"""`isthmus models replay ranker@3`: what a registered version would have earned.

In place of those that answered, from what was logged. Each logged answer is asked again: the
version's own predictor scores the logged candidates, with the features as they were known then, and
the same rules, eligible items and parameters, with the endpoint's `explore`, give the probability
of each item that was shown. Clicks are taken to depend on the unit, the item and its position (the
item-position model of Li et al. 2018), so places are weighed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from ...core.formats import decode
from ...endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from ...endpoints.gateway.request.inputs import manifest_of
from ...endpoints.traffic.resolution import ranking_endpoint_of
from ...errors import Invalid, IsthmusError, Refused
from ...pipelines.graphs.graph import Pipeline, Step
from ...pipelines.runs import step_names
from ...project.specs.reach import has_exposure
from ...times import utc_milliseconds
from ..measure.run_cells import cutoffs
from .logged_answers import OF_EXPOSURES, OF_RANKINGS, Window
from .version_replay import VersionReplay

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...pipelines.port import RunState
    from ...pipelines.runs.document import StepFailure
    from ...project.specs.description import ProjectSpec

RECENT = timedelta(days=28)
STEP, ARTIFACT, DOCUMENT = "replay", "replayed", "replay.json"
_LONGEST = timedelta(hours=12)
_OWN: Mapping[str, type[IsthmusError]] = {error.__name__: error for error in (Refused, Invalid)}


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The task of the step that replays: a version, and whose answers."""

    model: str
    version: int
    digest: str
    endpoint: str
    window: Window


def replay_version(
    project: Project,
    version: str,
    *,
    endpoint: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> VersionReplay:
    """Evaluate a model version offline, on what an endpoint's gateways logged.

    It runs as a step of a pipeline, where the model's trainer ran. Only answers whose outcomes are
    complete count.

    Args:
        project: The project.
        version: MODEL@NUMBER, such as `ranker@3`.
        endpoint: The endpoint whose answers are read; None: the only one that serves the model.
        since: The first moment; None: 28 days before the last.
        until: The last moment, not included; None: now.

    Raises:
        NotFound: There is no such version or endpoint.
        Refused: The log lacks what a replay needs, or the run may cost more than its budget; the
            error names it.
        Invalid: The predictor failed; the error names the step's log.
    """
    from ...pipelines.runs import names as run_names
    from ...pipelines.runs.estimates import one_run, require_budget

    question = checked_question(project, version, endpoint=endpoint, since=since, until=until)
    uri = project.target.registry.get(question.model, question.version).uri
    pipeline = _pipeline(question, uri)
    require_budget(project, one_run(pipeline))
    name = run_names.next_name(project)
    replayed = _run(project, pipeline, name)
    require_some(replayed)
    return replayed


def require_some(replayed: VersionReplay) -> None:
    """Raise an error if no logged ranking could be replayed.

    Raises:
        Refused: No ranking could; the error gives the reasons with their counts.
    """
    if replayed.replay.rows:
        return
    left = "; ".join(f"{count:,} answers: {reason}" for reason, count in replayed.left_out.items())
    lies = (
        f"{100 * replayed.outside:.3g} % of {replayed.version}'s probability lies on what "
        "was not shown; "
        if replayed.outside
        else ""
    )
    raise Refused(
        f"{replayed.endpoint}: no logged answer tells what {replayed.version} would earn: "
        f"{lies}{left or 'there is no answer'}",
        remedy="`explore:` of the endpoint shows other orders; or another --since and --until",
    )


def checked_question(
    project: Project,
    version: str,
    *,
    endpoint: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Question:
    """Check that a replay of a model version is possible, and return what it is to compute."""
    model, _, number = version.partition("@")
    if not number.isdigit():
        raise Invalid(
            f"a version is MODEL@NUMBER, such as ranker@2, not {version!r}",
            remedy="isthmus models list",
        )
    digest = manifest_of(project, model, int(number)).digest
    name = endpoint or _endpoint_of(project.spec, model)
    ranking_endpoint_of(project, name)
    _require_log(project, name)
    return Question(
        model=model,
        version=int(number),
        digest=digest,
        endpoint=name,
        window=_window(project, name, since, until),
    )


def _endpoint_of(spec: ProjectSpec, model: str) -> str:
    """Return the name of the only endpoint that serves a model.

    Raises Invalid if there is not exactly one.
    """
    serving = [
        e.name
        for e in spec.endpoints.values()
        if any(variant.model == model for variant in e.variants)
    ]
    if len(serving) != 1:
        raise Invalid(
            f"{', '.join(serving) or 'no endpoint'} serves {model}",
            remedy="say whose log: --endpoint NAME",
        )
    return serving[0]


def _require_log(project: Project, endpoint: str) -> None:
    """Raise an error unless an endpoint logs the exposures and outcomes that a replay needs.

    Raises:
        Refused: A stream, a column or the event's `exposure_id` is missing.
    """
    objective = project.spec.objectives[project.spec.endpoints[endpoint].objective]
    if not has_exposure(project.spec.events[objective.exposure]):
        raise Refused(
            f"events.{objective.exposure}.attributes has no exposure_id: nobody knows what "
            "became of an item that was shown",
            remedy="exposure_id: {type: string, required: false}, and send what the gateway "
            "answers as `exposures` along with the event",
        )
    for stream, columns in ((EXPOSURES, OF_EXPOSURES), (RANKINGS, OF_RANKINGS)):
        table = project.target.warehouse.observe(stream.name)
        if table is None:
            raise Refused(
                f"{stream.name} are not logged",
                remedy=f"endpoints.{endpoint}.explore, then isthmus deploy, and some traffic",
            )
        if missing := sorted(set(columns) - {column.name for column in table.columns}):
            raise Refused(
                f"{stream.name} has no column {', '.join(missing)} yet",
                remedy="isthmus apply, then some days of traffic",
            )


def _window(
    project: Project, endpoint: str, since: datetime | None, until: datetime | None
) -> Window:
    """Return the period of the logged rankings whose outcomes are complete."""
    objective = project.spec.endpoints[endpoint].objective
    now = utc_milliseconds(project.now())
    moment = min(utc_milliseconds(until), now) if until else now
    ends, known_at = cutoffs(project.spec, [project.spec.metrics[objective]], moment)
    closed = (
        max(known_at, now) - project.spec.objectives[objective].within + timedelta(milliseconds=1)
    )
    begin = utc_milliseconds(since) if since else moment - RECENT
    end = min(ends, closed)
    if begin >= end:
        raise Invalid(
            f"no answer before {end:%Y-%m-%d %H:%M}, whose outcomes are closed, is after {begin}",
            remedy="an earlier --since",
        )
    return Window(since=begin, until=end, known=max(known_at, now))


def _pipeline(question: Question, uri: str) -> Pipeline:
    """Return a pipeline whose only step replays the version."""
    step = Step(
        name=STEP,
        function=f"{step_names.REPLAY}:replay",
        inputs={"model": uri},
        parameters={"question": msgspec.to_builtins(question)},
        artifacts=(ARTIFACT,),
        timeout=_LONGEST,
        cache=False,  # the log grows
    )
    return Pipeline(name=STEP, steps=(step,))


def _run(project: Project, pipeline: Pipeline, name: str) -> VersionReplay:
    """Run the replay pipeline, and return the result of its step."""
    from ...pipelines.runs.submission import submit
    from ...pipelines.runs.watch import artifact_uri, failure, watch

    state = watch(
        project,
        submit(project, pipeline, run=name),
        on_change=lambda _: project.progress(f"{name} {STEP}", 0, None),
    )
    if state.phase != "done":
        raise _error(state, failure(project, name, STEP), remedy=f"isthmus runs log {name} {STEP}")
    uri = f"{artifact_uri(project, name, STEP, ARTIFACT)}/{DOCUMENT}"
    return decode(project.target.blobs.get(uri), VersionReplay, what=uri)


def _error(state: RunState, failure: StepFailure | None, *, remedy: str) -> IsthmusError:
    """Return the error with which the replay step failed, with this remedy.

    `failure` is what the step noted.

    An error that is none of Isthmus's own becomes Invalid with the step's reason.
    """
    if failure is not None and failure.message and (kind := _OWN.get(failure.error or "")):
        return kind(failure.message, remedy=remedy)
    reason = next((step.reason for step in state.steps if step.reason), None)
    return Invalid(reason or f"it was {state.phase}", remedy=remedy)
