"""Forward evaluation: train on what was known when a period began, test on the period, again; then measure all periods together.

A row's outcome is known at its created_timestamp, so rows younger than that are not trained on ("purged"). Nothing here touches a store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import Invalid
from ..project.specs import Model
from . import statistics, trainers
from .records import Champion, Evaluation, Period

_COLUMNS: dict[str, pa.DataType] = {
    "event_id": pa.string(),
    "event_timestamp": pa.timestamp("ms"),
    "outcome": pa.int64(),
    "prediction": pa.float64(),
    "base_rate": pa.float64(),  # of the outcomes known at training
    "period": pa.int64(),
}
SCHEMA = pa.schema(_COLUMNS)


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """What a forward evaluation predicted, and from what; `predictions` has SCHEMA, in the order of the training set."""

    predictions: pa.Table
    trained: tuple[tuple[datetime, int, int], ...]  # of each period: its start, rows and clicks trained on


def periods(data: pa.Table, model: Model, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Test periods: from `after` past the window's start, or past the first day that has rows when that is later, to the end."""
    first = pc.min(data["event_timestamp"]).as_py()
    if first is None:
        return
    first_day = first.replace(tzinfo=UTC, hour=0, minute=0, second=0, microsecond=0)
    begin = max(start, first_day) + model.evaluate.after
    last = pc.max(data["event_timestamp"]).as_py().replace(tzinfo=UTC)
    while begin < end and begin <= last:
        yield begin, min(begin + model.evaluate.forward, end)
        begin += model.evaluate.forward


def forward(
    data: pa.Table, trainer: Callable[..., Any], model: Model, *, start: datetime, end: datetime, folder: Path, log: Callable[[str], None]
) -> Forward:
    """Train and predict period by period. Invalid when no period can be tested, or for what the trainer or the predictor does wrong.

    A period is left out when the rows before it hold no click, or nothing but clicks: nothing can be learnt from them.
    """
    features = [feature.name for feature in model.features]
    tables: list[pa.Table] = []
    trained: list[tuple[datetime, int, int]] = []
    for begin, until in periods(data, model, start, end):
        known = data.filter(pc.less_equal(data["created_timestamp"], _scalar(begin)))
        shown = data["event_timestamp"]
        test = data.filter(pc.and_(pc.greater_equal(shown, _scalar(begin)), pc.less(shown, _scalar(until))))
        hits = int(pc.sum(known[trainers.LABEL]).as_py() or 0)
        if not test.num_rows or not 0 < hits < known.num_rows:
            why = "no rows in it" if not test.num_rows else f"{known.num_rows:,} rows with {hits} clicks were known before it"
            log(f"left out the period from {begin:%Y-%m-%d %H:%M}: {why}")
            continue
        made = trainers.fit(trainer, model, known, folder)
        predictions = trainers.predict(made, test.select(features).to_pylist(), model, folder)
        log(f"{begin:%Y-%m-%d}: trained on {known.num_rows:,} rows with {hits} clicks, tested on {test.num_rows:,}")
        rows = test.num_rows
        columns = [
            *(test[name] for name in ("event_id", "event_timestamp", trainers.LABEL)),
            pa.array(predictions, pa.float64()),
            pa.array(np.full(rows, hits / known.num_rows)),
            pa.array(np.full(rows, len(trained))),
        ]
        tables.append(pa.table(columns, names=SCHEMA.names).cast(SCHEMA))
        trained.append((begin, known.num_rows, hits))
    if not tables:
        raise Invalid(
            f"{model.path}: no period can be tested: {data.num_rows:,} rows in a window of {_spoken(end - start)}, "
            f"tested from {_spoken(model.evaluate.after)} after the first day on",
            remedy="widen `window`, or make `evaluate.after` shorter",
        )
    return Forward(predictions=pa.concat_tables(tables), trained=tuple(trained))


def measure(found: Forward, forward_length: timedelta) -> Evaluation:
    """Every figure with its interval. AUC compares within UTC days, so that a busy day is no feature."""
    table = found.predictions
    outcomes, scores, base = (table[name].to_numpy() for name in (trainers.LABEL, "prediction", "base_rate"))
    groups = day_of(table)
    base_loss = statistics.log_loss(base, outcomes)
    chances = bool(((scores >= 0) & (scores <= 1)).all())  # else scores, which only order
    loss = statistics.log_loss(scores, outcomes) if chances else None
    return Evaluation(
        rows=table.num_rows,
        clicks=int(outcomes.sum()),
        periods=tuple(_period(table, number, *trained) for number, trained in enumerate(found.trained)),
        forward_days=forward_length / timedelta(days=1),
        auc=statistics.auc(scores, outcomes, groups),
        log_loss=None if loss is None else float(loss.mean()),
        base_log_loss=float(base_loss.mean()),
        log_loss_difference=None if loss is None else statistics.mean_difference(loss, base_loss),
        calibration=statistics.calibration(outcomes, scores) if chances else None,
    )


def _period(table: pa.Table, number: int, start: datetime, rows: int, clicks: int) -> Period:
    part = table.filter(pc.equal(table["period"], pa.scalar(number, pa.int64())))
    outcomes = part[trainers.LABEL].to_numpy()
    area = statistics.Pairs(part["prediction"].to_numpy(), outcomes, day_of(part)).auc(np.ones(part.num_rows, dtype=np.int64))
    return Period(
        start=start,
        trained_rows=rows,
        trained_clicks=clicks,
        rows=part.num_rows,
        clicks=int(outcomes.sum()),
        auc=None if math.isnan(area) else area,
    )


def paired(ours: pa.Table, theirs: pa.Table) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """The rows of `ours` that `theirs` predicted too, and its predictions of them."""
    other = dict(zip(theirs["event_id"].to_pylist(), theirs["prediction"].to_pylist(), strict=True))
    ids = ours["event_id"].to_pylist()
    common = ours.filter(pa.array([one in other for one in ids], pa.bool_()))
    return common, np.array([other[one] for one in ids if one in other], dtype=float)


def against(ours: pa.Table, theirs: pa.Table, *, version: str, run: str, rates_of: str | None) -> Champion:
    """Compare with the champion's own forward predictions of the same rows. `rates_of`: the one entity whose rates it predicts."""
    common, other = paired(ours, theirs)
    if not common.num_rows:
        return Champion(version=version, run=run, why_not=f"{version} ({run}) was evaluated on other rows: train its configuration again")
    outcomes, scores = common[trainers.LABEL].to_numpy(), common["prediction"].to_numpy()
    return Champion(
        version=version,
        run=run,
        rows=common.num_rows,
        difference=statistics.auc_difference(scores, other, outcomes, day_of(common)),
        ceiling=best_possible(other, day_of(common)),
        ceiling_of=rates_of,
    )


def best_possible(rates: Any, groups: Any) -> float | None:
    """The AUC of perfect knowledge, were `rates` true; None when they are no rates."""
    rates = np.asarray(rates, dtype=float)
    if not len(rates) or rates.min() < 0 or rates.max() > 1:
        return None
    found = statistics.ceiling(rates, groups)
    return None if math.isnan(found) else found


def day_of(table: pa.Table) -> np.ndarray[Any, Any]:
    """The UTC day of each row: the group within which rows are compared."""
    return np.asarray(table["event_timestamp"].to_numpy(), dtype="datetime64[D]")


def _scalar(moment: datetime) -> Any:
    return pa.scalar(moment.astimezone(UTC).replace(tzinfo=None), pa.timestamp("ms"))


def _spoken(length: timedelta) -> str:
    days = length / timedelta(days=1)
    return f"{days:g} day{'s' if days != 1 else ''}"
