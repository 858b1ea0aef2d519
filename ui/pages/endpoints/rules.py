"""Draw an endpoint's rules, and how often each had a say in gateways' answers."""

from __future__ import annotations

from datetime import datetime

from ....endpoints.gateway.decide.rulebook import condition_text, name_of
from ....endpoints.operations.rule_hits import RuleHits
from ....project.endpoints.rules import counts_units
from ....project.reading.quantities import duration_text
from ....project.specs.description import Endpoint
from ....project.specs.rules import Block, Boost, Cap, Pin, Reserve, Rule, UnitCap
from ....reports import page as kit
from ...parts.forms import Field, Form
from ...parts.reads import ReadFailure, missing
from .endpoints import path

_DAYS = (1, 7, 28)


def rules_parts(
    endpoint: Endpoint, now: datetime, counted: RuleHits | ReadFailure | None
) -> list[str]:
    """Return an HTML table of an endpoint's ranking rules, and how often each had an effect.

    `counted` is None where the effects were not queried.
    """
    if not endpoint.rules:
        return [kit.words("It has none.", "soft")]
    hits = counted if isinstance(counted, RuleHits) else None
    head = (
        "rule",
        *(("answers", "share") if hits else ()),
        "does",
        "where the request is",
        "in force",
    )
    rows = [_row(rule, now, hits) for rule in endpoint.rules]
    below = (
        [missing(counted)]
        if isinstance(counted, ReadFailure)
        else _answer_count(hits)
        if hits
        else []
    )
    return [
        kit.table(head, rows, wordy=range(len(head) - 3, len(head))),
        *below,
        kit.links(_counts(endpoint.name)),
        kit.words(_COST, "soft"),
    ]


_COST = (
    "Counting is one query of the stream rankings, which a cloud charges for by what it reads. A "
    "gateway tells its own at /metrics."
)


def _counts(endpoint: str) -> list[tuple[str, str]]:
    """Return links that make the page count how often each rule had an effect on recent answers.

    Each is (text, URL), for a number of days.
    """
    return [
        (
            f"count in the answers of {days} day{'s' if days > 1 else ''}",
            f"{path(endpoint)}?days={days}",
        )
        for days in _DAYS
    ]


def _answer_count(hits: RuleHits) -> list[str]:
    """Return an HTML line on how many logged answers the rules' effects were counted in."""
    return [
        kit.words(
            f"Of {hits.answers:,} answers since {hits.since:%Y-%m-%d}, on the project's clock.",
            "soft",
        )
    ]


def _row(rule: Rule, now: datetime, hits: RuleHits | None) -> tuple[str, ...]:
    """Return a ranking rule's cells in the table: name, counts, effect, condition, validity.

    `hits` is None where its effects were not counted.
    """
    when = ", ".join(map(condition_text, rule.when)) or "any"
    return (
        name_of(rule),
        *(_hit(rule, hits) if hits else ()),
        _does(rule),
        when,
        _in_force(rule, now),
    )


def _hit(rule: Rule, hits: RuleHits) -> tuple[str, str]:
    """Return how often a rule had an effect, and in what share of the answers, as two texts."""
    count = hits.hits.get(name_of(rule), 0)
    return f"{count:,}", f"{100 * count / hits.answers:.1f} %" if hits.answers else ""


def unit_parts(
    endpoint: Endpoint, unit: str, counted: dict[str, dict[str, int]] | ReadFailure | None
) -> list[str | Form]:
    """Return HTML on how often one unit was shown each item that a rule caps, with a form.

    The form chooses the unit; `counted` is None without one.
    """
    if not counts_units(endpoint):
        return []
    field = Field(name="unit", label=endpoint.unit, value=unit, required=True)
    form = Form(action=path(endpoint.name), button="Show its counts", fields=(field,), get=True)
    if isinstance(counted, ReadFailure):
        return [kit.section("What a unit was shown", missing(counted)), form]
    rows = [
        (name, value, f"{count:,}")
        for name, values in (counted or {}).items()
        for value, count in values.items()
    ]
    counts = (
        kit.table(("cap", "value", "answers that count"), rows)
        if rows
        else kit.words("Nothing that counts.", "soft")
        if unit
        else ""
    )
    return [kit.section("What a unit was shown", counts), form]


def _does(rule: Rule) -> str:
    """Describe a ranking rule's effect in words; a parameter stands as its name, `$ad_boost`."""
    match rule:
        case Boost():
            return f"score times {_number(rule.times)}" + (
                f", plus {_number(rule.add)}" if rule.add != 0 else ""
            )
        case Pin():
            return f"stands on place {rule.position}"
        case Reserve():
            return f"stands on {', '.join(map(str, rule.positions))} and nowhere else"
        case Cap():
            return f"at most {rule.max} of one {rule.by} in an answer"
        case UnitCap():
            return (
                f"one {rule.by} in at most {rule.max} answers to a unit in "
                f"{duration_text(rule.window)}"
            )
        case Block():
            return "is never shown"


def _number(value: float | str) -> str:
    """Return a rule's number as text, or the name of the parameter that stands for it."""
    return value if isinstance(value, str) else f"{value:g}"


def _in_force(rule: Rule, now: datetime) -> str:
    """Return text on when a rule applies, and whether it applies now."""
    since = f"from {rule.since:%Y-%m-%d %H:%M}" if rule.since else ""
    until = f"until {rule.until:%Y-%m-%d %H:%M}" if rule.until else ""
    span = " ".join(filter(None, (since, until)))
    over = (rule.until is not None and now >= rule.until) or (
        rule.since is not None and now < rule.since
    )
    return f"{span}{', not now' if over else ''}" if span else "always"
