"""One experiment: what it is, how its newest run stands, what the newest look showed, and its history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from ...endpoints.gateway.live_document import Change
from ...errors import NotFound
from ...experiments import answers, run_report, run_results, run_store, runs, standing
from ...experiments.answers import RunStatus
from ...experiments.run_figures import RunResults
from ...project.experiment_specs import Analysis, Experiment
from ...project.rule_specs import Condition
from ...reports import page as kit
from ...runtime import Project
from ..view import View


class OneExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """`is_`: as the run was started, or as project.yaml says it. None: there is no run, or nobody has looked at it."""

    is_: Experiment | Analysis = msgspec.field(name="is")
    status: RunStatus | None = None
    results: RunResults | None = None
    history: tuple[Change, ...] = ()


def page(project: Project, query: Mapping[str, str]) -> View:
    name = query["name"]
    if name in project.spec.analyses:
        return _analysis(project.spec.analyses[name])
    try:
        run = run_results.frozen(project, name)
    except NotFound:
        if name not in project.spec.experiments:
            raise
        return _not_started(project.spec.experiments[name])
    experiment = run.definition.experiment
    changes = tuple(change for change in runs.history(project.target.state, experiment.name) if change.run == run.run)
    status = standing.status(project, experiment.name, counted=False)
    seen = run_store.newest(project.target.blobs, run.run)
    data = OneExperiment(is_=experiment, status=status if status.run == run.run else None, results=seen, history=changes)
    return View(title=run.run, below=experiment.hypothesis, parts=tuple(_parts(data, name)), data=data)


def _parts(of: OneExperiment, name: str) -> Iterator[str]:
    if of.results:
        yield kit.words(run_report.about(of.results), "lead")
        yield run_report.verdict(of.results)
    else:
        yield kit.verdict(["Nobody has looked at it yet", f"isthmus experiment results {name}"])
    if of.status:
        yield kit.section("How it stands", kit.code(str(of.status)))
    if of.results:
        yield from run_report.sections(of.results)
    yield kit.section("What it is", _definition(of.is_))
    yield run_report.history(of.history)


def _analysis(analysis: Analysis) -> View:
    note = "It is assigned elsewhere: its log is compared when somebody asks, and nothing of it is stored."
    parts = (kit.verdict([note, f"isthmus experiment results {analysis.name}"]), kit.section("What it is", _definition(analysis)))
    return View(title=analysis.name, below=analysis.hypothesis, parts=parts, data=OneExperiment(is_=analysis))


def _not_started(experiment: Experiment) -> View:
    parts = (
        kit.verdict(["It was never started on this target", f"isthmus experiment start {experiment.name}"]),
        kit.section("What it is", _definition(experiment)),
    )
    return View(title=experiment.name, below=experiment.hypothesis, parts=parts, data=OneExperiment(is_=experiment))


def _definition(of: Experiment | Analysis) -> str:
    rows = _of_log(of) if isinstance(of, Analysis) else _of_gateway(of)
    return kit.table(["", ""], [row for row in rows if row[1]], wordy=1)


def _of_log(of: Analysis) -> list[list[str]]:
    return [
        ["arm", f"{of.event}.{of.attribute}: {of.control} against {of.treatment}"],
        ["decided by", of.metric],
        ["guardrails", "; ".join(f"{guardrail.metric} {guardrail}" for guardrail in of.guardrails)],
        ["also told", ", ".join(of.also)],
        ["owner", of.owner],
    ]


def _of_gateway(of: Experiment) -> list[list[str]]:
    weights = runs.weights(of)
    plan = of.plan
    days = f" in {plan.days} days" if plan and plan.days else ""
    return [
        *([f"arm {arm.name}", f"{weights[arm.name]:g} %   {answers.parameters_text(arm.parameters)}"] for arm in of.arms),
        ["layer", of.layer],
        ["share at the start", f"{of.share.normalize():f} %"],
        ["holdout", f"{of.holdout.normalize():f} %" if of.holdout else ""],
        ["for", "; ".join(map(_condition, of.targeting))],
        ["decided by", ", ".join(of.metric)],
        ["guardrails", "; ".join(f"{guardrail.metric} {guardrail}" for guardrail in of.guardrails)],
        ["also told", ", ".join(of.also)],
        ["segments", ", ".join(of.segments)],
        ["plan", f"an effect of {plan.minimum_effect.normalize():f} %{days}" if plan else "none: intervals hold at any look"],
        ["owner", of.owner],
    ]


def _condition(of: Condition) -> str:
    """`country JP, TW`; `age 18 ..`."""
    values = [", ".join(map(str, of.among))] if of.among is not None else []
    values += [f"not {', '.join(map(str, of.not_among))}"] if of.not_among is not None else []
    if of.min is not None or of.max is not None:
        values.append(f"{'' if of.min is None else f'{of.min:g}'} .. {'' if of.max is None else f'{of.max:g}'}")
    return f"{of.attribute} {' and '.join(values)}"
