"""The ports EndpointHost, MetricSource, Counters and TrafficScript.

`apply` owns the variants, `shift` the traffic: two verbs, because they have two owners.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

import msgspec

from ..events.port import Row
from ..project.reading.names import neutral
from ..storage import Phase

NO_PARAMETERS: Final[Mapping[str, object]] = MappingProxyType({})


class VariantSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variant as it is to run.

    It is stored without its defaults: whoever wrote (1, 1) for `instances` before it could be None
    meant the profile's, too.
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
    """An endpoint as it is to run. A new one gives its first variant 100 %, the others 0.

    `sticky`: the gateway splits (traffic/router.py). The host answers a call that names its
    variant, and any other by the first one; `shift` is Unsupported. What an endpoint has here it
    keeps: Conflict.
    """

    name: str
    variants: tuple[VariantSpec, ...]
    routing: Literal["weighted", "sticky"] = "weighted"
    capture_percent: int = 0


class VariantState(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as it is observed."""

    name: str
    model: str
    version: int
    percent: Decimal  # serving now
    target_percent: Decimal
    instances: int  # serving now
    target_instances: int
    phase: Phase


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is observed."""

    name: str
    phase: Phase
    revision: str  # hash of the running variant set, without weights and counts; or foreign:<what>
    token: str
    variants: tuple[VariantState, ...]
    failure: str | None = None
    routing: Literal["weighted", "sticky"] = "weighted"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's predictions for one call."""

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
        """Take one step towards an endpoint's spec; return the state that was seen before it.

        Raises:
            Conflict: It would remove or change a variant that has traffic.
        """
        ...

    def shift(self, endpoint: str, split: Mapping[str, Decimal], *, expect: str) -> None:
        """Set the traffic split, unless the endpoint changed since `expect` was read.

        Args:
            endpoint: Its name.
            split: Every variant's percent; they sum to 100.
            expect: The token that `observe` returned.

        Raises:
            Conflict: It changed.
            Busy: A variant is not ready, or the endpoint is being changed.
            Unsupported: The gateway splits (routing.sticky).
        """
        ...

    def observe(self, endpoint: str) -> EndpointState | None:
        """Return phase, variants with percent and counts, and the token that `shift` expects.

        The token stays the same until the split or the variants change, whatever else of the
        provider's changes: etags, times, processes, autoscaled instances. On a target with
        `traffic.touch` each shift makes a new token, even one to the same split.

        Returns:
            The state; None: there is no such endpoint.
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
        """Ask a variant, or the one that the split chooses, for predictions.

        Args:
            endpoint: Its name.
            instances: A row of features each.
            variant: The variant that answers; None: the split decides.
            request_id: The caller's, for the provider's logs.
            parameters: bool, int, float or str by name, for this call alone; a predictor gets those
                that it accepts.

        Raises:
            Invalid: A parameter is one that JSON cannot carry to every target alike; nothing was
                sent.
            ModelError: The model failed.
            Busy: The endpoint is.
        """
        ...


class MetricSource(Protocol):
    """Figures of an endpoint by the target's own monitoring, in whole minutes (UTC)."""

    def read(self, endpoint: str, window: Window) -> Mapping[str, tuple[Bucket, ...]]:
        """Return each variant's minutes with requests, in order.

        Latencies are in milliseconds.

        Raises:
            NotSettled: The window is too young.
            NotFound: There is no such endpoint.
            Invalid: The window is not whole minutes.
        """
        ...


class Counters(Protocol):
    """Counts of how often each unit was shown what. Optional: `target.counters`.

    They are a document of whole numbers for each unit of an endpoint. Names of numbers are the
    caller's and say nothing to a port. A lost reply may count twice: at least once.
    """

    def apply(self, endpoint: str) -> None:
        """Create the endpoint's store for how often each unit was shown an item.

        It is tagged at once. Repeating it is safe.
        """
        ...

    def observe(self, endpoint: str) -> Phase | None:
        """Return the phase of the store of counts, such as ready; None if it does not exist.

        `apply` creates it.
        """
        ...

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        """Return a unit's counts by name, with all that was added before this call.

        A unit that nothing was added for has none.

        Raises:
            NotFound: `apply` was not called.
            Unavailable: The store does not answer.
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
        """Add amounts to a unit's counts and remove those in `forget`, in one atomic write.

        Args:
            endpoint: Its name.
            unit: The unit's.
            amounts: The amounts to add, by the count's name.
            forget: Names of counts to remove.
            until: The real time after which the whole document may vanish.

        Raises:
            NotFound: `apply` was not called.
            Unavailable: The store does not answer.
        """
        ...


class TrafficScript(Protocol):
    """Requests that nobody sent, in the target's metrics. Optional, and on no real cloud.

    It is `target.extra("traffic_script")`.
    """

    def add(self, endpoint: str, minutes: Sequence[TrafficMinute]) -> None:
        """Write simulated minutes of requests into the target's metrics.

        Raises:
            NotFound: There is no such endpoint.
            Invalid: There is no such variant, or a minute cannot have been.
            Unsupported: The target is a real cloud, or another emulator.
        """
        ...

    def advance(self, span: timedelta) -> None:
        """Move the provider's own clock on, if it can be moved.

        Calls after that see what came due in that time.
        """
        ...


class RunningVariant(msgspec.Struct, frozen=True, kw_only=True):
    """A variant that a provider runs already, and what it serves."""

    name: str  # ours
    native: str  # the provider's
    runs: str  # the provider's name of its model
    machine: str
    instances: int
    percent: Decimal  # of the traffic, as it is meant to be
    content: str  # digest of what it serves
    image: str
    uri: str  # of the model's files; "": they are in the image
    model: str = ""  # as it is registered with us
    version: int = 0  # 0: it is not adopted yet

    @property
    def label(self) -> str:
        """Return the variant's name for messages: the provider's, unless that is a mere number."""
        return self.native if neutral(self.native) == self.name else self.name


class RunningEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that a provider runs already."""

    native: str
    native_id: str
    name: str  # ours
    owner: str | None  # the project whose tags it carries
    options: dict[str, Any]  # what the target of profiles.yaml must say to know it
    variants: tuple[RunningVariant, ...]
    # what it is tagged under, where the provider has preconditions: it has not changed since it was
    # looked at
    token: str = ""


class Adopter(Protocol):
    """The inspector of a provider's existing endpoints, which makes one the project's."""

    def look(self, native: str, *, name: str | None) -> RunningEndpoint:
        """Return what an endpoint that already runs serves, without changing anything.

        Args:
            native: the provider's name of it.
            name: what the project calls it; None: as profiles.yaml, its tags or its own name say.

        Raises:
            NotFound: there is no such endpoint.
            Busy: it is being changed.
            Refused: it belongs to somebody else.
            Unsupported: an endpoint of its kind cannot be taken over.
        """
        ...

    def tag(self, standing: RunningEndpoint, refs: Mapping[str, str]) -> None:
        """Tag a running endpoint as the project's, in one call.

        Args:
            standing: the endpoint as `look` described it.
            refs: `model@version` by the digest of what a variant serves.

        Raises:
            Conflict: somebody changed it since it was looked at.
        """
        ...
