"""The assignment of units to arms and parameters, by a hash of the unit's name alone. Pure.

`bucket` is MurmurHash3 (x86, 32 bits, seed 0) of `isthmus/1:<purpose>:<salt>:<unit>`, in ten
thousandths of its range, so any language can compute the same. mmh3 (MIT, maintained) computes it:
0.1 us a hash where SHA-256 takes 0.76.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any, Literal, final

import mmh3
import msgspec
from msgspec.structs import replace

from ....project.specs.description import BUCKETS, OF_EVERY_ENDPOINT
from ....project.specs.rules import Condition
from .live_document import BucketRanges, LiveArm, LiveExperiments, LiveLayer, LiveRun

REMEMBERED = 10_000  # decisions of an assigner, some 15 MB: ten layers of three arms have millions

Reason = Literal["split", "holdout"]
Purpose = Literal["layer", "arm", "holdout", "split", "shadow", "coin"]


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's arm in a run.

    A layer with a holdout has one more assignment, whose `run` is `<layer>_holdout` and whose arms
    are `in` and `holdout`.
    """

    run: str
    layer: str
    arm: str
    reason: Reason


class ParameterSource(msgspec.Struct, frozen=True, kw_only=True):
    """Which arm of which run says a parameter's value.

    Of a layer's holdout: `<layer>_holdout` and `holdout`.
    """

    run: str
    arm: str
    how: Literal["split", "holdout", "shipped"]
    targeted: bool


class Interleaving(msgspec.Struct, frozen=True, kw_only=True):
    """Both variants rank the unit's requests, and one order is made of the two (draft.py)."""

    run: str
    salt: str  # of its coins
    variants: tuple[str, str]


class UnitDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Shared by all units that have the same arms: nobody changes it."""

    assignments: tuple[Assignment, ...]
    arms: Mapping[str, str]  # by run, of the runs that the unit is compared in
    parameters: Mapping[str, Any]  # the endpoint's, with what the arms set
    variant: str | None  # the call is aimed at it
    explore: float | None  # percent; None: the endpoint's own
    settings: Mapping[
        str, Any
    ]  # the parameters, and `variant` and `explore` where an arm sets them
    sources: Mapping[str, ParameterSource]  # of the settings that a run has a say in
    logged: str | None  # the settings as JSON, in the order of their names; None: there are none
    logged_arms: str | None  # the arms, alike
    duel: Interleaving | None = (
        None  # then `variant` is the first of the two, for who cannot ask both
    )

    def undrawn(self) -> UnitDecision:
        """Return the decision without its interleaving, for a product that ranks its items itself.

        Only /rank can interleave two variants' rankings. The first variant answers, and the unit
        counts in no comparison.
        """
        if self.duel is None:
            return self
        run = self.duel.run
        arms = {name: arm for name, arm in self.arms.items() if name != run}
        return replace(
            self,
            assignments=tuple(assigned for assigned in self.assignments if assigned.run != run),
            arms=arms,
            sources={name: source for name, source in self.sources.items() if source.run != run},
            logged_arms=_json(arms),
            duel=None,
        )


def bucket(purpose: Purpose, salt: str, unit: str) -> int:
    """Return the hash bucket of a unit, from 0 to 9999; it depends on the purpose and the salt."""
    return _hash(_prefix(purpose, salt) + unit.encode()) * BUCKETS >> 32


def uppers(weights: Sequence[float]) -> list[int]:
    """Return, for each arm's weight, the bucket (0 to 10,000) at which the arm's range ends.

    It is floor(10000 x the cumulated share); the last arm's range ends at 10,000.
    """
    parts = [Fraction(str(weight)) for weight in weights]  # 0.1 is a tenth
    return [int(BUCKETS * part / sum(parts)) for part in accumulate(parts)]


def meets(conditions: Sequence[Condition], attributes: Mapping[str, Any]) -> bool:
    """Return whether a request's attributes meet all of these conditions."""
    return all(is_met(condition, attributes.get(condition.attribute)) for condition in conditions)


def is_met(condition: Condition, value: Any) -> bool:
    """Return whether an attribute's value meets one condition of a rule; null meets none.

    A running experiment may outlive an edit of project.yaml: a value that is no number any more
    meets no bound.
    """
    try:
        return (
            value is not None
            and (condition.among is None or value in condition.among)
            and (condition.not_among is None or value not in condition.not_among)
            and (condition.min is None or value >= condition.min)
            and (condition.max is None or value <= condition.max)
        )
    except TypeError:
        return False


@final
class Assigner:
    """The decisions of one endpoint under one document.

    `decide` may be called from many threads.
    """

    def __init__(
        self,
        live: LiveExperiments | None,
        endpoint: str,
        defaults: Mapping[str, Any],
        split: Mapping[str, BucketRanges] | None = None,
    ) -> None:
        """Prepare the assignment under a version of the live document.

        `live` None: nobody knows which experiments run, so every unit has the defaults and nothing
        is assigned.

        `split`: of a sticky endpoint, the buckets by variant. A run that aims has the last word.
        """
        layers = (
            {name: layer for name, layer in live.layers.items() if layer.endpoint == endpoint}
            if live
            else {}
        )
        runs = [run for run in live.runs if run.layer in layers] if live else []
        self.live = live
        self.version = live.version if live else None
        self.assigns = bool(runs) or any(layer.holdout for layer in layers.values())
        self.segments = {run.run: run.segments for run in runs}
        self._outside = next(
            (
                {"variant": control["variant"]}
                for run in runs
                if "variant" in (control := run.arms[0].parameters)
            ),
            {},
        )
        self.split = split
        self._parts = (
            *([_split(endpoint, split)] if split and not self._outside else []),
            *(_shipped_outcomes(run, layers[run.layer]) for run in runs if run.state == "shipped"),
            *(_layer(name, layer, _running(runs, name)) for name, layer in layers.items()),
        )
        self._choosers = tuple((choose, len(outcomes)) for choose, outcomes in self._parts)
        self._defaults = dict(defaults)
        self._decisions: dict[int, UnitDecision] = {}
        self.unassigned = _decision(
            self._defaults, {}, ()
        )  # what a unit gets whose arm cannot be served

    def decide(self, unit: str, attributes: Mapping[str, Any]) -> UnitDecision:
        """Return the arms and parameters of a unit, which is in one experiment of a layer at most.

        Units with the same outcomes share one decision, which is kept.
        """
        name, key = unit.encode(), 0
        for choose, outcomes in self._choosers:
            key = key * outcomes + choose(name, attributes)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= REMEMBERED:
                self._decisions.clear()
            decision = self._decisions[key] = _decision(
                self._defaults, self._outside, self._outcomes(key)
            )
        return decision

    def _outcomes(self, key: int) -> list[_Outcome]:
        """Return a unit's outcome in every layer, decoded from the one number that stands for all.

        `key` is that number, by which `decide` caches its decisions.
        """
        chosen: list[_Outcome] = []
        for _, outcomes in reversed(self._parts):
            key, number = divmod(key, len(outcomes))
            chosen.insert(0, outcomes[number])
        return chosen


def _running(runs: Sequence[LiveRun], layer: str) -> list[LiveRun]:
    """Return the experiment runs of a layer that still assign units, without shipped ones.

    A shipped run gives one arm's parameters to every unit.
    """
    return [run for run in runs if run.state == "running" and run.layer == layer]


class _Outcome(msgspec.Struct, frozen=True):
    parameters: Mapping[str, Any] = {}
    assignments: tuple[Assignment, ...] = ()
    sources: Mapping[str, ParameterSource] = {}
    duel: Interleaving | None = None


def _decision(
    defaults: Mapping[str, Any], outside: Mapping[str, Any], outcomes: Sequence[_Outcome]
) -> UnitDecision:
    """Return a unit's arms and parameters, merged from its outcomes in all experiment layers.

    `defaults` are the declared parameters, and `outside` those of units in no experiment. Where two
    outcomes set a parameter, the later layer's value counts.
    """
    values, sources = dict(outside), dict[str, ParameterSource]()
    for outcome in outcomes:
        values |= outcome.parameters
        sources |= outcome.sources
    own = {name: values.pop(name) for name in OF_EVERY_ENDPOINT if name in values}
    parameters = dict(defaults) | values
    assignments = tuple(assignment for outcome in outcomes for assignment in outcome.assignments)
    duel = next((outcome.duel for outcome in outcomes if outcome.duel), None)
    logged = {name: value for name, value in own.items() if duel is None or name != "variant"}
    return UnitDecision(
        assignments=assignments,
        arms={a.run: a.arm for a in assignments if a.reason == "split"},
        parameters=parameters,
        variant=own.get("variant"),
        explore=own.get("explore"),
        settings=parameters | own,
        sources=sources,
        logged=_json(parameters | logged),
        logged_arms=_json({a.run: a.arm for a in assignments if a.reason == "split"}),
        duel=duel,
    )


def _json(values: Mapping[str, Any]) -> str | None:
    """Return parameter values as JSON text with sorted keys, or None if there are none."""
    return json.dumps(values, sort_keys=True) if values else None


# From here on a hash is compared as it is with the first one of a bucket: that is the same, and
# saves a multiplication.
_OutcomeChoice = Callable[
    [bytes, Mapping[str, Any]], int
]  # of a unit and a request's attributes: the number of an outcome
_hash: Callable[[bytes], int] = mmh3.mmh3_32_uintdigest


def _split(
    endpoint: str, split: Mapping[str, BucketRanges]
) -> tuple[_OutcomeChoice, list[_Outcome]]:
    """Return a function that picks a unit's variant under a sticky split, and its outcomes.

    An outcome is what a unit gets: its variant. The function returns the number of one.
    """
    variant_of, prefix = array("H", bytes(2 * BUCKETS)), _prefix("split", endpoint)  # by bucket
    for number, ranges in enumerate(split.values()):
        for low, high in ranges:
            variant_of[low : high + 1] = array("H", [number]) * (high + 1 - low)

    def choose(unit: bytes, _attributes: Mapping[str, Any]) -> int:
        return variant_of[_hash(prefix + unit) * BUCKETS >> 32]

    return choose, [_Outcome({"variant": variant}) for variant in split]


def _layer(
    name: str, about: LiveLayer, runs: Sequence[LiveRun]
) -> tuple[_OutcomeChoice, list[_Outcome]]:
    """Return a function that picks a unit's outcome in an experiment layer, and all outcomes.

    An outcome is the arms and parameters that a unit gets: of no experiment; the layer's holdout;
    the arms and the holdout of each run. `about` has the layer's settings.
    """
    inside, outside = (_holdout_assignment(name, arm, about.holdout) for arm in ("in", "holdout"))
    untouched = {
        setting: source
        for run in runs
        for setting, source in _sources(run, f"{name}_holdout", "holdout", "holdout").items()
    }
    outcomes = [_Outcome({}, inside), _Outcome({}, outside, untouched)]
    choosers: list[_OutcomeChoice] = [lambda _unit, _attributes: 0]
    chooser_of = array("H", bytes(2 * BUCKETS))  # by bucket
    for number, run in enumerate(runs, 1):
        choosers.append(_arm(run, first=len(outcomes)))
        outcomes += _outcomes(run, inside)
        for low, high in run.ranges:
            chooser_of[low : high + 1] = array("H", [number]) * (high + 1 - low)
    holdout, holdout_below, prefix = (
        _prefix("holdout", name),
        _first_hash(about.holdout),
        _prefix("layer", about.salt),
    )

    def choose(unit: bytes, attributes: Mapping[str, Any]) -> int:
        if holdout_below and _hash(holdout + unit) < holdout_below:
            return 1
        return choosers[chooser_of[_hash(prefix + unit) * BUCKETS >> 32]](unit, attributes)

    return choose, outcomes


def _holdout_assignment(name: str, arm: str, holdout: int) -> tuple[Assignment, ...]:
    """Return the assignment that logs whether a unit is in a layer's holdout.

    `arm` is "in" or "holdout". The result is empty for a layer whose holdout is 0 %.
    """
    return (
        (Assignment(run=f"{name}_holdout", layer=name, arm=arm, reason="holdout"),)
        if holdout
        else ()
    )


def _arm(run: LiveRun, *, first: int) -> _OutcomeChoice:
    """Return the function that maps a unit to the number of its arm in an experiment's run.

    The number is 0 for a unit that the run does not target. The arms are numbered from `first` on;
    the run's holdout (units kept out of its arms, to compare with) has the number after them.
    """
    targeting, last = run.targeting, first + len(run.arms)
    holdout, holdout_below, prefix = (
        _prefix("holdout", run.experiment),
        _first_hash(run.holdout),
        _prefix("arm", run.salt),
    )
    ends = [_first_hash(arm.upper) for arm in run.arms]

    def choose(unit: bytes, attributes: Mapping[str, Any]) -> int:
        if targeting and not meets(targeting, attributes):
            return 0
        if holdout_below and _hash(holdout + unit) < holdout_below:
            return last
        return first + bisect_right(ends, _hash(prefix + unit))

    return choose


def _outcomes(run: LiveRun, besides: tuple[Assignment, ...]) -> list[_Outcome]:
    """Return what a unit gets in each arm of a run, and last what it gets in the run's holdout.

    A unit of the holdout gets the control's parameters. `besides` are assignments that are logged
    with each, such as that to the layer's holdout.
    """
    duel = (
        Interleaving(run=run.run, salt=run.salt, variants=run.interleave)
        if run.interleave
        else None
    )

    def outcome(arm: LiveArm, reason: Reason, duel: Interleaving | None = None) -> _Outcome:
        assigned = Assignment(run=run.run, layer=run.layer, arm=arm.name, reason=reason)
        return _Outcome(
            arm.parameters, (assigned, *besides), _sources(run, run.run, arm.name, reason), duel
        )

    return [*(outcome(arm, "split", duel) for arm in run.arms), outcome(run.arms[0], "holdout")]


def _shipped_outcomes(run: LiveRun, about: LiveLayer) -> tuple[_OutcomeChoice, list[_Outcome]]:
    """Return a function that picks a unit's outcome of a shipped run, and all outcomes.

    A shipped run gives one arm's parameters to every unit that it targets. The outcomes: not
    targeted; the layer's holdout; one for each arm; the run's holdout. `about` has the layer's
    settings.
    """
    ships = next(arm for arm in run.arms if arm.name == run.ships)
    control = run.arms[0]
    as_control = _Outcome(control.parameters, (), _sources(run, run.run, control.name, "holdout"))
    as_shipped = _Outcome(ships.parameters, (), _sources(run, run.run, ships.name, "shipped"))
    chosen = _arm(run, first=2)
    holdout, holdout_below = _prefix("holdout", run.layer), _first_hash(about.holdout)

    def choose(unit: bytes, attributes: Mapping[str, Any]) -> int:
        return (
            1
            if holdout_below and _hash(holdout + unit) < holdout_below
            else chosen(unit, attributes)
        )

    return choose, [_Outcome(), as_control, *[as_shipped] * len(run.arms), as_control]


def _sources(
    run: LiveRun, name: str, arm: str, how: Literal["split", "holdout", "shipped"]
) -> dict[str, ParameterSource]:
    """Return the run and the arm that each parameter's value comes from, by the parameter's name.

    `how` is the reason why the unit is in the arm.
    """
    source = ParameterSource(run=name, arm=arm, how=how, targeted=bool(run.targeting))
    return {parameter: source for other in run.arms for parameter in other.parameters}


def _prefix(purpose: Purpose, salt: str) -> bytes:
    """Return the bytes that are hashed before a unit's name; a new salt shuffles the units anew."""
    return f"isthmus/1:{purpose}:{salt}:".encode()


def _first_hash(bucket: int) -> int:
    """Return the smallest 32-bit hash that falls into a bucket."""
    return -(-(bucket << 32) // BUCKETS)
