"""The verdict on an experiment that is assigned, in the order of EXPERIMENTS.md, section 7.

Pure. It moves no traffic: a person does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from .verdict import Judgement, Side, Verdict

LEAST_DAYS = 7  # a week has every weekday

Word = Literal["invalid", "stop", "ship", "prefers", "keep running", "undecided"]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures say of one treatment: its deciding metrics and its guardrails, by name."""

    arm: str
    metrics: Mapping[str, Side]
    guardrails: Mapping[str, Judgement] = {}

    @property
    def broken(self) -> list[str]:
        return [name for name, judged in self.guardrails.items() if judged == "broken"]

    @property
    def worse(self) -> list[str]:
        return [name for name, of in self.metrics.items() if of == "worse"]

    @property
    def better(self) -> bool:
        return all(of == "better" for of in self.metrics.values())

    @property
    def holds(self) -> bool:
        return all(judged == "holds" for judged in self.guardrails.values())


class Age(msgspec.Struct, frozen=True, kw_only=True):
    """`over`: the plan's units are complete, or its end has come.

    `left`: days until then; None: there is no plan, or no unit comes.
    """

    days: float
    over: bool = False
    left: int | None = None


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """`of`: what stops it (`guardrail errors`, `worse`), the arm that ships, or the variant whose
    order is preferred.
    """

    word: Word
    of: str = ""
    left: int | None = None  # days
    why: str

    @property
    def headline(self) -> str:
        match self.word:
            case "stop":
                return f"stop: {self.of}"
            case "prefers":
                return f"prefers {self.of}"
            case "keep running" if self.left is not None:
                return f"keep running, about {self.left} day{'s' * (self.left != 1)}"
            case _:
                return self.word

    def __str__(self) -> str:
        return f"{self.headline}. {self.why}"


def conclude(arms: Sequence[Shown], age: Age, *, unsound: Verdict | None = None) -> Conclusion:
    """`arms`: the treatments, the one that is to ship first where several may.

    A treatment that is worse stops only with all others.
    """
    if unsound is not None:
        return Conclusion(word="invalid", why=unsound.why)
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
        return Conclusion(word="undecided", why=f"The plan is over. {_open(arms)}")
    return Conclusion(
        word="keep running", left=_left(age, ready), why=_young(age) if ready else _open(arms)
    )


def _left(age: Age, ready: Sequence[Shown]) -> int | None:
    """Who is better already waits for the week alone."""
    return -int(-(LEAST_DAYS - age.days) // 1) if ready else age.left


def _young(age: Age) -> str:
    return f"It is better already, but {age.days:.0f} days are no week."


def _open(arms: Sequence[Shown]) -> str:
    if almost := next((arm for arm in arms if arm.better), None):
        name = next(name for name, judged in almost.guardrails.items() if judged == "inconclusive")
        return (
            f"Every deciding metric of {almost.arm} is better, but guardrail {name} may still be "
            "broken."
        )
    return "No difference is shown."
