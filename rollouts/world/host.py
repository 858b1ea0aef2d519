"""EndpointHost of a scripted world.

By its traits it is instant and fenced like this machine, or slow and unfenced like SageMaker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Literal, final

import msgspec

from ...endpoints import hosting
from ...endpoints.port import (
    NO_PARAMETERS,
    EndpointSpec,
    EndpointState,
    Reply,
    VariantSpec,
    VariantState,
)
from ...endpoints.revision import identity, revision_of_variants
from ...errors import Busy, Conflict, Invalid, ModelError, NotFound
from ...events.port import Row
from ...storage import Phase
from ...target import CallLog, Target
from ..state import planning
from ..state.planning import TargetTraits
from .clock import VirtualClock
from .stores import Models
from .traffic import VariantBehaviour

_ZERO = timedelta(0)
_MINUTE = timedelta(minutes=1)


class Traits(TargetTraits, frozen=True, kw_only=True):
    """The behaviour of a target.

    `takes` is how long one of its changes is `Updating`, in which every other change is Busy; zero:
    never.
    """

    name: str = "world"
    resolution: Decimal = Decimal("0.01")  # of a share, in percent
    # a stale token moves nothing. Else the token is only looked at before the call, as on SageMaker
    fenced: bool = True
    metrics_delay: timedelta = _ZERO
    takes: timedelta = _ZERO
    shifts_at_once: bool = False  # a shift is over when it is answered, whatever other changes take
    instances: int = 1  # of a variant whose spec does not say
    room: int | None = None  # the most requests a minute that an instance answers; None: any number


def traits_of(target: Target, routing: str = "weighted") -> Traits:
    """Return how a simulated endpoint behaves, by a target's capabilities.

    A cloud takes a minute for a change, as its offline stack does on the manual clock; a fenced
    shift is done when it is answered.
    """
    traits = planning.traits_of(target, routing)
    takes = _MINUTE if target.adapter.remote else _ZERO
    return Traits(
        name=target.name,
        takes=takes,
        shifts_at_once=traits.fenced,
        **msgspec.structs.asdict(traits),
    )


class Running(msgspec.Struct, kw_only=True):
    """A variant as it is now and as it will be."""

    spec: VariantSpec
    percent: Decimal = Decimal(0)
    target: Decimal = Decimal(0)
    instances: int = 1
    wanted: int = 1
    phase: Phase = "ready"
    behaviour: VariantBehaviour = VariantBehaviour()


@final
class Fleet:
    """The endpoint itself, which every controller and everybody else sees; one in a world."""

    def __init__(self, traits: Traits, clock: VirtualClock, models: Models) -> None:
        self.traits, self.clock, self.models = traits, clock, models
        self.name = ""
        self.routing: Literal["weighted", "sticky"] = "weighted"
        self.variants: dict[str, Running] = {}
        self.never_ready: set[str] = set()  # variants that will not come up when they are made
        self.hangs = False  # changes do not end
        self.rollbacks = 0  # so many of the next changes end ready with what was there before
        self.rolled_back = 0  # changes that did
        self.failure: str | None = None
        self._version = 0
        self._change: Callable[[], None] | None = None

    @property
    def exists(self) -> bool:
        """Return whether the simulated endpoint exists, that is, has any variants."""
        return bool(self.variants)

    @property
    def updating(self) -> bool:
        """Return whether a change of the simulated endpoint is under way."""
        return self._change is not None

    @property
    def token(self) -> str:
        """Return the version of the simulated endpoint's state, for compare-and-swap."""
        return f"{self._version}"

    def shares(self) -> dict[str, Decimal]:
        """Return each variant's served percent of the requests."""
        return {name: variant.percent for name, variant in self.variants.items()}

    def room(self) -> dict[str, int] | None:
        """Return how many requests a minute each variant can answer, or None for no limit."""
        if self.traits.room is None:
            return None
        return {
            name: variant.instances * self.traits.room for name, variant in self.variants.items()
        }

    def begin(self, change: Callable[[], None], *, takes: timedelta | None = None) -> None:
        """Begin a change of the simulated endpoint, which ends at once or after the time it takes.

        If the scenario scripts a rollback, the change is undone at its end, and only the token is
        new.
        """
        self._version += 1
        self.failure = None
        takes = self.traits.takes if takes is None else takes
        self._change = change = partial(change)  # one of its own, also of the same function
        if takes:
            self.clock.schedule(self.clock.now() + takes, lambda: self._end(change))
        else:
            self._end(change)

    def occupy(self, span: timedelta) -> None:
        """Make the simulated endpoint Busy for a while, as somebody else's change does.

        A change that was under way ends with it.
        """
        self.begin(self._change or (lambda: None), takes=span)

    def set_split(self, split: Mapping[str, Decimal]) -> None:
        """Move traffic as somebody outside the rollout would: at once, whatever is under way."""
        self._version += 1
        for name, percent in split.items():
            self.variants[name].percent = self.variants[name].target = percent

    def set_variants(self, spec: EndpointSpec) -> None:
        """Replace the running variants by those of a specification.

        Those that stay keep their shares; a new endpoint's first variant has everything.
        """
        first = hosting.first_split(spec) if not self.variants else {}
        self.name, self.routing = spec.name, spec.routing
        variants = {}
        for variant in spec.variants:
            now = self.variants.get(variant.name)
            if now is not None and _is_same_variant(now.spec, variant):
                variants[variant.name] = now
                now.spec = variant
            else:
                share = now.target if now else first.get(variant.name, Decimal(0))
                phase: Phase = "creating" if variant.name in self.never_ready else "ready"
                variants[variant.name] = Running(
                    spec=variant,
                    percent=share,
                    target=share,
                    phase=phase,
                    behaviour=self._behaviour(variant),
                )
            self._rescale(variants[variant.name])
        self.variants = variants

    def wanted_instances(self, variant: VariantSpec, now: int) -> int:
        """Return the present number of instances, limited to a variant's declared range."""
        least, most = variant.instances or (self.traits.instances, self.traits.instances)
        return min(max(now, least), most)

    def delete(self) -> None:
        """Delete the simulated endpoint."""
        self._version += 1
        self.variants, self._change = {}, None

    def state(self) -> EndpointState | None:
        """Return the simulated endpoint's state, or None if it does not exist."""
        if not self.variants:
            return None
        phases = {variant.phase for variant in self.variants.values()}
        phase: Phase = (
            "updating"
            if self.updating
            else "failed"
            if "failed" in phases
            else "ready"
            if phases == {"ready"}
            else "updating"
        )
        return EndpointState(
            name=self.name,
            phase=phase,
            revision=revision_of_variants(
                (variant.spec for variant in self.variants.values()), routing=self.routing
            ),
            token=self.token,
            variants=tuple(_state(variant) for variant in self.variants.values()),
            failure=self.failure,
            routing=self.routing,
        )

    def _end(self, change: Callable[[], None]) -> None:
        """Complete a change of the simulated endpoint, or undo it if the scenario scripts that."""
        if self._change is not change:
            return  # the endpoint was deleted meanwhile
        if self.hangs:
            self.clock.schedule(self.clock.now() + _MINUTE, lambda: self._end(change))
            return
        self._change = None
        if self.rollbacks:
            self.rollbacks, self.rolled_back = self.rollbacks - 1, self.rolled_back + 1
            self.failure = "the change was rolled back"
            for variant in self.variants.values():
                variant.target, variant.wanted = variant.percent, variant.instances
        else:
            change()
        if self.traits.takes:
            self._version += 1

    def _behaviour(self, variant: VariantSpec) -> VariantBehaviour:
        """Return how a variant answers in the simulation.

        A model version that any variant served before keeps its behaviour.
        """
        same = (
            v.behaviour
            for v in self.variants.values()
            if (v.spec.model, v.spec.version) == (variant.model, variant.version)
        )
        return next(same, VariantBehaviour())

    def _rescale(self, variant: Running) -> None:
        """Set the number of instances of a variant within its declared range."""
        variant.instances = variant.wanted = self.wanted_instances(variant.spec, variant.instances)


@final
class WorldEndpoints:
    """One controller's view of the fleet."""

    def __init__(self, fleet: Fleet, calls: CallLog) -> None:
        self._fleet, self._calls, self._traits = fleet, calls, fleet.traits
        self._rules = hosting.HostRules(
            target=self._traits.name,
            provider=self._traits.name,
            resolution=self._traits.resolution,
            max_bytes=6_291_456,
            offers=frozenset({hosting.STICKY}),
        )

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Begin to change the simulated endpoint to a specification."""
        fleet = self._fleet
        hosting.check_spec(spec, self._rules)
        for variant in spec.variants:
            if variant.version not in fleet.models.versions.get(variant.model, {}):
                raise NotFound(f"there is no {variant.model}@{variant.version}")
        saw = fleet.state()
        if saw is None:
            with self._calls.mutating("endpoints.apply", spec.name):
                fleet.begin(lambda: fleet.set_variants(spec), takes=_ZERO)
            return EndpointState(
                name=spec.name, phase="creating", revision="", token="", variants=()
            )
        self._require_endpoint(spec.name)
        traffic = {v.name: max(v.percent, v.target_percent) for v in saw.variants}
        hosting.guard_traffic(
            spec,
            {name: variant.spec for name, variant in fleet.variants.items()},
            traffic,
            routing=fleet.routing,
        )
        if fleet.updating or not self._differs(spec):
            return saw
        with self._calls.mutating("endpoints.apply", spec.name):
            self._require_unchanged(saw)
            for variant in spec.variants:
                if variant.name in fleet.variants:
                    running = fleet.variants[variant.name]
                    running.wanted = fleet.wanted_instances(variant, running.instances)
            fleet.begin(lambda: fleet.set_variants(spec))
        return saw

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the simulated traffic split, unless the endpoint changed since `expect` was read."""
        fleet = self._fleet
        self._require_endpoint(endpoint)
        if fleet.routing == "sticky":
            raise hosting.sticky(endpoint)
        checked = hosting.checked_split(endpoint, split, tuple(fleet.variants), self._rules)
        if not self._traits.fenced:
            hosting.check_token(endpoint, fleet.token, expect=expect)
            self._require_idle()
        with self._calls.mutating("endpoints.shift", endpoint):
            self._require_endpoint(endpoint)
            if self._traits.fenced:
                hosting.check_token(endpoint, fleet.token, expect=expect)
            self._require_idle()
            if set(checked) != set(fleet.variants):
                raise Invalid(f"{endpoint} has no such variants by now")
            self._require_ready(endpoint, checked)
            for name, percent in checked.items():
                fleet.variants[name].target = percent
            fleet.begin(
                lambda: fleet.set_split(checked),
                takes=_ZERO if self._traits.shifts_at_once else None,
            )

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return the simulated endpoint's state, or None for another endpoint."""
        self._calls.reading("endpoints.observe", endpoint)
        return self._fleet.state() if endpoint == self._fleet.name else None

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,  # noqa: ARG002  the port's
        parameters: Mapping[str, object] = NO_PARAMETERS,  # noqa: ARG002  the port's
    ) -> Reply:
        """Answer a request by the named variant, else by the one with the most traffic."""
        self._require_endpoint(endpoint)
        variants = self._fleet.variants
        name = variant or max(variants, key=lambda name: variants[name].percent)
        if name not in variants:
            raise NotFound(f"{endpoint} has no variant {name}")
        running = variants[name]
        if running.phase != "ready":
            raise Busy(f"{endpoint}: {name} is not ready")
        if running.behaviour.error_rate + running.behaviour.client_error_rate > 0.5:
            raise ModelError(f"{name} answered 500", status=500, body="scripted")
        return Reply(
            predictions=tuple(0.5 for _ in instances), variant=name, version=running.spec.version
        )

    def _require_endpoint(self, endpoint: str) -> None:
        """Raise NotFound if the simulated endpoint is not of that name, or does not exist."""
        if endpoint != self._fleet.name or not self._fleet.exists:
            raise hosting.not_found(endpoint)

    def _require_idle(self) -> None:
        """Raise Busy if a change of the endpoint is under way."""
        if self._fleet.updating:
            raise Busy(
                f"{self._fleet.name} is Updating", remedy="try again when the change has ended"
            )

    def _require_ready(self, endpoint: str, split: Mapping[str, Decimal]) -> None:
        """Raise Busy if a variant would get more traffic that is not ready."""
        variants = self._fleet.variants
        waiting = [
            name
            for name, percent in split.items()
            if percent > variants[name].target and variants[name].phase != "ready"
        ]
        if waiting:
            raise Busy(f"{endpoint}: {', '.join(waiting)} is not ready, so it gets no traffic")

    def _require_unchanged(self, saw: EndpointState) -> None:
        """Raise Conflict, Busy or NotFound if the endpoint changed since it was observed."""
        self._require_endpoint(saw.name)
        if self._traits.fenced and self._fleet.token != saw.token:
            raise Conflict(f"{saw.name} was changed by somebody else since it was observed")
        self._require_idle()

    def _differs(self, spec: EndpointSpec) -> bool:
        """Return whether the simulated endpoint differs from a specification."""
        variants = self._fleet.variants
        if set(variants) != {variant.name for variant in spec.variants}:
            return True
        return any(
            not _is_same_variant(variants[v.name].spec, v)
            or self._fleet.wanted_instances(v, variants[v.name].wanted) != variants[v.name].wanted
            for v in spec.variants
        )


def _is_same_variant(first: VariantSpec, second: VariantSpec) -> bool:
    """Return whether two specifications are of the same variant and content."""
    return identity(first) == identity(second)


def _state(variant: Running) -> VariantState:
    """Return a simulated variant's state in the form in which targets report it."""
    return VariantState(
        name=variant.spec.name,
        model=variant.spec.model,
        version=variant.spec.version,
        percent=variant.percent,
        target_percent=variant.target,
        instances=variant.instances if variant.phase == "ready" else 0,
        target_instances=variant.wanted,
        phase=variant.phase,
    )
