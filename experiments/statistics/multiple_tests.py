"""Several figures at once: how many of them are false alarms. Pure.

Holm 1979: of all that decide together at most 5 % of runs show a difference that is not there,
however they depend on each other. It holds with the bounds of a plan, too, where each is asked at
its own level (Maurer, Bretz 2013). Benjamini, Hochberg 1995: q, the part of false alarms among what
is called at that q.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import TypeVar

Name = TypeVar("Name")


def holm_levels(
    names: Iterable[Name], shown: Callable[[Name, float], bool], *, alpha: float = 0.05
) -> dict[Name, float]:
    """Return the significance level at which Holm's procedure tests each name.

    A name's interval at its level excludes no difference exactly where Holm's procedure rejects it.

    Args:
        names: The hypotheses that are tested together.
        shown: Whether a name's interval at a level excludes no difference.
        alpha: The familywise level.
    """
    open_ = list(names)
    levels: dict[Name, float] = {}
    while open_:
        level = alpha / len(open_)
        decided = [name for name in open_ if shown(name, level)]
        levels |= dict.fromkeys(decided or open_, level)
        open_ = [name for name in open_ if name not in levels]
    return levels


def holm(p: Mapping[Name, float]) -> dict[Name, float]:
    """Return Holm's adjusted p-value of each name."""
    rising = sorted(p, key=p.__getitem__)
    adjusted = accumulate(
        (min(1.0, p[name] * (len(p) - rank)) for rank, name in enumerate(rising)), max
    )
    return dict(zip(rising, adjusted, strict=True))


def q_values(p: Mapping[Name, float]) -> dict[Name, float]:
    """Return Benjamini and Hochberg's q-value of each name."""
    falling = sorted(p, key=p.__getitem__, reverse=True)
    adjusted = accumulate(
        (min(1.0, p[name] * len(p) / (len(p) - rank)) for rank, name in enumerate(falling)), min
    )
    return dict(zip(falling, adjusted, strict=True))
