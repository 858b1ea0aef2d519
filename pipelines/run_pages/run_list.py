"""List runs with their notes, chosen and in order.

The command is `isthmus runs list --sort ndcg@10 --where model=logistic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid, NotFound
from ...project.models.gate_figures import AGAINST, ALL_EXAMPLES, check_problem, is_loss
from ...project.reading.names import did_you_mean
from ...reports.results import StructRows
from ..evaluation.statistics import Estimate
from ..runs import watch
from ..runs.costs import RunCost
from . import notes, runs
from .notes import Notes
from .records import Run

if TYPE_CHECKING:
    from ...core.runtime.project import Project


class AnnotatedRun(Run, frozen=True, kw_only=True):
    """A run's record, with what people say of it. It is not stored."""

    tags: tuple[str, ...] = ()
    note: str = ""
    cost: RunCost | None = None  # None: it was not asked for, or nobody knows of the run

    def __str__(self) -> str:
        cost = [f"  cost          {self.cost}"] if self.cost else []
        return "\n".join([super().__str__(), *note_lines(self), *cost])

    def overview(
        self, figures: Sequence[str] = ("auc",), *, cost: bool = False
    ) -> dict[str, object]:
        """Return a run's row in the table of runs, by column, with these metrics.

        With `cost` the last column is what the run cost in USD.
        """
        estimates = {name: figure(self, name) for name in figures}
        return {
            "run": self.name,
            "started": f"{self.started:%Y-%m-%d %H:%M}",
            "configuration": self.title(),
            "version": self.version or self.status,
            "alias": self.alias or "",
            **{
                name: f"{estimate.value:.4g}" if estimate else ""
                for name, estimate in estimates.items()
            },
            "gate": self.gate or "",
            "tags": " ".join(self.tags),
            **({"cost (USD)": self.cost.short() if self.cost else "unknown"} if cost else {}),
        }


def with_notes(run: Run, notes: Notes, cost: RunCost | None = None) -> AnnotatedRun:
    """Return a training run's record joined with its tags and note, and with its cost if given."""
    return AnnotatedRun(
        **{name: getattr(run, name) for name in run.__struct_fields__},
        tags=notes.tags,
        note=notes.note,
        cost=cost,
    )


def known_cost(project: Project, run: str) -> RunCost | None:
    """Return what a run cost, or None if the engine knows nothing of the run any more."""
    try:
        return watch.cost(project, run)
    except NotFound:
        return None


def note_lines(noted: AnnotatedRun | Notes) -> list[str]:
    """Return a run's tags and note as lines of text."""
    tags = [f"  tags          {' '.join(noted.tags)}"] if noted.tags else []
    return [*tags, *([f"  note          {noted.note}"] if noted.note else [])]


_FIELDS: dict[
    str, Callable[[AnnotatedRun], tuple[str | None, ...]]
] = {  # what --where knows, beside parameters.<name>; any value may match
    "model": lambda listed: (listed.model, listed.configuration),
    "configuration": lambda listed: (listed.configuration,),
    "version": lambda listed: (listed.version,),
    "alias": lambda listed: (listed.alias,),
    "gate": lambda listed: (listed.gate,),
    "status": lambda listed: (listed.status,),
    "objective": lambda listed: (listed.objective,),
    "trainer": lambda listed: (listed.trainer,),
    "tag": lambda listed: listed.tags,
}


def list_runs(
    project: Project,
    *,
    sort: str | None = None,
    where: Sequence[str] = (),
    newest: int | None = None,
    cost: bool = False,
) -> StructRows[AnnotatedRun]:
    """Return the training runs that ended, with their tags and notes, oldest first.

    Damaged records are left out.

    Args:
        project: The project.
        sort: A figure; the best is first, runs without it are last.
        where: Conditions FIELD=VALUE, all of which must hold.
        newest: Sort and filter only this many of the newest runs.
        cost: Whether to say what each run cost, too.

    Raises:
        Invalid: there is no such figure or field.
    """
    tests = conditions(sort, where)
    blobs = project.target.blobs
    listed = [
        with_notes(run, notes.read(blobs, run.name))
        for run in runs.list_runs(project, newest=newest)
    ]
    chosen = [entry for entry in listed if all(holds(entry) for holds in tests)]
    if cost:
        chosen = [
            msgspec.structs.replace(entry, cost=known_cost(project, entry.name)) for entry in chosen
        ]
    return StructRows(
        chosen if sort is None else sorted(chosen, key=lambda run: _badness(run, sort))
    )


def conditions(sort: str | None, where: Sequence[str]) -> list[Callable[[AnnotatedRun], bool]]:
    """Parse --where conditions; return each as a function that tells whether a run meets it.

    The metric to sort by is checked, too.

    Raises:
        Invalid: there is no such figure or field.
    """
    if sort is not None and check_problem(sort) is not None:
        raise Invalid(
            f"{sort} is not a figure to sort by",
            remedy=f"a figure is one of {', '.join(ALL_EXAMPLES)}, each also with {AGAINST}",
        )
    if sort == f"calibration{AGAINST}":
        raise Invalid(
            f"{sort} has no best: it is a difference of two distances from 1",
            remedy="sort by calibration",
        )
    return [_condition(text) for text in where]


def _condition(text: str) -> Callable[[AnnotatedRun], bool]:
    """Parse a --where condition; return a function that tells whether a run meets it.

    Raises Invalid if it is malformed.
    """
    field, equals, value = text.partition("=")
    if not equals:
        raise Invalid(
            f"--where {text} is not FIELD=VALUE", remedy="for example: --where model=logistic"
        )
    if field.startswith("parameters."):
        name = field.removeprefix("parameters.")
        return lambda listed: _same(listed.parameters.get(name), value)
    if field not in _FIELDS:
        fields = (*_FIELDS, "parameters.NAME")
        raise Invalid(
            f"--where {text}: runs have no {field}",
            remedy=did_you_mean(field, _FIELDS) or f"they have {', '.join(fields)}",
        )
    return lambda listed: value in _FIELDS[field](listed)


def _same(parameter: object, value: str) -> bool:
    """Return whether a trainer's parameter equals a text from the command line: 1 is 1.0."""
    if isinstance(parameter, int | float) and not isinstance(parameter, bool):
        try:
            return float(value) == parameter
        except ValueError:
            return False
    return (
        parameter is not None
        and (str(parameter).lower() if isinstance(parameter, bool) else str(parameter)) == value
    )


def comparable(listed: Sequence[AnnotatedRun]) -> bool:
    """Return whether all runs were evaluated on the same rows, so that metrics compare."""
    return (
        len(
            {
                (r.objective, r.data.start, r.data.end, r.evaluation.rows)
                for r in listed
                if r.data and r.evaluation
            }
        )
        <= 1
    )


def leading_figures(listed: Sequence[AnnotatedRun], sort: str | None) -> list[str]:
    """Return the metrics that a list of runs shows: that of the order, and one of each kind.

    `sort` is the metric by which the list is sorted. One of a kind is auc, or spearman of an
    objective that is a number.
    """
    kinds = dict.fromkeys(run.evaluation.whole for run in listed if run.evaluation)
    return list(dict.fromkeys([*(sorted(kinds) or ["auc"]), *([sort] if sort else [])]))


def figure(run: Run, name: str) -> Estimate | None:
    """Return a run's metric, or its difference to the champion, by the name that gates use."""
    if run.evaluation is None:
        return None
    metric = name.removesuffix(AGAINST)
    return (run.champion if metric != name else run.evaluation).figures().get(metric)


def _badness(run: Run, name: str) -> float:
    """Return a sort key of a run by one of its metrics: the best run comes first.

    A loss (rmse) is better when low, calibration when near 1, everything else when high.
    """
    estimate = figure(run, name)
    if estimate is None:
        return math.inf
    if name == "calibration":
        return abs(math.log(estimate.value)) if 0 < estimate.value < math.inf else math.inf
    return estimate.value if is_loss(name.removesuffix(AGAINST)) else -estimate.value
