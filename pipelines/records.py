"""The record of a training run: `runs/<run>/record.json`, written once when it ends, and the text that a reader sees."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from ..formats import StoredDocument
from ..project.metrics import AGAINST, ranks
from ..reports.results import Shown
from ..storage import BlobStore
from .distribution import Distribution
from .document import find, read, runs_folder, write
from .gate import GateResult, Verdict
from .leak_alarm import Looked
from .spoken import clicks, days, drawn, estimate, interval, people, signed
from .statistics import Estimate
from .worth import Worth


class Git(msgspec.Struct, frozen=True, kw_only=True):
    revision: str  # short
    dirty: bool  # the project's folder has changes that are not committed

    def __str__(self) -> str:
        return f"git {self.revision}{' with changes' if self.dirty else ''}"


class Data(StoredDocument, frozen=True, kw_only=True):
    """The training set as it was read."""

    start: datetime  # the window asked for, [start, end)
    end: datetime
    as_of: datetime
    first: datetime | None  # of the rows found
    last: datetime | None
    rows: int
    clicks: int
    digest: str  # canonical hash of the rows
    exposure: str  # the event behind a row, and the one counted
    outcome: str
    types: dict[str, str]  # of each feature
    features: int
    views: int  # ... of which from views: joined point in time
    empty: dict[str, int] = {}  # rows without any value of a view, by its name
    warnings: tuple[str, ...] = ()  # the leak alarm
    distributions: tuple[Distribution, ...] = ()  # of every feature
    leaks: tuple[Looked, ...] = ()  # what the leak alarm saw of every feature


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One test period of the forward evaluation."""

    start: datetime
    trained_rows: int
    trained_clicks: int
    rows: int
    clicks: int
    auc: float | None


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were ranked against each other, and what would stand first among them (equal scores share the place)."""

    within: str  # the attribute
    groups: int  # with both outcomes: the others say nothing of an order
    left_out: int
    item: str | None = None  # the attribute that was ranked
    items: int = 0  # that were there to choose from
    shown: int = 0  # that stand first somewhere
    gini: float | None = None  # of their shares of first places


class Evaluation(StoredDocument, frozen=True, kw_only=True):
    """Forward evaluation, all periods together. Figures that need probabilities are None for a predictor of mere scores."""

    rows: int
    clicks: int
    periods: tuple[Period, ...]
    forward_days: float
    auc: Estimate
    log_loss: float | None
    base_log_loss: float
    log_loss_difference: Estimate | None  # to always answering the base rate known at training
    calibration: Estimate | None
    metrics: dict[str, Estimate] = {}  # log_loss; with `ranked` ndcg@k, recall@k, mrr and group_auc
    unit: str | None = None  # the attribute whose values intervals draw; None: rows
    units: int = 0
    ranked: Ranked | None = None
    worth: tuple[Worth, ...] = ()  # of every feature, the worthiest first

    def figures(self) -> dict[str, Estimate]:
        """All of them, by the names of gates."""
        named = {"auc": self.auc, "calibration": self.calibration}
        return {name: figure for name, figure in named.items() if figure is not None} | self.metrics


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was compared with, on the same rows; or why it was not."""

    version: str | None = None
    run: str | None = None
    rows: int = 0
    difference: Estimate | None = None  # of AUC
    differences: dict[str, Estimate] = {}  # of every other metric
    ceiling: float | None = None  # the AUC that the champion's predictions would have, were they the true rates
    ceiling_of: str | None = None  # the entity whose rates they are, when they are one entity's
    why_not: str | None = None

    def figures(self) -> dict[str, Estimate]:
        """Every difference, by the names of gates without `_vs_champion`."""
        return ({"auc": self.difference} if self.difference is not None else {}) | self.differences


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """`figures` and `differences` (to the champion, on the same rows) are by the names of gates; what cannot be told is left out."""

    attribute: str
    value: str
    rows: int
    clicks: int
    figures: dict[str, Estimate]
    differences: dict[str, Estimate] = {}


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """`3 corrections since r4`."""

    corrections: int
    since: str  # the run of the same configuration before

    def __str__(self) -> str:
        return f"{self.corrections:,} correction{'s' if self.corrections != 1 else ''} since {self.since}"


class Run(Shown, StoredDocument, frozen=True, kw_only=True):
    """One training run. `gate` is pass, fail, inconclusive, or None when its configuration asks for nothing."""

    name: str
    status: Literal["done", "failed"]
    target: str
    configuration: str
    path: str  # of its file
    config: str  # the file's text
    settings: dict[str, Any]  # the same, parsed
    model: str
    objective: str
    features: tuple[str, ...]
    trainer: str
    parameters: dict[str, Any]
    started: datetime
    ended: datetime
    git: Git | None = None
    code: str | None = None  # digest of the model folder
    data: Data | None = None
    evaluation: Evaluation | None = None
    champion: Champion = Champion()
    gate: Verdict | None = None
    checks: GateResult = GateResult(verdict=None)
    version: str | None = None  # e.g. ranker@2
    alias: str | None = None  # the alias that it got
    alias_why_not: str | None = None
    failure: str | None = None
    log: str = ""
    report: str = ""
    links: dict[str, str] = {}  # the provider's console
    drift: dict[str, float] = {}  # of every feature from the champion's training set: distribution.drift
    segments: tuple[Segment, ...] = ()
    corrected: Corrected | None = None  # events of its window that were corrected since the configuration's run before
    overrides: tuple[str, ...] = ()  # what `train --set` changed in the configuration: parameters.C=1

    def told(self) -> str:
        """The configuration, with what was changed in it."""
        return " ".join((self.configuration, *self.overrides))

    def __str__(self) -> str:
        return text(self)


def record_uri(blobs: BlobStore, run: str) -> str:
    return f"{runs_folder(blobs.root)}/{run}/record.json"


def keep(blobs: BlobStore, run: Run) -> None:
    write(blobs, record_uri(blobs, run.name), run)


def fetch(blobs: BlobStore, run: str) -> Run:
    """NotFound; Invalid when it is damaged."""
    return read(blobs, record_uri(blobs, run), Run)


def peek(blobs: BlobStore, run: str) -> Run | None:
    return find(blobs, record_uri(blobs, run), Run)


def text(run: Run) -> str:
    """The block that `isthmus train` prints."""
    lines = [f"{run.target:<7} run {run.name}   {run.model} / {run.told()}   {run.git or 'no git'}"]
    if run.data:
        lines.append(_line("rows", described(run.data)))
    lines += [_line("corrected", str(run.corrected))] if run.corrected else []
    lines += [f"  warning       {warning}" for warning in run.data.warnings] if run.data else []
    if run.evaluation:
        lines += _figures(run, run.evaluation)
    if run.status == "failed":
        lines.append(f"failed: {run.failure}; nothing was registered   log {run.log}")
        return "\n".join(lines)
    lines += [_line("leaks", _judged(run, "leaks", check.reason)) for check in run.checks.checks if check.name == "leaks"]
    lines.append(_line("gate", _gate(run)))
    lines += [_line("", run.checks.note)] if run.checks.note else []
    alias = run.alias or run.alias_why_not
    lines.append(f"registered {run.version}{f' ({alias})' if alias else ''}   log {run.log}   report {run.report}")
    return "\n".join(lines)


def next_steps(run: Run) -> tuple[str, ...]:
    """The commands that `isthmus train` suggests."""
    if run.status == "failed":
        return (f"runs show {run.name}",)
    compare = (f"runs compare {run.champion.run} {run.name}",) if run.champion.run else ()
    return (*compare, f"deploy {run.model}") if run.gate != "fail" else compare or (f"runs show {run.name}",)


def _line(name: str, rest: str) -> str:
    return f"  {name:<13} {rest}"


def described(data: Data) -> str:
    """`20,000 impressions, 80 clicks (0.40 %), 24-30 Nov 2019; ...`."""
    share = f" ({100 * data.clicks / data.rows:.2f} %)" if data.rows else ""
    span = f", {days(data.first.date(), data.last.date())}" if data.first and data.last else ""
    in_time = " point in time" if data.views else ""
    plural = "s" if data.features != 1 else ""
    found = f"{data.rows:,} {data.exposure}s, {clicks(data.clicks, data.outcome)}{share}{span}; {data.features} feature{plural}{in_time}"
    empty = [f"no {view.replace('_', ' ')}{' yet' if i == 0 else ''} in {rows:,}" for i, (view, rows) in enumerate(data.empty.items())]
    return "; ".join([found, *([", ".join(empty)] if empty else [])])


def _figures(run: Run, found: Evaluation) -> list[str]:
    number = len(found.periods)
    plural = "s" if number != 1 else ""
    length = f"day{plural}" if found.forward_days == 1 else f"period{plural} of {found.forward_days:g} days"
    tested = f"{number} test {length}: {found.rows:,} rows"
    outcome = run.data.outcome if run.data else "click"
    lines = [_line("forward", f"{tested}, {clicks(found.clicks, outcome)}")]
    lines.append(_line("auc", _judged(run, "auc", f"{estimate(found.auc)}     chance 0.5{_ceiling(run.champion)}")))
    lines += _ranking(run, found)
    if found.log_loss is not None and found.log_loss_difference is not None:
        to_base = found.log_loss_difference
        between = f", 95 % {interval(to_base, 5, sign=True)}" if found.units else f" +- {to_base.high - to_base.value:.5f}"
        base = f"{found.base_log_loss:.5f} for always answering the base rate"
        difference = f"{signed(to_base.value, 5)}{between}"
        lines.append(_line("log loss", f"{found.log_loss:.5f} against {base} ({difference})"))
    if found.calibration is not None:
        lines.append(_line("calibration", _judged(run, "calibration", estimate(found.calibration, 2, what=" observed/expected"))))
    return [*lines, *_against(run), _line("intervals", drawn(found))]


def ranking_figures(figures: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Those of rows that were ranked against each other."""
    return {name: figure for name, figure in figures.items() if ranks(name)}


def _judged(run: Run, check: str, text: str) -> str:
    """A figure with what the gate says of it."""
    return f"{text:<59}   {run.checks.of(check) or ''}".rstrip()


def _ranking(run: Run, found: Evaluation) -> list[str]:
    if found.ranked is None:
        return []
    figures = ranking_figures(found.metrics)
    lines = [_line(name.replace("_", " "), _judged(run, name, estimate(figure))) for name, figure in figures.items()]
    lines.append(_line("ranked", told(found.ranked)))
    return [*lines, *([_line("first place", first_places(found.ranked))] if found.ranked.item else [])]


def told(ranked: Ranked) -> str:
    """`within request_id: 1,204 groups; 318 without both outcomes are left out`."""
    return f"within {ranked.within}: {ranked.groups:,} groups; {ranked.left_out:,} without both outcomes are left out"


def first_places(ranked: Ranked) -> str:
    """`34 of 120 item_ids come first somewhere; gini 0.81, ...`."""
    return (
        f"{ranked.shown:,} of {ranked.items:,} {people(ranked.item or 'item')} come first somewhere; gini {ranked.gini:.2f}, 0 is all alike"
    )


def _against(run: Run) -> list[str]:
    """The differences to the champion that may decide: AUC's, NDCG's, and what the gate asks for."""
    asked = [check.name.removesuffix(AGAINST) for check in run.checks.checks if check.name.endswith(AGAINST)]
    if run.champion.difference is None:
        why = run.champion.why_not
        return [_line("vs champion", _judged(run, f"{asked[0]}{AGAINST}" if asked else "", why))] if why else []
    differences = run.champion.figures()
    lines: list[str] = []
    for name in dict.fromkeys(["auc", *(name for name in differences if name.startswith("ndcg")), *asked]):
        if name in differences:
            spoken = f"{name.replace('_', ' ')} {estimate(differences[name], digits_of(name), sign=True)}"
            lines.append(_line("" if lines else "vs champion", _judged(run, f"{name}{AGAINST}", spoken)))
    return lines


def digits_of(metric: str) -> int:
    return {"log_loss": 5, "calibration": 2}.get(metric, 3)


def _ceiling(champion: Champion) -> str:
    if champion.ceiling is None:
        return ""
    if champion.ceiling_of:
        return f"; knowing every {champion.ceiling_of}'s true rate would give about {champion.ceiling:.2f}"
    return f"; were the champion's predictions the true rates, it would be about {champion.ceiling:.2f}"


def _gate(run: Run) -> str:
    if run.gate is None:
        return "none asked for"
    return {
        "pass": "pass",
        "fail": "fail: it is registered, rejected, and gets no alias",
        "inconclusive": "inconclusive: it may serve as challenger, not become champion",
    }[run.gate] + (f" ({run.alias_why_not})" if run.alias_why_not and run.alias is None and run.gate != "fail" else "")
