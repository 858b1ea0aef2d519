"""What an experiment is, as rows of two cells. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ...project.specs.experiments import Analysis, Experiment, Plan
from ...project.specs.rules import Condition
from . import runs

Rows = list[list[str]]


def definition_rows(of: Experiment | Analysis) -> Rows:
    return [row for row in (_of_log(of) if isinstance(of, Analysis) else _of_gateway(of)) if row[1]]


def percent(share: Decimal) -> str:
    return f"{share.normalize():f} %"


def _of_log(of: Analysis) -> Rows:
    return [
        ["arm", f"{of.event}.{of.attribute}: {of.control} against {of.treatment}"],
        ["decided by", of.metric],
        *_guardrail_rows(of),
    ]


def _of_gateway(of: Experiment) -> Rows:
    weights = runs.weights(of)
    return [
        ["interleaves", " and ".join(of.interleave or ())],
        *(
            [
                f"arm {arm.name}",
                f"{weights[arm.name]:g} % of its units: {_parameters(arm.parameters)}",
            ]
            for arm in of.arms
            if not of.interleave
        ),
        ["layer", of.layer],
        ["share at the start", percent(of.share)],
        ["holdout", percent(of.holdout) if of.holdout else ""],
        ["for", "; ".join(map(_condition, of.targeting))],
        ["decided by", ", ".join(of.metric)],
        *_guardrail_rows(of),
        ["segments", ", ".join(of.segments)],
        ["plan", _plan(of.plan)],
    ]


def _guardrail_rows(of: Experiment | Analysis) -> Rows:
    return [
        ["guardrails", "; ".join(f"{guardrail.metric} {guardrail}" for guardrail in of.guardrails)],
        ["also told", ", ".join(of.also)],
        ["owner", of.owner],
    ]


def _parameters(parameters: dict[str, object]) -> str:
    return parameters_text(parameters) if parameters else "the endpoint's own parameters"


def _plan(plan: Plan | None) -> str:
    if plan is None:
        return "none: its intervals hold at any look, and are wider"
    return f"to see an effect of {percent(plan.minimum_effect)}" + (
        f" in {plan.days} days" if plan.days else ""
    )


def _condition(of: Condition) -> str:
    """`country JP, TW`; `age 18 ..`."""
    values = [", ".join(map(str, of.among))] if of.among is not None else []
    values += [f"not {', '.join(map(str, of.not_among))}"] if of.not_among is not None else []
    if of.min is not None or of.max is not None:
        values.append(
            f"{'' if of.min is None else f'{of.min:g}'} .. "
            f"{'' if of.max is None else f'{of.max:g}'}"
        )
    return f"{of.attribute} {' and '.join(values)}"


def parameters_text(parameters: dict[str, Any]) -> str:
    """`{variant: challenger, blend: 0.7}`."""
    values = (
        (name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in parameters.items()
    )
    return "{" + ", ".join(f"{name}: {value}" for name, value in values) + "}"
