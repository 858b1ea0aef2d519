"""Build rollouts with every step written out, and check them against the rest of the project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from ..reading import quantities
from ..reading.report import ProblemReport, child, item
from ..sections.references import DeclaredNames, check_declared
from ..specs.description import (
    AfterRollout,
    Endpoint,
    Guardrail,
    OfficeHours,
    ProjectSpec,
    Rollout,
    RolloutStep,
)
from .guardrails import LIMITS, METRICS
from .keys import ROLLOUT

YamlValues = dict[str, Any]
_ALL = Decimal(100)

_STEPS_OF = {"canary": ("steps",), "linear": ("step", "every"), "blue_green": ("bake",)}


def build(
    name: str, values: YamlValues, endpoint: Endpoint | None, report: ProblemReport
) -> Rollout:
    """Build the Rollout struct from its section of project.yaml, with every step written out.

    A linear rollout begins above the share that its endpoint, if that is valid, declares for the
    new variant.
    """
    key = f"rollouts.{name}"
    to = values.get("to", "challenger")
    initial = (
        sum((variant.traffic for variant in endpoint.variants if variant.name == to), Decimal(0))
        if endpoint
        else Decimal(0)
    )
    fields: YamlValues = {
        field: values[field]
        for field in ("to", "failure_limit", "on_drift", "capacity")
        if field in values
    }
    if "from" in values:
        fields["source"] = values["from"]
    if "false_alarm" in values:
        fields["false_alarm"] = _false_alarm(
            values["false_alarm"], child(key, "false_alarm"), report
        )
    for hold in msgspec.structs.fields(Rollout):
        if hold.name in ("on_no_data", "on_inconclusive") and hold.name in values:
            fields[hold.name] = msgspec.structs.replace(hold.default, **values[hold.name])
    if "advance" in values:
        fields["advance"] = _office_hours(values["advance"])
    if "notify" in values:
        fields["webhook_env"] = values["notify"].get("webhook_env")
    return Rollout(
        endpoint=name,
        steps=_steps(values, initial, key, report),
        guardrails=_guardrails(values.get("guardrails", ()), child(key, "guardrails"), report),
        after=AfterRollout(**values.get("after", {})),
        **fields,
    )


def _steps(
    values: YamlValues, initial: Decimal, key: str, report: ProblemReport
) -> tuple[RolloutStep, ...]:
    """Return a rollout's traffic steps by its strategy; report those that do not rise.

    `initial` is the new variant's share before the rollout.
    """
    strategy = values.get("strategy", "canary")
    _one_strategy(strategy, values, key, report)
    if not report.sound(key):
        return ()
    if strategy == "blue_green":
        _whole_minutes(values["bake"], child(key, "bake"), report)
        return (RolloutStep(traffic=_ALL, bake=values["bake"]),)
    if strategy == "linear":
        _whole_minutes(values["every"], child(key, "every"), report)
        return _linear(values["step"], values["every"], initial, child(key, "step"), report)
    steps = tuple(RolloutStep(**about) for about in values["steps"])
    _rising(steps, child(key, "steps"), report)
    if steps[-1].traffic != _ALL:
        steps += (RolloutStep(traffic=_ALL, bake=max(step.bake for step in steps)),)
    return steps


def _one_strategy(strategy: str, values: YamlValues, key: str, report: ProblemReport) -> None:
    """Report keys that a rollout's strategy (canary, linear, ...) needs or does not have.

    `key` is the rollout's path in project.yaml.
    """
    for other, names in _STEPS_OF.items():
        for name in names:
            if other == strategy and name not in values:
                report.add(
                    key,
                    f"{name} is missing, which {strategy} needs",
                    f"write {name}: {ROLLOUT.keys[name].example}",
                )
            elif other != strategy and name in values:
                message = f"{name} is of strategy {other}, and this one is {strategy}"
                report.add(child(key, name), message, f"write strategy: {other}, or take it out")


def _linear(
    step: Decimal, every: timedelta, initial: Decimal, key: str, report: ProblemReport
) -> tuple[RolloutStep, ...]:
    """Return the steps of a linear rollout: equal increases of traffic up to 100 %.

    `initial` is the new variant's share before the rollout.
    """
    if not 1 <= step <= _ALL:
        report.add(key, f"a step of {step:f} %", "write one from 1 to 100")
        return ()
    shares: list[Decimal] = []
    while initial < _ALL:
        initial = min(initial + step, _ALL)
        shares.append(initial)
    if not shares:
        report.add(
            key,
            "the new variant is declared with 100 % already",
            "declare less for it, or write steps:",
        )
    return tuple(RolloutStep(traffic=share, bake=every) for share in shares)


def _whole_minutes(bake: timedelta, key: str, report: ProblemReport) -> None:
    """Report a bake time that is not in whole minutes, as metrics come by the minute.

    It is how long a step is watched; `key` is its path in project.yaml.
    """
    minutes, rest = divmod(bake, timedelta(minutes=1))
    if rest:
        near = f"{minutes}m or {minutes + 1}m" if minutes else "1m"
        report.add(
            key, f"{quantities.duration_text(bake)} is not in whole minutes", f"write {near}"
        )


def _rising(steps: Sequence[RolloutStep], key: str, report: ProblemReport) -> None:
    """Report a step whose share of traffic is not above that of the step before."""
    previous_traffic = Decimal(0)
    for position, step in enumerate(steps):
        _whole_minutes(step.bake, child(item(key, position), "bake"), report)
        if step.traffic <= previous_traffic:
            message = (
                "a step to 0 % is none"
                if not previous_traffic
                else f"{step.traffic:f} % is not above the {previous_traffic:f} % of the step "
                "before it"
            )
            report.add(
                child(item(key, position), "traffic"),
                message,
                f"write a share above {previous_traffic:f} and up to 100, or take the step out",
            )
            return
        previous_traffic = step.traffic


def _guardrails(
    entries: Sequence[YamlValues], key: str, report: ProblemReport
) -> tuple[Guardrail, ...]:
    """Build a rollout's guardrails; report two for the same metric and kind of limit."""
    guardrails: dict[str, Guardrail] = {}
    for position, about in enumerate(entries):
        guardrail = _guardrail(about, item(key, position), report)
        if guardrail is not None and guardrail.name in guardrails:
            report.add(
                item(key, position),
                f"a second {guardrail.kind} of {guardrail.metric}",
                "keep one of the two",
            )
        elif guardrail is not None:
            guardrails[guardrail.name] = guardrail
    return tuple(guardrails.values())


def _guardrail(about: YamlValues, key: str, report: ProblemReport) -> Guardrail | None:
    """Build one guardrail; report it unless it has one limit that its metric allows."""
    metric, limits = about["metric"], [name for name in LIMITS if name in about]
    possible = METRICS[metric].limits
    example = {"rate": "max: 1%", "latency": "max_ratio: 1.2", "score": "max_shift: 10%"}[
        METRICS[metric].kind
    ]
    if not limits:
        report.add(key, f"{metric} needs {_or(possible)}", f"write {example}")
    elif len(limits) > 1:
        report.add(
            key,
            f"{' and '.join(limits)}: a guardrail has one limit",
            f"write two: {{metric: {metric}, {example}}}",
        )
    elif limits[0] not in possible:
        report.add(
            child(key, limits[0]),
            f"{metric} has no {limits[0]}",
            f"it has {_or(possible)}: write {example}",
        )
    else:
        name = limits[0]
        fields: YamlValues = {
            field: about[field] for field in ("min_requests", "dry_run") if field in about
        }
        fields[name] = _limit(metric, name, about[name], child(key, name), report)
        return Guardrail(metric=metric, **fields)
    return None


def _limit(metric: str, name: str, value: Any, key: str, report: ProblemReport) -> float:
    """Return a guardrail's limit as a float: a fraction, milliseconds, or a ratio.

    `name` is the kind of limit; mistakes are reported at `key`.
    """
    if name == "max_ratio":
        return float(value)
    percent, percent_due = isinstance(value, Decimal), METRICS[metric].kind != "latency"
    if percent != percent_due:
        report.add(
            key,
            f"{metric} is {'a part of the requests' if percent_due else 'a time'}",
            f"write {name}: {'1%' if percent_due else '50ms'}",
        )
    elif percent and not 0 < value < _ALL:
        report.add(
            key,
            f"{value:f}% can never be shown to be exceeded, or always is",
            "write a percentage above 0% and below 100%",
        )
    return float(value / 100 if percent else value)


def _false_alarm(percent: Decimal, key: str, report: ProblemReport) -> float:
    """Return the allowed false-alarm rate as a fraction; report one that is out of range."""
    if not 0 < percent <= 50:
        report.add(
            key,
            f"{percent:f}% is not a chance that one can accept",
            "write a percentage above 0% and up to 50%: 5%",
        )
    return float(percent / 100)


def _office_hours(about: YamlValues) -> OfficeHours:
    """Build the OfficeHours struct, the times at which a rollout may take a step."""
    start, end = about.get("hours", (0, 24 * 60))
    return OfficeHours(
        zone=about["zone"],
        start=start,
        end=end,
        **({"days": about["days"]} if "days" in about else {}),
    )


def _or(words: Sequence[str]) -> str:
    """Return the words joined with commas and "or", as text."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report mistakes between rollouts and the endpoints, variants and settings of the project."""
    for rollout in spec.rollouts.values():
        _references(rollout, spec, declared, report)


def _references(
    rollout: Rollout, spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport
) -> None:
    """Report undeclared endpoints and variants in a rollout."""
    key = f"rollouts.{rollout.endpoint}"
    check_declared(
        rollout.endpoint, declared.endpoints, key, report, noun="an endpoint", has="endpoints are"
    )
    if rollout.source == rollout.to:
        report.add(key, f"from and to are both {rollout.to}", "name two variants")
    if spec.now is not None:
        for position, guardrail in enumerate(rollout.guardrails):
            if METRICS[guardrail.metric].kind == "score":
                report.add(
                    item(f"{key}.guardrails", position),
                    f"{guardrail.metric} reads the exposures of the last minutes, and with "
                    "now: theirs are the old log's",
                    "take it out, or leave now: out, as live projects do",
                )
    if (endpoint := spec.endpoints.get(rollout.endpoint)) is not None:
        _variants(rollout, endpoint, key, report)


def _variants(rollout: Rollout, endpoint: Endpoint, key: str, report: ProblemReport) -> None:
    """Report variants of a rollout that the endpoint lacks or that have wrong traffic."""
    shares = {variant.name: variant.traffic for variant in endpoint.variants}
    has = f"{endpoint.name} has"
    both = [
        check_declared(
            variant, shares, child(key, side), report, noun=f"a variant of {endpoint.name}", has=has
        )
        for side, variant in (("from", rollout.source), ("to", rollout.to))
    ]
    for other, share in shares.items():
        if other not in (rollout.source, rollout.to) and share:
            report.add(
                key,
                f"{other} is declared with {share.normalize():f} %, and only "
                f"{rollout.source} and {rollout.to} may have any",
                f"before it starts: isthmus traffic {endpoint.name} {other}=0",
                severity="warning",
            )
    if all(both) and rollout.steps and rollout.steps[0].traffic <= shares[rollout.to]:
        report.add(
            f"{key}.steps[0].traffic",
            f"{rollout.steps[0].traffic:f} % is not above the "
            f"{shares[rollout.to].normalize():f} % that {rollout.to} is declared with",
            f"write a step above it, or before it starts: isthmus traffic {endpoint.name} "
            f"{rollout.to}=0",
            severity="warning",
        )
    if not rollout.guardrails:
        report.add(
            key,
            "without guardrails nothing but a person stops it",
            "add guardrails: [{metric: error_rate, max: 1%}]",
            severity="warning",
        )
