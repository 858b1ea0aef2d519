"""Draw the page of one endpoint.

It shows variants and split, owner, rollout, the last minutes, and how often each rule had a say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from ....core.runtime.project import Project
from ....endpoints.operations import rule_hits
from ....endpoints.operations.minutes import settled_window
from ....endpoints.operations.rule_hits import RuleHits
from ....endpoints.operations.unit_counts import unit_counts
from ....endpoints.port import Bucket, EndpointState, VariantState, Window
from ....endpoints.split import percent_text
from ....endpoints.traffic.owner_document import Owner
from ....endpoints.traffic.router import routed_endpoints
from ....errors import NotFound
from ....project.endpoints.rules import counts_units
from ....project.reading.names import did_you_mean
from ....project.specs.description import Endpoint
from ....reports import page as kit
from ....reports import plots
from ....rollouts.verbs import rollout
from ....rollouts.verbs.status import Status
from ...parts.forms import Form
from ...parts.links import version_link
from ...parts.reads import ReadFailure, Reads, missing, whole
from ...parts.view import PageContent
from ..experiments import experiments
from ..experiments.experiments import LayerNow, layers_now
from .endpoints import owner_of, owner_text, path
from .minutes import minutes_parts
from .rollouts import standing
from .rules import rules_parts, unit_parts

_MINUTES, _MOST_MINUTES = 60, 1440
_DAYS, _MOST_DAYS = 7, 366


class EndpointData(msgspec.Struct, frozen=True, kw_only=True):
    endpoint: EndpointState | ReadFailure | None
    owner: Owner | ReadFailure | None
    layers: list[LayerNow] | ReadFailure  # of the experiments on it
    rollout: Status | ReadFailure | None
    minutes: Mapping[str, tuple[Bucket, ...]] | ReadFailure  # as `isthmus endpoints metrics --json`
    rules: RuleHits | ReadFailure | None  # None: not counted
    # what the unit that was asked for was shown, by cap and value; None: nobody asked
    unit: dict[str, dict[str, int]] | ReadFailure | None
    unread: tuple[ReadFailure, ...]


def page(project: Project, query: Mapping[str, str]) -> PageContent:
    """Draw the page of one endpoint: variants, traffic, rollout, rules, metrics by the minute.

    The query has `minutes` to look back, `days` of answers in which the effects of rules are
    counted, and `unit`, the id of one visitor: how often each item was shown to that visitor is
    read from the gateway's counters. Without `days` the warehouse is not queried, and without
    `unit` no counter is read.
    """
    endpoint = declared_endpoint(project, query["endpoint"])
    name, minutes = endpoint.name, whole(query, "minutes", default=_MINUTES, most=_MOST_MINUTES)
    unit = query.get("unit", "").strip() if counts_units(endpoint) else ""
    days = (
        whole(query, "days", default=_DAYS, most=_MOST_DAYS)
        if "days" in query and endpoint.rules
        else None
    )
    window, reads = settled_window(project, timedelta(minutes=minutes)), Reads()
    data = EndpointData(
        endpoint=reads.attempt(
            f"endpoint {name}", lambda: routed_endpoints(project.target).observe(name)
        ),
        owner=reads.attempt(f"the owner of {name}'s traffic", lambda: owner_of(project, name)),
        layers=reads.attempt(
            f"the experiments on {name}",
            lambda: [layer for layer in layers_now(project) if layer.endpoint == name],
        ),
        rollout=reads.attempt(
            f"the rollout of {name}",
            lambda: rollout.status(project, name) if rollout.has_any(project, name) else None,
        ),
        minutes=reads.attempt(
            f"the minutes of {name}", lambda: project.target.metrics.read(name, window)
        ),
        rules=None
        if days is None
        else reads.attempt(
            "answers by rule", lambda: rule_hits.rule_hits(project, name, days=days)
        ),
        unit=reads.attempt(f"what {unit} was shown", lambda: unit_counts(project, name, unit))
        if unit
        else None,
        unread=(),
    )
    return PageContent(
        title=name,
        below=f"Ranks for {endpoint.objective}, by {endpoint.unit}, {endpoint.routing} routing, on "
        f"{project.target.name}."
        if endpoint.objective
        else f"Has no objective: its traffic is moved, on {project.target.name}.",
        parts=(
            *reads.box(),
            *_parts(project, endpoint, data, window),
            *unit_parts(endpoint, unit, data.unit),
        ),
        data=msgspec.structs.replace(data, unread=tuple(reads.unread)),
    )


def declared_endpoint(project: Project, name: str) -> Endpoint:
    """Return the endpoint of this name as project.yaml declares it.

    Raises:
        NotFound: project.yaml has no endpoint of this name.
    """
    endpoint = project.spec.endpoints.get(name)
    if endpoint is None:
        raise NotFound(
            f"there is no endpoint {name}",
            remedy=did_you_mean(name, project.spec.endpoints, has="project.yaml has"),
        )
    return endpoint


def _parts(
    project: Project, endpoint: Endpoint, data: EndpointData, window: Window
) -> list[str | Form]:
    """Return the sections of an endpoint's page: variants, traffic, rollout, rules, minutes.

    `endpoint` is as declared, `data` is what was read of it.
    """
    whose = owner_text(data.owner)
    holder, status = data.owner, data.rollout
    ends = (
        [Form(action="", button="", command=holder.command, note="What ends that:")]
        if isinstance(holder, Owner) and holder.lasting
        else []
    )
    deploy = Form(action="", button="", command=f"isthmus deploy {endpoint.name}")
    start = Form(action="", button="", command=f"isthmus rollout start {endpoint.name}")
    return [
        kit.section("Variants", *_variants(data.endpoint)),
        *([deploy] if data.endpoint is None else []),
        kit.section(
            "Who has the traffic",
            kit.words(f"{whose[:1].upper()}{whose[1:]}."),
            *_experiments(data.layers),
        ),
        *ends,
        kit.section("Rollout", *_rollout(endpoint.name, data.rollout)),
        *([start] if status is None else []),
        kit.section(
            f"Minutes from {window.start:%H:%M} to {window.end:%H:%M} UTC",
            *_minutes(data.minutes, window),
        ),
        kit.section("Rules", *rules_parts(endpoint, project.now(), data.rules)),
    ]


def _variants(state: EndpointState | ReadFailure | None) -> list[str]:
    """Return the state and table of an endpoint's variants as HTML, or why there is none."""
    if isinstance(state, ReadFailure):
        return [missing(state)]
    if state is None:
        return [kit.words("It is not there.", "soft")]
    failure = [kit.verdict([state.failure], "fail")] if state.failure else []
    return [
        *failure,
        kit.words(f"Phase {state.phase}, routing {state.routing}."),
        kit.charts(_split(state.variants)),
        _table(state),
    ]


def _table(state: EndpointState) -> str:
    """Return an HTML table of an endpoint's variants."""
    head = ("variant", "version", "serves", "shall serve", "instances", "phase")
    return kit.table(head, [_variant(variant) for variant in state.variants])


def _variant(variant: VariantState) -> tuple[str, ...]:
    """Return a variant's cells in the table: version, traffic now and intended, instances."""
    version = version_link(f"{variant.model}@{variant.version}")
    instances = (
        f"{variant.instances}"
        if variant.instances == variant.target_instances
        else f"{variant.instances} of {variant.target_instances}"
    )
    return (
        variant.name,
        version,
        f"{percent_text(variant.percent)} %",
        f"{percent_text(variant.target_percent)} %",
        instances,
        variant.phase,
    )


def _split(variants: Sequence[VariantState]) -> str:
    """Draw the served traffic split as an SVG bar; and the intended split, if it differs."""
    lines = [
        plots.Strip(
            name="now",
            stretches=_stretches([(variant.name, float(variant.percent)) for variant in variants]),
        )
    ]
    if any(variant.percent != variant.target_percent for variant in variants):
        lines.append(
            plots.Strip(
                name="to be",
                stretches=_stretches(
                    [(variant.name, float(variant.target_percent)) for variant in variants]
                ),
            )
        )
    behind = kit.table(
        ("variant", "serves", "shall serve"),
        [(v.name, percent_text(v.percent), percent_text(v.target_percent)) for v in variants],
    )
    return plots.strips("Split", plots.axis("% of the traffic", 0, 100), lines, behind=behind)


def _stretches(shares: Sequence[tuple[str, float]]) -> list[plots.Stretch]:
    """Return the segments of a bar that shows (variant, percent of traffic) side by side."""
    start, stretches = 0.0, []
    for (name, percent), style in zip(shares, (*plots.STYLES,) * len(shares), strict=False):
        stretches += (
            [
                plots.Stretch(
                    name=name,
                    style=style,
                    low=start,
                    high=start + percent,
                    title=f"{name} {percent:g} %",
                )
            ]
            if percent
            else []
        )
        start += percent
    return stretches


def _experiments(layers: list[LayerNow] | ReadFailure) -> list[str]:
    """Return a line of HTML links to the experiments that run on the endpoint."""
    holders = (
        []
        if isinstance(layers, ReadFailure)
        else [(holder, layer.layer) for layer in layers for holder in layer.holders]
    )
    parts = [
        part
        for holder, layer in holders
        for part in (
            kit.link(holder.run, experiments.path(holder.run)),
            f"{holder.share:g} % of layer {layer}",
        )
    ]
    return [kit.line("Experiments", *parts)] if parts else []


def _rollout(name: str, status: Status | ReadFailure | None) -> list[str]:
    """Return HTML on the endpoint's running or last rollout, or that there was none."""
    if isinstance(status, ReadFailure):
        return [missing(status)]
    if status is None:
        return [kit.words("There was none.", "soft")]
    return [
        standing(status),
        kit.links([(f"{status.state.id} in full", f"{path(name)}/rollout")]),
    ]


def _minutes(minutes: Mapping[str, tuple[Bucket, ...]] | ReadFailure, window: Window) -> list[str]:
    """Return HTML charts of the endpoint's requests, errors and latency by the minute."""
    if isinstance(minutes, ReadFailure):
        return [missing(minutes)]
    if not any(minutes.values()):
        return [
            kit.words(
                "No request in these whole minutes; one counts when its minute is over.", "soft"
            )
        ]
    return minutes_parts(minutes, window)
