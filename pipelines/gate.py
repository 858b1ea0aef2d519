"""Whether a run may go on: pass, fail or inconclusive, on 95 % intervals. No figure is not a good figure."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..project.specs import Gate
from .statistics import Estimate

Verdict = Literal["pass", "fail", "inconclusive"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # as in the configuration: auc_vs_champion, calibration
    wanted: str  # in words
    verdict: Verdict
    reason: str


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """`verdict` None: the configuration asks for nothing."""

    verdict: Verdict | None
    checks: tuple[Check, ...] = ()

    def of(self, name: str) -> Verdict | None:
        return next((check.verdict for check in self.checks if check.name == name), None)


def at_least(estimate: Estimate | None, bound: float) -> Verdict:
    """The whole interval at or above the bound passes; the whole interval below fails."""
    if estimate is None:
        return "inconclusive"
    if estimate.low >= bound:
        return "pass"
    return "fail" if estimate.high < bound else "inconclusive"


def within(estimate: Estimate | None, low: float, high: float) -> Verdict:
    """The whole interval inside passes; the whole interval on one side outside fails."""
    if estimate is None:
        return "inconclusive"
    if low <= estimate.low and estimate.high <= high:
        return "pass"
    return "fail" if estimate.high < low or estimate.low > high else "inconclusive"


def judge(gate: Gate, *, auc_vs_champion: Estimate | None, calibration: Estimate | None, no_champion: str | None = None) -> GateResult:
    """The worst of the parts that the configuration asks for. `no_champion` says why there is nothing to compare with."""
    checks = []
    if gate.auc_vs_champion_at_least is not None:
        bound = gate.auc_vs_champion_at_least
        reason = no_champion or "" if auc_vs_champion is None else _reason(auc_vs_champion)
        checks.append(Check(name="auc_vs_champion", wanted=f"at least {bound:g}", verdict=at_least(auc_vs_champion, bound), reason=reason))
    if gate.calibration_within is not None:
        low, high = gate.calibration_within
        reason = "its scores are not probabilities" if calibration is None else _reason(calibration)
        checks.append(
            Check(name="calibration", wanted=f"within {low:g} .. {high:g}", verdict=within(calibration, low, high), reason=reason)
        )
    return GateResult(verdict=_worst([check.verdict for check in checks]), checks=tuple(checks))


def _reason(estimate: Estimate) -> str:
    return f"{estimate.value:.3f}, 95 % {estimate.low:.3f} .. {estimate.high:.3f}"


def _worst(verdicts: list[Verdict]) -> Verdict | None:
    order: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")
    return next((verdict for verdict in order if verdict in verdicts), None)
