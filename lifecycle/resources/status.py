"""`isthmus status`: what exists, how fresh it is, and who has the traffic."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from ...core.runtime.project import Project
from ...endpoints.port import EndpointState
from ...endpoints.traffic.router import routed_endpoints
from ...events.tables.relations import raw_name
from ...feature_store.port import TableState
from ...reports.results import Shown
from ...target import Untagged
from .gateway_streams import due, examples
from .plan import headline, where


class TableLine(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    name: str
    made: bool
    # stored, copies included; None: not made yet, or nobody counted them: a target may need a query
    # for that
    rows: int | None
    known_until: datetime | None = None  # of a feature view: its watermark


class Status(Shown, msgspec.Struct, frozen=True, kw_only=True):
    target: str
    where: str
    tables: tuple[TableLine, ...]
    endpoints: dict[str, EndpointState | None]
    hourly_cost: Decimal | None
    experiments: tuple[str, ...] = ()  # a line for each run that is live
    untagged: Untagged | None = None  # None: not looked for

    def __str__(self) -> str:
        lines = [headline(self.target, self.where)]
        for table in self.tables:
            fresh = (
                f"   known up to {table.known_until:%Y-%m-%d %H:%M}" if table.known_until else ""
            )
            lines.append(f"  {table.kind:<13} {table.name:<20} {_rows(table)}{fresh}")
        lines += [_endpoint(name, state) for name, state in self.endpoints.items()]
        lines += [f"  {'experiment':<13} {line}" for line in self.experiments]
        if self.untagged is not None:
            lines += _untagged_lines(self.untagged)
        cost = "unknown" if self.hourly_cost is None else f"{self.hourly_cost:.2f} USD/h"
        return "\n".join([*lines, f"cost    {cost}"])


def _untagged_lines(untagged: Untagged) -> list[str]:
    """Return lines of text on resources that bear the project's name but not its tags."""
    lines = [
        f"  {'untagged':<13} {stray.kind} {stray.name} lacks {', '.join(stray.missing)}: destroy "
        "may miss it"
        for stray in untagged.resources
    ]
    return [
        *(lines or [f"  {'untagged':<13} nothing"]),
        f"  {'not searched':<13} {untagged.not_searched}",
    ]


def _rows(table: TableLine) -> str:
    """Return text on whether a table exists, and how many rows it has."""
    if not table.made:
        return "not made yet (isthmus apply)"
    return (
        "made, rows not counted"
        if table.rows is None
        else f"{table.rows:>9,} row{'' if table.rows == 1 else 's'}"
    )


def _endpoint(name: str, state: EndpointState | None) -> str:
    """Return a line of text on an endpoint: its phase and traffic split."""
    if state is None:
        return f"  {'endpoint':<13} {name:<20} not there (isthmus deploy {name})"
    split = "   ".join(
        f"{v.name} {v.model}@{v.version} {v.percent.normalize():f} %" for v in state.variants
    )
    return f"  {'endpoint':<13} {name:<20} {state.phase}   {split}" + (
        f"\n    {state.failure}" if state.failure else ""
    )


def _line(kind: str, name: str, state: TableState | None) -> TableLine:
    """Return the status of a table: whether it exists, and its number of rows.

    `kind` and `name` are what declares it.
    """
    return TableLine(
        kind=kind, name=name, made=state is not None, rows=state.rows if state else None
    )


def event_tables(project: Project) -> list[TableLine]:
    """Return the stored rows of each event table and each stream of the gateways."""
    warehouse = project.target.warehouse
    tables = [
        _line("event table", event, warehouse.observe(raw_name(event)))
        for event in project.spec.events
    ]
    return [
        *tables,
        *(_line("event stream", stream, warehouse.observe(stream)) for stream in due(project)),
        *(
            _line("data set", name, warehouse.observe(raw_name(event.name)))
            for name, event in examples(project).items()
        ),
    ]


def _untagged(project: Project) -> Untagged:
    """Return the resources on the target that bear the project's name but not its tags."""
    searched = project.target.adapter.tags_searched
    if searched is None:
        return Untagged(
            resources=(),
            not_searched=f"{project.target.adapter.title} has no tags: what is made there is in "
            "its own list",
        )
    return searched.untagged(project.target)


def status(project: Project, *, untagged: bool = False) -> Status:
    """Read the state of tables, endpoints, rollouts and costs from the target, changing nothing.

    With `untagged` also what bears the project's name there and not its tags, which `destroy` may
    miss.
    """
    from ...experiments.running.status import live_lines
    from ...feature_store.offline.materialize import watermark

    place = where(project)
    warehouse = project.target.warehouse
    tables = event_tables(project)
    for view in project.spec.feature_views:
        line = _line("feature view", view, warehouse.observe(view))
        tables.append(
            msgspec.structs.replace(
                line, known_until=watermark(project, view) if line.made else None
            )
        )
    costs = [r.hourly_cost for r in project.target.inventory.list(project.spec.name)]
    known_costs = [cost for cost in costs if cost is not None]
    return Status(
        target=project.target.name,
        where=place,
        tables=tuple(tables),
        endpoints={
            name: routed_endpoints(project.target).observe(name) for name in project.spec.endpoints
        },
        hourly_cost=sum(known_costs, Decimal(0)) if len(known_costs) == len(costs) else None,
        experiments=live_lines(project),
        untagged=_untagged(project) if untagged else None,
    )
