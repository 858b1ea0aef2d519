"""The endpoints that the stack keeps, with their fleets and routing."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from .....serving.model_server import ModelServer
from .....serving.weights import Choice, choice, two_fleets
from ....core.home.declarations import leaves_out
from ....core.registry import Context
from ...cloudwatch.variant_metrics import Source
from .checks import arn, refusal
from .plan import Plan

_choice = random.choice


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint configuration, as it was sent."""

    name: str
    created: datetime
    params: Mapping[str, Any]

    @property
    def production(self) -> list[dict[str, Any]]:
        """The production variants."""
        return list(self.params["ProductionVariants"])

    @property
    def shadow(self) -> list[dict[str, Any]]:
        """The shadow variants."""
        return list(self.params.get("ShadowProductionVariants") or ())


@leaves_out(servers=tuple, healthy=tuple)
class Variant:
    """One variant of one fleet: its configuration, its state, and the processes that serve it."""

    __slots__ = (
        *(
            "config",
            "count",
            "desired_count",
            "desired_weight",
            "healthy",
            "image",
            "name",
            "resolved",
            "servers",
            "serverless",
        ),
        *("statuses", "weight"),
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.name: str = config["VariantName"]
        self.weight = self.desired_weight = float(config.get("InitialVariantWeight", 1.0))
        self.serverless: dict[str, Any] | None = config.get("ServerlessConfig")
        self.count = self.desired_count = (
            0 if self.serverless else int(config.get("InitialInstanceCount") or 1)
        )
        # of its container, and when it was resolved; "": not yet, or nobody mapped it
        # (--moto-answers only)
        self.image = ""
        self.resolved: datetime | None = None
        self.servers: tuple[ModelServer, ...] = ()  # a process an instance (fleets.py)
        self.healthy: tuple[ModelServer, ...] = ()  # those of them that take requests
        self.statuses: list[dict[str, Any]] = []

    def pick(self) -> ModelServer | None:
        """Return the variant's instance for the next request, by its routing strategy.

        None: there is no healthy one.
        """
        healthy = self.healthy
        if len(healthy) < 2:
            return healthy[0] if healthy else None
        if (self.config.get("RoutingConfig") or {}).get(
            "RoutingStrategy"
        ) == "LEAST_OUTSTANDING_REQUESTS":
            return min(healthy, key=lambda server: server.busy)
        return _choice(healthy)


class Fleet:
    """The variants of one endpoint configuration."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.variants = {v["VariantName"]: Variant(v) for v in config.production}
        self.shadows = {v["VariantName"]: Variant(v) for v in config.shadow}
        self.capture: Mapping[str, Any] | None = config.params.get("DataCaptureConfig")
        self.started = threading.Event()  # every server answers, or one has failed
        self.failure: str | None = None

    @property
    def all(self) -> list[Variant]:
        """All variants, the shadows last."""
        return [*self.variants.values(), *self.shadows.values()]

    @property
    def instances(self) -> int:
        """The number of instances of the production variants."""
        return sum(variant.desired_count for variant in self.variants.values())

    def stop(self) -> None:
        """End all model servers of the fleet."""
        for variant in self.all:
            for server in variant.servers:
                server.retire()


class Target(msgspec.Struct, frozen=True):
    """A variant to which a request may go."""

    variant: Variant
    fleet: Fleet

    def source(self, endpoint: str) -> Source:
        """Return the endpoint, variant and configuration under which metrics are recorded."""
        return Source(endpoint, self.variant.name, self.fleet.config.name)


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of where requests go.

    Requests under way keep theirs while the next one is put in its place.
    """

    by_weight: Choice[Target]
    by_name: Mapping[str, Choice[Target]]
    shadow: Target | None = None
    shadow_share: float = 0.0


class Endpoint:
    """An endpoint, its fleets and where its traffic goes."""

    def __init__(self, name: str, own_arn: str, fleet: Fleet, now: datetime) -> None:
        self.name = name
        self.arn = own_arn
        self.fleet = fleet
        self.created = self.modified = now
        self.status = "Creating"
        self.failure: str | None = None
        self.deployment: Mapping[str, Any] | None = None  # the last DeploymentConfig
        self.pending: Fleet | None = None
        self.pending_since = now
        self.plan: Plan | None = None
        self.share = 0.0  # of the traffic, on the pending fleet
        self.routing: Routing | None = None  # None: it takes no requests
        self.stale: tuple[datetime, dict[str, Any]] | None = (
            None  # what readers see until then (the fault eventual-consistency)
        )
        self.lock = threading.RLock()

    def route(self) -> None:
        """Recompute which variants take which shares of the endpoint's traffic."""
        self.routing = routing(self.fleet, self.pending if self.share > 0 else None, self.share)

    @property
    def changing(self) -> bool:
        """Whether a change is under way."""
        return self.status in ("Creating", "Updating", "RollingBack", "Deleting")


def routing(live: Fleet, green: Fleet | None, share: float) -> Routing:
    """Return how requests are routed while a new fleet has a share of the traffic.

    Args:
        live: The fleet that serves.
        green: The fleet that takes its place; None: there is none.
        share: The share of the traffic on `green`, 0 to 1.
    """
    fleets = {False: live, True: green or live}
    weights = {
        side: {v.name: v.weight for v in fleet.variants.values()} for side, fleet in fleets.items()
    }
    chances = two_fleets(weights[False], weights[True], share if green else 0.0)
    targets = {
        key: Target(fleets[key[0]].variants[key[1]], fleets[key[0]])
        for key in chances
        if green or not key[0]
    }
    shadow = _shadow(green if green and share >= 1 else live)
    production = sum(weights[False].values())
    return Routing(
        by_weight=choice((targets[key], chances[key]) for key in targets),
        by_name={
            name: _choice_for_name(targets, name, share) for name in {name for _, name in targets}
        },
        shadow=shadow,
        shadow_share=min(1.0, shadow.variant.weight / production) if shadow and production else 0.0,
    )


def _choice_for_name(
    targets: Mapping[tuple[bool, str], Target], name: str, share: float
) -> Choice[Target]:
    """Return how requests that name a variant (TargetVariant) are routed.

    `targets` has the variants by (is in the new fleet, name), and `share` is the new fleet's share
    of the traffic. If both fleets have the variant, they share its requests; else the only one gets
    them all.
    """
    old, new = targets.get((False, name)), targets.get((True, name))
    if old and new:
        return choice(((old, 1 - share), (new, share)))
    return choice((target, 1.0) for target in (old, new) if target)


def _shadow(fleet: Fleet) -> Target | None:
    """Return the shadow variant of a fleet as a target of requests; None: it has none."""
    first = next(iter(fleet.shadows.values()), None)
    return Target(first, fleet) if first else None


class Endpoints:
    """The endpoints and configurations of one account and region."""

    def __init__(self) -> None:
        self.configs: dict[str, Config] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.lock = threading.RLock()


def find(ctx: Context, name: str) -> Endpoint | None:
    """Return an endpoint by name; None: there is none."""
    return ctx.store(Endpoints).endpoints.get(name)


def require_endpoint(ctx: Context, name: str) -> Endpoint:
    """Return an endpoint by name, or raise SageMaker's error.

    Raises:
        AwsError: There is no such endpoint.
    """
    endpoint = find(ctx, name)
    if endpoint is None:
        raise refusal(f'Could not find endpoint "{arn(ctx, "endpoint", name)}".')
    return endpoint


def config(ctx: Context, name: str) -> Config:
    """Return an endpoint configuration by name, or raise SageMaker's error.

    Raises:
        AwsError: There is no such configuration.
    """
    stored = ctx.store(Endpoints).configs.get(name)
    if stored is None:
        raise refusal(
            f'Could not find endpoint configuration "{arn(ctx, "endpoint-config", name)}".'
        )
    return stored
