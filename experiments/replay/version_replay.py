"""The result of `isthmus models replay`, as it is stored and as text."""

from __future__ import annotations

from datetime import datetime

from ...core.formats import StoredDocument
from ...project.models.gate_figures import figure_digits
from ...reports.columns import plural
from ...reports.results import Shown
from .estimates import Replay, Value


class VersionReplay(Shown, StoredDocument, frozen=True, kw_only=True):
    """The value of a version: estimates of the objective's outcomes per place.

    `left_out`: answers that could not be replayed, by the reason.

    `outside`: of the answers that do not explore, the share of the version's probability that lies
    on what was not shown; None: all explore.

    `sums`: the attribute that an objective adds up which is a number, such as stay.seconds. None:
    it is a rate.
    """

    target: str
    version: str  # model@number
    endpoint: str
    objective: str
    explore: float  # 0 .. 1, of the version: the endpoint's
    since: datetime
    until: datetime
    answers: int
    left_out: dict[str, int]
    outside: float | None
    replay: Replay
    sums: str | None = None
    at_most: float | None = None  # what a place's number counts up to
    capped: float | None = None  # the share of places that have it; None: there is no cap
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        replay = self.replay
        span = f"{self.since:%Y-%m-%d %H:%M} .. {self.until:%Y-%m-%d %H:%M}"
        what = self.objective if self.sums is None else f"{self.objective} ({self.sums})"
        unit = f"{what} per place, explore {100 * self.explore:g} %"
        head = (
            f"{self.target:<7} {self.version} in place of what {self.endpoint} served   {unit}   "
            f"{span}"
        )
        left = [
            f"  left out          {count:,} answers: {reason}"
            for reason, count in self.left_out.items()
        ]
        if not replay.rows:
            return head
        warnings = [f"  warning           {warning}" for warning in self.warnings]
        worth = f"  worth             {self._worth()}"
        return "\n".join([head, *self._estimate_lines(), worth, *left, *warnings])

    def _estimate_lines(self) -> list[str]:
        """Return the lines of text on the off-policy estimates."""
        replay = self.replay
        if replay.logged is None:
            return []
        digits, fewer = self._digits()
        logged = (
            f"  logged            {replay.logged:,.{digits}f}   {self.answers:,} answers, "
            f"{replay.rows:,} places, {replay.units:,} units{self._at_cap()}"
        )
        if replay.value is None:
            return [logged, f"  {self._no_estimate()}"]
        ips = Value(value=replay.value, low=replay.low, high=replay.high)
        named = (
            ("IPS", ips),
            ("self-normalised", replay.self_normalised),
            ("doubly robust", replay.doubly_robust),
        )
        estimates = [f"  {name:<17} {value.text(digits, fewer)}" for name, value in named if value]
        return [
            logged,
            *estimates,
            f"  against the log   {_signed_text(replay.difference, digits, fewer)}",
        ]

    def _digits(self) -> tuple[int, int]:
        """Return how many decimals a value and its interval are printed with.

        They are chosen so that a number has four significant digits of what was logged.
        """
        if self.sums is None:
            return 5, 4
        digits = figure_digits("mean", self.replay.logged or 0.0)
        return digits, digits

    def _at_cap(self) -> str:
        """Return a clause on the share of importance weights at their cap, or "" without a cap."""
        if self.capped is None or self.at_most is None:
            return ""
        return f"; {100 * self.capped:.2g} % at the cap of {self.at_most:,g}"

    def _no_estimate(self) -> str:
        """Return a sentence on why there is no estimate."""
        if self.sums is None:
            return str(self.replay)
        return (
            f"matches {self.replay.matched:,} of {plural(self.replay.rows, 'row')}, none with "
            f"{self.sums} other than 0: no estimate"
        )

    def _worth(self) -> str:
        """Return a clause on how many rows the estimates rest on, and on heavy weights."""
        return (
            f"{self.replay.worth.removeprefix('worth ')}; {100 * self.replay.heavy:.3g} % of "
            "them weigh more than 20"
        )


def _signed_text(value: Value | None, digits: int, fewer: int) -> str:
    """Return a difference from the log as text with its sign.

    `digits` are those of the value, `fewer` those of its interval.
    """
    if value is None:
        return "-"
    interval = (
        "no interval of so few units"
        if value.low is None
        else f"{value.low:+,.{fewer}f} .. {value.high:+,.{fewer}f}"
    )
    return f"{value.value:+,.{digits}f}   {interval}   (doubly robust minus logged)"
