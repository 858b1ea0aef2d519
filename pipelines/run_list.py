"""`isthmus runs list --sort ndcg@10 --where model=logistic`: runs with what was said of them, chosen and in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import Invalid
from ..project.metrics import AGAINST, EXAMPLES, check_problem
from ..project.names import did_you_mean
from . import notes, runs
from .notes import Notes
from .records import Run
from .statistics import Estimate

if TYPE_CHECKING:
    from ..runtime import Project


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    run: Run
    notes: Notes = Notes()


def flat(run: Run, noted: Notes) -> dict[str, Any]:
    """A run and what people say of it, as one JSON object: `runs list` and `runs show`."""
    return {**msgspec.to_builtins(run), "tags": noted.tags, "note": noted.note}


_FIELDS: dict[str, Callable[[Listed], tuple[str | None, ...]]] = {  # what --where knows, beside parameters.<name>; any value may match
    "model": lambda listed: (listed.run.model, listed.run.configuration),
    "configuration": lambda listed: (listed.run.configuration,),
    "version": lambda listed: (listed.run.version,),
    "alias": lambda listed: (listed.run.alias,),
    "gate": lambda listed: (listed.run.gate,),
    "status": lambda listed: (listed.run.status,),
    "objective": lambda listed: (listed.run.objective,),
    "trainer": lambda listed: (listed.run.trainer,),
    "tag": lambda listed: listed.notes.tags,
}


def list_runs(project: Project, *, sort: str | None = None, where: Sequence[str] = (), newest: int | None = None) -> tuple[Listed, ...]:
    """Training runs that ended, oldest first; damaged records are left out. `newest`: only among so many.

    `sort`: a figure, best first, runs without it last. `where`: FIELD=VALUE, all of which must hold. Invalid: an unknown figure or field.
    """
    wanted = conditions(sort, where)
    blobs = project.target.blobs
    listed = [Listed(run=run, notes=notes.read(blobs, run.name)) for run in runs.list_runs(project, newest=newest)]
    chosen = [entry for entry in listed if all(holds(entry) for holds in wanted)]
    return tuple(chosen if sort is None else sorted(chosen, key=lambda entry: _badness(entry.run, sort)))


def conditions(sort: str | None, where: Sequence[str]) -> list[Callable[[Listed], bool]]:
    """What must hold of a run. Invalid: an unknown figure or field."""
    if sort is not None and check_problem(sort) is not None:
        raise Invalid(f"{sort} is not a figure to sort by", remedy=f"a figure is one of {', '.join(EXAMPLES)}, each also with {AGAINST}")
    if sort == f"calibration{AGAINST}":
        raise Invalid(f"{sort} has no best: it is a difference of two distances from 1", remedy="sort by calibration")
    return [_condition(text) for text in where]


def _condition(text: str) -> Callable[[Listed], bool]:
    field, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"--where {text} is not FIELD=VALUE", remedy="for example: --where model=logistic")
    if field.startswith("parameters."):
        name = field.removeprefix("parameters.")
        return lambda listed: _same(listed.run.parameters.get(name), value)
    if field not in _FIELDS:
        known = (*_FIELDS, "parameters.NAME")
        raise Invalid(f"--where {text}: runs have no {field}", remedy=did_you_mean(field, _FIELDS) or f"they have {', '.join(known)}")
    return lambda listed: value in _FIELDS[field](listed)


def _same(parameter: object, value: str) -> bool:
    """1 is 1.0, as a configuration has it."""
    if isinstance(parameter, int | float) and not isinstance(parameter, bool):
        try:
            return float(value) == parameter
        except ValueError:
            return False
    return parameter is not None and (str(parameter).lower() if isinstance(parameter, bool) else str(parameter)) == value


def comparable(listed: Sequence[Listed]) -> bool:
    """Whether every figure is of the same rows."""
    runs_ = [entry.run for entry in listed]
    return len({(r.objective, r.data.start, r.data.end, r.evaluation.rows) for r in runs_ if r.data and r.evaluation}) <= 1


def figure(run: Run, name: str) -> Estimate | None:
    """A run's own figure, or its difference to the champion of that day, by the name of a gate."""
    if run.evaluation is None:
        return None
    metric = name.removesuffix(AGAINST)
    return (run.champion if metric != name else run.evaluation).figures().get(metric)


def _badness(run: Run, name: str) -> float:
    """Lower is better. Loss is better when low, calibration when near 1, everything else when high."""
    estimate = figure(run, name)
    if estimate is None:
        return math.inf
    if name == "calibration":
        return abs(math.log(estimate.value)) if 0 < estimate.value < math.inf else math.inf
    return estimate.value if name.startswith("log_loss") else -estimate.value
