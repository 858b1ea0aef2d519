"""The keys of the section `experiments:`."""

from __future__ import annotations

from . import quantities
from .names import NAME
from .quantities import Mistake
from .shapes import Free, Key, ListOf, Number, Record, Text
from .texts import NAME_SHAPE, WORDS

_ATTRIBUTE = rf"{NAME}\.{NAME}"


def _arm(text: str) -> tuple[str, str]:
    event, dot, attribute = text.partition(".")
    if not (event and dot and attribute):
        raise Mistake(f"{text!r} does not name an attribute of an event", "write event.attribute: impression.policy")
    return event, attribute


_PERCENT = Text(what="a percentage", pattern=quantities.PERCENT, parse=quantities.percent, example="2%")
GUARDRAIL = Record(
    noun="a guardrail",
    keys={
        "metric": Key(shape=NAME_SHAPE, required=True, example="bought", description="An objective of the same exposure."),
        "max_drop": Key(shape=_PERCENT, example="2%", description="How far it may fall, of the control's."),
        "max_rise": Key(shape=_PERCENT, example="10%", description="How far it may rise, of the control's."),
    },
)
WEIGHTS = Record(
    noun="weights",
    keys={name: Key(shape=Number(), required=True, example="50", description="Its planned share.") for name in ("control", "treatment")},
)

EXPERIMENT = Record(
    noun="an experiment",
    keys={
        "arm": Key(
            shape=Text(what="an event's attribute", pattern=_ATTRIBUTE, parse=_arm, example="impression.policy"),
            required=True,
            example="impression.policy",
            description="The exposure's attribute that holds the arm: it was assigned elsewhere, and is analysed only.",
        ),
        "control": Key(
            shape=Free(), required=True, example="random", description="The attribute's value in the arm that is compared with."
        ),
        "treatment": Key(shape=Free(), required=True, example="bts", description="The attribute's value in the other arm."),
        "metric": Key(shape=NAME_SHAPE, required=True, example="ctr", description="An objective of the same exposure. It decides."),
        "weights": Key(
            shape=WEIGHTS, description="How units were meant to be split: {control: 50, treatment: 50}. Then the split is checked."
        ),
        "guardrails": Key(shape=ListOf(of=GUARDRAIL), description="What the treatment may not harm."),
        "also": Key(shape=ListOf(of=NAME_SHAPE), example="[clicks]", description="Objectives that are told, and decide nothing."),
        "owner": Key(shape=WORDS, description="Whom to ask about it."),
        "hypothesis": Key(shape=WORDS),
    },
    later=("layer", "endpoint", "arms", "share", "holdout", "targeting", "segments", "plan", "interleave"),
)
