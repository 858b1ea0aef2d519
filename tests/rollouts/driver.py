"""A process that drives the rollout of `ranker` on this machine, for who kills it: `python -m isthmus.tests.rollouts.driver HOME HOLDER`.

It writes a line before and after every call that changes something, and where it would sleep. It goes on when it reads
the time, which is its clock from then on.
"""

import sys
from datetime import datetime

from isthmus.adapters import targets
from isthmus.rollouts.controller import drive
from isthmus.rollouts.ports import Ports
from isthmus.target import Profile
from isthmus.tests.conformance import places


class Moved:
    """The clock of who reads our lines."""

    def __init__(self):
        self.time = datetime.fromisoformat(sys.stdin.readline().strip())

    def reach(self, point):
        print(point, flush=True)
        self.time = datetime.fromisoformat(sys.stdin.readline().strip())


def main(home, holder):
    target = targets.load(Profile(name="local", adapter="local", project=places.PROJECT, options={"home": home}))
    clock = Moved()
    target.clock = lambda: clock.time
    target.calls.before = lambda call: clock.reach(f"before {call.operation}")
    target.calls.after = lambda call: clock.reach(f"after {call.operation}")
    ports = Ports(
        state=target.state,
        endpoints=target.endpoints,
        metrics=target.metrics,
        registry=target.registry,
        blobs=target.blobs,
        smoke=lambda endpoint, variant: target.endpoints.invoke(endpoint, [{"x": 1}], variant=variant, request_id="smoke"),
    )
    drive(ports, "ranker", holder=holder, clock=target.clock, sleep=lambda seconds: clock.reach(f"sleep {seconds:g}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
