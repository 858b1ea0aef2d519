"""Train a configuration (`isthmus train`): it becomes a run, a version and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...core import logs
from ...errors import Invalid, IsthmusError, NotFound
from ...project.git import Git, git_revision
from ...project.models.builtin_trainers import is_builtin
from ...project.overrides import overridden
from ...project.reading.names import did_you_mean
from ...project.specs.description import Model, ProjectSpec
from ..graphs.graph import Artifact, Pipeline, Step
from ..port import Output, RunState
from ..run_pages import notes, records, runs
from ..run_pages.notes import Notes
from ..run_pages.records import Corrections, Run
from ..runs import names as run_names
from ..runs import step_names
from ..runs.costs import find_cost
from ..runs.document import write
from ..runs.estimates import RunEstimate, estimate_runs, one_run, require_budget
from .stored_events import StoredEvents, previous_run, stored_events

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_COUNTED = 5.0  # seconds between looks at an evaluation's log


def _ignore(_estimate: RunEstimate) -> None:
    """Ignore what a run will cost; the callback that is used where the caller gives none."""


def train(
    project: Project,
    config: str,
    *,
    overrides: Sequence[str] = (),
    tags: Sequence[str] = (),
    note: str = "",
    curve: bool = False,
    on_estimate: Callable[[RunEstimate], None] = _ignore,
) -> Run:
    """Train, evaluate and register a model configuration, and return the run's record.

    The gate decides which alias the version gets; a gate that fails is a result and not an error.

    Args:
        project: The project.
        config: The configuration's file (`models/logistic.yaml`) or name.
        overrides: Changes of the configuration's keys for this run (`parameters.C=1`).
        tags: Tags to put on the run.
        note: A note to put on the run.
        curve: Whether to measure a learning curve, too, by training on shares of the units.
        on_estimate: A function that gets what the run will cost, before it starts.

    Raises:
        NotFound: there is no such configuration.
        Refused: the run may cost more than `jobs: {budget: ...}` of profiles.yaml.
        Invalid: the trainer or the data failed: the message names the module, the line and the log,
            and nothing was registered.
    """
    model = configuration(project, config, overrides)
    notes.check(tags=tags, note=note)
    with project.lock("train"):
        return _run(
            project,
            model,
            tuple(overrides),
            Notes(tags=tuple(sorted(set(tags))), note=note.strip()),
            curve=curve,
            on_estimate=on_estimate,
        )


def configuration(project: Project, config: str, overrides: Sequence[str] = ()) -> Model:
    """Return a model configuration by its file (`models/logistic.yaml`) or its name.

    `overrides`, such as `parameters.C=1`, replace keys of the file.

    Raises:
        NotFound: there is no such configuration; the error names a similar one.
        Invalid: an override is not KEY=VALUE, or nothing that a file could hold.
        ProjectError: the overridden configuration is wrong.
    """
    model = named(project.spec, config)
    return overridden(project.description, model, overrides) if overrides else model


def named(spec: ProjectSpec, config: str) -> Model:
    """Return a project's model configuration by its file (`models/logistic.yaml`) or its name.

    Raises:
        NotFound: there is no such configuration; the error names a similar one.
    """
    name = Path(config).stem if config.endswith((".yaml", ".yml")) else config
    if name not in spec.models:
        listed = ", ".join(model.path for model in spec.models.values()) or "none"
        raise NotFound(
            f"there is no configuration {config} (there is: {listed})",
            remedy=did_you_mean(name, spec.models),
        )
    return spec.models[name]


def window(project: Project, model: Model) -> tuple[datetime, datetime]:
    """Return the training window of a configuration, [start, end)."""
    if model.window:
        return model.window
    now = project.now()
    return now - model.window_length, now


def pipeline(
    project: Project, model: Model, overrides: tuple[str, ...] = (), *, curve: bool = False
) -> Pipeline:
    """Return the training pipeline: dataset -> fit and evaluate, side by side -> register.

    With `curve` a learning curve is measured between evaluate and register. All but the last come
    from the cache when nothing changed.
    """
    start, end = window(project, model)
    last_run = previous_run(project, model)
    stored = stored_events(project, model, start, end, since=last_run.started if last_run else None)
    corrected = (
        Corrections(corrections=stored.corrections, since=last_run.name)
        if last_run and stored.corrections
        else None
    )
    settings = step_settings(model)
    objective: dict[str, Any] = msgspec.to_builtins(project.spec.objectives[model.objective])
    data = Artifact("dataset", "data")
    code = {"trainer": code_digest(project, model)}
    forward = Artifact("evaluate", "forward")
    curves = (
        Step(
            name="curve",
            function=f"{step_names.TRAIN}:curve",
            inputs={"data": data, "forward": forward},
            parameters={"model": settings, "objective": objective},
            artifacts=("curve",),
            fingerprint=code,
        ),
    )
    return Pipeline(
        name=model.name,
        steps=(
            Step(
                name="dataset",
                function=f"{step_names.TRAIN}:dataset",
                parameters={
                    "model": _only_data(settings),
                    "objective": objective,
                    "start": _iso(start),
                    "end": _iso(end),
                    "as_of": _iso(as_of(project, model, end)),
                },
                outputs=(Output(name="rows", type="int"),),
                artifacts=("data",),
                fingerprint=_watermarks(project, model, stored),
            ),
            Step(
                name="fit",
                kind="training",
                function=f"{step_names.TRAIN}:fit",
                inputs={"data": data},
                parameters={"model": settings},
                outputs=(Output(name="digest", type="string"),),
                artifacts=("model",),
                fingerprint=code,
            ),
            Step(
                name="evaluate",
                function=f"{step_names.TRAIN}:evaluate",
                inputs={"data": data},
                parameters={"model": settings, "objective": objective},
                artifacts=("forward",),
                fingerprint=code,
            ),
            *(curves if curve else ()),
            Step(
                name="register",
                function=f"{step_names.TRAIN}:register",
                inputs={
                    "data": data,
                    "model": Artifact("fit", "model"),
                    "forward": forward,
                }
                | ({"curve": Artifact("curve", "curve")} if curve else {}),
                parameters={
                    "model": settings,
                    "about": _about(project, model, settings, overrides, corrected),
                },
                cache=False,  # aliases move, and the champion is not the same tomorrow
            ),
        ),
    )


def estimate(
    project: Project, model: Model, overrides: tuple[str, ...] = (), *, curve: bool = False
) -> RunEstimate:
    """Estimate what a training run of a configuration would cost; nothing is changed."""
    return estimate_runs(project, one_run(pipeline(project, model, overrides, curve=curve)))


def _run(
    project: Project,
    model: Model,
    overrides: tuple[str, ...],
    run_notes: Notes,
    *,
    curve: bool,
    on_estimate: Callable[[RunEstimate], None],
) -> Run:
    """Submit a configuration's training run, wait for its end, and return its record."""
    from ..run_pages.report import add_cost
    from ..runs.submission import submit
    from ..runs.watch import failure, watch
    from ..tracking.export import mirror
    from .unstarted_runs import remove_unstarted, starting

    remove_unstarted(project)
    planned = pipeline(
        project, model, overrides, curve=curve
    )  # what is wrong with the code is said before a run begins
    on_estimate(require_budget(project, one_run(planned)))
    name = run_names.next_name(project)
    total = len(planned.steps)
    with starting(project, name):
        if run_notes != Notes():
            write(project.target.blobs, notes.notes_uri(project.target.blobs, name), run_notes)
        submitted = submit(project, planned, run=name)

    about = f"run {name} ({model.name})"
    phases: dict[str, str] = {}

    def progress(state: RunState) -> None:
        for step in state.steps:
            if phases.get(step.name) != step.phase:
                phases[step.name] = step.phase
                logs.emit("step", run=name, step=step.name, phase=step.phase, reason=step.reason)
        running = [step.name for step in state.steps if step.phase == "running"]
        project.progress(
            f"{about}: {', '.join(running)}; steps done" if running else f"{about}: steps done",
            *_progress(state, total),
        )

    read = time.monotonic()

    def count(state: RunState) -> None:
        nonlocal read
        counted = next(
            (
                step.name
                for step in state.steps
                if step.name in ("evaluate", "curve") and step.phase == "running"
            ),
            None,
        )
        if counted and time.monotonic() - read > _COUNTED:
            read = time.monotonic()
            project.progress(
                f"{about}: {counted}{_period(project, name, counted)}; steps done",
                *_progress(state, total),
            )

    state = watch(project, submitted, on_change=progress, on_look=count)
    blobs = project.target.blobs
    blobs.put(runs.log_uri(blobs, name), _log(project, name, planned).encode())
    failed = sorted(
        (step for step in state.steps if step.phase in ("failed", "cancelled")),
        key=lambda step: step.phase == "cancelled",
    )
    if state.phase == "done" and not failed:
        run = records.fetch(blobs, name)
        if (cost := find_cost(blobs, name)) is not None:
            add_cost(blobs, name, cost)
        mirror(project, run)
        return run
    step, reason = (
        (failed[0].name, failed[0].reason or "it failed")
        if failed
        else (state.phase, "it was stopped")
    )
    text = reason.removeprefix("Invalid: ")
    run = _failed_run(project, model, name, planned=planned, failure=f"{step}: {text}")
    records.keep(blobs, run)
    mirror(project, run)
    step_failure = failure(project, name, step)
    mend = f"{step_failure.remedy}\n" if step_failure and step_failure.remedy else ""
    cancelled_names = ", ".join(other.name for other in failed[1:] if other.phase == "cancelled")
    cancelled = f"{cancelled_names} was cancelled, " if cancelled_names else ""
    raise Invalid(
        f"run {name} ({model.path}) failed in step {step}: {text}",
        remedy=f"{mend}{cancelled}nothing was registered; log {run.log}",
    )


def _progress(state: RunState, total: int) -> tuple[int, int]:
    """Return how many steps of a run are done, and of how many."""
    return sum(step.phase in ("done", "skipped") for step in state.steps), total


def _period(project: Project, run: str, step: str) -> str:
    """Return as text how far the evaluation is: `, period 3 of 12`, or how long it will take.

    It is the last line of the step's log, up to its colon.
    """
    from ..runs.watch import log

    try:
        lines = log(project, run, step).splitlines()
    except NotFound:
        return ""
    return f", {lines[-1].partition(': ')[0][:60]}" if lines else ""


def _failed_run(
    project: Project, model: Model, name: str, *, planned: Pipeline, failure: str
) -> Run:
    """Return the record of a training run that failed, from what was known at submit."""
    about = planned.steps[-1].parameters["about"]
    return Run(
        name=name,
        status="failed",
        target=project.target.name,
        configuration=model.name,
        path=model.path,
        config=about["config"],
        settings=about["settings"],
        model=model.model,
        objective=model.objective,
        features=tuple(map(str, model.features)),
        trainer=model.trainer,
        parameters=model.parameters,
        started=msgspec.convert(about["started"], datetime),
        ended=project.wall(),
        git=msgspec.convert(about["git"], Git | None),
        overrides=tuple(about["overrides"]),
        failure=failure,
        log=runs.display_path(project, runs.log_uri(project.target.blobs, name)),
    )


def _log(project: Project, name: str, planned: Pipeline) -> str:
    """Return the logs of a run's steps as one text, one after another."""
    from ..runs.watch import log

    parts = []
    for step in planned.steps:
        try:
            parts.append(f"== {step.name}\n{log(project, name, step.name)}")
        except IsthmusError as error:
            parts.append(f"== {step.name}\n{error}\n")
    return "\n".join(parts)


def as_of(project: Project, model: Model, end: datetime) -> datetime:
    """Return the time by which outcomes must be known to be in the training set.

    For an old log (`now:` in project.yaml) it is late enough for the outcomes of the window's last
    rows: such a log is complete.
    """
    now = project.now()
    return (
        max(now, end + project.spec.objectives[model.objective].within) if project.spec.now else now
    )


def _only_data(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration's settings on which the training set depends.

    It goes into the cache key, so that another parameter of the trainer does not read the data
    again.
    """
    return {
        key: value
        for key, value in settings.items()
        if key in ("name", "path", "model", "objective", "features", "logged")
    } | {"trainer": ""}


def _watermarks(project: Project, model: Model, stored: StoredEvents) -> Mapping[str, str]:
    """Return how recent the stored events and the feature views are, as parts of the cache key."""
    state = project.target.state
    keys = sorted(
        f"views/{view}" for view in {feature.view for feature in model.features if feature.view}
    )
    views = {
        key.replace("/", "_"): document.value.decode() if (document := state.get(key)) else "absent"
        for key in keys
    }
    return {"events": f"{stored.copies} copies, the last stored {stored.newest}", **views}


def step_settings(model: Model) -> dict[str, Any]:
    """Return a configuration as the steps of a run get it: without `tune`, which no step reads.

    `logged` is left out where it is not set, so that steps of earlier runs are still reused.
    """
    settings: dict[str, Any] = msgspec.to_builtins(model)
    del settings["tune"]
    if not model.logged:
        del settings["logged"]
    return settings


def code_digest(project: Project, model: Model) -> str:
    """Return a digest of the trainer's code within the project, for the cache key.

    The versions of what it imports are in the digest, too.

    Raises:
        Invalid: it does not parse.
    """
    from .. import builtin
    from ..models import code_slice

    module, _, function = model.trainer.rpartition(".")
    if is_builtin(model.trainer):
        own = Path(str(builtin.__file__)).parent
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(own.glob("*.py"))}
        return _digest_code(files)
    path = project.folder.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        return "installed"
    try:
        files = code_slice.cut(
            module, path.read_text(encoding="utf-8"), project.folder, function
        ).files
    except SyntaxError as error:
        raise Invalid(
            f"{Path(error.filename or path).name}:{error.lineno}: {error.msg}",
            remedy="nothing was run",
        ) from error
    return _digest_code(files)


def _digest_code(files: Mapping[str, str]) -> str:
    """Return a digest of source files by name, and of the versions of what they import."""
    from ..models import code_slice
    from ..runs.artifacts import digest_text

    return digest_text(msgspec.json.encode([files, code_slice.libraries(files)], order="sorted"))


def _about(
    project: Project,
    model: Model,
    settings: dict[str, Any],
    overrides: tuple[str, ...],
    corrected: Corrections | None,
) -> dict[str, Any]:
    """Return the record's fields on a run's configuration: its text, settings and git revision."""
    file = project.folder / model.path
    return {
        "config": file.read_text(encoding="utf-8") if file.is_file() else "",
        "settings": settings,
        "overrides": list(overrides),
        "corrected": msgspec.to_builtins(corrected),
        "git": msgspec.to_builtins(git_revision(project.folder)),
        "started": _iso(project.wall()),
    }


def _iso(moment: datetime) -> str:
    """Return a time as text in ISO 8601, as JSON has it."""
    text: str = msgspec.to_builtins(moment)
    return text
