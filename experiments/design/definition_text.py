"""The definition of an experiment, as text and as a section of a page. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ...project.specs.experiments import Analysis, Experiment, Plan
from ...project.specs.rules import Condition
from ...reports import page
from ...reports.columns import plural

Rows = list[list[str]]


def definition_section(experiment: Experiment | Analysis) -> str:
    """Return the HTML section with an experiment's definition."""
    rows = (
        _analysis_rows(experiment)
        if isinstance(experiment, Analysis)
        else _experiment_rows(experiment)
    )
    table = page.table(["", ""], [row for row in rows if row[1]], wordy=1)
    return page.section("What it is", table)


def percent(share: Decimal) -> str:
    """Return a percentage as text, without trailing zeros."""
    return f"{share.normalize():f} %"


def _analysis_rows(experiment: Analysis) -> Rows:
    """Return the definition of an experiment whose arms another system assigns, as table rows."""
    arms = f"{experiment.control} against {experiment.treatment}"
    return [
        ["arm", f"{experiment.event}.{experiment.attribute}: {arms}"],
        ["decided by", experiment.metric],
        ["leaves out", drop_text(experiment.drop_above)],
        *_guardrail_rows(experiment),
    ]


def _experiment_rows(experiment: Experiment) -> Rows:
    """Return the definition of an experiment whose arms the gateway assigns, as table rows."""
    weights = experiment.weights
    return [
        ["interleaves", " and ".join(experiment.interleave or ())],
        *(
            [
                f"arm {arm.name}",
                f"{weights[arm.name]:g} % of its units: {_parameters(arm.parameters)}",
            ]
            for arm in experiment.arms
            if not experiment.interleave
        ),
        ["layer", experiment.layer],
        ["share at the start", percent(experiment.share)],
        ["holdout", percent(experiment.holdout) if experiment.holdout else ""],
        ["for", "; ".join(map(_condition, experiment.targeting))],
        ["decided by", ", ".join(experiment.metric)],
        *_guardrail_rows(experiment),
        ["segments", ", ".join(experiment.segments)],
        ["leaves out", drop_text(experiment.drop_above)],
        ["plan", _plan(experiment.plan)],
    ]


def _guardrail_rows(experiment: Experiment | Analysis) -> Rows:
    """Return the guardrails of an experiment as table rows of a name and a text."""
    return [
        [
            "guardrails",
            "; ".join(f"{guardrail.metric} {guardrail}" for guardrail in experiment.guardrails),
        ],
        ["also told", ", ".join(experiment.also)],
        ["owner", experiment.owner],
    ]


def drop_text(drop_above: int | None) -> str:
    """Return text on which units are left out of rates; "" if none are.

    Units with more events than `drop_above` are left out.
    """
    if drop_above is None:
        return ""
    return f"of rates, units with more than {drop_above:,} events of the denominator"


def _parameters(parameters: dict[str, object]) -> str:
    """Return an arm's serving parameters as text."""
    return parameters_text(parameters) if parameters else "the endpoint's own parameters"


def _plan(plan: Plan | None) -> str:
    """Return an experiment's plan (the effect to show, in how many days) as text."""
    if plan is None:
        return "none: its intervals hold at any look, and are wider"
    return f"to see an effect of {percent(plan.minimum_effect)}" + (
        f" in {plural(plan.days, 'day')}" if plan.days else ""
    )


def _condition(condition: Condition) -> str:
    """Return a targeting condition on a unit as text: `country JP, TW`, `age 18 ..`."""
    values = [", ".join(map(str, condition.among))] if condition.among is not None else []
    values += (
        [f"not {', '.join(map(str, condition.not_among))}"]
        if condition.not_among is not None
        else []
    )
    if condition.min is not None or condition.max is not None:
        values.append(
            f"{'' if condition.min is None else f'{condition.min:g}'} .. "
            f"{'' if condition.max is None else f'{condition.max:g}'}"
        )
    return f"{condition.attribute} {' and '.join(values)}"


def parameters_text(parameters: dict[str, Any]) -> str:
    """Return parameters as text: `{variant: challenger, blend: 0.7}`."""
    values = (
        (name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in parameters.items()
    )
    return "{" + ", ".join(f"{name}: {value}" for name, value in values) + "}"
