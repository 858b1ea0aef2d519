"""Read the record of a training run: `runs/<run>/record.json`, written once when it ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from ...core.formats import StoredDocument, schema
from ...project.git import Git
from ...reports.results import Shown
from ...storage import BlobStore
from ..evaluation.distribution import Distribution
from ..evaluation.evaluation import Champion, Evaluation, LearningCurve, Segment, renamed
from ..evaluation.gate import GateResult, Verdict
from ..evaluation.leak_alarm import FeatureFinding
from ..models.model_columns import ModelColumn
from ..runs.document import find, read, runs_folder, write


class Data(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The training set as it was read."""

    start: datetime  # the window asked for, [start, end)
    end: datetime
    as_of: datetime
    first: datetime | None  # of the rows found
    last: datetime | None
    rows: int
    positives: int  # rows with the outcome; of a number those whose label is not 0
    digest: str  # canonical hash of the rows
    exposure: str  # the event behind a row, and the one counted
    outcome: str
    types: dict[str, str]  # of each feature
    features: int
    views: int  # ... of which from views: joined point in time
    empty: dict[str, int] = {}  # rows without any value of a view, by its name
    warnings: tuple[str, ...] = ()  # the leak alarm
    distributions: tuple[Distribution, ...] = ()  # of every feature
    leaks: tuple[FeatureFinding, ...] = ()  # what the leak alarm saw of every feature
    late: tuple[str, ...] = ()  # views whose history became known too late for many rows
    sums: str | None = None  # the outcome's attribute that a label sums; None: labels are 0 or 1
    mean: float | None = None  # label of a row; of a number only, as what follows
    at_most: float | None = None  # what a row's label counts up to
    capped: float | None = None  # the share of rows that have it

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        """Convert a training set's record of an earlier release to the present format."""
        return renamed(old)


class Corrections(msgspec.Struct, frozen=True, kw_only=True):
    """How many events were corrected since an earlier run: `3 corrections since r4`."""

    corrections: int
    since: str  # the run of the same configuration before

    def __str__(self) -> str:
        return (
            f"{self.corrections:,} correction{'s' if self.corrections != 1 else ''} since "
            f"{self.since}"
        )


class Run(Shown, StoredDocument, frozen=True, kw_only=True, tag=2):
    """One training run.

    `gate` is pass, fail, inconclusive, or None when its configuration asks for nothing.
    """

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
    curve: LearningCurve | None = None  # with `train --curve`
    champion: Champion = Champion()
    gate: Verdict | None = None
    checks: GateResult = GateResult(verdict=None)
    version: str | None = None  # e.g. ranker@2
    alias: str | None = None  # the alias that it got
    alias_why_not: str | None = None
    failure: str | None = None
    log: str = ""
    report: str = ""
    drift: dict[
        str, float
    ] = {}  # of every feature from the champion's training set: distribution.drift
    segments: tuple[Segment, ...] = ()
    corrected: Corrections | None = (
        None  # events of its window that were corrected since the configuration's run before
    )
    overrides: tuple[
        str, ...
    ] = ()  # what `train --set` changed in the configuration: parameters.C=1
    columns: tuple[ModelColumn, ...] = ()  # features, then transforms; of earlier releases none

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        """Convert a run's record of an earlier release to the present format.

        Its inner documents are converted, too.
        """
        inner = {
            name: kind.upgraded(old[name], 1) | {"schema": schema(kind)}
            for name, kind in _INNER.items()
            if old.get(name)
        }
        return old | inner | {"segments": [renamed(segment) for segment in old.get("segments", ())]}

    def title(self) -> str:
        """Return the run's title as text: its configuration's name and the overrides."""
        return " ".join((self.configuration, *self.overrides))

    def __str__(self) -> str:
        from .run_text import text

        return text(self)


_INNER: dict[str, type[Data | Evaluation]] = {"data": Data, "evaluation": Evaluation}


def record_uri(blobs: BlobStore, run: str) -> str:
    """Return the URI of a training run's record."""
    return f"{runs_folder(blobs.root)}/{run}/record.json"


def keep(blobs: BlobStore, run: Run) -> None:
    """Store a training run's record in the blob store."""
    write(blobs, record_uri(blobs, run.name), run)


def fetch(blobs: BlobStore, run: str) -> Run:
    """Read a training run's record from the blob store, by the run's name.

    Raises:
        NotFound: none was written.
        Invalid: it is damaged.
    """
    return read(blobs, record_uri(blobs, run), Run)


def peek(blobs: BlobStore, run: str) -> Run | None:
    """Return a training run's record, or None if there is none or it is damaged."""
    return find(blobs, record_uri(blobs, run), Run)
