"""`isthmus plan`: what the project describes beside what the target has. It only reads."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby

import msgspec

from ..endpoints.port import VariantSpec
from ..errors import NotFound, ProjectError
from ..events.port import Column
from ..events.relations import raw_name, raw_table
from ..feature_store.relations import history_table
from ..project.specs import Endpoint, FeatureView
from ..runtime import Project
from ..target import Estimate
from .applied import changed_views

_KINDS = ("event table", "table", "feature view", "endpoint", "budget")
_WIDER = {("int64", "float64")}  # what a table may hold without a new one


class PlanItem(msgspec.Struct, frozen=True, kw_only=True):
    """One declared thing. + to make, ~ to change, = in place, . waits for something else, ! refused."""

    action: str
    kind: str
    name: str
    detail: str = ""
    by: str = "apply"  # the verb that does it


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    where: str
    items: tuple[PlanItem, ...]
    undeclared: tuple[str, ...]  # carries the project's tags, but project.yaml no longer names it
    hourly_cost: Decimal | None  # USD; None: unknown
    deployed: Estimate | None = None  # what the declared endpoints would cost; None: nothing

    @property
    def changes(self) -> bool:
        """Whether `apply` or `deploy` would do something now."""
        return any(item.action in "+~!" for item in self.items)

    @property
    def refused(self) -> tuple[PlanItem, ...]:
        return tuple(item for item in self.items if item.action == "!")

    def __str__(self) -> str:
        lines = [f"{self.target:<7} {self.where}"]
        shown = [item for item in self.items if item.action != "="]
        for (action, kind, by), group in groupby(shown, key=lambda item: (item.action, item.kind, item.by)):
            first, *more = (_described(item) for item in group)
            names = ", ".join([first, *(each.removesuffix(" rows") for each in more)])
            lines.append(f"  {action} {kind:<14} " + (f"{names:<28}   {by}" if action in "+~" else names))
        same = sum(item.action == "=" for item in self.items)
        if same:
            lines.append(f"  = {same} in place" + ("" if shown else ": nothing to do"))
        lines += [f"  ? {name}: no longer declared; apply never deletes" for name in self.undeclared]
        cost = "unknown" if self.hourly_cost is None else f"{self.hourly_cost:.2f} USD/h"
        return "\n".join([*lines, f"cost    {cost}{_once_deployed(self.deployed)}"])


def _once_deployed(deployed: Estimate | None) -> str:
    if deployed is None:
        return ""
    cost = "unknown" if deployed.hourly_cost is None else f"{deployed.hourly_cost:.2f}"
    return f"   ({cost} once deployed: {deployed.machines}, price table of {deployed.table})"


def _described(item: PlanItem) -> str:
    return f"{item.name}{item.detail}" if item.detail.startswith(":") or not item.detail else f"{item.name} {item.detail}"


def plan(project: Project) -> Plan:
    """Compare. Raises ProjectError when the description cannot be carried out at all (the same errors as `validate`)."""
    from .validate import check

    problems, _ = check(project.description)
    if any(p.severity == "error" for p in problems):
        raise ProjectError(problems)
    resources = list(project.target.inventory.list(project.spec.name))
    costs = [r.hourly_cost for r in resources]
    known = [c for c in costs if c is not None]
    deployed = _estimate(project)
    return Plan(
        target=project.target.name,
        where=where(project),
        items=tuple(sorted([*_items(project), *_budget(project, deployed)], key=lambda item: _KINDS.index(item.kind))),
        undeclared=tuple(r.name for r in resources if r.kind == "endpoint" and r.name not in project.spec.endpoints),
        hourly_cost=sum(known, Decimal(0)) if len(known) == len(costs) else None,
        deployed=deployed,
    )


def _estimate(project: Project) -> Estimate | None:
    from ..adapters import targets

    declared = [variant for endpoint in project.spec.endpoints.values() for variant in endpoint.variants]
    return targets.estimate(project.target.profile, [VariantSpec(name=each.name, model=each.model, version=0) for each in declared])


def _budget(project: Project, deployed: Estimate | None) -> Iterator[PlanItem]:
    """Refused above the profile's budget. A cost that is unknown is not above it: `plan` shows that it is unknown."""
    limit = str(project.target.profile.options.get("budget") or "").removesuffix(" USD/h")
    if not limit or deployed is None or deployed.hourly_cost is None or deployed.hourly_cost <= Decimal(limit):
        return
    detail = f": {deployed.hourly_cost:.2f} USD/h once deployed ({deployed.machines}) is above {limit} USD/h of profiles.yaml"
    yield PlanItem(action="!", kind="budget", name=project.target.name, detail=detail)


def where(project: Project) -> str:
    """The place that a command's first line names."""
    if project.target.adapter == "local":
        return ".isthmus/"
    return str(project.target.profile.options.get("bucket", project.target.name))


def _items(project: Project) -> Iterator[PlanItem]:
    from ..feature_store.schema import view_schemas

    spec = project.spec
    for event in spec.events.values():
        yield _table(project, "event table", event.name, raw_name(event.name), raw_table(event).columns)
    yield from _static(project)
    schemas, _ = view_schemas(project.description)
    changed = changed_views(project)
    for view in spec.feature_views.values():
        columns = history_table(spec, view, schemas[view.name].features).columns
        item = _table(project, "feature view", view.name, view.name, columns)
        yield _recomputed(item, view) if view.name in changed and item.action != "+" else item
    for endpoint in spec.endpoints.values():
        yield _endpoint(project, endpoint)


def _table(project: Project, kind: str, name: str, table: str, wanted: tuple[Column, ...]) -> PlanItem:
    state = project.target.warehouse.observe(table)
    if state is None:
        return PlanItem(action="+", kind=kind, name=name)
    have = {c.name: c for c in state.columns}
    for column in wanted:
        old = have.get(column.name)
        if old and old.type != column.type and (old.type, column.type) not in _WIDER:
            return PlanItem(action="!", kind=kind, name=name, detail=f": {column.name} is {old.type} there and {column.type} here")
    gone = [c for c in have if c not in {w.name for w in wanted} | {"dt"}]
    if gone:
        return PlanItem(action="!", kind=kind, name=name, detail=f": {', '.join(gone)} is stored there and no longer declared")
    new = [c.name for c in wanted if c.name not in have]
    return (
        PlanItem(action="~", kind=kind, name=name, detail=f"(adds {', '.join(new)})") if new else PlanItem(action="=", kind=kind, name=name)
    )


def _recomputed(item: PlanItem, view: FeatureView) -> PlanItem:
    return PlanItem(action="!", kind=item.kind, name=item.name, detail=f": its SQL changed; a changed view is a new one, {view.name}_v2")


def _static(project: Project) -> Iterator[PlanItem]:
    from ..feature_store.tables import inspect_static

    for name in project.spec.tables:
        found = inspect_static(project, name)
        rows = f"{found.rows} rows"
        if not found.changed:
            yield PlanItem(action="=", kind="table", name=name)
        else:
            yield PlanItem(action="+" if project.target.warehouse.observe(name) is None else "~", kind="table", name=name, detail=rows)


def _endpoint(project: Project, endpoint: Endpoint) -> PlanItem:
    state = project.target.endpoints.observe(endpoint.name)
    wanted: dict[str, int] = {}
    missing: list[str] = []
    for variant in endpoint.variants:
        ref = int(variant.ref) if variant.ref.isdigit() else variant.ref
        try:
            wanted[variant.name] = project.target.registry.get(variant.model, ref).version
        except NotFound:
            missing.append(f"{variant.model}@{variant.ref}")
    if missing:
        waits = f": waits for {' and '.join(missing)} (train, then deploy)"
        return PlanItem(action=".", kind="endpoint", name=endpoint.name, detail=waits, by="deploy")
    have = {v.name: v.version for v in state.variants} if state else {}
    if state and state.phase != "failed" and have == wanted:
        return PlanItem(action="=", kind="endpoint", name=endpoint.name, by="deploy")
    versions = ", ".join(f"{v.name} {v.model}@{wanted[v.name]}" for v in endpoint.variants)
    return PlanItem(action="~" if state else "+", kind="endpoint", name=endpoint.name, detail=f"({versions})", by="deploy")
