"""The keys of project.yaml: one table for the loader and for the JSON Schema."""

from __future__ import annotations

from collections.abc import Callable

from .datasets.keys import DATASET
from .endpoints.keys import ENDPOINT
from .events.keys import ENTITY, EVENT
from .experiments.keys import EXPERIMENT, LAYER
from .features.keys import FEATURE_VIEW, TABLE
from .metrics.keys import LATER_KEYS, METRIC
from .monitors.keys import MONITOR
from .objectives.keys import OBJECTIVE
from .predictions.keys import PREDICTION
from .reading import quantities
from .reading.common_shapes import name_text
from .reading.names import NAME, NAME_LENGTH, PROJECT_LENGTH, name_problem, relation_problem
from .reading.quantities import Mistake
from .reading.shapes import ListOf, MapOf, Record, RecordKey, Shape, Text
from .rollouts.keys import ROLLOUT
from .specs.datasets import examples_name


def _relation_name(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a table or view may not have this name, else None."""
    return name_problem(name) or relation_problem(name)


def _dataset_name(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a data set may not have this name, else None."""
    return name_problem(name, longest=NAME_LENGTH - len(examples_name("")))


def _declared_path(text: str) -> str:
    """Return an extra path the project may read, unchanged; raise Mistake if malformed."""
    if (
        not text.strip()
        or text.startswith("~")
        or "://" in text
        or any(letter in text for letter in "*?[")
    ):
        remedy = (
            "write a file or a folder: /data/logs; what lies below a folder may be read. A URI "
            "stands at an event's source"
        )
        raise Mistake(f"{text!r} is not a path", remedy)
    return text


# section -> (one entry's shape, the judge of its names)
SECTIONS: dict[str, tuple[Shape, Callable[[str], tuple[str, str] | None]]] = {
    "entities": (ENTITY, name_problem),
    "events": (EVENT, name_problem),
    "objectives": (OBJECTIVE, _relation_name),
    "tables": (TABLE, _relation_name),
    "feature_views": (FEATURE_VIEW, _relation_name),
    "endpoints": (ENDPOINT, name_problem),
    "rollouts": (ROLLOUT, name_problem),
    "metrics": (METRIC, name_problem),
    "layers": (LAYER, name_problem),
    "experiments": (EXPERIMENT, name_problem),
    "monitors": (MONITOR, name_problem),
    "predictions": (PREDICTION, name_problem),
    "datasets": (DATASET, _dataset_name),
}

PROJECT = Record(
    noun="a project",
    later={
        name: f"write what it counts among metrics; there, {LATER_KEYS[key]}"
        for key, names in {
            "retention": ("retention", "retentions", "cohorts"),
            "funnel": ("funnel", "funnels"),
        }.items()
        for name in names
    },
    keys={
        "name": RecordKey(shape=name_text(PROJECT_LENGTH), required=True, example="shop"),
        "now": RecordKey(
            shape=Text(
                what="a time",
                pattern=quantities.MOMENT,
                parse=quantities.moment,
                example="2019-12-01T00:00:00Z",
            ),
            description="The clock of an old log. Live projects leave it out.",
        ),
        "paths": RecordKey(
            shape=ListOf(
                of=Text(
                    what="a path", parse=_declared_path, pattern=r"[^~].*", example="/data/logs"
                )
            ),
            example="[/data/logs]",
            description="Files and folders outside of the project's folder that its sources may "
            "read, absolute or from the folder. Links are followed to their end.",
        ),
        **{
            section: RecordKey(shape=MapOf(of=shape, names=judge, pattern=NAME))
            for section, (shape, judge) in SECTIONS.items()
        },
    },
)
