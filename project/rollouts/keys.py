"""The keys of the section `rollouts:`."""

from __future__ import annotations

from decimal import Decimal

from ..reading import quantities
from ..reading.common_shapes import DURATION, NAME_SHAPE, SHARE
from ..reading.shapes import Flag, ListOf, Number, OneOf, Record, RecordKey, Text
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
        "traffic": RecordKey(
            shape=SHARE, required=True, example="25", description="Percent of the new variant."
        ),
        "bake": RecordKey(
            shape=DURATION,
            required=True,
            example="10m",
            description="Whole minutes in which it is watched before it goes on.",
        ),
        "pause": RecordKey(
            shape=Flag(), description="Then wait for a person: isthmus rollout promote."
        ),
    },
)
GUARDRAIL = Record(
    noun="a guardrail",
    keys={
        "metric": RecordKey(
            shape=OneOf(
                words=tuple(METRICS),
                near={"errors": "error_rate", "latency": "latency_p99", "p50": "latency_p50",
                      "p90": "latency_p90", "p99": "latency_p99", "score": "score_mean"},
            ),
            required=True,
            example="error_rate",
        ),
        "max": RecordKey(
            shape=Text(
                what="a limit",
                pattern=f"{quantities.PERCENT}|{quantities.LATENCY}",
                parse=_max,
                example="1%",
            ),
            description="1% of the requests, or 50ms.",
        ),
        "max_ratio": RecordKey(shape=Number(least=1),
                               description="Times the old variant's, in the same minutes."),
        "max_shift": RecordKey(shape=_PERCENT,
                               description="Of the old variant's mean, either way."),
        "min_requests": RecordKey(shape=Number(whole=True, least=1),
                                  description="Fewer may prove harm, but pass nothing. "
                                              "Default 200."),
        "dry_run": RecordKey(shape=Flag(),
                             description="It is judged and shown, and decides nothing."),
    },
)  # fmt: skip
ROLLOUT = Record(
    noun="a rollout",
    keys={
        "from": RecordKey(
            shape=NAME_SHAPE,
            description="The variant that gives its traffic away. Default champion.",
        ),
        "to": RecordKey(shape=NAME_SHAPE, description="The one that gets it. Default challenger."),
        "strategy": RecordKey(
            shape=OneOf(
                words=("canary", "linear", "blue_green"),
                near={"blue-green": "blue_green", "bluegreen": "blue_green"},
            ),
            description="canary (default): `steps`; linear: `step` and `every`; blue_green: "
            "`bake`.",
        ),
        "steps": RecordKey(
            shape=ListOf(of=STEP),
            example="[{traffic: 25, bake: 10m}]",
            description="Of a canary. 100 % follows by itself.",
        ),
        "step": RecordKey(
            shape=SHARE,
            example="10",
            description="Of a linear rollout: percent by which each step is above the one before "
            "it.",
        ),
        "every": RecordKey(
            shape=DURATION, example="10m", description="Of a linear rollout: each step's bake."
        ),
        "bake": RecordKey(
            shape=DURATION,
            example="30m",
            description="Of a blue_green rollout: the bake of its one step, to 100 %.",
        ),
        "guardrails": RecordKey(shape=ListOf(of=GUARDRAIL)),
        "false_alarm": RecordKey(
            shape=_PERCENT,
            description="Of a healthy rollout, all guardrails and steps together. Default 5%.",
        ),
        "failure_limit": RecordKey(
            shape=Number(whole=True, least=1),
            description="Checks running that fail before it is taken back. Default 2.",
        ),
        "on_no_data": RecordKey(
            shape=Record(
                noun="on_no_data",
                keys={
                    "hold": RecordKey(shape=DURATION),
                    "then": RecordKey(shape=OneOf(words=("abort",))),
                },
            ),
            description="How long it waits at least when no more data come; longer where "
            "requests have been rare. Default {hold: 30m, then: abort}.",
        ),
        "on_inconclusive": RecordKey(
            shape=Record(
                noun="on_inconclusive",
                keys={
                    "hold": RecordKey(shape=DURATION),
                    "then": RecordKey(shape=OneOf(words=("pause", "abort"))),
                },
            ),
            description="Above a limit without proof when the bake is over, or minutes too "
            "small for a latency. Default: hold one more bake, then pause.",
        ),
        "on_drift": RecordKey(
            shape=OneOf(words=("correct", "pause", "abort")),
            description="Somebody else moved the traffic. Default correct.",
        ),
        "capacity": RecordKey(
            shape=OneOf(words=("scale", "keep")),
            description="scale (default): the new variant's instances follow its share, before the "
            "traffic does.",
        ),
        "advance": RecordKey(
            shape=Record(
                noun="advance",
                keys={
                    "days": RecordKey(
                        shape=Text(
                            what="days",
                            pattern=quantities.WEEKDAYS,
                            parse=quantities.weekdays,
                            example="mon-fri",
                        ),
                    ),
                    "hours": RecordKey(
                        shape=Text(
                            what="hours",
                            pattern=quantities.HOURS,
                            parse=quantities.hours,
                            example='"09:00-17:00"',
                        )
                    ),
                    "zone": RecordKey(
                        shape=Text(what="a time zone", parse=quantities.zone, example="Asia/Tokyo"),
                        required=True,
                        example="Asia/Tokyo",
                    ),
                },
            ),
            description="Steps go up only then; down at any time.",
        ),
        "after": RecordKey(
            shape=Record(
                noun="after",
                keys={
                    "promote_alias": RecordKey(
                        shape=NAME_SHAPE,
                        description="What the new version is called. Default: as the old "
                        "variant's.",
                    ),
                    "remove_old": RecordKey(
                        shape=DURATION,
                        description="How long the old variant stays, without traffic. Default 24h.",
                    ),
                },
            )
        ),
        "notify": RecordKey(
            shape=Record(
                noun="notify",
                keys={
                    "webhook_env": RecordKey(
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
