"""What the figures of an experiment say. Pure. No verdict moves traffic: a person does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from ...project.specs.experiments import ExperimentGuardrail
from . import sample_size as sizing
from .ratio import Difference
from .split import Split
from .sums import Sums

Judgement = Literal["holds", "broken", "inconclusive"]
Goal = Literal["maximise", "minimise"]
Side = Literal["better", "worse", "open"]
Word = Literal["better", "worse", "undecided", "invalid"]
_SEVERITY: tuple[Judgement, ...] = ("holds", "inconclusive", "broken")
_MOST_TWICE = 0.005  # of the units


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Of the treatment, at 95 %. `invalid`: the comparison itself is not sound, whatever it shows."""

    word: Word
    why: str

    def __str__(self) -> str:
        return f"{self.word}. {self.why}"


def judge(guardrail: ExperimentGuardrail, difference: Difference | None) -> Judgement:
    """holds: the whole interval is within the margin. broken: all of it is beyond."""
    if difference is None:
        return "inconclusive"
    of, margin = difference.relative, float(guardrail.margin) / 100
    worst, best = (of.high, of.low) if guardrail.may == "rise" else (-of.low, -of.high)
    return "holds" if worst <= margin else "broken" if best > margin else "inconclusive"


def by_metric(judgements: Iterable[tuple[str, Judgement]]) -> dict[str, Judgement]:
    """The worst of each metric: it may have a limit to either side."""
    worst: dict[str, Judgement] = {}
    for name, judged in judgements:
        worst[name] = _SEVERITY[
            max(_SEVERITY.index(judged), _SEVERITY.index(worst.get(name, judged)))
        ]
    return worst


def unsound(split: Split | None, units: int, twice: int) -> Verdict | None:
    if split is not None and split.alarm:
        return Verdict(word="invalid", why=f"The {split}: every figure may be biased.")
    if twice > _MOST_TWICE * (units + twice):
        return Verdict(
            word="invalid",
            why=f"{twice:,} of {units + twice:,} units are in several arms: what assigns them "
            "does not keep them.",
        )
    return None


def side(difference: Difference | None, goal: Goal) -> Side:
    """open: no difference is within the interval, or there is too little for one."""
    if difference is None or difference.absolute.low <= 0 <= difference.absolute.high:
        return "open"
    return "better" if (difference.absolute.value > 0) == (goal == "maximise") else "worse"


def decide(
    difference: Difference | None, goal: Goal, guardrails: dict[str, Judgement]
) -> tuple[Word, str]:
    if broken := [name for name, judged in guardrails.items() if judged == "broken"]:
        return "worse", f"Guardrail {broken[0]} is broken."
    shown = side(difference, goal)
    if shown == "open":
        return "undecided", ""
    if shown == "worse":
        return "worse", "The whole interval is on the worse side of no difference."
    if open_ := [name for name, judged in guardrails.items() if judged == "inconclusive"]:
        return "undecided", f"The metric is better, but guardrail {open_[0]} may still be broken."
    return "better", "The whole interval is on the better side of no difference."


def size(control: Sums, units: int, of: str) -> str:
    """Which effects so many units an arm show. `of`: what a unit is."""
    if not control.y:
        return ""
    rise = sizing.effect_shown(control, units)
    least = (
        "no effect below eleven times the control"
        if rise is None
        else f"a rise of {percent_up(rise)} % or more"
    )
    needed = f"{rounded(sizing.units_needed(control, 0.2)):,} {of}s an arm"
    return f"This size shows {least} four times in five; +20 % takes {needed}."


def percent_up(share: float) -> int:
    """Whole percents, so that what is promised is shown."""
    return -int(-share * 100 // 1)


def rounded(count: int) -> int:
    """To thousands above ten thousand: more would be made up."""
    return count if count < 10_000 else round(count, -3)
