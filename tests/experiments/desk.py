"""People at consoles: the example's project with experiments, on a laptop whose ports are a
scripted world's.
"""

from datetime import timedelta
from decimal import Decimal

from msgspec.structs import replace

import isthmus
from isthmus.endpoints.gateway.smoke import SmokeResult
from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.experiments.design import runs
from isthmus.experiments.running import start as starting
from isthmus.project.specs.description import Parameter
from isthmus.project.specs.experiments import (
    INTERLEAVED,
    Experiment,
    ExperimentArm,
    Layer,
    Metric,
    Total,
)
from isthmus.rollouts.world import World
from isthmus.rollouts.world.host import traits_of
from isthmus.target import CallLog
from isthmus.tests.example import copied

SPEC = EndpointSpec(
    name="ranker",
    variants=(
        VariantSpec(name="champion", model="ranker", version=1),
        VariantSpec(name="challenger", model="ranker", version=2),
    ),
)
ALIASES = {("ranker", "champion"): 1, ("ranker", "challenger"): 2}
CTR = Metric(
    name="ctr",
    kind="rate",
    numerator=Total(event="click"),
    denominator=Total(event="impression"),
    objective="ctr",
)


def arms(**parameters):
    """`treatment={"blend": 0.7}`; the control sets nothing."""
    return (
        ExperimentArm(name="control"),
        *(ExperimentArm(name=name, parameters=values) for name, values in parameters.items()),
    )


AIMED = Experiment(
    name="ranker_v2",
    layer="home",
    arms=arms(treatment={"variant": "challenger"}),
    metric=("ctr",),
    share=Decimal(20),
    holdout=Decimal(5),
)
DUEL = Experiment(
    name="order_duel",
    layer="home",
    arms=(ExperimentArm(name=INTERLEAVED),),
    interleave=("champion", "challenger"),
    metric=("ctr",),
    share=Decimal(10),
)
BLEND = Experiment(
    name="blend_up",
    layer="home",
    arms=arms(low={"blend": 0.3}, high={"blend": 0.7}),
    metric=("ctr",),
    share=Decimal(30),
)


def declared(project, *experiments, **layers):
    """The project with these experiments in its file. `layers`: name -> percent of its holdout."""
    spec = project.spec
    endpoint = replace(
        spec.endpoints["ranker"],
        parameters={"blend": Parameter(name="blend", type="float", default=0.5)},
    )
    project.spec = replace(
        spec,
        endpoints={**spec.endpoints, "ranker": endpoint},
        metrics={"ctr": CTR},
        layers={
            name: Layer(name=name, endpoint="ranker", holdout=Decimal(size))
            for name, size in (layers or {"home": 0}).items()
        },
        experiments={about.name: about for about in experiments},
    )
    project.description = replace(project.description, spec=project.spec)


class Desk:
    """One person. `beside` gives another one, in another checkout, on the same target."""

    def __init__(self, monkeypatch, folder, *experiments, world=None, split=(90, 10), **layers):
        self.monkeypatch, self.folder, self.experiments, self.layers = (
            monkeypatch,
            folder,
            experiments,
            layers,
        )
        self.project = isthmus.open(copied(folder), target="local")
        target = self.project.target
        shares = dict(zip(("champion", "challenger"), map(Decimal, split), strict=True))
        self.world = world or World(traits_of(target), SPEC, split=shares, aliases=dict(ALIASES))
        self.calls = CallLog()
        self.ports = self.world.ports(self.calls)
        for name in ("state", "endpoints", "metrics", "registry", "blobs"):
            target.__dict__[name] = getattr(self.ports, name)
        target.__dict__["endpoints"] = self.ports.endpoints._host  # the verbs route it themselves
        target.__dict__["events"] = self
        target.clock = self.world.now
        declared(self.project, *experiments, **layers)
        self.tried, self.streams = [], []
        monkeypatch.setenv("ISTHMUS_USER", "ann")
        monkeypatch.setattr(starting, "smoke_arm", self.smoke)

    def smoke(self, _project, _endpoint, variant, parameters):
        self.tried.append((variant, dict(parameters)))
        return SmokeResult(sent=20, answered=20)

    def apply(self, stream):
        """As an EventLog: nobody logs anything here."""
        self.streams.append(stream.name)

    def beside(self, *experiments):
        return Desk(
            self.monkeypatch,
            self.folder / "elsewhere",
            *(experiments or self.experiments),
            world=self.world,
            **self.layers,
        )

    @property
    def state(self):
        return self.project.target.state

    @property
    def live(self):
        stored = runs.read(self.state)
        return stored.live if stored else None

    def run(self, name):
        return next((run for run in self.live.runs if run.experiment == name), None)

    def wait(self, **span):
        self.world.advance(timedelta(**span))


class _NoLog:
    """As an EventLog: nobody logs anything here."""

    def apply(self, _stream):
        pass


def genuine_project(folder, place, clock, about=AIMED, routing="sticky"):
    """The example's with an experiment, as another process opens it: on a target of its own of
    genuine adapters.
    """
    project = isthmus.open(copied(folder), target="local")
    project.target = place.open()
    project.target.clock = clock
    project.target.__dict__["events"] = _NoLog()
    declared(project, about)
    spec = replace(
        project.spec,
        endpoints={"ranker": replace(project.spec.endpoints["ranker"], routing=routing)},
    )
    project.spec, project.description = spec, replace(project.description, spec=spec)
    return project
