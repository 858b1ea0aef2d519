"""Settings in which a scenario is played: an endpoint, stores and a clock that is moved.

The scripted world is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, final

import msgspec

from ...endpoints.port import EndpointSpec
from ..state.ports import ControllerPorts
from ..state.states import RolloutPlan
from ..world import World
from ..world.host import Traits
from ..world.traffic import Minute, VariantBehaviour
from .scenario import Answers, Outage, Provider, Requests, Scenario

Change = Answers | Requests | Outage | Provider


class Setting(Protocol):
    """A setting in which a scenario is played."""

    def now(self) -> datetime:
        """Return the simulated time."""
        ...

    def ports(self) -> ControllerPorts:
        """Return the interfaces to the environment for one more controller, or another user."""
        ...

    def advance(self, span: timedelta) -> None:
        """Move the simulated clock on, and answer the requests of that time."""
        ...

    def change(self, change: Change) -> Callable[[], None]:
        """Apply a scripted change of traffic, answers or metrics; return a function to undo it."""
        ...

    def minutes(self) -> Mapping[str, Sequence[Minute]]:
        """Return each variant's simulated requests, errors and latency by minute."""
        ...

    def close(self) -> None:
        """Release what the environment holds."""


@final
class WorldSetting:
    """The scripted world, as large and as slow as a target."""

    def __init__(
        self, scenario: Scenario, plan: RolloutPlan, traits: Traits, start: datetime
    ) -> None:
        spec: EndpointSpec = plan.spec
        aliases = {
            (variant.model, alias): variant.version
            for variant, alias in zip(spec.variants, aliases_of(plan), strict=True)
            if alias
        }
        self.world = World(
            traits=msgspec.structs.replace(traits, room=scenario.room),
            spec=spec,
            split=plan.initial,
            per_minute=scenario.per_minute,
            behaviours={variant.name: scenario.usual for variant in spec.variants},
            aliases=aliases,
            start=start,
        )

    def now(self) -> datetime:
        """Return the simulated time."""
        return self.world.now()

    def ports(self) -> ControllerPorts:
        """Return interfaces to the simulated world, for one more controller or another user."""
        return self.world.ports()

    def advance(self, span: timedelta) -> None:
        """Move the simulated clock on."""
        self.world.advance(span)

    def change(self, change: Change) -> Callable[[], None]:
        """Apply a scripted change of traffic, answers or metrics; return a function to undo it."""
        match change:
            case Answers(variant=variant, changes=changes):
                return self._answers(variant, changes)
            case Requests(per_minute=per_minute):
                usual, self.world.traffic.per_minute = self.world.traffic.per_minute, per_minute
                return lambda: setattr(self.world.traffic, "per_minute", usual)
            case Outage():
                self.world.outage = True
                return lambda: setattr(self.world, "outage", False)
            case Provider(does="busy", span=span):
                self.world.fleet.occupy(span)
            case Provider(does="silent rollback", times=times):
                self.world.fleet.rollbacks += times
            case Provider():
                pass  # it happens to a call, wherever that goes: see traps.py
        return lambda: None

    def minutes(self) -> Mapping[str, Sequence[Minute]]:
        """Return each variant's simulated requests, errors and latency by minute."""
        return self.world.minutes

    def close(self) -> None:
        """Do nothing: a simulated world holds no resources."""
        return

    def _answers(self, variant: str, changes: Mapping[str, float]) -> Callable[[], None]:
        """Change how a simulated variant answers; return the function that undoes it.

        `changes` has new values, such as an error rate, by name.
        """
        usual: VariantBehaviour = self.world.fleet.variants[variant].behaviour
        self.world.behave(variant, msgspec.structs.replace(usual, **changes))
        return lambda: self.world.behave(variant, usual)


def aliases_of(plan: RolloutPlan) -> tuple[str | None, ...]:
    """Return the model alias of each variant, in the plan's order; None where it names none."""
    names = {plan.source: plan.promote_alias, plan.to: plan.retire_alias}
    return tuple(names.get(variant.name) for variant in plan.spec.variants)
