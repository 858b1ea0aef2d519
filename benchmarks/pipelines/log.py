"""Make a log of impressions and clicks for a benchmark of training or scoring."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from isthmus.core.runtime.project import Project


def times_and_clicks(
    chance: np.random.Generator, rows: int, *, days: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of impressions without their attributes, and those of their clicks.

    Impressions are spread evenly over the days; every tenth, by chance, is clicked a minute later.
    """
    import numpy as np
    import pyarrow as pa

    ids = np.char.add("i", np.arange(rows).astype(str))
    begin = int(datetime.fromisoformat("2026-01-01T00:00:00Z").timestamp() * 1000)
    shown = begin + np.arange(rows) * (days * 86_400_000) // rows
    clicked = np.flatnonzero(chance.random(rows) < 0.1)
    impressions = {"event_id": ids, "event_timestamp": pa.array(shown, pa.timestamp("ms", "UTC"))}
    clicks = {
        "event_id": np.char.add("c", clicked.astype(str)),
        "event_timestamp": pa.array(shown[clicked] + 60_000, pa.timestamp("ms", "UTC")),
        "impression_id": ids[clicked],
    }
    return impressions, clicks


def ingest_and_materialize(project: Project, **columns: Mapping[str, Any]) -> None:
    """Make a project's tables, ingest the columns of each event, and compute the features."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    import isthmus as im

    im.apply(project)
    for event, values in columns.items():
        file = project.folder / f"{event}.parquet"
        pq.write_table(pa.table(dict(values)), file)
        im.ingest(project, event=event, data=file)
    im.materialize(project)
