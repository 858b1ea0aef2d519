"""Run a data set's consumer over the warehouse's events, and compare its rows with its SQL."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any

from ...core.runtime.project import Project
from ...events.consume.cold_start import past_events
from ...events.consume.consumer import event_time
from ...events.consume.watermark import BEGINNING
from ...project.specs.exposures import EVENT
from ...times import utc_milliseconds
from ..streams.replay import MOST_SHOWN, ReplayReport, RowComparison
from .consumer import AppendExamples, DatasetConsumer

_COMPARED = (*(attribute.name for attribute in EVENT.attributes), "outcome", "known_timestamp")


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
    rows: dict[tuple[str, datetime], tuple[object, ...]] = {}
    watermark, events, state = begin, 0, consumer.empty()
    project.progress(f"replay {name}: events", 0, 2)
    for page in past_events(project.target.warehouse, consumer.inputs, since=begin, until=until):
        for place, some in groupby(page, key=lambda event: event[1]):
            batch = [row for _, _, row in some]
            events += len(batch)
            state = consumer.apply(state, consumer.inputs[place], batch, watermark=watermark)
        watermark = page[-1][0]
        rows |= _rows(consumer.advance(state, watermark=watermark, now=watermark).effects, until)
    rows |= _rows(consumer.advance(state, watermark=until, now=until).effects, until)
    project.progress(f"replay {name}: {dataset.objective}", 1, 2)
    comparison = RowComparison("event_id", _COMPARED, rows)
    columns = ", ".join(_COMPARED[:-1])
    project.target.warehouse.query(
        f"SELECT event_id, event_timestamp, {columns}, created_timestamp AS "
        f"known_timestamp FROM {dataset.objective} WHERE features IS NOT NULL AND dt >= $first AND "
        "event_timestamp >= $since AND created_timestamp < $until",
        {"since": begin, "until": until, "first": begin.date().isoformat()},
        into=comparison.take,
    )
    project.progress(f"replay {name}", 2, 2)
    differences = comparison.differences()
    return ReplayReport(
        view=name,
        events=events,
        rows=len(rows),
        differ=len(differences),
        late=state.late,
        since=since,
        until=until,
        examples=tuple(differences[:MOST_SHOWN]),
        against=f"the rows of {dataset.objective}",
    )


def _rows(
    effects: tuple[Any, ...], until: datetime
) -> dict[tuple[str, datetime], tuple[object, ...]]:
    """Return the examples that a consumer would append, but those that are known later."""
    rows = {}
    for effect in effects:
        assert isinstance(effect, AppendExamples)  # noqa: S101  a data set has no other effect
        for row in effect.rows():
            if row["known_timestamp"] < until:
                place = (str(row["event_id"]), event_time(row))
                rows[place] = tuple(_plain(row[column]) for column in _COMPARED)
    return rows


def _plain(value: object) -> object:
    """Return a value as a table has it: a moment without its zone, which is UTC."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
