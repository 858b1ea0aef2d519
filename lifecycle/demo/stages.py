"""The stages that the demos share: they print how they ended, and their results in a line."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar, final

from ...core.runtime.project import Progress, Project
from ...errors import Invalid
from ...events.intake.ingest import IngestReport
from ...feature_store.as_known.check import AsKnown
from ...feature_store.offline.materialize import MaterializeReport
from ...feature_store.online.skew import SkewReport
from ...pipelines.run_pages.figure_text import interval
from ...pipelines.run_pages.records import Run
from ...target import Packages
from ...target import require as require_packages

# the stage's number, of how many, its name, its result in a line
OnStage = Callable[[int, int, str, str], None]
T = TypeVar("T")


# what the examples' trainers and pictures import
_PACKAGES = Packages(modules=("sklearn", "matplotlib", "pandas"), install="isthmus[demo]")


def check_installed() -> None:
    """Raise MissingDependency unless the Python packages that the demos import are installed."""
    require_packages(_PACKAGES, "the demo")


def silent(_number: int, _total: int, _name: str, _result: str) -> None:
    """Ignore the result of a stage; the callback that is used where the caller gives none."""


@final
class Stages:
    """Runs a stage, with progress while it goes on and its result when it has ended."""

    def __init__(self, total: int, on_stage: OnStage, progress: Progress) -> None:
        self._total, self._on_stage, self._progress, self._number = total, on_stage, progress, 0

    def __call__(self, name: str, act: Callable[[], T], result: Callable[[T], str]) -> T:
        self._number += 1
        self._progress(f"[{self._number:>2}/{self._total}] {name}", 0, None)
        value = act()
        self._on_stage(self._number, self._total, name, result(value))
        return value


class DemoData(NamedTuple):
    """The results of the first stages of every demo."""

    events: tuple[IngestReport, ...]
    views: tuple[MaterializeReport, ...]
    skew: SkewReport
    champion: Run


def prepared(project: Project, stage: Stages) -> DemoData:
    """Run the first six stages of a demo, from raw files to a champion model; return its data.

    The champion ranks by popularity. `stage` runs the next stage and reports it to the user.
    """
    from ...events.intake.ingest import ingest
    from ...feature_store.offline.materialize import materialize
    from ...feature_store.online.skew import skew
    from ...pipelines.training.training import train
    from ..resources.apply import apply
    from ..resources.plan import plan

    planned = stage(
        "validate and plan",
        lambda: plan(project),
        lambda planned: f"{len(planned.items)} things declared",
    )
    stage(
        "apply",
        lambda: apply(project, planned),
        lambda applied: f"{sum(applied.made.values())} tables and views",
    )
    events = stage("ingest", lambda: ingest(project), ingested_text)
    views = stage("materialize", lambda: materialize(project), view_rows_text)
    differing = stage(
        "skew check", lambda: skew(project), lambda report: str(report).removeprefix("skew").strip()
    )
    champion = stage("train popularity", lambda: train(project, "models/popularity.yaml"), auc_text)
    return DemoData(events=tuple(events), views=tuple(views), skew=differing, champion=champion)


@contextmanager
def started_for(project: Project, endpoint: str, *, keep: bool) -> Generator[bool, None, None]:
    """Stop a demo's endpoint after the block, unless it ran before or `keep` is set.

    Yields whether it ran before. It is stopped also if the block fails or is interrupted.
    """
    was_there = project.target.endpoints.observe(endpoint) is not None
    try:
        yield was_there
    finally:
        if not (keep or was_there):
            for resource in project.target.inventory.list(project.spec.name):
                if resource.kind == "endpoint" and resource.name == endpoint:
                    project.target.inventory.delete(resource)


def require(project: Project, example: str, scenario: str) -> None:
    """Raise Invalid unless a project is the example `example` and has its scenario file."""
    if project.spec.name == example and (project.folder / scenario).is_file():
        return
    raise Invalid(
        f"the demo runs the example {example}; this project is "
        f"{'another ' if project.spec.name == example else ''}{project.spec.name}",
        remedy=f"run it in another folder, or: isthmus init my_{example} --example {example}",
    )


def ingested_text(reports: Sequence[IngestReport]) -> str:
    """Return text on how many events of each kind were ingested."""
    return ", ".join(
        f"{report.stored + report.already_there:,} {report.event}s" for report in reports
    )


def view_rows_text(views: Sequence[MaterializeReport]) -> str:
    """Return text on how many rows of features were computed."""
    return f"{sum(view.rows for view in views):,} rows of features"


def auc_text(run: Run) -> str:
    """Return a run's AUC as text: `auc 0.475 (0.403 .. 0.541)`."""
    auc = run.evaluation.auc if run.evaluation else None
    return "no auc" if auc is None else f"auc {auc.value:.3f} ({interval(auc)})"


def leak_text(checked: Sequence[AsKnown], skew: SkewReport) -> str:
    """Return text on whether a feature used data from the future.

    `checked` compares stored features with what was known then, `skew` with those served.
    """
    if skew.differ:
        return (
            f"not known: {skew.differ:,} of {skew.keys:,} keys are served otherwise than they "
            "were trained"
        )
    rows = sum(view.rows for view in checked)
    looked = (
        f"no: {rows:,} rows of features computed again without later data, none differs"
        if rows
        else "no: checked in an earlier run"
    )
    return f"{looked}; {skew.keys:,} keys served as trained"


def relative_path(path: Path) -> str:
    """Return a path as text, relative to the current folder if it lies below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
