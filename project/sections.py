"""The keys of project.yaml and of a model's file: one table, which the loader reads by and the JSON Schema is made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from . import quantities
from .experiment_keys import EXPERIMENT
from .metrics import CHECK, check_problem
from .names import NAME, PROJECT_LENGTH, VARIANT_LENGTH, column_problem, name_problem, relation_problem
from .quantities import Mistake
from .rollout_keys import ROLLOUT
from .shapes import Flag, Free, Key, ListOf, MapOf, Number, OneOf, Record, Shape, Text
from .texts import COLUMN, DURATION, NAME_SHAPE, SHARE, WORDS, name_text


def _relation_name(name: str) -> tuple[str, str] | None:
    """Of what is written in SQL as it is."""
    return name_problem(name) or relation_problem(name)


def _path(text: str) -> str:
    if text.startswith(("/", "~")) or "\\" in text or ".." in text.split("/") or "://" in text:
        raise Mistake(
            f"{text!r} is not inside the project's folder", "put the file there and write its path from the folder: data/items.parquet"
        )
    if not text.endswith((".parquet", ".csv")):
        raise Mistake(f"{text!r} is neither .parquet nor .csv", "convert it: COPY ... TO 'data/items.parquet' in DuckDB")
    return text


_URIS = {
    "s3": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+", "s3://bucket/folder/"),
    "gs": (r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]/.+", "gs://bucket/folder/"),
    "athena": (r"[A-Za-z0-9_]+\.[A-Za-z0-9_]+", "athena://database.table"),
    "bigquery": (r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}", "bigquery://dataset.table"),
}


def _source(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not text.strip():
        raise Mistake("it is empty", "write a path or a URI, or leave the key out")
    if separator and scheme not in _URIS:
        examples = ", ".join(example for _, example in _URIS.values())
        raise Mistake(f"{scheme}:// is no place of events", f"write a path from the project's folder, or one of {examples}")
    if separator and not re.fullmatch(_URIS[scheme][0], rest):
        raise Mistake(f"{text!r} names nothing", f"write it like {_URIS[scheme][1]}")
    return text


MODEL_REF = rf"{NAME}@({NAME}|[1-9][0-9]*)"


def _model_ref(text: str) -> tuple[str, str]:
    if not re.fullmatch(MODEL_REF, text):
        name = text.partition("@")[0]
        raise Mistake(
            f"{text!r} does not name a version of a model",
            f"write model@alias or model@number: {name or 'ranker'}@champion, {name or 'ranker'}@3",
        )
    model, _, ref = text.partition("@")
    return model, ref


def _trainer(text: str) -> str:
    if not re.fullmatch(TRAINER, text):
        raise Mistake(
            f"{text!r} does not name a function", "write module.function, the module being a file beside project.yaml: ranker.logistic"
        )
    return text


TRAINER = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+"
FEATURE = r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?"

ENTITY = Record(
    noun="an entity",
    keys={
        "key": Key(
            shape=COLUMN, required=True, example="item_id", description="The column that holds it. Attributes of this name refer to it."
        ),
        "type": Key(
            shape=OneOf(words=("int", "string"), near={"str": "string", "text": "string", "integer": "int", "bigint": "int"}),
            required=True,
            example="int",
        ),
        "description": Key(shape=WORDS),
    },
)
ATTRIBUTE = Record(
    noun="an attribute",
    keys={
        "type": Key(
            shape=OneOf(
                words=("bool", "int", "float", "string", "timestamp"),
                near={"str": "string", "text": "string", "integer": "int", "double": "float", "number": "float", "boolean": "bool",
                      "datetime": "timestamp"},
            ),
            required=True,
            example="string",
        ),
        "required": Key(shape=Flag(), description="Default true."),
        "min": Key(shape=Number()),
        "max": Key(shape=Number()),
        "allowed": Key(shape=ListOf(of=Free()), description="The only values that it takes."),
        "description": Key(shape=WORDS),
    },
)  # fmt: skip
EVENT = Record(
    noun="an event",
    keys={
        "description": Key(shape=WORDS),
        "owner": Key(shape=WORDS, description="Whom to ask about it."),
        "attributes": Key(
            shape=MapOf(of=ATTRIBUTE, names=column_problem, pattern=NAME, least=1), required=True, example="{item_id: {type: int}}"
        ),
        "source": Key(
            shape=Text(what="a source", parse=_source),
            example="data/clicks/*.jsonl.gz",
            description="Where its rows are, in place of sources/<event>.sql: a file, a folder or a glob, s3://bucket/folder/, "
            "athena://database.table, gs://bucket/folder/, bigquery://dataset.table. "
            "Files are JSON lines, CSV, TSV (plain, .gz, .zst) or Parquet.",
        ),
        "max_lateness": Key(shape=DURATION, description="Older events are quarantined. Default 30d."),
        "max_ahead": Key(shape=DURATION, description="How far an event may be ahead of the clock; later ones wait. Default 2m."),
    },
)
OBJECTIVE = Record(
    noun="an objective",
    keys={
        "rate": Key(
            shape=Text(what="a rate", pattern=quantities.RATE, parse=quantities.rate, example="click / impression"),
            required=True,
            example="click / impression",
            description="The outcome's event / the exposure's event.",
        ),
        "within": Key(shape=DURATION, required=True, example="30m", description="How long after the exposure an outcome counts."),
        "goal": Key(shape=OneOf(words=("maximise", "minimise"), near={"maximize": "maximise", "minimize": "minimise"})),
        "unit": Key(
            shape=COLUMN,
            example="user_id",
            description="The exposure's attribute whose rows are not independent of each other, a person: intervals draw units, not rows.",
        ),
        "ranked_within": Key(
            shape=COLUMN,
            example="request_id",
            description="The exposure's attribute whose rows, of one unit, were ranked against each other. Default: the unit.",
        ),
    },
)


def _kept(text: str) -> timedelta:
    return timedelta(0) if text == "0" else quantities.duration(text)


TABLE = Text(what="a path", parse=_path, pattern=r"[^/~].*\.(parquet|csv)", example="data/items.parquet")
FEATURE_VIEW = Record(
    noun="a feature view",
    keys={
        "entity": Key(shape=NAME_SHAPE, required=True, example="item"),
        "ttl": Key(shape=DURATION, description="A row older than this is not used. Default: none is too old."),
        "outcome_events": Key(
            shape=OneOf(words=("known",)), description="Known: the view reads an objective's outcome event on purpose, and is not warned."
        ),
    },
)
VARIANT = Record(
    noun="a variant",
    keys={
        "model": Key(
            shape=Text(what="a version of a model", pattern=MODEL_REF, parse=_model_ref, example="ranker@champion"),
            required=True,
            example="ranker@champion",
        ),
        "traffic": Key(
            shape=SHARE,
            required=True,
            example="100",
            description="Percent, at creation.",
        ),
    },
)
ENDPOINT = Record(
    noun="an endpoint",
    keys={
        "objective": Key(shape=NAME_SHAPE, required=True, example="ctr"),
        "unit": Key(shape=COLUMN, required=True, example="visitor_id", description="Sent by the caller; exposures go by it."),
        "variants": Key(
            shape=MapOf(of=VARIANT, names=lambda name: name_problem(name, longest=VARIANT_LENGTH), pattern=NAME, least=1),
            required=True,
            example="{champion: {model: ranker@champion, traffic: 100}}",
        ),
        "explore": Key(
            shape=Text(what="a percentage", pattern=quantities.PERCENT, parse=quantities.percent, example="5%"),
            description="Share of requests answered in random order, logged with its propensity.",
        ),
        "online_cache": Key(
            shape=Text(what="a duration, or 0", pattern=f"0|{quantities.DURATION}", parse=_kept, example="1s", numbers=True),
            description="How long the gateway keeps a row of features that it has read; 0: not at all. Default 1s.",
        ),
        "max_candidates": Key(
            shape=Number(whole=True, least=1), example="1000", description="The most candidates of a request to the gateway. Default 1000."
        ),
        "routing": Key(shape=OneOf(words=("weighted",), later=("sticky",))),
    },
    later=("rules",),
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
    "experiments": (EXPERIMENT, name_problem),
}
LATER_SECTIONS = ("layers", "metrics", "monitors")

PROJECT = Record(
    noun="a project",
    keys={
        "name": Key(shape=name_text(PROJECT_LENGTH), required=True, example="shop"),
        "now": Key(
            shape=Text(what="a time", pattern=quantities.MOMENT, parse=quantities.moment, example="2019-12-01T00:00:00Z"),
            description="The clock of an old log. Live projects leave it out.",
        ),
        **{section: Key(shape=MapOf(of=shape, names=judge, pattern=NAME)) for section, (shape, judge) in SECTIONS.items()},
    },
    later=LATER_SECTIONS,
)

EVALUATE = Record(
    noun="evaluate",
    keys={
        "forward": Key(shape=DURATION, description="The length of one test period. Default: a tenth of the days to test, in whole days."),
        "after": Key(shape=DURATION, description="How much log comes before the first test period. Default 2d."),
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
            shape=NAME_SHAPE, required=True, example="ranker", description="The registered model that a run becomes a version of."
        ),
        "alias": Key(shape=NAME_SHAPE, description="What the new version is called: champion, challenger."),
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
            shape=ListOf(of=Text(what="a feature", pattern=FEATURE, example="item_history.item_ctr_7d")),
            required=True,
            example="[view.feature]",
            description="view.feature, or an attribute of the objective's exposure.",
        ),
        "serve_as": Key(shape=MapOf(of=Free()), description="Values at serving for attributes that are not known before ranking."),
        "trainer": Key(
            shape=Text(what="a function", pattern=TRAINER, parse=_trainer, example="ranker.logistic"),
            required=True,
            example="ranker.logistic",
        ),
        "parameters": Key(shape=MapOf(of=Free()), description="Given to the trainer by name."),
        "evaluate": Key(shape=EVALUATE),
        "gate": Key(
            shape=GATE,
            description="What the whole 95 % interval of a figure must keep: {ndcg@10_vs_champion: {at_least: 0}, calibration: "
            "{within: [0.67, 1.5]}}. Figures: auc, ndcg@k, recall@k, mrr, group_auc, log_loss, calibration; with _vs_champion their "
            "difference to the champion's. `leaks: none` fails with the leak alarm. Default where rows were ranked against each other, "
            "unless a ranking is compared already: ndcg@10_vs_champion: {at_least: 0}.",
        ),
    },
)
