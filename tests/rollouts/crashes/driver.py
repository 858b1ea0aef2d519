"""A process that drives the rollout of `ranker`, for who kills it:

`python -m isthmus.tests.rollouts.crashes.driver PROFILE HOLDER ROUTING`.

PROFILE is a target's, as JSON. The process writes a line before and after every call that changes
something, and where it would sleep. It goes on when it reads the time, which is its clock from then
on.
"""

import sys
from datetime import datetime

import msgspec

from isthmus.adapters import targets
from isthmus.endpoints.hosting import aims
from isthmus.endpoints.traffic.router import routed_endpoints
from isthmus.rollouts.controller import drive
from isthmus.rollouts.state.ports import ControllerPorts
from isthmus.target import Profile

KINDS = (
    ("/history/", "history"),
    ("traffic/ranker", "owner"),
    ("rollouts/ranker/ro", "minutes"),
    ("rollouts/ranker", "document"),
)
SHIFTS = {
    "local": "endpoints.shift",
    "sagemaker": "UpdateEndpointWeightsAndCapacities",
    "vertex": "UpdateEndpoint",
}


class Moved:
    """The clock of who reads our lines."""

    def __init__(self):
        self.time = datetime.fromisoformat(sys.stdin.readline().strip())

    def reach(self, point):
        print(point, flush=True)
        self.time = datetime.fromisoformat(sys.stdin.readline().strip())


def kind(call, adapter, routing):
    """What a call changes: a document by its name, the split, all else by the provider's operation."""
    if "split/ranker" in call.resource or (
        routing == "weighted" and call.operation == SHIFTS[adapter]
    ):
        return "endpoints.shift"
    return next((name for part, name in KINDS if part in call.resource), call.operation)


def ports_of(target):
    """Of a target: smoke asks the variant itself, where one can."""
    endpoints = routed_endpoints(target)

    def smoke(endpoint, variant):
        aimed = variant if aims(target.capabilities, endpoints.observe(endpoint).routing) else None
        endpoints.invoke(endpoint, [{"x": 1}], variant=aimed, request_id="smoke")

    return ControllerPorts(
        state=target.state,
        endpoints=endpoints,
        metrics=target.metrics,
        registry=target.registry,
        blobs=target.blobs,
        smoke=smoke,
    )


def main(profile, holder, routing):
    target = targets.load(msgspec.json.decode(profile, type=Profile))
    clock = Moved()
    target.clock = lambda: clock.time
    target.calls.before = lambda call: clock.reach(
        f"before {kind(call, target.adapter.name, routing)}"
    )
    target.calls.after = lambda call: clock.reach(
        f"after {kind(call, target.adapter.name, routing)}"
    )
    drive(
        ports_of(target),
        "ranker",
        holder=holder,
        clock=target.clock,
        sleep=lambda seconds: clock.reach(f"sleep {seconds:g}"),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
