"""The keys of the section `endpoints:`."""

from __future__ import annotations

import keyword
import re
from datetime import timedelta

from ..events.keys import ATTRIBUTE
from ..reading import quantities
from ..reading.common_shapes import COLUMN, NAME_SHAPE, SHARE, WORDS
from ..reading.names import NAME, VARIANT_LENGTH, column_problem, name_problem
from ..reading.quantities import Mistake
from ..reading.shapes import Flag, Free, ListOf, MapOf, Number, OneOf, Record, RecordKey, Text
from ..specs.description import OF_EVERY_ENDPOINT
from .rule_keys import RULES

MODEL_REF = rf"{NAME}@({NAME}|[1-9][0-9]*)"


def _model_ref(text: str) -> tuple[str, str]:
    """Parse `model@alias` or `model@number` into the model's name and the alias or number."""
    if not re.fullmatch(MODEL_REF, text):
        name = text.partition("@")[0]
        raise Mistake(
            f"{text!r} does not name a version of a model",
            f"write model@alias or model@number: {name or 'ranker'}@champion, {name or 'ranker'}@3",
        )
    model, _, ref = text.partition("@")
    return model, ref


def _duration_or_zero(text: str) -> timedelta:
    """Parse a duration such as `30m`, or `0`."""
    return timedelta(0) if text == "0" else quantities.duration(text)


_OF_A_REQUEST = ("slots", "endpoint", "log")  # keys of ours
_NO_KEYWORD = (*OF_EVERY_ENDPOINT, "rows", "self")


def attribute_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a request attribute may not have this name, else None."""
    if name in _OF_A_REQUEST:
        return f"{name} is a key of every request", "choose another name"
    return column_problem(name)


def parameter_problem(name: str) -> tuple[str, str] | None:
    """Return (problem, remedy) if a serving parameter may not have this name, else None."""
    if name in OF_EVERY_ENDPOINT:
        return (
            f"{name} is a parameter of every endpoint",
            "an arm may set it without this: take it out",
        )
    if name in _NO_KEYWORD or keyword.iskeyword(name):
        return f"predict(rows, *, {name}=...) cannot be written", "choose another name"
    return name_problem(name)


PARAMETER = Record(
    noun="a parameter",
    keys={
        "type": RecordKey(
            shape=OneOf(
                words=("bool", "int", "float", "string"),
                near={
                    "str": "string",
                    "text": "string",
                    "integer": "int",
                    "double": "float",
                    "number": "float",
                    "boolean": "bool",
                },
            ),
            required=True,
            example="float",
        ),
        "default": RecordKey(
            shape=Free(),
            required=True,
            example="0.5",
            description="What a unit has that no experiment gives another value.",
        ),
        "min": RecordKey(shape=Number()),
        "max": RecordKey(shape=Number()),
        "allowed": RecordKey(
            shape=ListOf(of=Free()), description="The only values that an arm may give it."
        ),
        "description": RecordKey(shape=WORDS),
    },
)
MODEL_REFERENCE = Text(
    what="a version of a model", pattern=MODEL_REF, parse=_model_ref, example="ranker@champion"
)
VARIANT = Record(
    noun="a variant",
    keys={
        "model": RecordKey(
            shape=MODEL_REFERENCE,
            required=True,
            example="ranker@champion",
        ),
        "traffic": RecordKey(
            shape=SHARE,
            required=True,
            example="100",
            description="Percent, at creation.",
        ),
    },
)
SHADOW = Record(
    noun="shadow traffic",
    keys={
        "variant": RecordKey(shape=NAME_SHAPE, required=True, example="challenger"),
        "share": RecordKey(
            shape=Text(
                what="a percentage",
                pattern=quantities.PERCENT,
                parse=quantities.percent,
                example="10%",
            ),
            required=True,
            example="10%",
            description="Of the requests.",
        ),
    },
)
ENDPOINT = Record(
    noun="an endpoint",
    keys={
        "objective": RecordKey(
            shape=NAME_SHAPE,
            example="ctr",
            description="What it ranks for. Without one its traffic can be moved, if it was "
            "imported; nothing is deployed to it and nothing ranks through it.",
        ),
        "unit": RecordKey(
            shape=COLUMN,
            example="visitor_id",
            description="Sent by the caller; exposures go by it. It goes with the objective.",
        ),
        "variants": RecordKey(
            shape=MapOf(
                of=VARIANT,
                names=lambda name: name_problem(name, longest=VARIANT_LENGTH),
                pattern=NAME,
                least=1,
            ),
            required=True,
            example="{champion: {model: ranker@champion, traffic: 100}}",
        ),
        "attributes": RecordKey(
            shape=MapOf(of=ATTRIBUTE, names=attribute_problem, pattern=NAME),
            example="{platform: {type: string, allowed: [web, ios]}}",
            description="Of a request, beside those of the exposure: experiments target by them "
            "and are shown by their values.",
        ),
        "parameters": RecordKey(
            shape=MapOf(of=PARAMETER, names=parameter_problem, pattern=NAME),
            example="{blend: {type: float, min: 0, max: 1, default: 0.5}}",
            description="What an arm of an experiment may set; a model's predictor takes it by "
            "keyword.",
        ),
        "explore": RecordKey(
            shape=Text(
                what="a percentage",
                pattern=quantities.PERCENT,
                parse=quantities.percent,
                example="5%",
            ),
            description="Share of requests answered in random order, logged with its propensity.",
        ),
        "online_cache": RecordKey(
            shape=Text(
                what="a duration, or 0",
                pattern=f"0|{quantities.DURATION}",
                parse=_duration_or_zero,
                example="1s",
                numbers=True,
            ),
            description="How long the gateway keeps a row of features that it has read; 0: not at "
            "all. Default 1s.",
        ),
        "max_candidates": RecordKey(
            shape=Number(whole=True, least=1),
            example="1000",
            description="The most candidates of a request to the gateway. Default 1000.",
        ),
        "routing": RecordKey(
            shape=OneOf(words=("weighted", "sticky")),
            description="Who splits: the target, by request; or (sticky) the gateway, by the "
            "unit. Kept as long as the endpoint runs.",
        ),
        "rules": RecordKey(
            shape=RULES,
            example="[{pin: {item_id: 7, position: 1}}]",
            description="What people overrule of a ranking, in the order of their kinds: block, "
            "boost, pin, reserve, cap.",
        ),
        "shadow": RecordKey(
            shape=SHADOW,
            example="{variant: challenger, share: 10%}",
            description="A variant that gets a copy of some answered requests; its answers are "
            "compared, and shown to nobody.",
        ),
        "log_features": RecordKey(
            shape=Flag(),
            example="true",
            description="Whether an exposure carries the row that was scored, and what scored it: "
            "the columns features and scored_by. Default false.",
        ),
    },
)
