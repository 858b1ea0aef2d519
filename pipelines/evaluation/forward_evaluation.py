"""Evaluate forward: train on what was known when a period began, test on the period, and again.

measure.py measures all periods together. A row's outcome is known at its created_timestamp, so rows
younger than that are not trained on ("purged"). Nothing here touches a store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...errors import Invalid
from ...project.specs.description import ROW, Model, Objective, ProjectSpec
from ...project.specs.exposures import event_named
from ...reports.columns import plural
from ..models import trainers
from . import folds, worth
from .folds import Fold, FoldResult
from .worth import ShuffledSample

_COLUMNS: dict[str, pa.DataType] = {
    "event_id": pa.string(),
    "event_timestamp": pa.timestamp("ms"),
    "outcome": pa.int64(),  # 0 or 1; float64 where the objective is a number
    "prediction": pa.float64(),
    "base_rate": pa.float64(),  # the mean label of the rows trained on
    "period": pa.int64(),
    "unit": pa.string(),  # these three are null where the objective, or the row, names none
    "ranked_within": pa.string(),
    "item": pa.string(),
}
SCHEMA = pa.schema(_COLUMNS)
_PARTS = 10  # test periods that a window is cut into by default
_DAY = timedelta(days=1)


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """The exposure's attributes that say which rows belong to one unit and to one list."""

    unit: str | None = None
    ranked_within: str | None = None
    item: str | None = None  # what was ranked


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """The predictions of a forward evaluation, and what they were made from.

    `predictions` has SCHEMA, in the order of the training set; a number's outcome is float64.
    """

    predictions: pa.Table
    trained: tuple[
        tuple[datetime, int, int], ...
    ]  # of each period: its start, rows trained on, and those whose label is other than 0
    length: timedelta  # of a period
    grouping: Grouping = Grouping()
    sampled: pa.Table | None = None  # rows of `predictions` that were predicted again ...
    shuffled: dict[
        str, NDArray[Any]
    ] = {}  # ... with one feature's values shuffled within the period, by the feature's name


def grouping(data: pa.Table, objective: Objective, spec: ProjectSpec) -> Grouping:
    """Return the attributes that identify a row's unit, its ranked list and its item.

    The item is the entity key that differs most among rows that were ranked together.
    """
    within = objective.ranked_within
    keys = {entity.key for entity in spec.entities.values()} - {objective.unit, within}
    event = event_named(spec, objective.exposure)
    candidates = [
        attribute.name
        for attribute in (event.attributes if event else ())
        if attribute.name in keys
    ]
    item = None
    if within is not None and candidates:
        group_names = list(dict.fromkeys(name for name in (objective.unit, within) if name))
        groups = data.group_by(group_names).aggregate([]).num_rows
        different = {
            key: data.group_by([*group_names, key]).aggregate([]).num_rows for key in candidates
        }
        best = max(candidates, key=lambda key: different[key])
        item = best if different[best] > groups else None
    return Grouping(unit=objective.unit, ranked_within=within, item=item)


def periods(data: pa.Table, model: Model, start: datetime, end: datetime) -> tuple[Fold, ...]:
    """Return the test periods of a forward evaluation over a training window.

    They begin `evaluate.after` past the window's start or the first day with rows, whichever is
    later, and go on to the window's end or the last row. A period is as long as the configuration
    says, else a tenth of the days to test, in whole days.
    """
    first = pc.min(data["event_timestamp"]).as_py()
    if first is None:
        return ()
    begin = max(start, _midnight(first)) + model.evaluate.after
    last = pc.max(data["event_timestamp"]).as_py().replace(tzinfo=UTC)
    length = model.evaluate.forward or _DAY * max(
        1, math.ceil((min(end, _midnight(last) + _DAY) - begin) / _DAY / _PARTS)
    )
    cut = []
    while begin < end and begin <= last:
        cut.append(Fold(begin=begin, until=min(begin + length, end), length=length))
        begin += length
    return tuple(cut)


def forward(
    data: pa.Table,
    trainer: Callable[..., Any],
    model: Model,
    *,
    start: datetime,
    end: datetime,
    folder: Path,
    log: Callable[[str], None],
    among: Grouping | None = None,
    source: Path | None = None,
    shuffle: bool = False,
    keeps: bool = False,
    percent: int = 100,
) -> Forward:
    """Train and test a model period by period, forward in time (a rolling backtest).

    A period is left out when the rows before it all have one label: nothing can be learnt from
    them.

    Args:
        data: The training set.
        trainer: The user's function that fits a predictor.
        model: The configuration.
        start: The window's start.
        end: The window's end.
        folder: The project's folder.
        log: A function that writes a line to the step's log.
        among: The attributes that identify a row's unit, list and item.
        source: A Parquet file of `data`: with it a long evaluation runs its periods in several
            processes.
        shuffle: Whether to predict with each feature shuffled, too, for worth.py.
        keeps: Whether the first model must be saved and loaded before the second is fitted.
        percent: The share of the units whose rows are trained on; all rows are tested.

    Raises:
        Invalid: no period can be tested, or the trainer or the predictor does something wrong.
    """
    planned, among = periods(data, model, start, end), among or Grouping()
    number = worth.sample_size(len(model.features), len(planned)) if shuffle else 0
    unit, within = among.unit or among.ranked_within, among.ranked_within
    planned = tuple(
        msgspec.structs.replace(fold, shuffled=number, unit=unit, within=within, percent=percent)
        for fold in planned
    )
    tables: list[pa.Table] = []
    shuffles: list[tuple[pa.Table, ShuffledSample]] = []
    trained: list[tuple[datetime, int, int]] = []
    for tested in folds.predict_folds(
        data, trainer, model, planned, folder=folder, log=log, source=source, keeps=keeps
    ):
        if tested.predictions is not None:
            tables.append(
                _predictions(folds.rows_of(data, tested.fold), tested, among, len(trained))
            )
            trained.append((tested.fold.begin, tested.known, tested.hits))
            shuffles += (
                [(tables[-1].take(tested.shuffled.places), tested.shuffled)]
                if tested.shuffled
                else []
            )
    if not tables:
        raise Invalid(
            f"{model.path}: no period can be tested: {plural(data.num_rows, 'row')} in a window of "
            f"{_in_words(end - start)}, tested from {_in_words(model.evaluate.after)} after the "
            "first day on",
            remedy="widen `window`, or make `evaluate.after` shorter",
        )
    return Forward(
        predictions=pa.concat_tables(tables),
        trained=tuple(trained),
        length=planned[0].length,
        grouping=among,
        sampled=pa.concat_tables([rows for rows, _ in shuffles]) if shuffles else None,
        shuffled=_predictions_of_all([shuffled for _, shuffled in shuffles]),
    )


def _predictions_of_all(shuffles: Sequence[ShuffledSample]) -> dict[str, NDArray[Any]]:
    """Join the predictions with one feature shuffled over all periods, by feature.

    A feature that is missing in one of the periods is left out.
    """
    parts = {
        name: [shuffled.predictions[name] for shuffled in shuffles]
        for name in (shuffles[0].predictions if shuffles else ())
    }
    whole = {name: [part for part in lists if part is not None] for name, lists in parts.items()}
    return {
        name: np.concatenate(lists) for name, lists in whole.items() if len(lists) == len(shuffles)
    }


def _predictions(test: pa.Table, tested: FoldResult, among: Grouping, period: int) -> pa.Table:
    """Return a test period's predictions as an Arrow table: ids, outcomes, scores.

    `test` are the period's rows, `tested` has their predictions, `among` names the columns of ids.
    """
    rows = test.num_rows
    columns = [
        *(test[name] for name in ("event_id", "event_timestamp", trainers.LABEL)),
        pa.array([] if tested.predictions is None else tested.predictions, pa.float64()),
        pa.array(np.full(rows, tested.mean)),
        pa.array(np.full(rows, period)),
        *(
            pa.nulls(rows) if name in (None, ROW) else test[name]
            for name in (among.unit, among.ranked_within, among.item)
        ),
    ]
    label = SCHEMA.get_field_index("outcome")
    schema = SCHEMA.set(label, pa.field("outcome", test.schema.field(trainers.LABEL).type))
    return pa.table(columns, names=SCHEMA.names).cast(schema)


def _midnight(moment: datetime) -> datetime:
    """Return the midnight in UTC that begins the day of a time."""
    return moment.replace(tzinfo=UTC, hour=0, minute=0, second=0, microsecond=0)


def _in_words(length: timedelta) -> str:
    """Return a length of time as text in days: `7 days`."""
    days = length / timedelta(days=1)
    return f"{days:g} day{'s' if days != 1 else ''}"
