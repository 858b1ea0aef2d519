"""The verdict on an experiment, from what its figures say of each treatment. Pure.

It moves no traffic: a person does. A run's verdict says what to do next (ship, stop, keep
running); that of a site's log only how the treatment compares (better, worse).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ...reports.columns import plural
from .ratio import Difference
from .split import UnitSplit
from .verdict import Goal, Judgement, Side, side

LEAST_DAYS = 7  # a week has every weekday
_MOST_TWICE = 0.005  # of the units

Word = Literal["invalid", "stop", "ship", "prefers", "keep running", "undecided", "better", "worse"]


class TreatmentFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one treatment: its deciding metrics and its guardrails, by name."""

    arm: str
    metrics: Mapping[str, Side]
    guardrails: Mapping[str, Judgement] = {}

    @property
    def broken(self) -> list[str]:
        """Return the names of the guardrails that are broken."""
        return [name for name, judged in self.guardrails.items() if judged == "broken"]

    @property
    def worse(self) -> list[str]:
        """Return the names of the deciding metrics that are worse than the control's."""
        return [name for name, metric_side in self.metrics.items() if metric_side == "worse"]

    @property
    def better(self) -> bool:
        """Return whether every deciding metric is better than the control's."""
        return all(metric_side == "better" for metric_side in self.metrics.values())

    @property
    def holds(self) -> bool:
        """Return whether every guardrail is shown to hold."""
        return all(judged == "holds" for judged in self.guardrails.values())


class RunAge(msgspec.Struct, frozen=True, kw_only=True):
    """How long a run has gone on.

    `over`: the plan's units are complete, or its end has come.
    `left`: days until then; None: there is no plan, or no unit comes.
    """

    days: float
    over: bool = False
    left: int | None = None


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict in a word, and why.

    `of`: what stops it (`guardrail errors`, `worse`), the arm that ships, the variant whose order
    is preferred, or the figure of a log on which the word rests.
    """

    word: Word
    of: str = ""
    left: int | None = None  # days
    why: str

    @property
    def headline(self) -> str:
        """Return a line with the verdict, without its reason."""
        match self.word:
            case "stop":
                return f"stop: {self.of}"
            case "prefers":
                return f"prefers {self.of}"
            case "keep running" if self.left is not None:
                return f"keep running, about {self.left} day{'s' * (self.left != 1)}"
            case "better" | "worse" | "undecided" | "invalid" if self.of:
                return f"{self.word}: {self.of}"
            case _:
                return self.word

    def __str__(self) -> str:
        return f"{self.headline}. {self.why}"


def unsound(split: UnitSplit | None, units: int, twice: int) -> Conclusion | None:
    """Return the conclusion that no figure of an experiment can be trusted, or None.

    Args:
        split: How the units came to the arms; None: no shares are planned.
        units: Units that are compared.
        twice: Units that were left out, as they are in several arms.

    Returns:
        None where the comparison is sound.
    """
    if split is not None and split.alarm:
        return Conclusion(word="invalid", why=f"The {split}: every figure may be biased.")
    if twice > _MOST_TWICE * (units + twice):
        return Conclusion(
            word="invalid",
            why=f"{twice:,} of {plural(units + twice, 'unit')} are in several arms: what "
            "assigns them does not keep them.",
        )
    return None


def compared(
    difference: Difference | None, goal: Goal, guardrails: Mapping[str, Judgement]
) -> Conclusion:
    """Return the verdict on one treatment of a site's log: better, worse or undecided.

    Args:
        difference: The difference in the deciding metric; None: too few units or outcomes.
        goal: Whether the deciding metric is to rise or to fall.
        guardrails: The judgement of each guardrail's metric.
    """
    if broken := [name for name, judged in guardrails.items() if judged == "broken"]:
        return Conclusion(word="worse", why=f"Guardrail {broken[0]} is broken.")
    shown_side = side(difference, goal)
    if shown_side == "open":
        return Conclusion(word="undecided", why="")
    if shown_side == "worse":
        return Conclusion(
            word="worse", why="The whole interval is on the worse side of no difference."
        )
    if open_ := [name for name, judged in guardrails.items() if judged == "inconclusive"]:
        why = f"The metric is better, but guardrail {open_[0]} may still be broken."
        return Conclusion(word="undecided", why=why)
    return Conclusion(
        word="better", why="The whole interval is on the better side of no difference."
    )


def conclude(
    arms: Sequence[TreatmentFigures], age: RunAge, *, unsound: Conclusion | None = None
) -> Conclusion:
    """Return the verdict on a run: ship, stop or keep running.

    A treatment that is worse stops the run only if all others are worse, too.

    Args:
        arms: The treatments, the one that is to ship first where several may.
        age: How long the run has gone on.
        unsound: Why no figure can be trusted, if so: this is then the verdict.
    """
    if unsound is not None:
        return unsound
    if harmed := next((arm for arm in arms if arm.broken), None):
        return Conclusion(
            word="stop",
            of=f"guardrail {harmed.broken[0]}",
            why=f"Harm beyond the margin is shown in {harmed.arm}.",
        )
    ready = [arm for arm in arms if arm.better and arm.holds]
    if ready and (age.over or age.days >= LEAST_DAYS):
        return Conclusion(
            word="ship",
            of=ready[0].arm,
            why=f"Every deciding metric of {ready[0].arm} is better, and every guardrail holds.",
        )
    if all(arm.worse for arm in arms):
        return Conclusion(
            word="stop",
            of="worse",
            why=" ".join(f"{arm.worse[0]} of {arm.arm} is worse." for arm in arms),
        )
    if age.over:
        return Conclusion(word="undecided", why=f"The plan is over. {_why_open(arms)}")
    left, why = age.left, "" if ready else _why_open(arms)
    if ready:  # a treatment that is better already waits for the week alone
        left = -int(-(LEAST_DAYS - age.days) // 1)
        why = f"It is better already, but {plural(round(age.days), 'day')} make no week."
    return Conclusion(word="keep running", left=left, why=why)


def _why_open(arms: Sequence[TreatmentFigures]) -> str:
    """Return a sentence on why no treatment is ready to ship."""
    if almost := next((arm for arm in arms if arm.better), None):
        name = next(name for name, judged in almost.guardrails.items() if judged == "inconclusive")
        return (
            f"Every deciding metric of {almost.arm} is better, but guardrail {name} may still be "
            "broken."
        )
    return "No difference is shown."
