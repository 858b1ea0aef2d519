"""`isthmus demo --example shop`: people of whom all is known.

It goes from raw files to a canary that is promoted and an A/B test that decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...events.intake.ingest import IngestReport
from ...feature_store.as_known.check import AsKnown
from ...feature_store.online.skew import SkewReport
from ...pipelines.run_pages.figure_text import interval, signed
from ...pipelines.run_pages.records import Run
from ...project.models.gate_figures import CUTOFF
from ...reports.results import Shown
from .stages import (
    OnStage,
    Stages,
    auc_text,
    leak_text,
    prepared,
    relative_path,
    require,
    silent,
    started_for,
)

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...experiments.results.results import Results
    from ...experiments.simulation.drive import SimulationTotals
    from ...experiments.statistics.ranges import FigureInterval
    from ...rollouts.rehearsal.results import Rehearsal

EXAMPLE = "shop"
SCENARIO = "scenarios/canary.yaml"
PAGE = "rollout-canary.html"
SIMULATION = "simulations/people.yaml"
ENDPOINT, EXPERIMENT, ALIKE = "home", "order", "same"
_STAGES = 11
_MINUTE = timedelta(minutes=1)
_RANKING = f"ndcg@{CUTOFF}"


class HandOverResult(msgspec.Struct, frozen=True, kw_only=True):
    """A rehearsed rollout of a healthy challenger. Times are virtual minutes from its start."""

    end: str
    steps: dict[str, float]  # percent of the challenger, and when it had them
    promoted_after: float | None
    # until the champion's variant had the promoted version and all of the traffic; None: not handed
    # over
    handed_after: float | None
    requests: int
    failed: int
    serving: dict[str, float]  # percent by variant at the end
    unexpected: tuple[str, ...]  # in what it differs from what the scenario expects
    page: Path

    @property
    def headline(self) -> str:
        """Return the end of the rehearsed rollout and its failed requests as a line of text."""
        return f"{self.end}, {self.failed:,} of {self.requests:,} requests failed"


class ExperimentPair(msgspec.Struct, frozen=True, kw_only=True):
    """Two experiments with the same visitors, of whom each is in an arm of both.

    `alike`: of arms that do not differ.
    """

    visits: SimulationTotals
    experiment: Results
    alike: Results
    page: Path

    @property
    def headline(self) -> str:
        """Return the verdicts of the A/B test and of the A/A test as a line of text."""
        return f"{_answer(self.experiment)}; A/A {_answer(self.alike)}"


class ShopDemo(Shown, msgspec.Struct, frozen=True, kw_only=True):
    target: str
    seconds: float
    ingested: tuple[IngestReport, ...]
    checked: tuple[AsKnown, ...]  # the views that were checked in this run: at their first batch
    skew: SkewReport
    champion: Run  # what is popular
    flatterer: Run  # who clicks: a high AUC, and no ranking
    challenger: Run  # both
    rollout: HandOverResult
    tested: ExperimentPair
    url: str | None  # of the endpoint, if it is still up

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def demo_shop(project: Project, *, keep: bool = False, on_stage: OnStage = silent) -> ShopDemo:
    """Run the demo of a simulated shop on the project's target, and return its results.

    It may be run again: the same run of the experiment goes on. The endpoint that it started is
    stopped at the end, also when it fails or is interrupted, unless `keep`.

    Raises:
        Invalid: The project is not the example.
    """
    from ...endpoints.deploy.deploy import deploy
    from ...pipelines.training.training import train

    require(project, EXAMPLE, SCENARIO)
    started = time.monotonic()
    stage = Stages(_STAGES, on_stage, project.progress)
    with project.lock("demo"):
        first = prepared(project, stage)
        flatterer = stage("train likes", lambda: train(project, "models/likes.yaml"), _gate_text)
        challenger = stage("train both", lambda: train(project, "models/both.yaml"), _gate_text)
        rollout = stage(
            "rehearse a rollout",
            lambda: _rehearse_hand_over(project),
            lambda result: result.headline,
        )
        with started_for(project, ENDPOINT, keep=keep) as was_there:
            deployment = stage(
                "deploy",
                lambda: deploy(project, ENDPOINT),
                lambda ready: f"ready in {ready.seconds:.1f} s",
            )
            tested = stage(
                "A/B and A/A test",
                lambda: _run_experiments(project),
                lambda test: test.headline,
            )
    return ShopDemo(
        target=project.target.name,
        seconds=time.monotonic() - started,
        ingested=first.events,
        checked=tuple(view.as_known for view in first.views if view.as_known),
        skew=first.skew,
        champion=first.champion,
        flatterer=flatterer,
        challenger=challenger,
        rollout=rollout,
        tested=tested,
        url=deployment.url if keep or was_there else None,
    )


def _run_experiments(project: Project) -> ExperimentPair:
    """Run an A/B and an A/A experiment with simulated visitors; return the results of both.

    New visitors come on simulated days.
    """
    from ...experiments.results.comparison import results
    from ...experiments.results.page import report
    from ...experiments.simulation.simulate import Session
    from ...experiments.simulation.simulation_file import read

    going = Session(project)
    for name in (EXPERIMENT, ALIKE):
        going.start(name, None)
    visits = going.play(read(project.folder / SIMULATION, project.spec))
    experiment, alike = (results(going.project, name) for name in (EXPERIMENT, ALIKE))
    return ExperimentPair(
        visits=visits, experiment=experiment, alike=alike, page=report(going.project, EXPERIMENT)
    )


def _rehearse_hand_over(project: Project) -> HandOverResult:
    """Rehearse the shop's rollout until its winner is the champion, and return how it went."""
    from ...pipelines.run_pages.report_store import keep
    from ...rollouts.page import report
    from ...rollouts.rehearsal.rehearse import rehearse

    played = rehearse(project, project.folder / SCENARIO)
    done = played.state.handover == "done"
    return HandOverResult(
        end=played.end,
        steps={
            f"{entry.percent.normalize():f}": (entry.at - played.started) / _MINUTE
            for entry in played.entries
            if entry.what == "converged" and entry.percent is not None
        },
        promoted_after=_minutes_until(played, "promoted"),
        handed_after=_minutes_until(played, "handed") if done else None,
        requests=played.requests,
        failed=played.failed,
        serving={name: float(percent) for name, percent in played.state.intent.items()},
        unexpected=played.unexpected,
        page=keep(project, PAGE, report.html(played.state, played.entries, played.kept).encode()),
    )


def _minutes_until(played: Rehearsal, what: str) -> float | None:
    """Return the minutes from a rehearsal's start to the first event `what` of its history.

    None if the history has no such event.
    """
    return next(
        ((entry.at - played.started) / _MINUTE for entry in played.entries if entry.what == what),
        None,
    )


def _gate_text(run: Run) -> str:
    """Return a training run's AUC as text, and whether its model version passed the checks."""
    return f"{auc_text(run)}, gate: {run.gate or 'none asked for'}"


def _lines(demo: ShopDemo) -> Iterator[str]:
    """Yield the shop demo's report as lines of text: each question with its answer."""
    counts = ", ".join(
        f"{report.stored + report.already_there:,} {report.event}s" for report in demo.ingested
    )
    yield f"done in {demo.seconds:.0f} s   {counts} of simulated people"
    yield f"  Does the higher AUC rank better?    {_ranking_text(demo)}"
    yield "      " + "   ".join(
        f"{run.configuration}: {auc_text(run)}" for run in (demo.champion, demo.flatterer)
    )
    yield f"  Is a better model let through?      {_pass_text(demo.challenger)}"
    yield f"      {_differences(demo.challenger)}"
    yield f"  Did a feature see the future?       {leak_text(demo.checked, demo.skew)}"
    yield f"  Is a healthy version promoted?      {_promotion_text(demo.rollout)}"
    failed = f"{demo.rollout.failed:,} of {demo.rollout.requests:,} requests failed"
    yield f"      {failed} (rehearsed in virtual time)"
    yield f"  Do the roles go home?               {_hand_over_text(demo.rollout)}"
    yield f"  Is a ranked list clicked more?      {_answer(demo.tested.experiment)}"
    yield f"  Do two arms that are alike differ?  {_answer(demo.tested.alike)}"
    visits = demo.tested.visits
    days, clicks = (visits.ended - visits.began).days, visits.sent.get("click", 0)
    counts = f"{visits.shown:,} impressions, {clicks:,} clicks, over HTTP"
    yield f"      {visits.units:,} visitors on {days} simulated days, {counts}"
    yield f"  pages   {relative_path(demo.rollout.page)}   {relative_path(demo.tested.page)}"
    stop = f"isthmus experiment stop {EXPERIMENT} --because ..."
    yield f"  the test goes on: isthmus experiment results {EXPERIMENT}; until {stop}"
    if demo.url:
        yield f"  {demo.url} is still up: isthmus destroy, once the test is stopped"


def _ranking_text(demo: ShopDemo) -> str:
    """Return text that compares the ranking quality of two models on the same rows.

    One of them, the flatterer, has the higher AUC; the text says whether it ranks better, too.
    """
    run, ranking = demo.flatterer, demo.flatterer.champion.differences.get(_RANKING)
    auc = run.champion.difference
    if auc is None or ranking is None:
        return "no comparison: there is no champion on the same rows"
    if auc.low <= 0:
        return (
            f"not asked: {run.configuration}'s AUC is not higher, auc {signed(auc.value, 3)} "
            f"({interval(auc, sign=True)})"
        )
    verdict = "no" if ranking.high < 0 else "yes" if ranking.low > 0 else "not known"
    gate = {"fail": "its gate fails it", None: "it has no gate"}.get(
        run.gate, f"its gate says {run.gate}"
    )
    return (
        f"{verdict}: auc {signed(auc.value, 3)}, but {_RANKING} {signed(ranking.value, 3)} "
        f"({interval(ranking, sign=True)}); {gate}"
    )


def _pass_text(run: Run) -> str:
    """Return text on whether a run's model version passed its checks, and the alias it got."""
    if run.gate == "pass" and run.alias:
        return (
            f"yes: {run.version} ({run.configuration}) passes its gate and becomes the {run.alias}"
        )
    return f"no: the gate of {run.version} ({run.configuration}) says {run.gate or 'nothing'}"


def _differences(run: Run) -> str:
    """Return the checks of a run's model version as text: each metric with its limit."""
    return "   ".join(
        f"{check.name}: {check.reason}, wanted {check.wanted}" for check in run.checks.checks
    )


def _promotion_text(rollout: HandOverResult) -> str:
    """Return text on whether the rehearsed rollout promoted the version, and by which steps."""
    if rollout.unexpected or rollout.promoted_after is None:
        return f"no: {'; '.join(rollout.unexpected) or rollout.end}"
    steps = ", ".join(
        f"{percent} % after {minutes:.0f} min" for percent, minutes in rollout.steps.items()
    )
    return f"yes: {steps}, promoted after {rollout.promoted_after:.0f} min"


def _hand_over_text(rollout: HandOverResult) -> str:
    """Return text on whether the promoted version has taken over the endpoint."""
    if rollout.handed_after is None:
        return f"no: {rollout.end}, and nothing was handed over"
    serving = " and ".join(f"{name} {percent:g} %" for name, percent in rollout.serving.items())
    return (
        f"yes: {rollout.handed_after:.0f} min after the start the promoted version serves as "
        f"{serving}, the other variant is gone"
    )


def _answer(test_results: Results) -> str:
    """Return an experiment's verdict with its figure: `ship: ctr +39.0 % (+25.1 .. +55.3 %)`."""
    decided = next(effect for effect in test_results.effects if effect.role == "decides")
    return f"{test_results.headline}: {decided.metric} {_relative(decided.relative)}"


def _relative(difference: FigureInterval | None) -> str:
    """Return a relative difference with its confidence interval as text."""
    if difference is None or difference.value is None:
        return "of too few units"
    from ...experiments.results.text import percent, range_text

    return f"{percent(difference.value)} ({range_text(difference)})"
