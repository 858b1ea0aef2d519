"""Evaluate periods: fit on what was known before each, and predict it.

Many periods run in this process, or in several.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...project.specs.description import ROW, Model
from ...reports.columns import plural
from ..models import predictor, trainers
from . import worth
from .shares import share_of_units
from .worth import ShuffledSample

# seconds of fits ahead that are worth starting processes for: each imports everything again
WORTH = 20.0


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """A test period, [begin, until)."""

    begin: datetime
    until: datetime
    length: timedelta  # as planned: the last one may be cut short
    shuffled: int = 0  # rows that are predicted again with each feature shuffled (worth.py)
    unit: str | None = None  # whose rows go together in that sample, and in a share
    within: str | None = None  # which of them are a list
    percent: int = 100  # of the units: those whose rows are trained on


class FoldResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one period; `predictions` is None if the period was left out."""

    fold: Fold
    known: int  # rows that were trained on
    hits: int  # ... whose label is other than 0
    mean: float  # ... their mean label; 0 without rows
    rows: int
    predictions: NDArray[np.float64] | None
    shuffled: ShuffledSample | None = None
    seconds: float
    of_number: bool = False  # the label is a number, not 0 or 1

    def __str__(self) -> str:
        if self.predictions is None:
            why = f"{self._training_text} were known before it" if self.rows else "no rows in it"
            return f"left out the period from {self.fold.begin:%Y-%m-%d %H:%M}: {why}"
        return (
            f"{self.fold.begin:%Y-%m-%d}: trained on {self._training_text}, tested on {self.rows:,}"
        )

    @property
    def _training_text(self) -> str:
        """Return the rows that were trained on as text, with their positives or their mean."""
        labels = f"a mean of {self.mean:.4g}" if self.of_number else plural(self.hits, "positive")
        return f"{plural(self.known, 'row')} with {labels}"


def rows_of(data: pa.Table, fold: Fold) -> pa.Table:
    """Return the rows of the training set in a fold's test period, with all columns."""
    shown = data["event_timestamp"]
    return data.filter(
        pc.and_(pc.greater_equal(shown, _scalar(fold.begin)), pc.less(shown, _scalar(fold.until)))
    )


def lists_of(unit: str | None, within: str | None) -> tuple[str, ...]:
    """Return the names of the columns that are equal in rows which were ranked together.

    `unit` and `within` are the columns of a row's unit and of its list, if there are any.
    """
    if within is None:
        return ()
    return tuple(dict.fromkeys(name for name in (unit, within) if name and name != ROW))


def training_rows_of(data: pa.Table, fold: Fold) -> pa.Table:
    """Return the rows that were known when a fold's period began, of its share of the units."""
    known_rows = data.filter(pc.less_equal(data["created_timestamp"], _scalar(fold.begin)))
    return share_of_units(known_rows, fold.unit, fold.percent)


def predict_fold(
    data: pa.Table,
    trainer: Callable[..., Any],
    model: Model,
    folder: Path,
    fold: Fold,
    *,
    keeps: bool = False,
) -> FoldResult:
    """Train on the rows known before a test period, and predict the rows of the period.

    Raises:
        Invalid: the fitted model cannot be saved and loaded. That is tried only with `keeps`.
    """
    started = time.perf_counter()
    training_rows = training_rows_of(data, fold)
    rows = rows_of(data, fold)
    labels = training_rows[trainers.LABEL]
    least, most = (pc.min_max(labels)[end].as_py() for end in ("min", "max"))
    predictions, shuffled = None, None
    if rows.num_rows and least != most:
        fitted = trainers.fit(
            trainer, model, training_rows, folder, competed=lists_of(fold.unit, fold.within)
        )
        if keeps:
            predictor.check_keepable(fitted, model)
        predict = partial(trainers.predict, fitted, model=model, folder=folder)
        predictions = predict(rows)
        if fold.shuffled:
            features, seed = (
                [feature.name for feature in model.features],
                int(fold.begin.timestamp()),
            )
            shuffled = worth.shuffle(
                rows,
                features,
                predict,
                unit=fold.unit,
                within=fold.within,
                number=fold.shuffled,
                seed=seed,
            )
    seconds = time.perf_counter() - started
    return FoldResult(
        fold=fold,
        known=training_rows.num_rows,
        hits=int(np.count_nonzero(labels.to_numpy())),
        mean=pc.mean(labels).as_py() or 0.0,
        of_number=pa.types.is_floating(labels.type),
        rows=rows.num_rows,
        predictions=predictions,
        shuffled=shuffled,
        seconds=seconds,
    )


def predict_folds(
    data: pa.Table,
    trainer: Callable[..., Any],
    model: Model,
    planned: Sequence[Fold],
    *,
    folder: Path,
    log: Callable[[str], None],
    source: Path | None = None,
    keeps: bool = False,
) -> Iterator[FoldResult]:
    """Yield the result of every test period in order, and log a line for each.

    The first fit is timed to estimate how long the others take, and the second one, too, if that is
    long: the first may have imported the trainer's libraries. Long evaluations run in several
    processes if `source` has the rows. With `keeps` the first model is also saved and loaded, so
    that a model which cannot be stored is known before the others are trained.
    """
    predict = partial(predict_fold, data, trainer, model, folder)
    total, workers = len(planned), min(os.cpu_count() or 1, len(planned))
    fitted, ahead = 0, 0.0
    for number, fold in enumerate(planned, 1):
        result = predict(fold, keeps=keeps and not fitted)
        log(f"period {number} of {total}: {result}")
        yield result
        if result.predictions is not None:
            fitted, ahead = fitted + 1, _seconds_ahead(data, result, planned[number:])
            if ahead <= WORTH or fitted == 2:
                break
    else:
        return
    rest = planned[number:]
    parallel = source is not None and workers > 1 and ahead > WORTH
    if ahead > WORTH:
        minutes = _minutes(ahead / (workers if parallel else 1))
        at_once = f", {workers} at a time" if parallel else ""
        log(
            f"about {minutes} for {len(rest)} more fits{at_once}: this one took "
            f"{result.seconds:.1f} s on {plural(result.known, 'row')}"
        )
    more = (
        _predict_in_workers(source, model, folder, rest, workers)
        if parallel and source is not None
        else map(predict, rest)
    )
    for done, result in enumerate(more, number + 1):
        log(f"period {done} of {total}: {result}")
        yield result


def _seconds_ahead(data: pa.Table, result: FoldResult, rest: Sequence[Fold]) -> float:
    """Return an estimate of the seconds that the remaining folds take in one process.

    It assumes that the time grows with the rows to train on, as in `result`.
    """
    rows = sum(training_rows_of(data, fold).num_rows for fold in rest)
    return result.seconds * rows / result.known


def _predict_in_workers(
    source: Path, model: Model, folder: Path, planned: Sequence[Fold], workers: int
) -> Iterator[FoldResult]:
    """Yield folds' results in order, from worker processes that each read the rows once.

    They are not forked: Arrow and BLAS have threads, and a fork of threads may hang.
    """
    with ProcessPoolExecutor(
        workers,
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(source, model, folder),
    ) as pool:
        yield from pool.map(_predict_here, planned)


_here: Callable[[Fold], FoldResult]


def _begin(source: Path, model: Model, folder: Path) -> None:
    """Prepare a worker process to test folds: read the training set and find the trainer.

    `source` is the Parquet file with the rows.
    """
    import pyarrow.parquet as pq

    global _here  # noqa: PLW0603  a worker has one evaluation, and a pool hands its tasks nothing else
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _here = partial(
        predict_fold, pq.ParquetFile(source).read(), trainers.find(model, folder), model, folder
    )


def _predict_here(fold: Fold) -> FoldResult:
    """Train and test one fold, in a worker process that `_begin` prepared."""
    return _here(fold)


def _end_with_parent() -> None:
    """Wait for the parent process to end, then end this worker.

    A step that is killed then leaves no worker behind.
    """
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _minutes(seconds: float) -> str:
    """Return seconds as text, long ones in minutes: `40 s`, `12 min`."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _scalar(moment: datetime) -> Any:
    """Return a time as an Arrow timestamp in UTC without a zone."""
    return pa.scalar(moment.astimezone(UTC).replace(tzinfo=None), pa.timestamp("ms"))
