"""How long changes of endpoints take on the stack's clock."""

from __future__ import annotations

import os

from ....core.call import Call

ENDPOINT = "ISTHMUS_STACK_ENDPOINT_SECONDS"
HEALTH = (
    60.0  # real seconds for a container's first healthy answer, where the model says no other time
)


def seconds(call: Call) -> float:
    """Return the seconds that a deployment takes on the stack's clock.

    Undeploying a model and changing its replicas take as long.
    """
    set_to = os.environ.get(ENDPOINT)
    if set_to is not None:
        return float(set_to)
    return 60.0 if call.clock.mode == "manual" else 1.0
