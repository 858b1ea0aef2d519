"""EndpointHost and MetricSource.

`apply` owns the variants, `shift` the traffic: two verbs, because they have two owners.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final, Literal, Protocol

import msgspec

from ..events.port import Row
from ..storage import Phase

NO_PARAMETERS: Final[Mapping[str, object]] = MappingProxyType({})


class VariantSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stored without its defaults: who wrote (1, 1) for `instances` before it could be None meant
    the profile's, too.
    """

    name: str
    model: str
    version: int
    machine: str = ""
    instances: tuple[int, int] | None = (
        None  # the fewest and the most; None: as many as the profile says
    )
    attempt: int = 0  # deploy the same version again


class EndpointSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A new endpoint gives its first variant 100 %, the others 0.

    `sticky`: the gateway splits (router.py). The host answers a call that names its variant, and
    any other by the first one; `shift` is Unsupported. What an endpoint has here it keeps:
    Conflict.
    """

    name: str
    variants: tuple[VariantSpec, ...]
    routing: Literal["weighted", "sticky"] = "weighted"
    capture_percent: int = 0


class VariantState(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    model: str
    version: int
    percent: Decimal  # serving now
    target_percent: Decimal
    instances: int  # serving now
    target_instances: int
    phase: Phase


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    phase: Phase
    revision: str  # hash of the running variant set, without weights and counts; or foreign:<what>
    token: str
    variants: tuple[VariantState, ...]
    failure: str | None = None
    routing: Literal["weighted", "sticky"] = "weighted"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    predictions: tuple[object, ...]
    variant: str
    version: int | None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Whole minutes, [start, end)."""

    start: datetime
    end: datetime


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of one variant. It exists if and only if a request finished in that minute."""

    start: datetime
    requests: int
    client_errors: int
    server_errors: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


class TrafficMinute(msgspec.Struct, frozen=True, kw_only=True):
    """A minute of one variant's requests that a scripted world says there were.

    The errors are the first of them.
    """

    variant: str
    start: datetime
    requests: int
    client_errors: int = 0
    server_errors: int = 0
    latencies_ms: tuple[float, ...]  # of the requests in their order, and again from the first


class EndpointHost(Protocol):
    """Endpoints with variants.

    No method waits for the provider: `apply` is asked again until what is observed is what is
    wanted.
    """

    def apply(self, spec: EndpointSpec) -> EndpointState:
        """Bring the variants nearer to the spec; return what it saw before acting.

        Conflict: it would remove or change a variant that has traffic.
        """
        ...

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Every variant, in percent, sum 100.

        Conflict, Busy, Unsupported (routing.sticky: the gateway splits).
        """
        ...

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return phase, variants with percent and counts, and the token that `shift` expects; None:
        there is no such endpoint.

        Two looks between which nobody changed split or variants have one token, whatever else of
        the provider's moved: its etags and times, processes, instances by autoscaling. Where a
        shift fences (`traffic.touch`) each makes another one, also to the same split.
        """
        ...

    def invoke(
        self,
        endpoint: str,
        instances: Sequence[Row],
        *,
        variant: str | None,
        request_id: str,
        parameters: Mapping[str, object] = NO_PARAMETERS,
    ) -> Reply:
        """ModelError, Busy.

        `parameters`: bool, int, float or str by name, for this call alone; a predictor gets those
        that it accepts.

        Invalid, before anything is sent: a parameter that JSON cannot carry to every target alike.
        """
        ...


class MetricSource(Protocol):
    """What the target's own monitoring counted of an endpoint, in whole minutes (UTC)."""

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """By variant its minutes in order, latencies in milliseconds; one without a request is left
        out.

        NotSettled: the window is too young. NotFound: no such endpoint. Invalid: not whole minutes.
        """
        ...


class Counters(Protocol):
    """Optional, `target.counters`: how often a unit was shown what, a document of whole numbers for
    each unit of an endpoint.

    Names of numbers are the caller's and say nothing to a port. At least once: what a lost reply
    repeats may count twice.
    """

    def apply(self, endpoint: str) -> None:
        """The table or collection, tagged in the call that creates it. Repeatable."""
        ...

    def observe(self, endpoint: str) -> Phase | None:
        """None: nothing was made for the endpoint."""
        ...

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        """All that was added before this call began.

        A unit that nothing was added for has none. NotFound: no `apply`. Unavailable.
        """
        ...

    def add(
        self,
        endpoint: str,
        unit: str,
        amounts: Mapping[str, int],
        *,
        forget: Collection[str] = (),
        until: datetime,
    ) -> None:
        """Add each, atomically; take `forget` out in the same write.

        After `until` (real time) the whole document may vanish. As `get`.
        """
        ...


class TrafficScript(Protocol):
    """Optional, `target.extra("traffic_script")`: puts into the target's metrics what nobody sent.

    No real cloud has it.
    """

    def add(self, endpoint: str, minutes: Sequence[TrafficMinute]) -> None:
        """NotFound: no such endpoint.

        Invalid: no such variant, or a minute that cannot be. Unsupported: a real cloud, another
        emulator.
        """
        ...

    def advance(self, span: timedelta) -> None:
        """Move the provider's own clock, where it has one that is moved.

        Whoever is asked after that sees what came due.
        """
        ...
