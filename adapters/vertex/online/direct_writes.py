"""Rows written into a feature view by FeatureViewDirectWrite, a stream of requests and answers.

Every value carries the moment of its writing, so that Vertex AI ignores it where a younger one is
stored. Vertex AI answers each key for itself and in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from ....errors import Throttled, Unavailable
from ....events.port import Column
from ..column_types import FEATURE_VALUE_FIELDS
from ..errors import from_status, translated
from ..session import VertexSession
from .feature_values import KEY, TIME

if TYPE_CHECKING:
    import pyarrow as pa

_KEYS = 200  # a request
_WITHIN = 60.0  # seconds for a stream
_PATIENCE = 15.0  # seconds in which keys that were refused for a moment are written again


def write(
    session: VertexSession,
    path: str,
    features: Sequence[Column],
    rows: pa.Table,
    *,
    written_at: datetime,
) -> None:
    """Write rows into the feature view at `path`; those that fail for a moment are written again.

    Args:
        session: The target's session.
        path: The feature view's full name.
        features: Its features.
        rows: entity_key, feature_timestamp and the features.
        written_at: The moment that decides between two writings of a key.

    Raises:
        NotFound: There is no such feature view.
        Invalid: Vertex AI refuses a row.
    """
    columns = (Column(name="feature_timestamp", type="timestamp"), *features)
    remaining: dict[str, tuple[Any, ...]] = dict(
        zip(
            (str(key) for key in rows[KEY].to_pylist()),
            zip(*(_values(rows, column) for column in columns), strict=True),
            strict=True,
        )
    )
    names = [TIME, *(feature.name for feature in features)]
    fields = [FEATURE_VALUE_FIELDS[column.type] for column in columns]
    metadata = {"generate_time": written_at}

    def entity(key: str) -> dict[str, Any]:
        """Return a row as a key and its values; a null is a value without content."""
        values = zip(names, fields, remaining[key], strict=True)
        return {
            "data_key": {"key": key},
            "features": [
                {
                    "name": name,
                    "value": {"metadata": metadata} | ({} if value is None else {field: value}),
                }
                for name, field, value in values
            ],
        }

    def attempt() -> None:
        keys = list(remaining)
        for key in _written(session, path, [entity(key) for key in keys]):
            remaining.pop(key, None)
        if remaining:
            raise Unavailable(
                f"writing {path}: {len(remaining)} of {len(keys)} keys were not answered",
                remedy="run it again",
            )

    from google.api_core.exceptions import RetryError

    try:
        _again()(attempt)()
    except RetryError as error:  # patience is over: the last attempt's own error
        raise error.cause or error from error


def _written(session: VertexSession, path: str, entities: list[dict[str, Any]]) -> Iterator[str]:
    """Write entities by one stream, and yield each key that was stored.

    Raises:
        IsthmusError: Vertex AI refuses a key, or the stream; the other keys were yielded before.
    """
    from google.cloud.aiplatform_v1.types import FeatureViewDirectWriteRequest

    requests = (
        FeatureViewDirectWriteRequest(
            feature_view=path, data_key_and_feature_values=entities[start : start + _KEYS]
        )
        for start in range(0, len(entities), _KEYS)
    )
    refusal = None
    with translated(f"writing {path}"):
        stream = session.feature_values.transport.feature_view_direct_write(
            requests,
            timeout=_WITHIN,
            metadata=[("x-goog-request-params", f"feature_view={path}")],
        )
        for response in stream:
            answer = type(response).pb(response)
            if answer.status.code:
                refusal = answer.status
                continue
            for written in answer.write_responses:
                yield written.data_key.key
    if refusal is not None:
        raise from_status(refusal.code, refusal.message, f"writing {path}")


def _values(rows: pa.Table, column: Column) -> list[Any]:
    """Return a column's values as Vertex AI takes them: a timestamp as whole milliseconds."""
    if column.type != "timestamp":
        values: list[Any] = rows[column.name].to_pylist()
        return values
    import pyarrow as pa

    moments = rows[column.name].cast(pa.timestamp("ms")).cast(pa.int64())
    milliseconds: list[Any] = moments.to_pylist()
    return milliseconds


@cache
def _again() -> Any:
    """Return Google's Retry object for attempts that raise our own errors."""
    from google.api_core.retry import Retry

    return Retry(
        predicate=lambda error: isinstance(error, (Throttled, Unavailable)),
        initial=0.1,
        maximum=5.0,
        multiplier=2.0,
        timeout=_PATIENCE,
    )
