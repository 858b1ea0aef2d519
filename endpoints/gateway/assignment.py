"""Which arm of which experiment a unit has, and with it which parameters: by a hash of the unit's name alone. Pure.

`bucket` is MurmurHash3 (x86, 32 bits, seed 0) of `isthmus/1:<purpose>:<salt>:<unit>`, in ten thousandths of its range, so any language can
say the same. mmh3 (MIT, maintained) computes it: 0.1 us a hash where SHA-256 takes 0.76.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import accumulate
from typing import Any, Literal, final

import mmh3
import msgspec

from ...formats import StoredDocument
from ...project.specs import Condition

BUCKETS = 10_000
LIVE = "experiments/live"  # the document's key in the StateStore
LARGEST = 64 * 1024  # bytes of it
OWN = ("variant", "explore")  # parameters that every endpoint has

Reason = Literal["split", "holdout"]
Purpose = Literal["layer", "arm", "holdout", "split"]


class LiveLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    endpoint: str
    salt: str
    holdout: int = 0  # the lowest buckets of purpose `holdout`


class LiveArm(msgspec.Struct, frozen=True, array_like=True):
    """`upper`: the first bucket of purpose `arm` that it does not have; the arm before it has those below."""

    name: str
    upper: int
    parameters: dict[str, Any] = {}


class LiveRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of an experiment as gateways know it. Its first arm is the control.

    shipped: every unit of the endpoint has the parameters of arm `ships`, in the layer's holdout and the experiment's it has the control's.
    """

    run: str  # <experiment>.<number>
    experiment: str
    layer: str
    state: Literal["running", "shipped"] = "running"
    ranges: tuple[tuple[int, int], ...] = ()  # buckets of the layer, both ends included
    arms: tuple[LiveArm, ...]
    holdout: int = 0
    targeting: tuple[Condition, ...] = ()
    salt: str  # of purpose `arm`: the run's name, or what `salt:` says
    ships: str = ""
    segments: tuple[str, ...] = ()  # attributes of a request that are logged with an assignment
    started: datetime

    @property
    def aims(self) -> bool:
        return any("variant" in arm.parameters for arm in self.arms)


class Live(StoredDocument, frozen=True, kw_only=True):
    """`experiments/live`: all that a gateway needs."""

    version: int = 0
    written: datetime
    layers: dict[str, LiveLayer] = {}
    runs: tuple[LiveRun, ...] = ()


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Of a layer with a holdout there is one more, whose `run` is `<layer>_holdout` and whose arms are `in` and `holdout`."""

    run: str
    layer: str
    arm: str
    reason: Reason


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Shared by all units that have the same arms: nobody changes it."""

    assignments: tuple[Assignment, ...]
    arms: Mapping[str, str]  # by run, of the runs that the unit is compared in
    parameters: Mapping[str, Any]  # the endpoint's, with what the arms set
    variant: str | None  # the call is aimed at it
    explore: float | None  # percent; None: the endpoint's own
    logged: str  # JSON, in the order of the names: parameters, and `variant` and `explore` where an arm sets them


def bucket(purpose: Purpose, salt: str, unit: str) -> int:
    """0 .. 9999."""
    return _bucket(_prefix(purpose, salt) + unit.encode())


def uppers(weights: Sequence[float]) -> list[int]:
    """The bucket at which each arm ends: floor(10000 x the cumulated share), the last 10,000."""
    parts = [Fraction(str(weight)) for weight in weights]  # 0.1 is a tenth
    return [int(BUCKETS * part / sum(parts)) for part in accumulate(parts)]


def meets(conditions: Sequence[Condition], attributes: Mapping[str, Any]) -> bool:
    return all(_meets(condition, attributes.get(condition.attribute)) for condition in conditions)


def _meets(condition: Condition, value: Any) -> bool:
    return (
        value is not None
        and (condition.among is None or value in condition.among)
        and (condition.not_among is None or value not in condition.not_among)
        and (condition.min is None or value >= condition.min)
        and (condition.max is None or value <= condition.max)
    )


@final
class Assigner:
    """The decisions of one endpoint under one document. `decide` may be called from many threads."""

    def __init__(self, live: Live | None, endpoint: str, defaults: Mapping[str, Any]) -> None:
        """`live` None: nobody knows which experiments run, so every unit has the defaults and nothing is assigned."""
        layers = {name: layer for name, layer in live.layers.items() if layer.endpoint == endpoint} if live else {}
        runs = [_Run(run) for run in live.runs if run.layer in layers] if live else []
        self.version = live.version if live else None
        self._defaults = dict(defaults)
        self._outside = next(({"variant": run.control["variant"]} for run in runs if "variant" in run.control), {})
        self._parts: tuple[_Shipped | _Layer, ...] = (
            *(_Shipped(run, layers[run.live.layer]) for run in runs if run.live.state == "shipped"),
            *(_Layer(name, about, _running(runs, name)) for name, about in layers.items()),
        )
        self._decisions: dict[tuple[int, ...], Decision] = {}

    def decide(self, unit: str, attributes: Mapping[str, Any]) -> Decision:
        name = unit.encode()
        key = tuple([part.choose(name, attributes) for part in self._parts])
        decision = self._decisions.get(key)
        if decision is None:
            decision = self._decisions[key] = self._decision(key)
        return decision

    def _decision(self, key: Sequence[int]) -> Decision:
        outcomes = [part.outcomes[at] for part, at in zip(self._parts, key, strict=True)]
        values: dict[str, Any] = dict(self._outside)
        for outcome in outcomes:
            values |= outcome.parameters
        own = {name: values.pop(name) for name in OWN if name in values}
        parameters = self._defaults | values
        assignments = tuple(assignment for outcome in outcomes for assignment in outcome.assignments)
        return Decision(
            assignments=assignments,
            arms={a.run: a.arm for a in assignments if a.reason == "split"},
            parameters=parameters,
            variant=own.get("variant"),
            explore=own.get("explore"),
            logged=json.dumps(parameters | own, sort_keys=True),
        )


def _running(runs: Sequence[_Run], layer: str) -> list[_Run]:
    return [run for run in runs if run.live.state == "running" and run.live.layer == layer]


class _Outcome(msgspec.Struct, frozen=True):
    parameters: Mapping[str, Any] = {}
    assignments: tuple[Assignment, ...] = ()


@final
class _Holdout:
    def __init__(self, salt: str, size: int) -> None:
        self._size = size
        self._prefix = _prefix("holdout", salt)

    def has(self, unit: bytes) -> bool:
        return self._size > 0 and _bucket(self._prefix + unit) < self._size


@final
class _Run:
    def __init__(self, live: LiveRun) -> None:
        self.live = live
        self.control = live.arms[0].parameters
        self._holdout = _Holdout(live.experiment, live.holdout)
        self._prefix = _prefix("arm", live.salt)
        self._uppers = [arm.upper for arm in live.arms]

    def choose(self, unit: bytes, attributes: Mapping[str, Any]) -> int | None:
        """The arm's number; -1: held out, with the control's parameters; None: not one of its units."""
        if self.live.targeting and not meets(self.live.targeting, attributes):
            return None
        return -1 if self._holdout.has(unit) else bisect_right(self._uppers, _bucket(self._prefix + unit))

    def outcomes(self, besides: tuple[Assignment, ...]) -> list[_Outcome]:
        """By `choose`: of each arm, and last of the holdout."""
        control = self.live.arms[0]
        return [
            *(_Outcome(arm.parameters, (self._assigned(arm.name, "split"), *besides)) for arm in self.live.arms),
            _Outcome(control.parameters, (self._assigned(control.name, "holdout"), *besides)),
        ]

    def _assigned(self, arm: str, reason: Reason) -> Assignment:
        return Assignment(run=self.live.run, layer=self.live.layer, arm=arm, reason=reason)


@final
class _Layer:
    """outcomes: none of its runs; its holdout; then those of each run."""

    def __init__(self, name: str, about: LiveLayer, runs: Sequence[_Run]) -> None:
        self._holdout = _Holdout(name, about.holdout)
        self._prefix = _prefix("layer", about.salt)
        inside, outside = (self._held(name, arm, about.holdout) for arm in ("in", "holdout"))
        self.outcomes = [_Outcome({}, inside), _Outcome({}, outside)]
        self._runs: list[tuple[_Run, int]] = []
        self._run_of = array("H", bytes(2 * BUCKETS))  # a bucket's run, from 1; 0: none
        for number, run in enumerate(runs, 1):
            self._runs.append((run, len(self.outcomes)))
            self.outcomes += run.outcomes(inside)
            for low, high in run.live.ranges:
                self._run_of[low : high + 1] = array("H", [number]) * (high + 1 - low)

    @staticmethod
    def _held(name: str, arm: str, holdout: int) -> tuple[Assignment, ...]:
        return (Assignment(run=f"{name}_holdout", layer=name, arm=arm, reason="holdout"),) if holdout else ()

    def choose(self, unit: bytes, attributes: Mapping[str, Any]) -> int:
        if self._holdout.has(unit):
            return 1
        number = self._run_of[_bucket(self._prefix + unit)]
        if not number:
            return 0
        run, first = self._runs[number - 1]
        arm = run.choose(unit, attributes)
        if arm is None:
            return 0
        return first + (arm if arm >= 0 else len(run.live.arms))


@final
class _Shipped:
    """outcomes: not targeted; one of the two holdouts; the shipped arm."""

    def __init__(self, run: _Run, about: LiveLayer) -> None:
        self._layer_holdout = _Holdout(run.live.layer, about.holdout)
        self._run = run
        arm = next(arm for arm in run.live.arms if arm.name == run.live.ships)
        self.outcomes = [_Outcome(), _Outcome(run.control), _Outcome(arm.parameters)]

    def choose(self, unit: bytes, attributes: Mapping[str, Any]) -> int:
        if self._layer_holdout.has(unit):
            return 1
        arm = self._run.choose(unit, attributes)
        return 0 if arm is None else 1 if arm < 0 else 2


def _prefix(purpose: Purpose, salt: str) -> bytes:
    return f"isthmus/1:{purpose}:{salt}:".encode()


def _bucket(named: bytes) -> int:
    return int(mmh3.mmh3_32_uintdigest(named, 0)) * BUCKETS >> 32
