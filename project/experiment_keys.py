"""The keys of the section `experiments:`."""

from __future__ import annotations

from .names import NAME
from .quantities import Mistake
from .shapes import Free, Key, Record, Text
from .texts import NAME_SHAPE, WORDS

_ATTRIBUTE = rf"{NAME}\.{NAME}"


def _arm(text: str) -> tuple[str, str]:
    event, dot, attribute = text.partition(".")
    if not (event and dot and attribute):
        raise Mistake(f"{text!r} does not name an attribute of an event", "write event.attribute: impression.policy")
    return event, attribute


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
        "owner": Key(shape=WORDS, description="Whom to ask about it."),
        "hypothesis": Key(shape=WORDS),
    },
    later=(
        *("layer", "endpoint", "arms", "weights", "share", "holdout", "targeting", "guardrails", "also", "segments", "plan", "interleave"),
    ),
)
