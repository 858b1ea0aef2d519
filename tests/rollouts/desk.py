"""A person at the console of a rollout whose world is scripted."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import isthmus
from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.rollouts import controller
from isthmus.rollouts.state import documents
from isthmus.rollouts.verbs import rollout
from isthmus.rollouts.world import World
from isthmus.rollouts.world.host import traits_of
from isthmus.tests.example import copied

MINUTE = timedelta(minutes=1)
SPEC = EndpointSpec(
    name="ranker",
    variants=(
        VariantSpec(name="champion", model="ranker", version=1),
        VariantSpec(name="challenger", model="ranker", version=2),
    ),
)


class Desk:
    """A person at the console: the example's project on a laptop whose ports are a scripted
    world's.
    """

    def __init__(self, monkeypatch, folder, *, spec=SPEC, split=(90, 10), aliases=(1, 2)):
        self.project = isthmus.open(copied(folder), target="local")
        target = self.project.target
        self.world = World(
            traits_of(target),
            spec,
            split=dict(zip(("champion", "challenger"), map(Decimal, split), strict=True)),
            aliases={("ranker", "champion"): aliases[0], ("ranker", "challenger"): aliases[1]},
        )
        ports = self.world.ports(target.calls)
        for name in ("state", "endpoints", "metrics", "registry", "blobs"):
            target.__dict__[name] = getattr(ports, name)
        target.clock = self.world.now
        monkeypatch.setattr(rollout, "ports_of", lambda _project: ports)
        monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=self.sleep))
        monkeypatch.setattr(rollout.time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.world.advance(timedelta(seconds=seconds))

    def drive(self, until, minutes=600):
        """Look as a controller does until the state is so."""
        end = self.world.now() + minutes * MINUTE
        while self.world.now() < end and not until(self.state):
            result = controller.look(
                rollout.ports_of(self.project), "ranker", holder="somebody", clock=self.world.now
            )
            if not result.again:
                self.sleep(10)
        assert until(self.state), self.state.phase
        return self.state

    @property
    def state(self):
        return documents.read(self.project.target.state, "ranker").state

    def serving(self):
        return {name: int(percent) for name, percent in self.world.fleet.shares().items()}
