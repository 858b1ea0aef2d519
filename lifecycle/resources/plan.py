"""`isthmus plan`: what the project describes beside what the target has. It only reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby

import msgspec

from ...core.runtime.project import Project
from ...endpoints.gateway.log.streams import STREAMS
from ...endpoints.port import EndpointState, VariantSpec
from ...endpoints.split import percent_text
from ...endpoints.traffic.router import routed_endpoints
from ...errors import MissingDependency, NotFound, Problem, ProjectError, Unsupported
from ...events.port import Column
from ...events.tables.exposures import exposures_view
from ...events.tables.relations import exposed_name, raw_name, raw_table
from ...feature_store.tables.relations import history_table
from ...project.profiles.options import budget, takes_unknown_prices
from ...project.specs.content import extracted_name
from ...project.specs.description import Endpoint, FeatureView
from ...project.specs.exposures import EXPOSURES, served_objectives
from ...project.specs.streams import Stream, exposed_events
from ...reports.columns import plural
from ...reports.results import Shown
from ...storage import Resource
from ...target import Estimate, Profile
from . import counter_tables
from .applied_digests import changed_datasets, changed_views
from .gateway_streams import due, examples

_KINDS = (
    "event table",
    "event stream",
    "data set",
    "table",
    "feature view",
    "counter table",
    "endpoint",
    "budget",
)
_WIDER = {("int64", "float64")}  # what a table may hold without a new one


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One declared thing and its action.

    + to make, ~ to change, = in place, . waits for something else, ! refused.
    """

    action: str
    kind: str
    name: str
    detail: str = ""
    by: str = "apply"  # the verb that does it


class Plan(Shown, msgspec.Struct, frozen=True, kw_only=True):
    target: str
    where: str
    items: tuple[PlanItem, ...]
    undeclared: tuple[str, ...]  # carries the project's tags, but project.yaml no longer names it
    hourly_cost: Decimal | None  # USD; None: unknown
    deployed: Estimate | None = None  # what the declared endpoints would cost; None: nothing
    # the same on the other targets of profiles.yaml: local's plan says what a cloud would cost
    elsewhere: dict[str, Estimate] = {}
    unpriced: tuple[str, ...] = ()  # what exists and has no price in the table
    known_cost: Decimal = Decimal(0)  # USD an hour of the rest
    elsewhere_refused: tuple[Problem, ...] = ()  # warnings: what only the other targets cannot do

    @property
    def changes(self) -> bool:
        """Whether the plan has items that `apply` or `deploy` would change, or refuses."""
        return any(item.action in "+~!" for item in self.items)

    @property
    def refused(self) -> tuple[PlanItem, ...]:
        """The items whose changes `apply` refuses."""
        return tuple(item for item in self.items if item.action == "!")

    def __str__(self) -> str:
        lines = [headline(self.target, self.where)]
        shown = [
            item
            for item in self.items
            if item.action != "=" or (item.kind == "endpoint" and item.detail)
        ]
        for (action, kind, waits_for), group in groupby(
            shown, key=lambda item: (item.action, item.kind, item.by)
        ):
            first, *more = (_described(item) for item in group)
            names = ", ".join([first, *(re.sub(r" rows?$", "", label) for label in more)])
            lines.append(
                f"  {action} {kind:<14} "
                + (f"{names:<28}   {waits_for}" if action in "+~" else names)
            )
        same = sum(item.action == "=" for item in self.items)
        if same:
            idle = all(item.action == "=" for item in shown)
            lines.append(f"  = {same} in place" + (": nothing to do" if idle else ""))
        lines += [
            f"  ? {name}: no longer declared; apply never deletes" for name in self.undeclared
        ]
        return "\n".join([*lines, f"cost    {_cost(self)}", *map(str, self.elsewhere_refused)])


def headline(target: str, place: str) -> str:
    """Return the first line of a command's output: the target and its place (account, region)."""
    return f"{target:<7} {place}" if len(target) < 8 else f"{target}   {place}"


def _cost(plan: Plan) -> str:
    """Return a line of text on a plan's hourly cost, now and once all is deployed."""
    estimates = [
        *([("", plan.deployed)] if plan.deployed else []),
        *((f"{name} ", estimate) for name, estimate in plan.elsewhere.items()),
    ]
    if plan.hourly_cost is not None:
        cost = f"{plan.hourly_cost:.2f} USD/h"
    else:
        cost = (
            f"unknown: {plan.known_cost:.2f} USD/h and {', '.join(plan.unpriced)}, not in the "
            "price table"
        )
    standing = not plan.elsewhere and all(
        item.action == "=" for item in plan.items if item.kind == "endpoint"
    )
    return cost + "".join(
        f"   ({_estimated(name, estimate, standing)})" for name, estimate in estimates
    )


def _estimated(name: str, estimate: Estimate, standing: bool) -> str:
    """Return text on what the endpoints of a target cost an hour, and by which price table.

    `standing` says whether they are deployed already.
    """
    cost = "unknown" if estimate.hourly_cost is None else f"{estimate.hourly_cost:.2f}"
    machines = f"{estimate.machines}, price table of {estimate.table}"
    return machines if standing else f"{name}{cost} once deployed: {machines}"


def _unpriced(resources: list[Resource]) -> tuple[str, ...]:
    """Return texts that count the resources without a known price, by kind: `2 endpoints`."""
    counted = Counter(r.kind for r in resources if r.hourly_cost is None)
    return tuple(
        f"{n} {kind.replace('_', ' ')}{'s' if n != 1 else ''}"
        for kind, n in sorted(counted.items())
    )


def _described(item: PlanItem) -> str:
    """Return a plan item's name and detail as text."""
    return (
        f"{item.name}{item.detail}"
        if item.detail.startswith(":") or not item.detail
        else f"{item.name} {item.detail}"
    )


def plan(project: Project) -> Plan:
    """Compare the project's description with what its target has; return the differences.

    Raises:
        ProjectError: The description cannot be carried out on this target (the errors of `validate
            --target`). What only other targets cannot do is a warning of the plan.
    """
    from ...adapters import targets
    from ..checks.validate import check

    checked = check(project.description, project.target.name, runs=False)
    if any(p.severity == "error" for p in checked.problems):
        raise ProjectError(checked.problems)
    # first: without credentials, or with another account's, nothing else is asked
    place = where(project)
    if project.spec.endpoints:
        targets.ask_prices(project.target)
    resources = list(project.target.inventory.list(project.spec.name))
    costs = [r.hourly_cost for r in resources]
    known_costs = [c for c in costs if c is not None]
    deployed = _estimate(project)
    return Plan(
        target=project.target.name,
        where=place,
        items=tuple(
            sorted(
                [*_items(project), *_budget(project, deployed, sum(known_costs, Decimal(0)))],
                key=lambda item: _KINDS.index(item.kind),
            )
        ),
        undeclared=tuple(
            r.name
            for r in resources
            if r.kind == "endpoint" and r.name not in project.spec.endpoints
        ),
        hourly_cost=sum(known_costs, Decimal(0)) if len(known_costs) == len(costs) else None,
        deployed=deployed,
        elsewhere={} if project.target.adapter.remote else _estimates_by_target(project),
        unpriced=_unpriced(resources),
        known_cost=sum(known_costs, Decimal(0)),
        elsewhere_refused=checked.elsewhere,
    )


def _estimate(project: Project) -> Estimate | None:
    """Return the estimated hourly cost of the declared endpoints on the target.

    It is None if no prices are known.
    """
    from ...adapters import targets

    return targets.estimate(project.target.profile, _declared_variants(project))


def _estimates_by_target(project: Project) -> dict[str, Estimate]:
    """Return the estimated hourly cost of the endpoints on each target, by its name.

    Of the targets of one adapter only the first counts. A target whose packages are not installed
    is left out.
    """
    from ...adapters import targets
    from ...project.profiles.profiles import profiles

    estimates: dict[str, Estimate] = {}
    adapters: set[str] = set()
    for name, profile in profiles(project.description).items():
        if profile.adapter in adapters:
            continue
        adapters.add(profile.adapter)
        try:
            estimate = targets.estimate(profile, _declared_variants(project))
        except (Unsupported, MissingDependency):
            continue
        if estimate is not None:
            estimates[name] = estimate
    return estimates


def _declared_variants(project: Project) -> list[VariantSpec]:
    """Return the variants of all declared endpoints, as input to a cost estimate."""
    variants = [
        variant for endpoint in project.spec.endpoints.values() for variant in endpoint.variants
    ]
    return [
        VariantSpec(name=declared.name, model=declared.model, version=0) for declared in variants
    ]


def _budget(project: Project, deployed: Estimate | None, now: Decimal) -> Iterator[PlanItem]:
    """Yield an item that refuses the plan if its endpoints cost more than the budget an hour.

    `deployed` is the cost once all is deployed, `now` the present cost. An unknown cost is refused
    too, unless the profile allows it. Offline, an unknown cost is only shown.
    """
    limit = budget(project.target.profile)
    if limit is None:
        return
    detail = ""
    if deployed is not None and deployed.hourly_cost is not None and deployed.hourly_cost > limit:
        detail = f": {deployed.hourly_cost:.2f} USD/h once deployed ({deployed.machines})"
    elif now > limit:
        detail = f": {now:.2f} USD/h stands there now"
    if detail:
        yield PlanItem(
            action="!",
            kind="budget",
            name=project.target.name,
            detail=f"{detail} is above {limit} USD/h of profiles.yaml",
        )
    elif (
        deployed is not None and deployed.hourly_cost is None and _is_judged(project.target.profile)
    ):
        missing = (
            f"no price of {deployed.machines} there in the table of {deployed.table}, so {limit} "
            "USD/h of profiles.yaml may not do; "
        )
        remedy = (
            f"if it may cost what it will, write budget: {{limit: {limit} USD/h, unknown: allow}}"
        )
        yield PlanItem(
            action="!", kind="budget", name=project.target.name, detail=f": {missing}{remedy}"
        )


def _is_judged(profile: Profile) -> bool:
    """Return whether an unknown price counts against the budget: only on a real account."""
    return not takes_unknown_prices(profile) and "endpoint_url" not in profile.options


def where(project: Project) -> str:
    """Return the target's place (account, region), for the first line of a command's output.

    Raises:
        Denied: There are no credentials for the cloud, or they are another account's.
    """
    from ...adapters import targets

    return targets.where(project.target)


def _items(project: Project) -> Iterator[PlanItem]:
    """Compare the project with its target: yield what `apply` or `deploy` would do to each part.

    Parts are tables, views and endpoints.
    """
    from ...feature_store.views.schema import view_schemas

    spec = project.spec
    for event in spec.events.values():
        item = _table(
            project, "event table", event.name, raw_name(event.name), raw_table(event).columns
        )
        yield _with_missing_parts(item, _parts_of_event(project, event.name))
    for stream in due(project):
        item = _table(project, "event stream", stream, stream, STREAMS[stream].columns)
        yield _with_missing_parts(item, _parts_of_log(project, stream))
    yield from _datasets(project)
    yield from _static(project)
    schemas, _ = view_schemas(project.description)
    changed = changed_views(project)
    for view in spec.feature_views.values():
        columns = history_table(spec, view, schemas[view.name].features).columns
        item = _table(project, "feature view", view.name, view.name, columns)
        item = (
            _refuse_changed_sql(item, view) if view.name in changed and item.action != "+" else item
        )
        yield _with_missing_parts(item, _parts_of_view(project, view.name))
    for name in counter_tables.due(project):
        action = "=" if counter_tables.is_there(project, name) else "+"
        yield PlanItem(
            action=action, kind="counter table", name=name, detail=counter_tables.price(project)
        )
    for endpoint in spec.endpoints.values():
        yield _endpoint(project, endpoint)


def _datasets(project: Project) -> Iterator[PlanItem]:
    """Yield the plan's items for data sets: the table and the stream of their examples."""
    changed = changed_datasets(project)
    for name, event in examples(project).items():
        table = raw_name(event.name)
        item = _table(project, "data set", name, table, raw_table(event).columns)
        if name in changed and item.action in "=~":
            detail = f": other examples than it has; a changed data set is a new one, {name}_v2"
            item = PlanItem(action="!", kind="data set", name=name, detail=detail)
        yield _with_missing_parts(item, _parts_of_event(project, event.name))


def _table(
    project: Project, kind: str, name: str, table: str, columns: tuple[Column, ...]
) -> PlanItem:
    """Return the plan's item for a table: create, extend, refuse or leave as it is.

    `kind` and `name` are what declares the table, such as an event, and `columns` are those that it
    should have.
    """
    state = project.target.warehouse.observe(table)
    if state is None:
        return PlanItem(action="+", kind=kind, name=name)
    have = {c.name: c for c in state.columns}
    for column in columns:
        old = have.get(column.name)
        if old and old.type != column.type and (old.type, column.type) not in _WIDER:
            return PlanItem(
                action="!",
                kind=kind,
                name=name,
                detail=f": {column.name} is {old.type} there and {column.type} here",
            )
    gone = [c for c in have if c not in {w.name for w in columns} | {"dt"}]
    if gone:
        return PlanItem(
            action="!",
            kind=kind,
            name=name,
            detail=f": {', '.join(gone)} is stored there and no longer declared",
        )
    new = [c.name for c in columns if c.name not in have]
    return (
        PlanItem(action="~", kind=kind, name=name, detail=f"(adds {', '.join(new)})")
        if new
        else PlanItem(action="=", kind=kind, name=name)
    )


def _with_missing_parts(item: PlanItem, missing: Iterator[str]) -> PlanItem:
    """Return a table's plan item, marked as incomplete if other parts of the table are missing.

    That happens where an earlier `apply` was cut short; `missing` names the parts.
    """
    if item.action == "=" and (parts := ", ".join(missing)):
        return PlanItem(
            action="~", kind=item.kind, name=item.name, detail=f"(half-made: lacks its {parts})"
        )
    return item


def _parts_of_event(project: Project, event: str) -> Iterator[str]:
    """Yield what the target lacks of a declared event: its stream, or a view over its table."""
    exposed = {declared.name for declared in exposed_events(project.spec)}
    yield from _parts_of_stream(project, raw_name(event))
    if project.target.warehouse.observe(f"events_{event}") is None:
        yield "view of distinct events"
    if event in exposed and project.target.warehouse.observe(exposed_name(event)) is None:
        yield f"view {exposed_name(event)}"


def _parts_of_log(project: Project, stream: Stream) -> Iterator[str]:
    """Yield what the target lacks of a gateway's stream: itself, or the view of exposures."""
    yield from _parts_of_stream(project, stream)
    view = exposures_view().name
    if (
        stream == EXPOSURES
        and served_objectives(project.spec)
        and project.target.warehouse.observe(view) is None
    ):
        yield "view of distinct exposures"


def _parts_of_stream(project: Project, stream: str) -> Iterator[str]:
    """Yield the word "stream" if the target lacks this event stream."""
    if project.target.events.observe(stream) in (None, "creating", "failed"):
        yield "stream"


def _parts_of_view(project: Project, view: str) -> Iterator[str]:
    """Yield the missing parts of a feature view on the target, such as its online view."""
    state = project.target.online.observe(view)
    if state is None or state.phase in ("creating", "failed"):
        yield "online view"
    if project.spec.feature_views[view].extract and not project.target.warehouse.observe(
        extracted_name(view)
    ):
        yield "table of vectors"
    for objective in project.spec.objectives:  # what a feature view may read
        if project.target.warehouse.observe(objective) is None:
            yield f"objective {objective}"


def _refuse_changed_sql(item: PlanItem, view: FeatureView) -> PlanItem:
    """Return the plan item that refuses to change the SQL of a feature view."""
    return PlanItem(
        action="!",
        kind=item.kind,
        name=item.name,
        detail=f": its SQL changed; a changed view is a new one, {view.name}_v2",
    )


def _static(project: Project) -> Iterator[PlanItem]:
    """Yield the plan's items for static tables: which of them would be loaded."""
    from ...feature_store.tables.static_tables import inspect_static

    for name in project.spec.tables:
        table = inspect_static(project, name)
        rows = plural(table.rows, "row")
        if not table.changed:
            yield PlanItem(action="=", kind="table", name=name)
        else:
            yield PlanItem(
                action="+" if project.target.warehouse.observe(name) is None else "~",
                kind="table",
                name=name,
                detail=rows,
            )


def _endpoint(project: Project, endpoint: Endpoint) -> PlanItem:
    """Return the plan's item for an endpoint: what `deploy` would do to it."""
    from ...adapters import targets

    state = routed_endpoints(project.target).observe(endpoint.name)
    if state is None and not endpoint.objective:
        detail = ": has no objective, so it waits for isthmus import, or for an objective"
        return PlanItem(action=".", kind="endpoint", name=endpoint.name, detail=detail, by="import")
    streams: dict[str, int] = {}
    missing: list[str] = []
    for variant in endpoint.variants:
        ref = int(variant.ref) if variant.ref.isdigit() else variant.ref
        try:
            streams[variant.name] = project.target.registry.get(variant.model, ref).version
        except NotFound:
            missing.append(f"{variant.model}@{variant.ref}")
    if missing and not (state and streams):  # of one that runs, deploy leaves them out
        waits = f": waits for {' and '.join(missing)} (train, then deploy)"
        return PlanItem(action=".", kind="endpoint", name=endpoint.name, detail=waits, by="deploy")
    if state and missing:  # ... or as they are, where they have traffic
        streams |= {
            v.name: v.version for v in state.variants if v.percent > 0 and v.name not in streams
        }
    have = {v.name: v.version for v in state.variants} if state else {}
    if state and (differs := targets.fixed(project.target, endpoint.name)):
        return PlanItem(
            action="!", kind="endpoint", name=endpoint.name, detail=f": {differs}", by="deploy"
        )
    if state and state.phase != "failed" and have == streams:
        return PlanItem(
            action="=",
            kind="endpoint",
            name=endpoint.name,
            detail=_other_split(endpoint, state),
            by="deploy",
        )
    versions = ", ".join(
        f"{v.name} {v.model}@{streams[v.name]}" for v in endpoint.variants if v.name in streams
    )
    return PlanItem(
        action="~" if state else "+",
        kind="endpoint",
        name=endpoint.name,
        detail=f"({versions})",
        by="deploy",
    )


def _other_split(endpoint: Endpoint, state: EndpointState) -> str:
    """Return text on how the served traffic split differs from the declared one, or "".

    `deploy` would not change it, as it sets the split of new endpoints only.
    """
    declared = {variant.name: variant.traffic for variant in endpoint.variants}
    served = {variant.name: variant.percent for variant in state.variants}
    if declared == served:
        return ""
    declares, serves = (
        ", ".join(f"{name} {percent_text(share)} %" for name, share in split.items())
        for split in (declared, served)
    )
    return f": serves {serves}; project.yaml begins with {declares}"
