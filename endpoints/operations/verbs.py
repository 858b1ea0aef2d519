"""The verbs of `isthmus endpoints`: list, invoke, explain, metrics, logs, shadow, service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid, NotFound
from ...project.reading.names import did_you_mean
from ...reports.results import Shown
from ..port import Bucket
from .listing import Listing, listing
from .minutes import settled_window
from .shadow_figures import ShadowFigures, shadow_figures

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ..gateway.rank.explanation import Explanation
    from ..gateway.rank.ranking_answer import Ranking
    from ..port import Reply


class ServiceUnit(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A systemd user unit, and the file that it belongs into."""

    unit: str
    place: str


def list(project: Project) -> Listing:
    """Return state, variants and split of each endpoint in project.yaml; None if not deployed."""
    return listing(project)


def invoke(
    project: Project,
    endpoint: str,
    request: Mapping[str, Any],
    *,
    parameters: Mapping[str, object] | None = None,
) -> Ranking | Reply:
    """Rank a request once, as the gateway does; its exposure is logged before this returns.

    With `parameters` it only asks the model for predictions: nothing is shown or logged. For many
    requests keep an `im.Gateway`.

    Args:
        project: An open project.
        endpoint: Its name.
        request: The unit, the candidates and what else the models read.
        parameters: Values for the model's parameters, by name.

    Raises:
        Invalid: The request is wrong, or a parameter is one that no deployed model takes.
        ModelError: The model failed.
        Busy: The endpoint is.
        Unavailable: The endpoint does not answer.
    """
    from ..gateway.gateway import Gateway

    with Gateway(project, endpoint, durable=True) as gateway:
        if not parameters:
            return gateway.rank(request)
        _check_parameters(parameters, gateway.model_parameters, endpoint)
        return gateway.score(request, parameters=parameters)


def _check_parameters(
    parameters: Mapping[str, object], accepted: tuple[str, ...], endpoint: str
) -> None:
    """Raise Invalid for a parameter that no deployed model accepts.

    `accepted` are the parameters that they accept.
    """
    if unread := next((name for name in parameters if name not in accepted), None):
        raise Invalid(
            f"no deployed model of {endpoint} takes {unread}",
            remedy=did_you_mean(unread, accepted, has="they take"),
        )


def explain(project: Project, endpoint: str, request: Mapping[str, Any]) -> Explanation:
    """Explain how each rule changes the model's order for a request.

    Nothing is drawn at random, shown or logged. It raises what `invoke` raises.
    """
    from ..gateway.gateway import Gateway

    with Gateway(project, endpoint) as gateway:
        return gateway.explain(request)


def metrics(
    project: Project, endpoint: str, *, minutes: int = 60
) -> Mapping[str, tuple[Bucket, ...]]:
    """Return each variant's minutes with answers, among the last `minutes` whole ones.

    Latencies are in ms.

    Raises:
        NotFound: There is no such endpoint.
    """
    return project.target.metrics.read(
        endpoint, settled_window(project, timedelta(minutes=minutes))
    )


def logs(
    project: Project, endpoint: str, *, variant: str | None = None, limit: int = 50
) -> Mapping[str, tuple[str, ...]]:
    """Return the last `limit` log lines of each variant.

    Raises:
        NotFound: There is no such endpoint.
    """
    state = project.target.endpoints.observe(endpoint)
    if state is None:
        raise NotFound(
            f"there is no endpoint {endpoint} on {project.target.name}",
            remedy=f"isthmus deploy {endpoint}",
        )
    names = [variant] if variant else [v.name for v in state.variants]
    return {
        name: tuple(project.target.logs.tail(f"{endpoint}/{name}", limit=limit).lines)
        for name in names
    }


def shadow(project: Project, endpoint: str, *, days: int = 7) -> ShadowFigures:
    """Compare the shadow variant's answers with those of the live one, in the last `days` days.

    A shadow variant gets copies of requests; nobody sees its answers.

    Raises:
        NotFound: There is no such endpoint, or no shadow.
    """
    return shadow_figures(project, endpoint, days=days)


def service(project: Project, endpoint: str) -> ServiceUnit:
    """Return a systemd user unit that restarts a local endpoint whenever the machine starts.

    Raises:
        Unsupported: The target is a cloud, which does so by itself.
    """
    unit = project.target.extra("endpoint_service").unit(endpoint)  # noqa: S610  not Django's
    return ServiceUnit(unit=unit, place=f"~/.config/systemd/user/isthmus-{endpoint}.service")
