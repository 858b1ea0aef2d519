"""The ports of an open project, for its rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ...core.runtime.project import Project
from ...endpoints.gateway.log.streams import EXPOSURES
from ...endpoints.gateway.request.inputs import was_adopted
from ...endpoints.gateway.smoke import example_request, smoke
from ...endpoints.port import Window
from ...endpoints.traffic.manual import observe
from ...endpoints.traffic.router import routed_endpoints
from ...errors import NotFound, Unavailable
from ..state.ports import ControllerPorts

# copies of one exposure, which a stream may hold, have one event_id
_SCORES = f"""
SELECT variant, date_trunc('minute', event_timestamp) AS minute, count(*) AS n, avg(score) AS mean
FROM (SELECT DISTINCT event_id, variant, event_timestamp, score FROM {EXPOSURES.name}
      WHERE endpoint = $endpoint AND dt >= $first AND dt <= $last
        AND event_timestamp >= $start AND event_timestamp < $until) AS shown
GROUP BY variant, date_trunc('minute', event_timestamp)
"""


def ports_of(project: Project) -> ControllerPorts:
    """Return the interfaces to a project's target through which a rollout is driven.

    Creating them calls nothing. There are scores only if exposures carry real times: not with
    `now:`, the clock of an old log.
    """
    target = project.target

    def tried(endpoint: str, variant: str) -> None:
        running = {state.name: state for state in observe(project, endpoint).variants}
        if variant not in running:
            raise Unavailable(
                f"{endpoint} runs no variant {variant} any more",
                remedy=f"isthmus endpoints list; isthmus deploy {endpoint}",
            )
        if was_adopted(target.registry.get(running[variant].model, running[variant].version)):
            # nobody knows a request: the guardrails of its small share, which comes next, are its
            # test
            return
        try:
            example_request(project, endpoint)
        except NotFound:
            return  # the same: the log has no row to make one of
        answers = smoke(project, endpoint, [variant])
        if not answers.ok:
            raise Unavailable(
                f"{endpoint}: {variant} does not answer: {answers}",
                remedy=f"isthmus endpoints logs {endpoint}",
            )

    def scores(endpoint: str, window: Window) -> Mapping[str, Mapping[datetime, tuple[int, float]]]:
        return _scores(project, endpoint, window)

    return ControllerPorts(
        state=target.state,
        endpoints=routed_endpoints(target),
        metrics=target.metrics,
        registry=target.registry,
        blobs=target.blobs,
        smoke=tried,
        scores=None if project.spec.now else scores,
    )


def _scores(
    project: Project, endpoint: str, window: Window
) -> Mapping[str, Mapping[datetime, tuple[int, float]]]:
    """Query the number of scores and the mean score by variant and minute."""
    start, end = (
        moment.astimezone(UTC).replace(tzinfo=None) for moment in (window.start, window.end)
    )
    parameters = {
        "endpoint": endpoint,
        "first": f"{start:%Y-%m-%d}",
        "last": f"{end:%Y-%m-%d}",
        "start": start,
        "until": end,
    }
    scores: dict[str, dict[datetime, tuple[int, float]]] = {}
    for row in project.target.warehouse.query(_SCORES, parameters).to_pylist():
        minute = row["minute"].replace(tzinfo=UTC)
        scores.setdefault(row["variant"], {})[minute] = row["n"], row["mean"]
    return scores
