"""Measure segments: the rows of one value of an attribute (`evaluate: {segments: [platform]}`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...project.models.gate_figures import CUTOFF
from . import measure, metrics, units
from .evaluation import Segment
from .metrics import clusters
from .statistics import Estimate

_MOST = 10  # values of one attribute; the rest is one segment
OTHERS = "(others)"


def by_segment(
    attributes: Sequence[str], data: pa.Table, ours: pa.Table, champion: pa.Table | None
) -> tuple[Segment, ...]:
    """Return the metrics of forward predictions for each value of these attributes.

    `data` is the training set with the attributes. Intervals are bootstrapped over units, or over
    rows if the log names no unit.
    """
    places = pc.index_in(ours["event_id"], data["event_id"].combine_chunks())
    segments = []
    for attribute in attributes:
        values = data[attribute].take(places)
        for value, inside in _masks_by_value(values):
            part = ours.filter(inside)
            segments.append(_segment(attribute, value, part, champion))
    return tuple(segments)


def _masks_by_value(values: Any) -> list[tuple[str, Any]]:
    """Return each value of a column as text, with a mask of its rows, most frequent first.

    Rare values are put together.
    """
    counted = sorted(
        values.value_counts().to_pylist(), key=lambda pair: (-pair["counts"], str(pair["values"]))
    )
    shown = [pair["values"] for pair in counted[:_MOST]]
    masks = [
        (
            str(v) if v is not None else "(none)",
            pc.is_null(values) if v is None else pc.equal(values, v).fill_null(False),
        )
        for v in shown
    ]
    if len(counted) > len(shown):
        others = pc.invert(pc.is_in(values, pa.array(shown, values.type)))
        masks.append((OTHERS, others))
    return masks


def _segment(attribute: str, value: str, part: pa.Table, champion: pa.Table | None) -> Segment:
    """Return the metrics of the rows that have one value of an attribute."""
    among = clusters(part)
    totals = metrics.totals(part, part["prediction"].to_numpy(), (CUTOFF,), among)
    differences: dict[str, Estimate] = {}
    if champion is not None:
        common, other = measure.common_rows(part, champion)
        if common.num_rows:
            same = clusters(common)
            sides = (
                metrics.totals(common, scores, (CUTOFF,), same)
                for scores in (common["prediction"].to_numpy(), other)
            )
            differences = units.differences(*sides)
    return Segment(
        attribute=attribute,
        value=value,
        rows=part.num_rows,
        positives=measure.count_positives(part),
        figures=units.estimates(totals),
        differences=differences,
    )
