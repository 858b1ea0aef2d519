"""Three estimates of what a policy would have earned, from sums over a log of another one.

With their intervals, and what the log is worth. With w = pi(a | x) / p, the weight of a row whose
action a was shown with probability p and earned r:

    IPS: the mean of w r (Horvitz, Thompson 1952).
    Self-normalised: the sum of w r over the sum of w, biased a little, steadier (Swaminathan,
        Joachims 2015).
    Doubly robust: the mean of q(pi) + w (r - q(a)), q a model of rewards (Dudik, Langford, Li
        2011).

Only rows that the policy might have shown tell anything of it: `effective_rows` = (sum w)^2 / sum
w^2 (Kish 1965) says how many, and `heavy` which share of the rows has a weight above HEAVY, so that
a few of them decide.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from ...pipelines.evaluation.statistics import Estimate, Floats
from ...pipelines.evaluation.units import FEWEST, Scale, UnitTotals, differences, estimates
from ...reports.columns import plural

HEAVY = 20  # a weight


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A value per row, with a 95 % interval.

    None of fewer than ten units, or rows where these are drawn.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        return self.text(5, 4)

    def text(self, digits: int, fewer: int) -> str:
        """Return the value with so many decimal digits, and its interval with `fewer`."""
        interval = (
            "no interval of so few"
            if self.low is None
            else f"{self.low:,.{fewer}f} .. {self.high:,.{fewer}f}"
        )
        return f"{self.value:,.{digits}f}   {interval}"


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a policy, as a log tells it.

    `value` None: the matched rows hold no reward or no row matches, and there is no estimate.
    """

    value: float | None  # IPS, with its interval
    low: float | None
    high: float | None
    self_normalised: Value | None
    doubly_robust: Value | None = None  # None: no model of rewards was given
    logged: float | None = None  # what the log's own policy earned
    difference: Value | None = (
        # of the doubly robust estimate, else IPS, and the log's own, on the same units; None: rows
        # are drawn
        None
    )
    rows: int
    effective_rows: float
    heavy: float = 0.0
    matched: int  # rows whose action the policy might have shown
    matched_rewards: float
    units: int | None = None  # that the interval draws; None: rows

    def __str__(self) -> str:
        if self.value is None:
            hits = f"{self.matched_rewards:g} click{'s' * (self.matched_rewards != 1)}"
            return f"matches {self.matched:,} of {plural(self.rows, 'row')}, {hits}: no estimate"
        return f"{Value(value=self.value, low=self.low, high=self.high)}   ({self.worth})"

    @property
    def worth(self) -> str:
        """Return a clause on the effective sample size: how many rows the policy is left with."""
        units = f", {plural(self.units, 'unit')} drawn" if self.units else ""
        return (
            f"worth {min(_three_figures(self.effective_rows), self.rows):,} of {self.rows:,} "
            f"rows{units}"
        )


class LogSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the rows of each unit, or of each row by itself, as arrays of one length.

    The numbers are of the whole log. `scale` is that on which intervals are drawn: see Totals.
    """

    rows: Floats
    weights: Floats
    earned: Floats  # of w r
    rewards: Floats
    corrected: Floats | None = None  # of q(pi) + w (r - q(a))
    squares: float  # of weights
    heavy: int
    matched: int
    matched_rewards: float
    rewarded: int  # of the matched rows those whose reward is not 0
    scale: Scale = "plain"

    @property
    def metrics(self) -> dict[str, UnitTotals]:
        """Return the numerators and denominators of each off-policy estimate."""
        ips, normalised = (
            UnitTotals(numerator=self.earned, denominator=below, scale=self.scale)
            for below in (self.rows, self.weights)
        )
        doubly = (
            {}
            if self.corrected is None
            else {
                "doubly_robust": UnitTotals(
                    numerator=self.corrected, denominator=self.rows, scale=self.scale
                )
            }
        )
        return {"value": ips, "self_normalised": normalised, **doubly}

    @property
    def logged(self) -> UnitTotals:
        """Return the totals of the reward that the logging policy earned."""
        return UnitTotals(numerator=self.rewards, denominator=self.rows)


def by_unit(sums: LogSums, units: int, *, samples: int, seed: int) -> Replay:
    """Return the off-policy estimates with confidence intervals from a bootstrap over units.

    Args:
        sums: One entry a unit, or a bunch of units.
        units: How many units there are.
        samples: The number of bootstrap samples.
        seed: The seed of the bootstrap.
    """
    drawn = estimates(sums.metrics, samples=samples, seed=seed) if sums.rewarded else {}
    best = "value" if sums.corrected is None else "doubly_robust"
    against_log = (
        differences({"": sums.metrics[best]}, {"": sums.logged}, samples=samples, seed=seed)
        if drawn
        else {}
    )
    difference = _with_interval(sums.metrics[best].value - sums.logged.value, against_log.get(""))
    replayed = _replay(sums, drawn)
    return msgspec.structs.replace(
        replayed, units=units, difference=None if replayed.value is None else difference
    )


def by_row(sums: LogSums, *, samples: int, seed: int) -> Replay:
    """Return the off-policy estimates with confidence intervals from a bootstrap over rows.

    It draws the same samples of rows as NumPy's RandomState(seed): published figures depend on it.
    """
    return _replay(
        sums,
        _drawn_rows(sums, samples, seed) if sums.rewarded and len(sums.rows) >= FEWEST else {},
    )


def _drawn_rows(sums: LogSums, samples: int, seed: int) -> dict[str, Estimate]:
    """Return each estimate's 95 % confidence interval from a bootstrap over rows."""
    random, number = np.random.RandomState(seed), len(sums.rows)
    columns = [
        column for column in (sums.earned, sums.weights, sums.corrected) if column is not None
    ]
    means = np.empty((samples, len(columns)))
    for sample in range(samples):
        chosen = random.randint(0, number, number)
        means[sample] = [column[chosen].mean() for column in columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = {
            "value": means[:, 0],
            "self_normalised": means[:, 0] / means[:, 1],
            "doubly_robust": means[:, -1],
        }
    return {name: _percentiles(metric.value, drawn[name]) for name, metric in sums.metrics.items()}


def _percentiles(value: float, drawn: Floats) -> Estimate:
    """Return a value with its 95 % interval, from the percentiles of bootstrap draws."""
    low, high = map(float, np.nanpercentile(drawn, [2.5, 97.5]))
    return Estimate(value=value, low=low, high=high)


def _replay(sums: LogSums, drawn: Mapping[str, Estimate]) -> Replay:
    """Return the result of an off-policy evaluation, from its sums and confidence intervals.

    It has no values where no row with a reward is left.
    """
    rows, weight = int(sums.rows.sum()), float(sums.weights.sum())
    rewarded = sums.rewarded > 0
    values = (
        {
            name: _with_interval(metric.value, drawn.get(name))
            for name, metric in sums.metrics.items()
        }
        if rewarded
        else {}
    )
    ips = values.get("value")
    return Replay(
        value=ips.value if ips else None,
        low=ips.low if ips else None,
        high=ips.high if ips else None,
        self_normalised=values.get("self_normalised"),
        doubly_robust=values.get("doubly_robust"),
        logged=sums.logged.value if rows else None,
        rows=rows,
        effective_rows=weight**2 / sums.squares if weight else 0.0,
        heavy=sums.heavy / rows if rows else 0.0,
        matched=sums.matched,
        matched_rewards=sums.matched_rewards,
    )


def _with_interval(value: float, drawn: Estimate | None) -> Value:
    """Return a value with its confidence interval, if there is one."""
    return Value(value=value, low=drawn.low, high=drawn.high) if drawn else Value(value=value)


def _three_figures(rows: float) -> int:
    """Round a number to three significant digits."""
    return int(float(f"{rows:.3g}"))
