"""A shop's endpoint without a target: its host, its registry and its state store are objects of
this process. For tests of the gateway.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from types import SimpleNamespace

import msgspec

from isthmus.endpoints.gateway.decide.assignment import bucket
from isthmus.endpoints.gateway.decide.live_document import (
    LIVE,
    LiveArm,
    LiveExperiments,
    LiveLayer,
    LiveRun,
)
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.port import EndpointState, Reply, VariantState
from isthmus.errors import NotFound, Unavailable
from isthmus.pipelines.models.predictor import ModelManifest
from isthmus.project.specs.description import (
    Attribute,
    Endpoint,
    Entity,
    Event,
    Objective,
    Parameter,
    ProjectSpec,
    Variant,
)
from isthmus.project.specs.experiments import Layer
from isthmus.storage import Versioned

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ENDPOINT = Endpoint(
    name="ranker",
    objective="ctr",
    unit="visitor_id",
    variants=tuple(
        Variant(name=name, model="ranker", ref="1", traffic=Decimal(50))
        for name in ("champion", "challenger")
    ),
    attributes=(
        Attribute(name="platform", type="string", allowed=("web", "ios", "android")),
        Attribute(name="age", type="int", required=False),
    ),
    parameters={
        "blend": Parameter(name="blend", type="float", default=0.5),
        "tone": Parameter(name="tone", type="string", default="calm"),
    },
)
SPEC = ProjectSpec(
    name="shop",
    entities={"item": Entity(name="item", key="item_id", type="int")},
    events={
        "impression": Event(
            name="impression", attributes=(Attribute(name="item_id", type="int", entity="item"),)
        ),
        "click": Event(
            name="click",
            attributes=(
                Attribute(name="exposure_id", type="string"),
                Attribute(name="depth", type="int", required=False, min=0),
            ),
        ),
    },
    objectives={
        "ctr": Objective(
            name="ctr", outcome="click", exposure="impression", within=timedelta(minutes=30)
        )
    },
    endpoints={"ranker": ENDPOINT},
    layers={"home": Layer(name="home", endpoint="ranker", holdout=Decimal(2))},
)
MANIFEST = ModelManifest(
    model="ranker",
    configuration="popular",
    predictor="Popular",
    module="shop",
    kept="json",
    code="slice",
)
REQUEST = {"visitor_id": "visitor-1", "item_id": [1, 2, 3], "slots": 2}


class State:
    """Documents, and the ways in which a store can fail."""

    def __init__(self, live: LiveExperiments | None = None):
        self.documents, self.reads, self.away = {}, 0, ""
        if live is not None:
            self.put(live)

    def put(self, document, key: str = LIVE) -> None:
        value = document if isinstance(document, bytes) else msgspec.json.encode(document)
        self.documents[key] = Versioned(
            value=value, token=f"t{self.reads}-{hash(value)}", written_at=NOW
        )

    def get(self, key: str) -> Versioned | None:
        self.reads += 1
        if self.away:
            raise Unavailable(self.away)
        return self.documents.get(key)


class Host:
    """Answers each row by its place; knows what it was asked."""

    def __init__(self):
        self.variants = ["champion", "challenger"]
        self.calls = []

    def observe(self, name):
        of = {
            "model": "ranker",
            "version": 1,
            "instances": 1,
            "target_instances": 1,
            "phase": "ready",
        }
        share = {"percent": Decimal(50), "target_percent": Decimal(50)}
        return EndpointState(
            name=name,
            phase="ready",
            revision="r",
            token="t",
            variants=tuple(VariantState(name=v, **of, **share) for v in self.variants),
        )

    def invoke(self, endpoint, instances, *, variant, request_id, parameters=()):  # noqa: ARG002  the port's
        self.calls.append((variant, dict(parameters)))
        if variant is not None and variant not in self.variants:
            raise NotFound(f"{endpoint} has no variant {variant}")
        return Reply(
            predictions=tuple(float(at) for at in range(len(instances))),
            variant=variant or self.variants[0],
            version=1,
        )


class Counts:
    """How often units were shown what; `calls` says what was asked of it, `away` what it answers to
    everything.
    """

    def __init__(self):
        self.documents, self.calls, self.away = {}, [], None

    def _called(self, verb):
        self.calls.append(verb)
        if self.away is not None:
            raise self.away

    def get(self, endpoint, unit):
        self._called("get")
        return dict(self.documents.get((endpoint, unit), {}))

    def add(self, endpoint, unit, amounts, *, forget=(), until):
        self._called("add")
        document = self.documents.setdefault((endpoint, unit), {})
        for name, amount in amounts.items():
            document[name] = document.get(name, 0) + amount
        for name in forget:
            del document[name]
        self.until = until


class Events:
    def __init__(self):
        self.rows = {}

    def append(self, stream, rows):
        self.rows.setdefault(stream, []).extend(rows)
        return ()


def project(live: LiveExperiments | None = None, spec: ProjectSpec = SPEC):
    """As far as a gateway touches one."""
    target = SimpleNamespace(
        state=State(live),
        endpoints=Host(),
        events=Events(),
        counters=Counts(),
        online=SimpleNamespace(
            get=lambda wanted: {view: [None] * len(keys) for view, keys in wanted.items()}
        ),
        registry=SimpleNamespace(
            get=lambda model, version: SimpleNamespace(uri=f"mem://{model}/{version}", digest="d")
        ),
        blobs=SimpleNamespace(get=lambda _uri: msgspec.json.encode(MANIFEST)),
        capabilities={"invoke.variant": SimpleNamespace(level="native")},
        close=lambda: None,
    )
    return SimpleNamespace(
        spec=spec,
        target=target,
        before_close=set(),
        now=lambda: NOW,
        log_time=lambda: NOW,
        wall=lambda: NOW,
    )


def live(*runs: LiveRun, version=12, holdout=0, written=NOW) -> LiveExperiments:
    return LiveExperiments(
        version=version,
        written=written,
        layers={"home": LiveLayer(endpoint="ranker", salt="home", holdout=holdout)},
        runs=runs,
    )


BLEND = (LiveArm("control", 5000, {}), LiveArm("treatment", 10_000, {"blend": 0.7}))
VARIANTS = (
    LiveArm("control", 5000, {"variant": "champion"}),
    LiveArm("treatment", 10_000, {"variant": "challenger"}),
)


def run(name="blend_up.1", *, arms=BLEND, ranges=((0, 9999),), **fields) -> LiveRun:
    """Its salt is a vector's of the specification: visitor-1 has bucket 6362, so the treatment."""
    experiment = name.partition(".")[0]
    of = {
        "run": name,
        "experiment": experiment,
        "layer": "home",
        "ranges": ranges,
        "arms": arms,
        "salt": "ranker_v2.1",
        "started": NOW,
    }
    return LiveRun(**of | fields)


def arm_of(unit: str) -> str:
    """In such a run."""
    return "control" if bucket("arm", "ranker_v2.1", unit) < 5000 else "treatment"


class Shop:
    """A gateway whose rows are kept, and whose reader looks when it is told."""

    def __init__(self, document=None, *, spec=SPEC, **options):
        self.rows = {"exposures": [], "rankings": [], "assignments": [], "shadows": []}
        self.project = project(document, spec)
        self.gateway = Gateway(
            self.project, "ranker", emit=self.keep, durable=True, rng=Random(0), **options
        )
        self.host, self.state = self.project.target.endpoints, self.project.target.state

    def keep(self, stream, rows):
        self.rows[stream] += rows
        return ()

    def rank(self, **request):
        return self.gateway.rank(REQUEST | request)

    def look(self):
        self.gateway._arms.reader.look()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.close()
