"""The keys of the sections `tables:` and `feature_views:`."""

from __future__ import annotations

from ..reading.common_shapes import DURATION, NAME_SHAPE, path_inside
from ..reading.quantities import Mistake
from ..reading.shapes import OneOf, Record, RecordKey, Text
from .content_keys import PROFILE, ExtractShape
from .stream_keys import STREAM, STREAM_FEATURES


def _path(text: str) -> str:
    """Return a static table's path unchanged; raise Mistake unless it is allowed.

    It must be Parquet or CSV, inside the project's folder.
    """
    path_inside(text, "data/items.parquet")
    if not text.endswith((".parquet", ".csv")):
        raise Mistake(
            f"{text!r} is neither .parquet nor .csv",
            "convert it: COPY ... TO 'data/items.parquet' in DuckDB",
        )
    return text


TABLE = Text(
    what="a path", parse=_path, pattern=r"[^/~].*\.(parquet|csv)", example="data/items.parquet"
)


FEATURE_VIEW = Record(
    noun="a feature view",
    keys={
        "entity": RecordKey(shape=NAME_SHAPE, required=True, example="item"),
        "ttl": RecordKey(
            shape=DURATION,
            description="A row older than this is not used. Default: none is too old.",
        ),
        "outcome_events": RecordKey(
            shape=OneOf(words=("known",)),
            description="Known: the view reads an objective's outcome event on purpose, and is not "
            "warned.",
        ),
        "stream": RecordKey(
            shape=STREAM,
            description="The view is counted in tiles, from `features`, and has no SQL file.",
        ),
        "features": RecordKey(
            shape=STREAM_FEATURES,
            description="The features of a stream view: counts, sums, means, minima, maxima.",
        ),
        "extract": RecordKey(
            shape=ExtractShape(),
            description="Instead of a file of SQL: vectors that an extractor makes of an event's "
            "texts, {from: item_published, reads: [title], with: isthmus.text}.",
        ),
        "profile": RecordKey(
            shape=PROFILE,
            description="Instead of a file of SQL: the mean vector of what the entity did, and how "
            "often, {of: item_text, by: click, window: 30d}.",
        ),
    },
)
