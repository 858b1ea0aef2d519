"""The structs of the key `tune` in a model's configuration."""

from __future__ import annotations

import msgspec


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """The values that trials may set a parameter to: in [low, high], or one of `choices`."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False  # as many trials from 0.01 to 0.1 as from 0.1 to 1
    whole: bool = False  # whole numbers alone
    choices: tuple[float | int | str | bool, ...] = ()


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """A search for parameters: `trials` in rounds of `parallel`, judged by a metric.

    The suggestions of a round rest on the rounds before it alone.
    """

    trials: int
    parallel: int
    metric: str  # by its name in gates
    search: dict[str, Search]  # by the parameter's name
    seed: int = 0
