"""One call of an endpoint: the wire of InvokeEndpoint, and the meaning of its errors."""

from __future__ import annotations

from typing import Any

from ....endpoints.hosting import predictions
from ....endpoints.port import Reply
from ....errors import Invalid, NotFound
from ....project.reading.names import neutral
from ..errors import translated

# in the custom attributes, which a container's answer carries through SageMaker
VERSION = "isthmus-version="


def invoke(
    client: Any, name: str, body: bytes, *, endpoint: str, variant: str | None, request_id: str
) -> Reply:
    """Call InvokeEndpoint once, and return the reply.

    A repeat would count twice in the split and in the metrics.
    """
    more = {"TargetVariant": variant} if variant is not None else {}
    try:
        with translated(f"invoking {endpoint}", effect=True):
            answer = client.invoke_endpoint(
                EndpointName=name,
                Body=body,
                ContentType="application/json",
                Accept="application/json",
                InferenceId=request_id,
                **more,
            )
            data: bytes = answer["Body"].read()
    except NotFound as error:
        raise NotFound(error.message, remedy=f"isthmus deploy {endpoint}") from error
    except Invalid as error:
        if variant is not None and variant in error.message:
            raise NotFound(f"{endpoint} has no variant {variant}: {error.message}") from error
        raise
    return Reply(
        predictions=predictions(endpoint, data),
        variant=neutral(answer.get("InvokedProductionVariant") or variant or ""),
        version=version_of(answer.get("CustomAttributes")),
    )


def version_of(attributes: str | None) -> int | None:
    """Return the model version that a container states in CustomAttributes, or None.

    Only our own model server states it.
    """
    for part in (attributes or "").split(";"):
        if part.strip().startswith(VERSION) and part.strip().removeprefix(VERSION).isdigit():
            return int(part.strip().removeprefix(VERSION))
    return None
