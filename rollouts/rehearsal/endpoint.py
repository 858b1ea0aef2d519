"""An endpoint to rehearse on where there is none, as a plan expects it.

Models stand in for the project's own.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from ...endpoints.port import EndpointState
from ...endpoints.traffic.router import RoutedEndpoints, routed_endpoints
from ...errors import NotFound
from ...pipelines.models import predictor
from ...project.specs.description import Model
from ...storage import wait
from ...target import Target
from ..state.states import RolloutPlan
from .setting import aliases_of
from .stand_in import StandIn

_MINUTE = timedelta(minutes=1)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_REAL = timedelta(minutes=2)  # for model servers to start


def stand_up(target: Target, plan: RolloutPlan) -> None:
    """Create the endpoint that a rollout's plan starts from, on an empty target, for a rehearsal.

    It has the models' versions and aliases, every variant ready, and the split that the plan begins
    with.
    """
    for variant, alias in zip(plan.spec.variants, aliases_of(plan), strict=True):
        _register(target, variant.model, variant.version)
        if alias is not None:
            target.registry.set_alias(variant.model, alias, variant.version)
    # a split that has served for long, on any clock
    host = RoutedEndpoints(target.endpoints, target.state, lambda: _LONG_AGO)
    host.apply(plan.spec)
    ready = _wait_until_ready(target, plan.spec.name)
    host.shift(plan.spec.name, plan.initial, expect=ready.token)
    _wait_until_ready(target, plan.spec.name)


def _register(target: Target, model: str, version: int) -> None:
    """Register stand-in versions of a model until the version with this number exists.

    Each has other content, as the same content would be the same version.
    """
    with TemporaryDirectory(prefix="isthmus-stand-in-") as folder:
        for number in range(len(target.registry.versions(model)) + 1, version + 1):
            described = Model(
                name="stand_in",
                path="",
                model=model,
                objective="",
                features=(),
                trainer=StandIn.__module__,
            )
            place = Path(folder) / str(number)
            digest = predictor.save(StandIn(float(number)), place, model=described)
            uri = f"{target.blobs.root.rstrip('/')}/models/{model}/{digest}"
            target.blobs.upload(place, uri)
            target.registry.register(
                model,
                uri=uri,
                digest=digest,
                image=str(target.profile.options.get("image") or "isthmus"),
            )


def _wait_until_ready(target: Target, name: str) -> EndpointState:
    """Wait until an endpoint is ready, moving the provider's own clock; return its state."""
    script = target.extra("traffic_script")  # noqa: S610  not Django's

    def later() -> EndpointState:
        script.advance(_MINUTE)
        state = routed_endpoints(target).observe(name)
        if state is None:
            raise NotFound(f"there is no endpoint {name}")
        return state

    return wait(
        later, lambda state: state.phase == "ready", deadline=_REAL, what=f"endpoint {name}"
    )
