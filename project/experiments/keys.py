"""The keys of the sections `layers:` and `experiments:`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ..reading import quantities, yaml
from ..reading.common_shapes import NAME_SHAPE, WORDS
from ..reading.names import NAME, name_problem
from ..reading.quantities import Mistake
from ..reading.report import ProblemReport
from ..reading.shapes import WRONG, Free, ListOf, MapOf, Number, Record, RecordKey, Schema, Text

_ATTRIBUTE = rf"{NAME}\.{NAME}"
_SALT = r"[^:]+"
_SHARE = r"[0-9]{1,3}(\.[0-9]{1,2})?%"


def _arm(text: str) -> tuple[str, str]:
    """Parse `event.attribute`, the place where another system logs the assigned arm."""
    event, dot, attribute = text.partition(".")
    if not (event and dot and attribute):
        raise Mistake(
            f"{text!r} does not name an attribute of an event",
            "write event.attribute: impression.policy",
        )
    return event, attribute


def _hundredths(text: str) -> Decimal:
    """Parse a percentage with at most two decimals, as there are 10,000 buckets."""
    share = quantities.percent(text)
    if share != share.quantize(Decimal("0.01")):
        raise Mistake(
            f"{text} has more than two decimals",
            "write hundredths of a percent: units are told apart by 10,000 buckets",
        )
    return share


def _salt(text: str) -> str:
    """Return the salt of the assignment hash unchanged; raise Mistake if it has a colon."""
    if not text.strip() or ":" in text:
        raise Mistake(f"{text!r} is not a salt", "write a text without a colon")
    return text


_PERCENT = Text(
    what="a percentage", pattern=quantities.PERCENT, parse=quantities.percent, example="2%"
)
_BUCKETS = Text(what="a share of units", pattern=_SHARE, parse=_hundredths, example="20%")
_SALT_KEY = RecordKey(
    shape=Text(what="a salt", pattern=_SALT, parse=_salt, example="home_2025"),
    description="What is hashed with a unit's name, instead of the name of the layer or the run: "
    "two runs with one salt give a unit the same place. The hash is MurmurHash3 of "
    "`isthmus/1:<layer or arm>:<salt>:<unit>`: buckets of another system are not reproduced.",
)
LAYER = Record(
    noun="a layer",
    keys={
        "endpoint": RecordKey(shape=NAME_SHAPE, required=True, example="ranker"),
        "holdout": RecordKey(
            shape=_BUCKETS,
            example="2%",
            description="Units that are in no experiment of the layer.",
        ),
        "salt": _SALT_KEY,
    },
)
GUARDRAIL = Record(
    noun="a guardrail",
    keys={
        "metric": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="bought",
            description="A metric, or an objective.",
        ),
        "max_drop": RecordKey(
            shape=_PERCENT, example="2%", description="How far it may fall, of the control's."
        ),
        "max_rise": RecordKey(
            shape=_PERCENT, example="10%", description="How far it may rise, of the control's."
        ),
    },
)
_TOLD = {
    "guardrails": RecordKey(
        shape=ListOf(of=GUARDRAIL), description="What the treatment may not harm."
    ),
    "also": RecordKey(
        shape=ListOf(of=NAME_SHAPE),
        example="[clicks]",
        description="Metrics that are told, and decide nothing.",
    ),
    "drop_above": RecordKey(
        shape=Number(whole=True, least=1),
        example="500",
        description="Robots: a unit with more events than this in the denominator of a rate is "
        "left out of that rate, in every arm alike, and counted. Default: nobody is left out.",
    ),
    "owner": RecordKey(shape=WORDS, description="Whom to ask about it."),
    "hypothesis": RecordKey(shape=WORDS),
}
_TWO_WEIGHTS = Record(
    noun="weights",
    keys={
        name: RecordKey(
            shape=Number(), required=True, example="50", description="Its planned share."
        )
        for name in ("control", "treatment")
    },
)
ANALYSIS = Record(
    noun="an experiment with arm:, which is assigned elsewhere",
    keys={
        "arm": RecordKey(
            shape=Text(
                what="an event's attribute",
                pattern=_ATTRIBUTE,
                parse=_arm,
                example="impression.policy",
            ),
            required=True,
            example="impression.policy",
            description="The exposure's attribute that holds the arm: it was assigned elsewhere, "
            "and is analysed only.",
        ),
        "control": RecordKey(
            shape=Free(),
            required=True,
            example="random",
            description="The attribute's value in the arm that is compared with.",
        ),
        "treatment": RecordKey(
            shape=Free(),
            required=True,
            example="bts",
            description="The attribute's value in the other arm.",
        ),
        "metric": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="ctr",
            description="An objective of the same exposure. It decides.",
        ),
        "weights": RecordKey(
            shape=_TWO_WEIGHTS,
            description="How units were meant to be split: {control: 50, treatment: 50}. Then the "
            "split is checked.",
        ),
        **_TOLD,
    },
)


class _OneOrMany(msgspec.Struct, frozen=True):
    """A value, or a list of them; reads to a tuple."""

    of: Any  # a Shape: msgspec cannot check a Protocol

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read one YAML value or a list of values, and return a tuple."""
        if isinstance(node, yaml.Sequence):
            return ListOf(of=self.of).read(node, key, report)
        value = self.of.read(node, key, report)
        return WRONG if value is WRONG else (value,)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"anyOf": [self.of.schema(), ListOf(of=self.of).schema()]}


_VALUES = _OneOrMany(Free())
_COMPARISON = Record(
    noun="a condition",
    keys={
        "not": RecordKey(shape=_VALUES, example="web", description="It is none of these."),
        "min": RecordKey(shape=Number(), example="18"),
        "max": RecordKey(shape=Number(), example="65"),
    },
)


class Targeted(msgspec.Struct, frozen=True):
    """`JP`, `[JP, TW]`, `{not: web}`, `{min: 18, max: 65}`: reads to the fields of a Condition."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read a targeting condition from YAML: a value, a list of values, or comparisons."""
        if not isinstance(node, yaml.Mapping):
            values = _VALUES.read(node, key, report)
            return WRONG if values is WRONG else {"among": values}
        if not node.entries:
            report.add(
                key,
                "nothing is asked of it",
                "write a value, a list, {not: ...}, or {min: ..., max: ...}",
            )
        fields = _COMPARISON.read(node, key, report)
        return {"not_among" if name == "not" else name: value for name, value in fields.items()}

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {
            "if": {"type": "object"},
            "then": _COMPARISON.schema() | {"minProperties": 1},
            "else": _VALUES.schema(),
        }


_PLAN = Record(
    noun="a plan",
    later={"hours": "write whole days, those of UTC: days: 1 or more"},
    keys={
        "minimum_effect": RecordKey(
            shape=_PERCENT,
            required=True,
            example="8%",
            description="Of the control's: what is to be found with 80 % power.",
        ),
        "days": RecordKey(shape=Number(whole=True, least=1), example="14"),
    },
)
ASSIGNED = Record(
    noun="an experiment",
    keys={
        "layer": RecordKey(
            shape=NAME_SHAPE, example="home", description="Default: the endpoint's only layer."
        ),
        "endpoint": RecordKey(
            shape=NAME_SHAPE,
            example="ranker",
            description="Default: the layer's, or the project's only endpoint.",
        ),
        "arms": RecordKey(
            shape=MapOf(
                of=MapOf(of=Free(), pattern=NAME, own={"variant": NAME_SHAPE, "explore": _PERCENT}),
                names=name_problem,
                pattern=NAME,
            ),
            example="{control: {}, treatment: {variant: challenger}}",
            description="Parameters by arm; the first arm is the control. variant and explore are "
            "known to every endpoint.",
        ),
        "control": RecordKey(
            shape=NAME_SHAPE,
            example="champion",
            description="In place of arms: the variant of the arm control.",
        ),
        "treatment": RecordKey(
            shape=NAME_SHAPE,
            example="challenger",
            description="In place of arms: the variant of the arm treatment.",
        ),
        "weights": RecordKey(
            shape=MapOf(of=Number(), pattern=NAME, least=1),
            example="{control: 50, treatment: 50}",
            description="How units are split between the arms. Default: equally. Fixed for the "
            "life of a run.",
        ),
        "share": RecordKey(
            shape=_BUCKETS, example="20%", description="Of the layer, when it starts. Default 100%."
        ),
        "holdout": RecordKey(
            shape=_BUCKETS,
            example="5%",
            description="Of its units: they keep the control, also after the treatment has "
            "shipped, until close.",
        ),
        "targeting": RecordKey(
            shape=MapOf(of=Targeted(), pattern=NAME),
            example="{country: [JP, TW], platform: {not: web}}",
            description="Whom it is for, by attributes of the request: a value, a list, "
            "{not: ...}, {min: , max: }.",
        ),
        "metric": RecordKey(
            shape=_OneOrMany(NAME_SHAPE),
            required=True,
            example="ctr",
            description="It decides. Of a list each must be better.",
        ),
        "segments": RecordKey(
            shape=ListOf(of=NAME_SHAPE),
            example="[platform]",
            description="Attributes of the request, or model_version: results of each value by "
            "itself.",
        ),
        "plan": RecordKey(
            shape=_PLAN,
            example="{minimum_effect: 8%, days: 14}",
            description="Without one, looks are always valid and wider.",
        ),
        "salt": _SALT_KEY,
        **_TOLD,
    },
)
INTERLEAVED = Record(
    noun="an experiment with interleave:, whose units all get one order of two",
    keys={
        "interleave": RecordKey(
            shape=ListOf(of=NAME_SHAPE, least=2, most=2),
            required=True,
            example="[champion, challenger]",
            description="Two variants that both rank each request. One order is made of the two; "
            "clicks say which is preferred.",
        ),
        **{
            name: ASSIGNED.keys[name]
            for name in ("layer", "endpoint", "share", "holdout", "targeting")
        },
        "metric": RecordKey(
            shape=NAME_SHAPE,
            required=True,
            example="ctr",
            description="Whose events count for the variant that picked what they followed.",
        ),
        "plan": RecordKey(
            shape=_PLAN,
            example="{minimum_effect: 8%, days: 14}",
            description="The effect is how many more events one variant has than the other, of "
            "those that count: 8% is 54 to 46.",
        ),
        **{name: ASSIGNED.keys[name] for name in ("salt", "owner", "hypothesis")},
    },
)


class _Experiment(msgspec.Struct, frozen=True):
    """An experiment: one that has `arm:` was assigned elsewhere, any other the gateway assigns."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Read an experiment from YAML: analysis (`arm`), `interleave`, or one with arms."""
        written = node.entries if isinstance(node, yaml.Mapping) else ()
        shape = (
            ANALYSIS if "arm" in written else INTERLEAVED if "interleave" in written else ASSIGNED
        )
        return shape.read(node, key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        of_gateway = {
            "if": {"type": "object", "required": ["interleave"]},
            "then": INTERLEAVED.schema(),
            "else": ASSIGNED.schema(),
        }
        return {
            "if": {"type": "object", "required": ["arm"]},
            "then": ANALYSIS.schema(),
            "else": of_gateway,
        }


EXPERIMENT = _Experiment()
