"""The world as one thing: it moves with its clock, and controllers see it through ports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import final

import msgspec

from ...core.formats import decode
from ...endpoints import hosting
from ...endpoints.gateway.decide import sticky_split as sticky
from ...endpoints.operations.minutes import floor_minute
from ...endpoints.port import Bucket, EndpointSpec, Window
from ...endpoints.traffic.router import RoutedEndpoints
from ...errors import NotSettled, Unavailable
from ...pipelines.port import ModelVersion
from ...target import CallLog
from ..state.ports import ControllerPorts
from .clock import VirtualClock
from .host import Fleet, Traits, WorldEndpoints
from .stores import Documents, Models, WorldBlobs, WorldRegistry, WorldState
from .traffic import Minute, Traffic, VariantBehaviour

START = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday
_MINUTE = timedelta(minutes=1)


@final
class World:
    """A world of one endpoint with its variants ready.

    `split` is percent by variant, by default the first one's; `aliases` are by (model, alias).
    """

    def __init__(
        self,
        traits: Traits,
        spec: EndpointSpec,
        *,
        split: Mapping[str, Decimal] | None = None,
        per_minute: int = 600,
        behaviours: Mapping[str, VariantBehaviour] | None = None,
        aliases: Mapping[tuple[str, str], int] | None = None,
        start: datetime = START,
    ) -> None:
        self.traits = traits
        self.clock = VirtualClock(start)
        self.models = Models(versions=_versions(spec), aliases=dict(aliases or {}))
        self.documents = Documents()
        self.blobs: dict[str, tuple[bytes, datetime]] = {}
        self.fleet = Fleet(traits, self.clock, self.models)
        self.fleet.set_variants(spec)
        for name, behaviour in (behaviours or {}).items():
            self.fleet.variants[name].behaviour = behaviour
        if split is not None:
            self.set_split(split, written=start - sticky.KEPT)
        self.traffic = Traffic(per_minute, lambda variant: self.fleet.variants[variant].behaviour)
        self.minutes: dict[str, list[Minute]] = {}  # by variant, all that ended
        self.outage = False  # the metrics cannot be read

    def now(self) -> datetime:
        """Return the simulated time."""
        return self.clock.now()

    def ports(self, calls: CallLog | None = None) -> ControllerPorts:
        """Return the interfaces of one controller to the simulated world.

        `calls` records its calls, and can stop them.
        """
        calls = calls or CallLog()
        state = WorldState(self.documents, self.now, calls)
        endpoints = RoutedEndpoints(WorldEndpoints(self.fleet, calls), state, self.now)

        def smoke(endpoint: str, variant: str) -> None:
            endpoints.invoke(endpoint, [{}], variant=variant, request_id="smoke")

        return ControllerPorts(
            state=state,
            endpoints=endpoints,
            metrics=WorldMetrics(self, calls),
            registry=WorldRegistry(self.models, calls),
            blobs=WorldBlobs(self.blobs, self.now, calls),
            smoke=smoke,
            scores=self._scores,
        )

    def shares(self) -> dict[str, Decimal]:
        """Return each variant's served percent of the requests.

        Gateways follow a new split as late as they may.
        """
        if self.fleet.routing == "weighted":
            return self.fleet.shares()
        return self._with_zeros(sticky.served_shares(self._split(), self.now()))

    def requested_shares(self) -> dict[str, Decimal]:
        """Return the traffic percentage of each variant that was requested last."""
        if self.fleet.routing == "weighted":
            return {name: variant.target for name, variant in self.fleet.variants.items()}
        return self._with_zeros(sticky.shares(self._split().ranges))

    def _with_zeros(self, split: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return a traffic split with 0 for each variant that it does not name."""
        return {name: split.get(name, Decimal(0)) for name in self.fleet.variants}

    def _split(self) -> sticky.Split:
        """Return the stored traffic split of an endpoint with sticky routing."""
        key = sticky.key(self.fleet.name)
        return decode(self.documents.values[key].value, sticky.Split, what=key)

    def set_split(self, split: Mapping[str, Decimal], *, written: datetime | None = None) -> None:
        """Shift traffic as somebody outside the rollout would, whatever is under way.

        `written` is when the split of a sticky endpoint was written, by default now.
        """
        if self.fleet.routing == "weighted":
            self.fleet.set_split(split)
            return
        key, state = sticky.key(self.fleet.name), WorldState(self.documents, self.now, CallLog())
        stored = state.get(key)
        ranges = self._split().ranges if stored else sticky.whole(next(iter(split)))
        document = sticky.Split(
            version=self._split().version + 1 if stored else 1,
            written=written or self.now(),
            ranges=sticky.moved_ranges(ranges, split),
            before=self.shares() if stored else dict(split),
        )
        state.put(key, msgspec.json.encode(document), expect=stored.token if stored else None)

    def advance(self, span: timedelta) -> None:
        """Move the simulated clock on: answer requests, close minutes, run scheduled events."""
        end = self.now() + span
        while self.now() < end:
            minute = floor_minute(self.now())
            due = self.clock.next_due()
            stop = min(end, minute + _MINUTE, *([due] if due else []))
            self.traffic.add(self.shares(), stop - self.now(), room=self.fleet.room())
            if stop == minute + _MINUTE:
                for variant, counts in self.traffic.close(minute).items():
                    self.minutes.setdefault(variant, []).append(counts)
            self.clock.move(stop)

    def behave(self, variant: str, behaviour: VariantBehaviour) -> None:
        """Change a variant's simulated error rate, latency and scores."""
        self.fleet.variants[variant].behaviour = behaviour

    def _scores(
        self, endpoint: str, window: Window
    ) -> Mapping[str, Mapping[datetime, tuple[int, float]]]:
        """Return each variant's number of scores and mean score by minute of a window."""
        del endpoint
        return {
            variant: {
                minute.start: (minute.requests, minute.behaviour.score)
                for minute in minutes
                if window.start <= minute.start < window.end and minute.behaviour.score is not None
            }
            for variant, minutes in self.minutes.items()
        }


@final
class WorldMetrics:
    """One controller's MetricSource."""

    def __init__(self, world: World, calls: CallLog) -> None:
        self._world, self._calls = world, calls

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """Return the simulated metrics of a window; raise an error during a scripted outage."""
        world = self._world
        self._calls.reading("metrics.read", endpoint)
        hosting.check_window(window)
        if endpoint != world.fleet.name or not world.fleet.exists:
            raise hosting.not_found(endpoint)
        if world.outage:
            raise Unavailable("the metrics cannot be read", remedy="try again in a minute")
        if window.end + world.traits.metrics_delay > world.now():
            raise NotSettled(f"the window ends at {window.end:%H:%M} UTC, which is not settled")
        buckets = {
            variant: tuple(
                minute.bucket for minute in minutes if window.start <= minute.start < window.end
            )
            for variant, minutes in world.minutes.items()
        }
        return {variant: listed for variant, listed in buckets.items() if listed}


def _versions(spec: EndpointSpec) -> dict[str, dict[int, ModelVersion]]:
    """Return approved versions of the models in a specification, by model and number."""
    versions: dict[str, dict[int, ModelVersion]] = {}
    for variant in spec.variants:
        versions.setdefault(variant.model, {})[variant.version] = ModelVersion(
            model=variant.model,
            version=variant.version,
            digest=f"{variant.model}-{variant.version}",
            uri=f"world://models/{variant.model}/{variant.version}",
            image="",
            approval="approved",
            aliases=frozenset(),
        )
    return versions
