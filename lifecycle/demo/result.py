"""The demo's results, as answers to a newcomer's questions.

The verdict comes first, then the figures that it rests on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from math import sqrt
from pathlib import Path

import msgspec

from ...events.intake.ingest import IngestReport
from ...experiments.replay.estimates import Replay
from ...experiments.results.log_document import LogDocument
from ...feature_store.as_known.check import AsKnown
from ...feature_store.online.skew import SkewReport
from ...pipelines.evaluation.statistics import distance_shown_by
from ...pipelines.run_pages.compare import RunComparison
from ...pipelines.run_pages.figure_text import days, interval, signed, two_figures
from ...pipelines.run_pages.leak_comparison import Leak
from ...pipelines.run_pages.records import Run
from ...reports.columns import plural
from ...reports.results import Shown
from .stages import auc_text, leak_text, relative_path

# inverse-propensity value of bts from the random log: obp's quickstart (data/README.md)
PUBLISHED = 0.004553
CANDIDATES, SLOTS = 20, 3
_SIGMAS = 4  # beyond so many standard deviations of the binomial a split is not chance


class ServedTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's counts. Latency: of the call of the endpoint, one request after the other."""

    split: dict[str, Decimal]  # percent by variant, as the endpoint had it
    requests: dict[str, int]  # by variant
    errors: int
    p50_ms: float
    p99_ms: float
    exposures: int  # rows in the exposure log that came from these requests


class RollbackResult(msgspec.Struct, frozen=True, kw_only=True):
    """A rehearsed rollout whose challenger begins to fail."""

    end: str
    cause: str  # by which guardrail, with its figures
    minutes: int | None  # from the first failures to the decision
    failed: int  # requests
    # ... until the challenger would have had all of the traffic, had no guardrail looked
    failed_unguarded: int
    unexpected: tuple[str, ...]  # in what it differs from what the scenario expects
    page: Path

    @property
    def headline(self) -> str:
        """Return the end of the rehearsed rollout and its failed requests as a line of text."""
        return f"{self.end}, {self.failed:,} requests failed"


class Demo(Shown, msgspec.Struct, frozen=True, kw_only=True):
    target: str
    seconds: float
    ingested: tuple[IngestReport, ...]
    first: datetime
    last: datetime
    checked: tuple[AsKnown, ...]  # the views that were checked in this run: at their first batch
    skew: SkewReport
    champion: Run
    challenger: Run
    comparison: RunComparison
    leak: Leak
    replay: Replay
    fixed: Replay
    random_ctr: float  # of the random policy, as it was shown
    experiment: LogDocument  # of the log's two policies
    served: ServedTraffic
    rollout: RollbackResult
    picture: Path
    page: Path  # the two runs side by side
    url: str | None  # of the endpoint, when it was kept

    def __str__(self) -> str:
        return "\n".join(lines(self))


def lines(demo: Demo) -> Iterator[str]:
    """Yield the demo's report as lines of text: each question with its answer."""
    counts = {report.event: report.stored + report.already_there for report in demo.ingested}
    log = (
        f"{counts['impression']:,} impressions, {plural(counts['click'], 'click')} of a real "
        "fashion site"
    )
    yield f"done in {demo.seconds:.0f} s   {log}, {days(demo.first.date(), demo.last.date())}"
    yield f"  Can the two models be told apart?   {_difference_text(demo)}"
    yield "      " + "   ".join(
        f"{run.alias} {run.configuration}: {auc_text(run)}"
        for run in (demo.champion, demo.challenger)
    )
    leak = demo.leak
    yield f"  Did a feature see the future?       {leak_text(demo.checked, demo.skew)}"
    yield (
        f"      {leak.feature}: auc {leak.honest.value:.3f} as it was known; "
        f"{leak.leaked.value:.3f} had it seen the whole week"
    )
    yield f"  Did traffic go where it was sent?   {_traffic(demo.served)}"
    yield (
        f"      errors {demo.served.errors:,}   p99 {demo.served.p99_ms:.1f} ms   "
        f"{demo.served.exposures:,} exposures logged"
    )
    yield f"  Is a bad version taken back?        {_rollback_text(demo.rollout)}"
    yield f"      {demo.rollout.cause or 'nothing was decided'} (rehearsed in virtual time)"
    yield f"  Does replay give the known value?   {_replay(demo)}"
    yield f"      a fixed top-{SLOTS} of popularity instead: {demo.fixed}"
    yield (
        f"  Is {demo.experiment.treatment} better than {demo.experiment.control}?".ljust(38)
        + demo.experiment.headline
    )
    yield f"      {demo.experiment.verdict.why}"
    yield (
        f"  pages   {relative_path(demo.page)}   {relative_path(leak.page)}   "
        f"{relative_path(demo.rollout.page)}   {relative_path(demo.picture)}"
    )
    if demo.url:
        yield f"  {demo.url} is still up: isthmus endpoints list, isthmus destroy"


def _difference_text(demo: Demo) -> str:
    """Return text on whether two models' metrics differ significantly, and by how much."""
    comparison = demo.comparison
    difference = comparison.deciding()
    figure = (
        f"{comparison.metric} {signed(difference.value, 3)} ({interval(difference, sign=True)})"
    )
    if comparison.verdict != "undecided":
        return f"yes: {comparison.second.configuration} is {comparison.verdict}, {figure}"
    takes = (
        comparison.positives * (distance_shown_by(difference) / abs(difference.value)) ** 2
        if difference.value
        else float("inf")
    )
    more = (
        f"; a difference of this size takes about {two_figures(takes)} clicks"
        if comparison.positives < takes < 1e7
        else ""
    )
    return f"not by {plural(comparison.positives, 'click')}: {figure}{more}"


def _rollback_text(rollout: RollbackResult) -> str:
    """Return text on whether the failing variant was rolled back, and after how long."""
    if rollout.unexpected:
        return f"no: {'; '.join(rollout.unexpected)}"
    without = f"{rollout.failed_unguarded:,} had nobody looked"
    return (
        f"yes: {rollout.minutes} minutes after it began to fail; {rollout.failed:,} requests "
        f"failed, {without}"
    )


def _traffic(served: ServedTraffic) -> str:
    """Return text on whether the variants got the traffic shares that were set."""
    total = sum(served.requests.values())
    sent = "/".join(f"{percent.normalize():f}" for percent in served.split.values())
    request_counts = "/".join(f"{served.requests.get(name, 0):,}" for name in served.split)
    shares = {name: float(percent) / 100 for name, percent in served.split.items()}
    strays = [
        name
        for name, share in shares.items()
        if abs(served.requests.get(name, 0) - total * share)
        > _SIGMAS * sqrt(total * share * (1 - share))
    ]
    if strays or not total:
        return f"no: {sent} was set, and {request_counts} of {total:,} requests came"
    return f"yes: {sent} was set, {request_counts} of {total:,} requests came"


def _replay(demo: Demo) -> str:
    """Return text on whether the off-policy estimate agrees with the published value."""
    value = demo.replay.value
    if value is None or demo.replay.low is None or demo.replay.high is None:
        return "no estimate"
    verdict = "yes" if round(value, 6) == PUBLISHED else "no"
    return (
        f"{verdict}: published {PUBLISHED:.6f}, here {value:.6f} ({demo.replay.low:.4f} .. "
        f"{demo.replay.high:.4f})"
    )
