"""The examples of a data set, as an event that a project has without declaring it."""

from __future__ import annotations

from .datasets import Dataset, examples_name
from .description import Attribute, Event, Objective, ProjectSpec
from .exposures import EVENT


def examples_event(spec: ProjectSpec, dataset: Dataset) -> Event:
    """Return a data set's examples as an event: an exposure of a gateway, and its outcome.

    Its id and its time are the exposure's. It is not among the declared events: a worker makes it.
    """
    return Event(
        name=examples_name(dataset.name),
        attributes=(
            *EVENT.attributes,
            Attribute(
                name="outcome", type="float" if _objective(spec, dataset).is_number else "int"
            ),
            # the end of the time in which an outcome counts
            Attribute(name="known_timestamp", type="timestamp"),
        ),
    )


def meaning_of(spec: ProjectSpec, dataset: Dataset) -> tuple[str, ...]:
    """Return what a data set's examples mean, as texts: with others they are other examples."""
    objective = _objective(spec, dataset)
    return (
        objective.outcome,
        f"{objective.within.total_seconds():.0f}",
        objective.sums or "",
        "" if objective.at_most is None else repr(objective.at_most),
    )


def _objective(spec: ProjectSpec, dataset: Dataset) -> Objective:
    """Return the objective of a data set."""
    return spec.objectives[dataset.objective]
