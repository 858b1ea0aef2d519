"""The keys of project.yaml and of a model's file: one table, which the loader reads by and the JSON
Schema is made from.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .endpoints.keys import ENDPOINT
from .events.keys import ENTITY, EVENT
from .experiments.keys import EXPERIMENT, LAYER
from .metrics.keys import METRIC
from .models.gate_figures import CHECK, check_problem
from .monitors.keys import MONITOR
from .reading import quantities
from .reading.common_shapes import COLUMN, DURATION, NAME_SHAPE, name_text
from .reading.names import NAME, PROJECT_LENGTH, name_problem, relation_problem
from .reading.quantities import Mistake
from .reading.shapes import Free, Key, ListOf, MapOf, Number, OneOf, Record, Shape, Text
from .rollouts.keys import ROLLOUT


def _relation_name(name: str) -> tuple[str, str] | None:
    """Of what is written in SQL as it is."""
    return name_problem(name) or relation_problem(name)


def _path(text: str) -> str:
    if text.startswith(("/", "~")) or "\\" in text or ".." in text.split("/") or "://" in text:
        raise Mistake(
            f"{text!r} is not inside the project's folder",
            "put the file there and write its path from the folder: data/items.parquet",
        )
    if not text.endswith((".parquet", ".csv")):
        raise Mistake(
            f"{text!r} is neither .parquet nor .csv",
            "convert it: COPY ... TO 'data/items.parquet' in DuckDB",
        )
    return text


def _declared_path(text: str) -> str:
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


def _trainer(text: str) -> str:
    if not re.fullmatch(TRAINER, text):
        raise Mistake(
            f"{text!r} does not name a function",
            "write module.function, the module being a file beside project.yaml: ranker.logistic",
        )
    return text


TRAINER = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+"
FEATURE = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?"

OBJECTIVE = Record(
    noun="an objective",
    keys={
        "rate": Key(
            shape=Text(
                what="a rate",
                pattern=quantities.RATE,
                parse=quantities.rate,
                example="click / impression",
            ),
            required=True,
            example="click / impression",
            description="The outcome's event / the exposure's event.",
        ),
        "within": Key(
            shape=DURATION,
            required=True,
            example="30m",
            description="How long after the exposure an outcome counts.",
        ),
        "goal": Key(
            shape=OneOf(
                words=("maximise", "minimise"),
                near={"maximize": "maximise", "minimize": "minimise"},
            )
        ),
        "unit": Key(
            shape=COLUMN,
            example="user_id",
            description="The exposure's attribute whose rows are not independent of each other, a "
            "person: intervals draw units, not rows.",
        ),
        "ranked_within": Key(
            shape=COLUMN,
            example="request_id",
            description="The exposure's attribute whose rows, of one unit, were ranked against each "
            "other. Default: the unit.",
        ),
    },
)


TABLE = Text(
    what="a path", parse=_path, pattern=r"[^/~].*\.(parquet|csv)", example="data/items.parquet"
)
FEATURE_VIEW = Record(
    noun="a feature view",
    keys={
        "entity": Key(shape=NAME_SHAPE, required=True, example="item"),
        "ttl": Key(
            shape=DURATION,
            description="A row older than this is not used. Default: none is too old.",
        ),
        "outcome_events": Key(
            shape=OneOf(words=("known",)),
            description="Known: the view reads an objective's outcome event on purpose, and is not "
            "warned.",
        ),
    },
)
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
}

PROJECT = Record(
    noun="a project",
    keys={
        "name": Key(shape=name_text(PROJECT_LENGTH), required=True, example="shop"),
        "now": Key(
            shape=Text(
                what="a time",
                pattern=quantities.MOMENT,
                parse=quantities.moment,
                example="2019-12-01T00:00:00Z",
            ),
            description="The clock of an old log. Live projects leave it out.",
        ),
        "paths": Key(
            shape=ListOf(
                of=Text(
                    what="a path", parse=_declared_path, pattern=r"[^~].*", example="/data/logs"
                )
            ),
            example="[/data/logs]",
            description="Files and folders outside of the project's folder that its sources may read, "
            "absolute or from the folder. "
            "Links are followed to their end.",
        ),
        **{
            section: Key(shape=MapOf(of=shape, names=judge, pattern=NAME))
            for section, (shape, judge) in SECTIONS.items()
        },
    },
)

EVALUATE = Record(
    noun="evaluate",
    keys={
        "forward": Key(
            shape=DURATION,
            description="The length of one test period. Default: a tenth of the days to test, in whole "
            "days.",
        ),
        "after": Key(
            shape=DURATION,
            description="How much log comes before the first test period. Default 2d.",
        ),
        "segments": Key(
            shape=ListOf(of=COLUMN),
            example="[platform]",
            description="Attributes of the exposure: the report has the figures of each value.",
        ),
    },
)
BOUND = Record(
    noun="a bound",
    keys={
        "at_least": Key(shape=Number(), example="0"),
        "at_most": Key(shape=Number()),
        "within": Key(shape=ListOf(of=Number(), least=2, most=2), example="[0.67, 1.5]"),
    },
)
GATE = MapOf(of=BOUND, names=check_problem, pattern=CHECK, own={"leaks": OneOf(words=("none",))})
MODEL = Record(
    noun="a model's configuration",
    keys={
        "model": Key(
            shape=NAME_SHAPE,
            required=True,
            example="ranker",
            description="The registered model that a run becomes a version of.",
        ),
        "alias": Key(
            shape=NAME_SHAPE, description="What the new version is called: champion, challenger."
        ),
        "objective": Key(shape=NAME_SHAPE, required=True, example="ctr"),
        "window": Key(
            shape=Text(
                what="a window",
                pattern=f"{quantities.WINDOW}|{quantities.DURATION}",
                parse=quantities.window,
                example="2019-11-24 .. 2019-11-30",
            ),
            description="Days, both included, or a length back from now. Default 28d.",
        ),
        "features": Key(
            shape=ListOf(
                of=Text(what="a feature", pattern=FEATURE, example="item_history.item_ctr_7d")
            ),
            required=True,
            example="[view.feature]",
            description="view.feature, or an attribute of the objective's exposure.",
        ),
        "serve_as": Key(
            shape=MapOf(of=Free()),
            description="Values at serving for attributes that are not known before ranking.",
        ),
        "trainer": Key(
            shape=Text(
                what="a function", pattern=TRAINER, parse=_trainer, example="ranker.logistic"
            ),
            required=True,
            example="ranker.logistic",
        ),
        "parameters": Key(shape=MapOf(of=Free()), description="Given to the trainer by name."),
        "evaluate": Key(shape=EVALUATE),
        "gate": Key(
            shape=GATE,
            description="What the whole 95 % interval of a figure must keep: {ndcg@10_vs_champion: "
            "{at_least: 0}, calibration: "
            "{within: [0.67, 1.5]}}. Figures: auc, ndcg@k, recall@k, mrr, group_auc, "
            "log_loss, calibration; with _vs_champion their "
            "difference to the champion's. `leaks: none` fails with the leak alarm. Default "
            "where rows were ranked against each other, "
            "unless a ranking is compared already: ndcg@10_vs_champion: {at_least: 0}.",
        ),
    },
)
