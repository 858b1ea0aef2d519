"""Rows of an online view by FetchFeatureValues: one key a call, all calls at once on one channel.

A timestamp is served as whole milliseconds: which of its types Vertex AI gives a TIMESTAMP is not
documented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ....errors import NotFound
from ....events.port import Column
from ....times import from_epoch
from ..column_types import BIGQUERY
from ..errors import from_google, translated
from ..session import VertexSession, retry

KEY = "entity_key"
TIME = "isthmus_event_timestamp"
_AT_ONCE = 200  # calls on their way
_WITHIN = 10  # seconds for each


def source_sql(latest: str, features: Sequence[Column]) -> str:
    """Return SQL of the columns that a feature view serves, over SQL of the newest rows."""
    outputs = [KEY, f"UNIX_MILLIS(event_timestamp) AS {TIME}"]
    for feature in features:
        name = f"`{feature.name}`"
        value = (
            f"UNIX_MILLIS({name})"
            if feature.type == "timestamp"
            else f"CAST({name} AS {BIGQUERY[feature.type]})"
        )
        outputs.append(f"{value} AS {name}")
    return f"SELECT {', '.join(outputs)}\nFROM (\n{latest}\n) AS isthmus_rows"


def empty_sql(features: Sequence[Column]) -> str:
    """Return SQL with the columns that a feature view serves and no rows, for before a sync."""
    kinds = {
        KEY: "STRING",
        TIME: "INT64",
        **{f.name: "INT64" if f.type == "timestamp" else BIGQUERY[f.type] for f in features},
    }
    outputs = ", ".join(f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in kinds.items())
    return f"SELECT {outputs}\nFROM (SELECT 1) AS isthmus_rows\nWHERE FALSE"


def fetch(session: VertexSession, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    """Read the feature values for pairs of a feature view's full name and an entity key.

    Pairs without values are left out of the result. Transient errors are retried.
    """
    stub = session.feature_values.transport.fetch_feature_values.future
    rows: dict[tuple[str, str], Any] = {}
    with translated("reading features"):
        for start in range(0, len(pairs), _AT_ONCE):
            rows |= retry()(
                lambda some=pairs[start : start + _AT_ONCE]: dict(_answers(stub, some))
            )()
    return rows


def _answers(stub: Any, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], Any]]:
    """Call FetchFeatureValues for all pairs at once; yield each pair that has an answer, with it.

    A pair is a feature view and an entity key.
    """
    from google.cloud.aiplatform_v1.types import FeatureViewDataKey, FetchFeatureValuesRequest

    calls = []
    for view, key in pairs:
        request = FetchFeatureValuesRequest(
            feature_view=view, data_key=FeatureViewDataKey(key=key), data_format="KEY_VALUE"
        )
        calls.append(
            stub(
                request,
                timeout=_WITHIN,
                metadata=[("x-goog-request-params", f"feature_view={view}")],
            )
        )
    for pair, call in zip(pairs, calls, strict=True):
        try:
            yield pair, call.result()
        except Exception as error:
            if not isinstance(from_google(error, ""), NotFound):
                raise


def decoded(answer: Any, features: Sequence[Column]) -> dict[str, object]:
    """Return feature_timestamp and the features in an answer of FetchFeatureValues, by name.

    A feature that was added since the last sync is None.
    """
    values = {
        pair.name: _python_value(pair.value) for pair in type(answer).pb(answer).key_values.features
    }
    row: dict[str, object] = {"feature_timestamp": _moment(values[TIME])}
    for feature in features:
        value = values.get(feature.name)
        row[feature.name] = _moment(value) if feature.type == "timestamp" else value
    return row


def _python_value(message: Any) -> Any:
    """Return the Python value in a FeatureValue message, or None if it has none."""
    kind = message.WhichOneof("value")
    return None if kind is None else getattr(message, kind)


def _moment(value: Any) -> object:
    """Convert milliseconds since 1970 to a UTC datetime; None stays None."""
    return None if value is None else from_epoch(int(value))


def by_view(keys: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return each pair of view and entity key once, in order."""
    return list(dict.fromkeys((view, key) for view, view_keys in keys.items() for key in view_keys))
