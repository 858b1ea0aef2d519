"""The keys of the section `rollouts:`."""

from __future__ import annotations

from decimal import Decimal

from ..reading import quantities
from ..reading.common_shapes import DURATION, NAME_SHAPE, SHARE
from ..reading.shapes import Flag, Key, ListOf, Number, OneOf, Record, Text
from .guardrails import METRICS

_PERCENT = Text(
    what="a percentage", pattern=quantities.PERCENT, parse=quantities.percent, example="5%"
)


def _max(text: str) -> Decimal | float:
    """Parse a guardrail's limit: a percentage, or a latency in milliseconds."""
    return quantities.percent(text) if text.endswith("%") else quantities.latency(text)


STEP = Record(
    noun="a step",
    keys={
        "traffic": Key(
            shape=SHARE, required=True, example="25", description="Percent of the new variant."
        ),
        "bake": Key(
            shape=DURATION,
            required=True,
            example="10m",
            description="Whole minutes in which it is watched before it goes on.",
        ),
        "pause": Key(shape=Flag(), description="Then wait for a person: isthmus rollout promote."),
    },
)
GUARDRAIL = Record(
    noun="a guardrail",
    keys={
        "metric": Key(
            shape=OneOf(
                words=tuple(METRICS),
                near={"errors": "error_rate", "latency": "latency_p99", "p50": "latency_p50",
                      "p90": "latency_p90", "p99": "latency_p99", "score": "score_mean"},
            ),
            required=True,
            example="error_rate",
        ),
        "max": Key(
            shape=Text(
                what="a limit",
                pattern=f"{quantities.PERCENT}|{quantities.LATENCY}",
                parse=_max,
                example="1%",
            ),
            description="1% of the requests, or 50ms.",
        ),
        "max_ratio": Key(shape=Number(least=1), description="Times the old variant's, in the same "
                                                            "minutes."),
        "max_shift": Key(shape=_PERCENT, description="Of the old variant's mean, either way."),
        "min_requests": Key(shape=Number(whole=True, least=1),
                            description="Fewer may prove harm, but pass nothing. Default 200."),
        "dry_run": Key(shape=Flag(), description="It is judged and shown, and decides nothing."),
    },
)  # fmt: skip
ROLLOUT = Record(
    noun="a rollout",
    keys={
        "from": Key(
            shape=NAME_SHAPE,
            description="The variant that gives its traffic away. Default champion.",
        ),
        "to": Key(shape=NAME_SHAPE, description="The one that gets it. Default challenger."),
        "strategy": Key(
            shape=OneOf(
                words=("canary", "linear", "blue_green"),
                near={"blue-green": "blue_green", "bluegreen": "blue_green"},
            ),
            description="canary (default): `steps`; linear: `step` and `every`; blue_green: "
            "`bake`.",
        ),
        "steps": Key(
            shape=ListOf(of=STEP),
            example="[{traffic: 25, bake: 10m}]",
            description="Of a canary. 100 % follows by itself.",
        ),
        "step": Key(
            shape=SHARE,
            example="10",
            description="Of a linear rollout: percent by which each step is above the one before "
            "it.",
        ),
        "every": Key(
            shape=DURATION, example="10m", description="Of a linear rollout: each step's bake."
        ),
        "bake": Key(
            shape=DURATION,
            example="30m",
            description="Of a blue_green rollout: the bake of its one step, to 100 %.",
        ),
        "guardrails": Key(shape=ListOf(of=GUARDRAIL)),
        "false_alarm": Key(
            shape=_PERCENT,
            description="Of a healthy rollout, all guardrails and steps together. Default 5%.",
        ),
        "failure_limit": Key(
            shape=Number(whole=True, least=1),
            description="Checks running that fail before it is taken back. Default 2.",
        ),
        "on_no_data": Key(
            shape=Record(
                noun="on_no_data",
                keys={"hold": Key(shape=DURATION), "then": Key(shape=OneOf(words=("abort",)))},
            ),
            description="How long it waits at least when no more data come; longer where "
            "requests have been rare. Default {hold: 30m, then: abort}.",
        ),
        "on_inconclusive": Key(
            shape=Record(
                noun="on_inconclusive",
                keys={
                    "hold": Key(shape=DURATION),
                    "then": Key(shape=OneOf(words=("pause", "abort"))),
                },
            ),
            description="Above a limit without proof when the bake is over, or minutes too "
            "small for a latency. Default: hold one more bake, then pause.",
        ),
        "on_drift": Key(
            shape=OneOf(words=("correct", "pause", "abort")),
            description="Somebody else moved the traffic. Default correct.",
        ),
        "capacity": Key(
            shape=OneOf(words=("scale", "keep")),
            description="scale (default): the new variant's instances follow its share, before the "
            "traffic does.",
        ),
        "advance": Key(
            shape=Record(
                noun="advance",
                keys={
                    "days": Key(
                        shape=Text(
                            what="days",
                            pattern=quantities.WEEKDAYS,
                            parse=quantities.weekdays,
                            example="mon-fri",
                        ),
                    ),
                    "hours": Key(
                        shape=Text(
                            what="hours",
                            pattern=quantities.HOURS,
                            parse=quantities.hours,
                            example='"09:00-17:00"',
                        )
                    ),
                    "zone": Key(
                        shape=Text(what="a time zone", parse=quantities.zone, example="Asia/Tokyo"),
                        required=True,
                        example="Asia/Tokyo",
                    ),
                },
            ),
            description="Steps go up only then; down at any time.",
        ),
        "after": Key(
            shape=Record(
                noun="after",
                keys={
                    "promote_alias": Key(
                        shape=NAME_SHAPE,
                        description="What the new version is called. Default: as the old "
                        "variant's.",
                    ),
                    "remove_old": Key(
                        shape=DURATION,
                        description="How long the old variant stays, without traffic. Default 24h.",
                    ),
                },
            )
        ),
        "notify": Key(
            shape=Record(
                noun="notify",
                keys={
                    "webhook_env": Key(
                        shape=Text(
                            what="an environment variable's name",
                            pattern=r"[A-Z][A-Z0-9_]*",
                            example="ROLLOUT_WEBHOOK",
                        ),
                        required=True,
                        example="ROLLOUT_WEBHOOK",
                        description="The environment variable that holds the URL.",
                    )
                },
            )
        ),
    },
)
