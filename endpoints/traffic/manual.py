"""Move an endpoint's traffic by hand (`isthmus traffic`), read it back, and compare it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import msgspec

from ...core.runtime.project import Project
from ...errors import Conflict, NotFound
from ...project.reading.names import did_you_mean
from ...reports.results import Shown
from ...storage import wait
from ...times import StillClockAlarm
from ..port import EndpointState
from ..split import check, completed, percent_text, representable
from . import owner
from .router import resolution, routed_endpoints


class TrafficChange(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A change that was made: percents by variant, before and as read back."""

    target: str
    endpoint: str
    before: dict[str, Decimal]
    after: dict[str, Decimal]
    seconds: float

    def __str__(self) -> str:
        moved = [
            f"{name} {percent_text(percent)}"
            if self.before[name] == percent
            else f"{name} {percent_text(self.before[name])} -> {percent_text(percent)}"
            for name, percent in self.after.items()
        ]
        split = "/".join(map(percent_text, self.after.values()))
        return (
            f"{self.target:<7} {self.endpoint}   {'   '.join(moved)}\n  read back {split} after "
            f"{self.seconds:.1f} s, as intended"
        )


class ServedSplit(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The split of an endpoint: percents by variant as served, and as they were set."""

    target: str
    endpoint: str
    percents: dict[str, Decimal]
    target_percents: dict[str, Decimal]

    def __str__(self) -> str:
        served = "   ".join(
            f"{name} {percent_text(percent)}"
            if percent == self.target_percents[name]
            else f"{name} {percent_text(percent)} -> {percent_text(self.target_percents[name])}"
            for name, percent in self.percents.items()
        )
        return f"{self.target:<7} {self.endpoint}   {served}"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A change before it is made.

    It is for `change? y`, for `--dry-run`, and the guard between looking and acting.
    """

    target: str
    endpoint: str
    before: dict[str, Decimal]
    after: dict[str, Decimal]
    token: str

    def __str__(self) -> str:
        moves = [
            f"{name} {percent_text(self.before[name])} -> {percent_text(percent)}"
            for name, percent in self.after.items()
        ]
        return f"{self.target:<7} {self.endpoint}   {'   '.join(moves)}"


def served_split(project: Project, endpoint: str) -> ServedSplit:
    """Return the traffic split that an endpoint serves now.

    Raises:
        NotFound: It is not deployed.
    """
    variants = observe(project, endpoint).variants
    return ServedSplit(
        target=project.target.name,
        endpoint=endpoint,
        percents={variant.name: variant.percent for variant in variants},
        target_percents={variant.name: variant.target_percent for variant in variants},
    )


def intent(project: Project, endpoint: str, changes: Mapping[str, Decimal]) -> Intent:
    """Return what a change of traffic such as `challenger=20` would do, without doing it.

    Raises:
        NotFound: There is no such endpoint.
        Invalid: The shares make no split.
        Unsupported: The target cannot split so finely.
    """
    state = observe(project, endpoint)
    now = {v.name: v.target_percent for v in state.variants}
    where = f"{project.target.name} {endpoint}"
    step = resolution(project.target, state.routing)
    representable(
        changes, resolution=step, where=project.target.adapter.title
    )  # the share that was typed, before the rest of it
    split = check(
        completed(changes, now=now, where=where), variants=now, resolution=step, where=where
    )
    return Intent(
        target=project.target.name, endpoint=endpoint, before=now, after=split, token=state.token
    )


def traffic(project: Project, endpoint: str, changes: Mapping[str, Decimal]) -> TrafficChange:
    """Change an endpoint's traffic split, and wait until the target serves it.

    `changes` are percents by variant; with two variants the other one takes the rest.

    Raises:
        Refused: A rollout or an experiment owns the traffic.
        Conflict: Somebody else moved it meanwhile.
        Busy: A variant is not ready.
    """
    with project.lock("traffic"):
        meant = intent(project, endpoint, changes)
        state = project.target.state
        claim = owner.intend(
            state,
            endpoint,
            meant.after,
            kind="traffic",
            claim=owner.read(state, endpoint),
            now=project.wall(),
        )
        began = time.monotonic()
        if meant.before != meant.after:
            routed_endpoints(project.target).shift(endpoint, meant.after, expect=meant.token)
        served = read_back(project, endpoint, meant.after)
        with suppress(Conflict):  # who has taken it since saw it served, too
            owner.settle(state, endpoint, claim, now=project.wall())
    return TrafficChange(
        target=project.target.name,
        endpoint=endpoint,
        before=meant.before,
        after={v.name: v.percent for v in served.variants},
        seconds=time.monotonic() - began,
    )


def read_back(
    project: Project,
    endpoint: str,
    split: Mapping[str, Decimal],
    *,
    within: timedelta = timedelta(minutes=15),
) -> EndpointState:
    """Wait until the target serves the traffic split that was set; return the endpoint's state.

    Raises:
        Conflict: The target serves another split in the end.
        Unavailable: The time is over, or the target's clock stands still.
    """
    alarm = StillClockAlarm(project.target.clock, what=f"{endpoint}'s traffic")

    def over(state: EndpointState) -> bool:
        alarm.check()
        return state.phase == "failed" or all(v.percent == v.target_percent for v in state.variants)

    state = wait(
        lambda: observe(project, endpoint), over, deadline=within, what=f"{endpoint}'s traffic"
    )
    serving = {v.name: v.percent for v in state.variants}
    if serving != dict(split):
        meant = ", ".join(f"{name} {percent_text(percent)}" for name, percent in split.items())
        served = ", ".join(f"{name} {percent_text(percent)}" for name, percent in serving.items())
        why = f": {state.failure}" if state.failure else ""
        raise Conflict(
            f"{endpoint} was meant to serve {meant}, and serves {served}{why}",
            remedy="look at it, then set the split again",
        )
    return state


def observe(project: Project, endpoint: str) -> EndpointState:
    """Return an endpoint's observed state: phase, variants and traffic.

    Raises:
        NotFound: It is not deployed.
    """
    state = routed_endpoints(project.target).observe(endpoint)
    if state is None:
        endpoints = project.spec.endpoints
        claim = owner.read(project.target.state, endpoint)
        why = f": stopped by isthmus guard, {claim.owner.since}" if owner.is_stopped(claim) else ""
        raise NotFound(
            f"there is no endpoint {endpoint} on {project.target.name}{why}",
            remedy=f"isthmus deploy {endpoint}"
            if endpoint in endpoints
            else did_you_mean(endpoint, endpoints, has="project.yaml has"),
        )
    return state
