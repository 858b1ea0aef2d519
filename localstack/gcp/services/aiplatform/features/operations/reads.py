"""FeatureOnlineStoreService: reads of feature values by key."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import FeatureViewDataFormat

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .. import values
from ..records import Served

_SERVICE = "google.cloud.aiplatform.v1.FeatureOnlineStoreService"


@handles(f"{_SERVICE}.FetchFeatureValues")
async def fetch_feature_values(call: Call, request: Any) -> Any:
    """Answer FetchFeatureValues: return one entity's values from the rows of a feature view.

    It runs in the event loop, as it only looks them up in memory.
    """
    key = key_of(request.data_key)
    row = call.store(Served).row(canonical(call, request.feature_view), key)
    if row is None:  # Google's words for a view that is not there, too
        raise GcpError("NOT_FOUND", "Requested entity was not found.")
    if request.data_format == FeatureViewDataFormat.PROTO_STRUCT:
        return values.struct_answer(row)
    return values.Response.FromString(row)


def key_of(data_key: Any) -> values.Key:
    """Return the entity key (one ID or several) in a request's data_key."""
    form = data_key.WhichOneof("key_oneof")
    if form == "key":
        return (data_key.key,)
    if form == "composite_key" and data_key.composite_key.parts:
        return tuple(data_key.composite_key.parts)
    raise GcpError(
        "INVALID_ARGUMENT", "data_key is required: a key, or a composite_key with its parts."
    )
