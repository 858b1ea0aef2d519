"""Tune a configuration's parameters (`isthmus tune`): rounds of trials, then the last period."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid, NotFound, Refused
from ...project.specs.description import Model
from ..graphs.graph import Pipeline
from ..port import RunState
from ..runs import names as run_names
from ..runs.artifacts import digest_text
from ..runs.document import open_run
from ..runs.estimates import RunEstimate, estimate_runs, require_budget
from ..runs.submission import pipeline_run, submit
from ..runs.watch import artifact_uri, failure, has_ended, observe, values, watch
from ..training.training import code_digest, step_settings
from .result import settings_text
from .rounds import (
    LAST,
    OWN,
    dataset_pipeline,
    last_pipeline,
    planned_runs,
    round_pipeline,
    trial_number,
    trial_step,
    tuning_of,
)
from .steps import RESULT
from .study import (
    LastPeriod,
    Setting,
    StoredStudy,
    Study,
    Trial,
    change_study,
    create_study,
    newest_study,
)
from .suggestions import check_installed, suggest

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...project.specs.tuning import Search, Tuning

_NOT_READ = ("alias", "gate", "name", "path")  # keys of a configuration on which no trial depends


class PlannedStudy(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of `isthmus tune`: a new study, or the rest of one that was interrupted."""

    configuration: str
    tune: Tuning
    study: str | None  # that is gone on with
    done: int  # its finished trials
    finished: bool  # nothing of it is left to run
    estimate: RunEstimate | None  # of the runs that are left; None: it is finished

    def __str__(self) -> str:
        tune = self.tune
        begun = f"goes on with {self.study} after {self.done}: " if self.study else ""
        if self.finished:
            begun = f"{self.study} is finished, nothing is left to run: "
        return (
            f"{self.configuration}   {begun}{tune.trials} trials, {tune.parallel} at a time, by "
            f"{tune.metric}: {', '.join(map(_searched, tune.search, tune.search.values()))}"
        )


def _searched(name: str, search: Search) -> str:
    """Return a parameter's search range as text: `leaves 8 .. 128 (whole)`."""
    if search.choices:
        return f"{name} of {' | '.join(map(str, search.choices))}"
    kinds = [word for word, holds in (("log", search.log), ("whole", search.whole)) if holds]
    kind = f" ({', '.join(kinds)})" if kinds else ""
    return f"{name} {search.low:g} .. {search.high:g}{kind}"


def plan_study(project: Project, model: Model, *, resume: bool = False) -> PlannedStudy:
    """Return what `tune` would do; nothing is changed.

    Raises:
        Invalid: the configuration has no `tune`, or Optuna is not installed.
        NotFound: there is no study to go on with.
        Refused: the configuration or its trainer changed since that study began.
    """
    stored = find_study(project, model, resume=resume)
    study = stored.study if stored else None
    finished = study is not None and study.last is not None
    return PlannedStudy(
        configuration=model.path,
        tune=tuning_of(model),
        study=study.name if study else None,
        done=len(study.trials) if study else 0,
        finished=finished,
        estimate=None if finished else estimate_runs(project, planned_runs(project, model, study)),
    )


def find_study(project: Project, model: Model, *, resume: bool = False) -> StoredStudy | None:
    """Return the study that `tune` would go on with; None if it would begin one.

    Raises:
        Invalid: the configuration has no `tune`, or Optuna is not installed.
        NotFound: there is no study to go on with.
        Refused: the configuration or its trainer changed since that study began.
    """
    tune = tuning_of(model)
    check_installed()
    stored = None
    if resume:
        stored = newest_study(project, model.name)
        if stored is None:
            raise NotFound(
                f"there is no study of {model.path} to go on with",
                remedy=f"isthmus tune {model.path}",
            )
        if stored.study.digest != digest_of(project, model) or stored.study.tune != tune:
            raise Refused(
                f"{model.path} (its tune, too), its objective or its trainer is not what "
                f"{stored.study.name} began with: one study has one search and one model",
                remedy=f"begin another study: isthmus tune {model.path}; or undo the change",
            )
    return stored


def run_study(project: Project, model: Model, stored: StoredStudy | None) -> Study:
    """Run the rounds of a study that are left, then measure its best trial; return the study.

    After each round the study is stored: a repeat goes on from there, and finds the finished steps
    of the round that was interrupted in the cache.

    Args:
        project: The project, whose lock the caller holds.
        model: The configuration, which has a `tune`.
        stored: The study to go on with; None begins one.

    Raises:
        Invalid: a step failed; the message has the trial and its error, the rounds before are kept.
        Conflict: another process changed the study meanwhile.
        Refused: the trials may cost more than `jobs: {budget: ...}` of profiles.yaml; nothing ran.
    """
    if stored is None or stored.study.last is None:
        study = stored.study if stored else None
        require_budget(project, planned_runs(project, model, study))
    stored = _begin(project, model) if stored is None else _await_pending(project, stored)
    data = artifact_uri(project, stored.study.data_run, "dataset", "data")
    tune = stored.study.tune
    while len(stored.study.trials) < tune.trials:
        done = stored.study.trials
        round_number = math.ceil(len(done) / tune.parallel) + 1
        suggested = suggest(tune, done, round_number)
        if not suggested:  # all that the search has were tried
            break
        trials = dict(enumerate(suggested, len(done) + 1))
        by_name = {
            number: dict(zip(tune.search, settings, strict=True))
            for number, settings in trials.items()
        }
        stored, run = _run(
            project, stored, round_pipeline(project, model, data, by_name), trials=by_name
        )
        outputs = {number: values(project, run, trial_step(number)) for number in trials}
        stored = change_study(
            project,
            stored,
            pending_run=None,
            trials=(
                *done,
                *(
                    Trial(
                        number=number,
                        settings=settings,
                        value=float(outputs[number]["value"]),
                        seconds=float(outputs[number]["seconds"]),
                    )
                    for number, settings in trials.items()
                ),
            ),
        )
    return _finish(project, model, stored, data).study if not stored.study.last else stored.study


def digest_of(project: Project, model: Model) -> str:
    """Return a digest of what a model's trials depend on: settings, objective, trainer's code."""
    settings = {key: value for key, value in step_settings(model).items() if key not in _NOT_READ}
    code = code_digest(project, model)
    objective = project.spec.objectives[model.objective]
    return digest_text(msgspec.json.encode([settings, objective, code], order="sorted"))[:32]


def _begin(project: Project, model: Model) -> StoredStudy:
    """Make the training set, and store a new study."""
    name = run_names.next_name(project)
    state = watch(project, submit(project, dataset_pipeline(project, model), run=name))
    _check(project, name, state, {}, f"isthmus tune {model.path}")
    return create_study(
        project,
        Study(
            name="",
            configuration=model.name,
            path=model.path,
            digest=digest_of(project, model),
            tune=tuning_of(model),
            data_run=name,
            began=project.wall(),
        ),
    )


def _await_pending(project: Project, stored: StoredStudy) -> StoredStudy:
    """Wait for the end of a round that an interrupted command began and that still runs.

    What its steps made is in the cache then.
    """
    run = stored.study.pending_run
    if run is None:
        return stored
    try:
        if not has_ended(observe(project, run)):
            blobs = project.target.blobs
            watch(project, pipeline_run(blobs, open_run(blobs, run)))
    except NotFound:
        pass  # its number was given, and nothing was submitted
    return stored


def _finish(project: Project, model: Model, stored: StoredStudy, data: str) -> StoredStudy:
    """Measure a study's best trial and the file's parameters on the last period, and store it."""
    best = stored.study.best
    if best is None:
        raise AssertionError(stored.study.name)
    settings = stored.study.parameters(best)
    stored, run = _run(project, stored, last_pipeline(project, model, data, settings), trials={})
    uri = f"{artifact_uri(project, run, LAST, LAST)}/{RESULT}"
    result = msgspec.json.decode(project.target.blobs.get(uri), type=LastPeriod)
    return change_study(
        project,
        stored,
        pending_run=None,
        own_value=float(values(project, run, OWN)["value"]),
        last=result,
    )


def _run(
    project: Project,
    stored: StoredStudy,
    planned: Pipeline,
    *,
    trials: Mapping[int, Mapping[str, Setting]],
) -> tuple[StoredStudy, str]:
    """Run one pipeline of a study to its end; return the study, and the run's name.

    The study then names the run. `trials` are what its trials set, by number, for errors.
    """
    study, name = stored.study, run_names.next_name(project)
    stored = change_study(project, stored, pending_run=name)
    done, total = len(study.trials), study.tune.trials

    def progress(state: RunState) -> None:
        ended = sum(step.phase == "done" for step in state.steps)
        what = "trials" if trials else "the last period after trials"
        count = done + ended if trials else done
        project.progress(f"{study.name} ({study.configuration}): {what} done", count, total)

    again = f"isthmus tune {study.path} --resume"
    try:
        state = watch(project, submit(project, planned, run=name), on_change=progress)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"study {study.name} is kept. Go on with it: {again}")
        raise
    _check(project, name, state, trials, again)
    return stored, name


def _check(
    project: Project,
    run: str,
    state: RunState,
    trials: Mapping[int, Mapping[str, Setting]],
    again: str,
) -> None:
    """Raise Invalid with the first failed step's error if a run did not end well.

    `trials` are what its trials set, by number, and `again` is the command that goes on.
    """
    failed = sorted(
        (step for step in state.steps if step.phase in ("failed", "cancelled")),
        key=lambda step: step.phase == "cancelled",
    )
    if state.phase == "done" and not failed:
        return
    step = failed[0].name if failed else state.phase
    record = failure(project, run, step) if failed else None
    reason = (record.message if record else None) or (failed[0].reason if failed else "")
    number = trial_number(step)
    settings = trials.get(number, {}) if number is not None else {}
    about = f"trial {number} ({settings_text(settings)})" if number is not None else f"step {step}"
    mended = again.removesuffix(" --resume")
    remedies: Sequence[str | None] = (
        record.remedy if record else None,
        f"mend the trainer or the search, then {mended}; what was finished comes from the cache"
        if failed and failed[0].phase == "failed"
        else f"what is finished is kept; go on: {again}",
        f"log: isthmus runs log {run} {step}",
    )
    raise Invalid(
        f"{about} failed: {reason or 'it was stopped'}", remedy="\n".join(filter(None, remedies))
    )
