"""The record of a training run: `runs/<run>/record.json`, written once when it ends, and the text that a reader sees."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from ..formats import StoredDocument
from ..storage import BlobStore
from .document import find, read, runs_folder, write
from .gate import GateResult, Verdict
from .spoken import clicks, days, estimate, signed
from .statistics import Estimate


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


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One test period of the forward evaluation."""

    start: datetime
    trained_rows: int
    trained_clicks: int
    rows: int
    clicks: int
    auc: float | None


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


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """What the run was compared with, on the same rows; or why it was not."""

    version: str | None = None
    run: str | None = None
    rows: int = 0
    difference: Estimate | None = None
    ceiling: float | None = None  # the AUC that the champion's predictions would have, were they the true rates
    ceiling_of: str | None = None  # the entity whose rates they are, when they are one entity's
    why_not: str | None = None


class Run(StoredDocument, frozen=True, kw_only=True):
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
    lines = [f"{run.target:<7} run {run.name}   {run.model} / {run.configuration}   {run.git or 'no git'}"]
    if run.data:
        lines.append(_line("rows", described(run.data)))
    lines += [f"  warning       {warning}" for warning in run.data.warnings] if run.data else []
    if run.evaluation:
        lines += _figures(run, run.evaluation)
    if run.status == "failed":
        lines.append(f"failed: {run.failure}; nothing was registered   log {run.log}")
        return "\n".join(lines)
    lines.append(_line("gate", _gate(run)))
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
    unit = "day" if found.forward_days == 1 else f"period of {found.forward_days:g} days"
    number = len(found.periods)
    tested = f"{number} test {unit}{'s' if number != 1 and unit == 'day' else ''}: {found.rows:,} rows"
    outcome = run.data.outcome if run.data else "click"
    lines = [_line("forward", f"{tested}, {clicks(found.clicks, outcome)}")]
    lines.append(_line("auc", f"{estimate(found.auc)}     chance 0.5{_ceiling(run.champion)}"))
    if found.log_loss is not None and found.log_loss_difference is not None:
        margin = found.log_loss_difference.high - found.log_loss_difference.value
        base = f"{found.base_log_loss:.5f} for always answering the base rate"
        difference = f"{signed(found.log_loss_difference.value, 5)} +- {margin:.5f}"
        lines.append(_line("log loss", f"{found.log_loss:.5f} against {base} ({difference})"))
    if found.calibration is not None:
        judged = run.checks.of("calibration") or ""
        spoken = f"{found.calibration.value:.2f} observed/expected   95 % {found.calibration.low:.2f} .. {found.calibration.high:.2f}"
        lines.append(_line("calibration", f"{spoken:<62}{judged}".rstrip()))
    if run.champion.difference is not None:
        judged = run.checks.of("auc_vs_champion") or ""
        spoken = f"auc {estimate(run.champion.difference, sign=True)}"
        lines.append(_line("vs champion", f"{spoken:<62}{judged}".rstrip()))
    elif run.champion.why_not:
        judged = run.checks.of("auc_vs_champion") or ""
        lines.append(_line("vs champion", f"{run.champion.why_not:<62}{judged}".rstrip()))
    return lines


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
