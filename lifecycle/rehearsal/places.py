"""Places where a rollout is rehearsed on genuine adapters.

Either an empty home on this machine, or a cloud's offline stack on the manual clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol, final

from msgspec.structs import replace

from ...adapters import targets
from ...endpoints.operations.minutes import floor_minute
from ...project.specs.description import OfficeHours
from ...rollouts.rehearsal.rehearse import opening
from ...rollouts.world import START
from ...target import Profile, Target

if TYPE_CHECKING:
    from isthmus_stack.client import Stack

_MINUTE = timedelta(minutes=1)
# of the request log: the rehearsal's minutes lie in another year than the real requests that are
# written beside them
_KEPT = "3650d"


class Place(Protocol):
    profile: Profile

    def start(self, hours: OfficeHours) -> datetime:
        """Move the rehearsal's clock to a minute within office hours, and return that time."""
        ...

    def open(self) -> Target:
        """Open the rehearsal's target again, as another rollout controller would."""
        ...

    def rollback(self, times: int) -> None:
        """Silently undo the next `times` changes of the traffic split, as a provider may."""
        ...


@final
class Home:
    """A home on this machine. Its clock is the rehearsal's alone."""

    def __init__(self, profile: Profile) -> None:
        serving = {**profile.options.get("serving", {}), "request_log": _KEPT}
        self.profile = replace(profile, options={**profile.options, "serving": serving})
        self._rollbacks = 0

    def start(self, hours: OfficeHours) -> datetime:
        """Return the first moment within office hours, at which the rehearsal starts."""
        return opening(hours, START)

    def open(self) -> Target:
        """Open a target on the rehearsal's laptop home, for a rollout controller."""
        target = targets.load(self.profile)
        shift = target.endpoints.shift

        def going_back(endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
            """Put a split back right after it was set, which no router of ours does."""
            previous_state = target.endpoints.observe(endpoint)
            shift(endpoint, split, expect=expect)
            if self._rollbacks and previous_state is not None:
                self._rollbacks -= 1
                after = target.endpoints.observe(endpoint)
                if after is not None:
                    shift(
                        endpoint,
                        {variant.name: variant.percent for variant in previous_state.variants},
                        expect=after.token,
                    )

        target.endpoints.shift = going_back  # type: ignore[method-assign]  # of this one target
        return target

    def rollback(self, times: int) -> None:
        """Silently undo the next `times` changes of the traffic split right after they are made."""
        self._rollbacks += times


@final
class Cloud:
    """A cloud's offline stack, whose clock stands still until it is moved."""

    def __init__(self, profile: Profile, stack: Stack) -> None:
        self.profile, self.stack = profile, stack

    def start(self, hours: OfficeHours) -> datetime:
        """Move the offline stack's clock to office hours, and return that time."""
        now = self.stack.now()
        start = opening(hours, floor_minute(now) + _MINUTE)
        self.stack.advance((start - now).total_seconds())
        return start

    def open(self) -> Target:
        """Open a target on the rehearsal's offline stack, for a rollout controller."""
        return targets.load(self.profile)

    def rollback(self, times: int) -> None:
        """Make the offline stack silently undo the next `times` changes of the traffic split."""
        self.stack.fault(kind="silent-rollback", times=times)
