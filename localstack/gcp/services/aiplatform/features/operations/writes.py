"""FeatureOnlineStoreService's FeatureViewDirectWrite: values written past the sync.

Over gRPC only: it is a bidirectional stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.cloud.aiplatform_v1.types import FeatureViewDirectWriteResponse

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .. import direct_writes
from ..kinds import STORE, VIEW
from ..records import Served
from ..sources import feature_names
from ..values import Key
from .reads import key_of

_SERVICE = "google.cloud.aiplatform.v1.FeatureOnlineStoreService"
_Response = FeatureViewDirectWriteResponse.pb()


@handles(f"{_SERVICE}.FeatureViewDirectWrite")
def feature_view_direct_write(call: Call, requests: Iterator[Any]) -> Iterator[Any]:
    """Answer FeatureViewDirectWrite: write values as they come, and answer for each key.

    What was wrong with some keys is in the status of an answer of their own; the stream goes on.
    """
    view, features = "", tuple[str, ...]()
    for request in requests:
        if request.feature_view and canonical(call, request.feature_view) != view:
            view = canonical(call, request.feature_view)
            features = _features(call, view)
        if not view:
            raise GcpError("INVALID_ARGUMENT", "feature_view is required.")
        if not request.data_key_and_feature_values:
            raise GcpError("INVALID_ARGUMENT", "data_key_and_feature_values is required.")
        yield from _answers(call, view, features, request.data_key_and_feature_values)


def _features(call: Call, view: str) -> tuple[str, ...]:
    """Return the names of a feature view's features.

    Raises:
        GcpError: There is no such view, or its online store is not of Bigtable.
    """
    message = standard_methods.get(call, VIEW, view)
    store = standard_methods.get(call, STORE, view.partition(f"/{VIEW.collection}/")[0])
    if not store.HasField("bigtable"):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The FeatureOnlineStore {store.name} is optimized: features can be written directly "
            "in one of Bigtable only.",
        )
    return feature_names(call, message, view)


def _answers(call: Call, view: str, features: Sequence[str], entities: Any) -> Iterator[Any]:
    """Write the values of a request; yield an answer for the keys that were written.

    Another one follows for each error, with its keys.
    """
    served, now = call.store(Served), call.now_pb()
    good = _Response()
    bad: dict[str, Any] = {}
    for entity in entities:
        try:
            key = key_of(entity.data_key)
            values = _values(entity.features, features, now.ToNanoseconds())
        except GcpError as error:
            answer = bad.setdefault(error.message, _Response())
            answer.status.code, answer.status.message = error.code, error.message
            answer.write_responses.add().data_key.CopyFrom(entity.data_key)
            continue
        _write(served, view, key, values, features)
        good.write_responses.add(online_store_write_time=now).data_key.CopyFrom(entity.data_key)
    if good.write_responses:
        yield good
    yield from bad.values()


def _write(
    served: Served,
    view: str,
    key: Key,
    values: dict[str, tuple[int, bytes]],
    features: Sequence[str],
) -> None:
    """Store an entity's values on top of what is served of a view."""
    with served.lock:
        direct_writes.write(
            served.written.setdefault(view, {}),
            served.snapshots.get(view, {}),
            key,
            values,
            features,
        )


def _values(
    entity_features: Any, features: Sequence[str], now: int
) -> dict[str, tuple[int, bytes]]:
    """Return the values of an entity by name, each with its time and without its metadata.

    Raises:
        GcpError: One is of no feature of the view.
    """
    if not entity_features:
        raise GcpError("INVALID_ARGUMENT", "features is required: a name and a value each.")
    values = {}
    for feature in entity_features:
        if feature.name not in features:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The FeatureView has no feature {feature.name!r}: a direct write adds none.",
            )
        metadata = feature.value.metadata
        time = metadata.generate_time.ToNanoseconds() if metadata.HasField("generate_time") else now
        value = type(feature.value)()
        value.CopyFrom(feature.value)
        value.ClearField("metadata")
        values[feature.name] = (time, value.SerializeToString())
    return values
