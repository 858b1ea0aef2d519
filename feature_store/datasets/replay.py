"""Run a data set's consumer over the warehouse's events, and compare its rows with its SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...core.runtime.project import Project
from ...events.consume.cold_start import past_events
from ...events.consume.watermark import BEGINNING
from ...events.tables.relations import event_columns
from ...project.specs.exposures import EVENT
from ...times import utc_milliseconds
from ..streams.replay import MOST_SHOWN, ReplayReport, RowDifference, is_same
from .consumer import AppendExamples, DatasetConsumer

if TYPE_CHECKING:
    import pyarrow as pa

_Example = dict[str, object]


def replay_dataset(project: Project, name: str, *, since: datetime | None = None) -> ReplayReport:
    """Replay the warehouse's events through a data set's consumer on a virtual clock.

    Every example is compared with the row of the objective's view, and every row of the view with
    the example. Floats that agree to nine digits agree. Nothing is written.

    Args:
        project: The project.
        name: The data set's name.
        since: What was shown at this moment or later is compared; None: all.
    """
    dataset = project.spec.datasets[name]
    consumer = DatasetConsumer(project.spec, dataset)
    until = utc_milliseconds(project.now())
    begin = BEGINNING if since is None else utc_milliseconds(since)
    examples: dict[str, _Example] = {}
    watermark, events, state = begin, 0, consumer.empty()
    project.progress(f"replay {name}: events", 0, 2)
    for page in past_events(project.target.warehouse, consumer.inputs, since=begin, until=until):
        for place, some in groupby(page, key=lambda event: event[1]):
            rows = [row for _, _, row in some]
            events += len(rows)
            state = consumer.apply(state, consumer.inputs[place], rows, watermark=watermark)
        watermark = page[-1][0]
        _collect(examples, consumer.advance(state, watermark=watermark, now=watermark).effects)
    _collect(examples, consumer.advance(state, watermark=until, now=until).effects)
    project.progress(f"replay {name}: {dataset.objective}", 1, 2)
    comparison = _Comparison({key: row for key, row in examples.items() if _known_at(row) < until})
    count = len(comparison.missing)
    project.target.warehouse.query(
        f"SELECT {', '.join(_COLUMNS)}, created_timestamp AS known_timestamp FROM "
        f"{dataset.objective} WHERE features IS NOT NULL AND event_timestamp >= $since AND "
        "created_timestamp < $until",
        {"since": begin, "until": until},
        into=comparison.take,
    )
    project.progress(f"replay {name}", 2, 2)
    differences = comparison.differences()
    return ReplayReport(
        view=name,
        events=events,
        rows=count,
        differ=len(differences),
        late=state.late,
        since=since,
        until=until,
        examples=tuple(differences[:MOST_SHOWN]),
        against=f"the rows of {dataset.objective}",
    )


_COLUMNS = (*(column.name for column in event_columns(EVENT)), "outcome")


def _collect(examples: dict[str, _Example], effects: tuple[Any, ...]) -> None:
    """Keep the examples that the consumer would append, by their ids."""
    for effect in effects:
        assert isinstance(effect, AppendExamples)  # noqa: S101  a data set has no other effect
        examples |= {str(row["event_id"]): row for row in effect.rows()}


def _known_at(row: _Example) -> datetime:
    """Return when an example's outcome is known."""
    moment = row["known_timestamp"]
    assert isinstance(moment, datetime)  # noqa: S101  the consumer makes it
    return moment


class _Comparison:
    """Compares the rows of an objective's view with the consumer's examples."""

    def __init__(self, examples: dict[str, _Example]) -> None:
        self._examples, self.missing = examples, set(examples)
        self._differences: list[RowDifference] = []

    def take(self, tables: Iterator[pa.Table]) -> None:
        """Compare all rows of the view, from the beginning."""
        self._differences, self.missing = [], set(self._examples)
        for table in tables:
            for stored in table.to_pylist():
                row = {name: _aware(value) for name, value in stored.items()}
                key = stored["event_id"]
                self.missing.discard(key)
                example = self._examples.get(key)
                if example is None or not all(is_same(example[n], row[n]) for n in row):
                    self._differences.append(_difference(key, example, row))

    def differences(self) -> list[RowDifference]:
        """Return all rows that differ, by their moments."""
        missing = [_difference(key, self._examples[key], None) for key in self.missing]
        return sorted([*self._differences, *missing], key=lambda row: (row.moment, row.key))


def _difference(key: str, example: _Example | None, row: _Example | None) -> RowDifference:
    """Return two versions of an example as a difference: the columns in which they differ."""
    moment = (example or row or {})["event_timestamp"]
    assert isinstance(moment, datetime)  # noqa: S101  every row has one
    names = [
        name
        for name in (*_COLUMNS, "known_timestamp")
        if example is None or row is None or not is_same(example[name], row[name])
    ]
    sides = [None if side is None else {n: side[n] for n in names} for side in (example, row)]
    return RowDifference(key=key, moment=moment, replayed=sides[0], history=sides[1])


def _aware(value: object) -> object:
    """Return a table's value with its zone, which is UTC, where it is a moment."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
