"""Genuine adapters as a setting: this machine, or a cloud whose stack is on the manual clock.

Only the requests are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import final

import msgspec

from ...endpoints import hosting
from ...endpoints.operations.minutes import floor_minute
from ...endpoints.port import (
    Bucket,
    EndpointState,
    MetricSource,
    TrafficMinute,
    TrafficScript,
    Window,
)
from ...endpoints.traffic.router import routed_endpoints
from ...errors import Busy, NotFound, Unavailable
from ...storage import wait
from ...target import Call, Target
from ..state.convergence import serving_split, target_split
from ..state.ports import ControllerPorts
from ..world import traits_of
from ..world.traffic import Minute, Traffic, VariantBehaviour, latency
from .scenario import Answers, Outage, Provider, Requests, Scenario
from .setting import Change

_STEP = timedelta(seconds=10)
_MINUTE = timedelta(minutes=1)
_REAL = timedelta(minutes=2)  # for a model server to start


@final
class TargetSetting:
    """A target whose endpoint has its variants ready, and the split that the plan begins with.

    `open_target` opens the target once more: each controller has its own. `rollback` makes the next
    changes go back silently.
    """

    def __init__(
        self,
        scenario: Scenario,
        endpoint: str,
        open_target: Callable[[], Target],
        *,
        start: datetime,
        rollback: Callable[[int], None],
    ) -> None:
        self._endpoint, self._open, self._now = endpoint, open_target, start
        self._targets: list[Target] = []
        self._rollback = rollback
        self._behaviours: dict[str, VariantBehaviour] = {}
        self._usual = scenario.usual
        self._traffic = Traffic(
            scenario.per_minute, lambda variant: self._behaviours.get(variant, self._usual)
        )
        self._minutes: dict[str, list[Minute]] = {}
        self._outage = False
        self._busy_until = start
        self._moved = True  # somebody called since the endpoint was looked at
        self._seen: EndpointState | None = None
        self._outside = self._open_target()
        self._takes = traits_of(self._outside).takes
        self._script: TrafficScript = self._outside.extra("traffic_script")  # noqa: S610  not Django's

    def now(self) -> datetime:
        """Return the rehearsal's simulated time."""
        return self._now

    def ports(self) -> ControllerPorts:
        """Open the target again, and return the ports that a rollout's controller works with.

        Each call is as if one more process, or another person, drove the same rollout. `smoke` of
        the ports sends one request to a variant.
        """
        target = self._open_target()

        def smoke(endpoint: str, variant: str) -> None:
            aimed = hosting.aims(target.capabilities, self._state().routing)
            target.endpoints.invoke(
                endpoint, [{"x": 1}], variant=variant if aimed else None, request_id="smoke"
            )

        return ControllerPorts(
            state=target.state,
            endpoints=routed_endpoints(target),
            metrics=_Metrics(target.metrics, lambda: self._outage),
            registry=target.registry,
            blobs=target.blobs,
            smoke=smoke,
        )

    def advance(self, span: timedelta) -> None:
        """Move the clock on in steps; the traffic split is constant throughout a step.

        Steps are short while the target changes something.
        """
        end = self._now + span
        while self._now < end:
            minute = floor_minute(self._now)
            state = self._settle()
            still = state.phase == "ready" and self._now >= self._busy_until
            stop = min(end, minute + _MINUTE, self._now + (_MINUTE if still else _STEP))
            self._traffic.add(serving_split(state), stop - self._now)
            self._script.advance(stop - self._now)
            self._now = stop
            if stop == minute + _MINUTE:
                self._send(self._traffic.close(minute))
            if stop < self._busy_until:
                self._touch()

    def change(self, change: Change) -> Callable[[], None]:
        """Apply a scripted change of traffic, answers or metrics; return a function to undo it."""
        match change:
            case Answers(variant=variant, changes=changes):
                usual = self._behaviours.get(variant, self._usual)
                self._behaviours[variant] = msgspec.structs.replace(usual, **changes)
                return lambda: self._behaviours.update({variant: usual})
            case Requests(per_minute=per_minute):
                usual_rate, self._traffic.per_minute = self._traffic.per_minute, per_minute
                return lambda: setattr(self._traffic, "per_minute", usual_rate)
            case Outage():
                self._outage = True
                return lambda: setattr(self, "_outage", False)
            case Provider(does="busy", span=span):
                self._busy_until = self._now + (span if self._takes else timedelta(0))
                self._touch()
            case Provider(does="silent rollback", times=times):
                self._rollback(times)
            case Provider():
                pass  # it happens to a call: see traps.py
        return lambda: None

    def minutes(self) -> Mapping[str, Sequence[Minute]]:
        """Return each variant's simulated requests, errors and latency by minute."""
        return self._minutes

    def close(self) -> None:
        """Close every connection to the target that was opened."""
        for target in self._targets:
            target.close()

    def _open_target(self) -> Target:
        """Open a further connection to the target, on the simulated clock."""
        target = self._open()
        target.clock = self.now
        target.calls.listeners.append(self._on_call)
        self._targets.append(target)
        return target

    def _on_call(self, call: Call) -> None:
        """Note that a call may have changed the endpoint, so that its state is read anew."""
        self._moved |= call.mutating

    def _state(self) -> EndpointState:
        """Return the endpoint's state; it is read again only if a call may have changed it."""
        if (
            self._moved
            or self._seen is None
            or self._seen.phase != "ready"
            or self._seen.routing == "sticky"
        ):
            self._seen = routed_endpoints(self._outside).observe(self._endpoint)
            self._moved = False
        if self._seen is None:
            raise NotFound(f"there is no endpoint {self._endpoint} any more")
        return self._seen

    def _settle(self) -> EndpointState:
        """Wait until the endpoint serves, and return its state.

        Processes that start on this machine take no simulated time.
        """
        if self._takes:
            return self._state()
        return wait(
            self._state,
            lambda state: state.phase in ("ready", "failed"),
            deadline=_REAL,
            what=f"endpoint {self._endpoint}",
        )

    def _send(self, minutes: Mapping[str, Minute]) -> None:
        """Add simulated minutes of traffic to the target's metrics."""
        for variant, minute in minutes.items():
            self._minutes.setdefault(variant, []).append(minute)
        running = {
            variant.name for variant in self._state().variants
        }  # what was removed in this minute has no metrics to add to
        if sent := [
            _traffic_minute(variant, minute)
            for variant, minute in minutes.items()
            if variant in running
        ]:
            moved = self._moved
            self._script.add(self._endpoint, sent)
            self._moved = moved

    def _touch(self) -> None:
        """Set the present traffic split again, which changes only the endpoint's token."""
        state = self._state()
        if state.phase == "ready":
            try:
                routed_endpoints(self._outside).shift(
                    self._endpoint, target_split(state), expect=state.token
                )
            except Busy:
                return


@final
class _Metrics:
    """The target's metrics, with outages."""

    def __init__(self, metrics: MetricSource, outage: Callable[[], bool]) -> None:
        self._metrics, self._outage = metrics, outage

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """Return metrics from the target; raise an error while a scripted outage lasts."""
        if self._outage():
            raise Unavailable("the metrics cannot be read", remedy="try again in a minute")
        return self._metrics.read(endpoint, window)


def _traffic_minute(variant: str, minute: Minute) -> TrafficMinute:
    """Convert a simulated minute of traffic to the form in which the target takes it."""
    return TrafficMinute(
        variant=variant,
        start=minute.start,
        requests=minute.requests,
        client_errors=minute.client_errors,
        server_errors=minute.server_errors,
        latencies_ms=tuple(
            round(latency(minute.behaviour, minute.requests, number), 3)
            for number in range(minute.requests)
        ),
    )
