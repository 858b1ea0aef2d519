"""`isthmus apply`: make what the project describes.

It creates and adds; it never deletes, and never moves traffic.
"""

from __future__ import annotations

import time

import msgspec

from ...core.runtime.project import Project
from ...errors import Refused
from ...events.port import StreamSpec
from ...events.tables import relations as events
from ...feature_store.port import OnlineViewSpec
from ...feature_store.tables import relations as features
from ...project.specs.description import ProjectSpec
from ...reports.results import Shown
from . import applied_digests, counter_tables, gateway_streams
from .plan import Plan, PlanItem, plan


class Applied(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """How many of each kind were made or changed."""

    target: str
    made: dict[str, int]
    seconds: float

    def __str__(self) -> str:
        counts = (
            "  ".join(f"+ {n} {kind}{'s' if n != 1 else ''}" for kind, n in self.made.items() if n)
            or "nothing to do"
        )
        return f"{self.target:<7} {counts}   {self.seconds:.1f} s"


def apply(project: Project, planned: Plan | None = None) -> Applied:
    """Create or change the tables and views of a plan (default: a new one) on the target.

    It may be run again at any time, and goes on where a crash left it.

    Raises:
        Refused: A declaration contradicts what is stored. Nothing is changed then.
    """
    started = time.monotonic()
    with project.lock("apply"):
        planned = planned or plan(project)
        if planned.refused:
            first = planned.refused[0]
            raise Refused(
                f"{first.kind} {first.name}{first.detail}; nothing was changed",
                remedy=_remedy(first, project.spec),
            )
        steps = (_events, gateway_streams.make, _tables, _objectives, _views, counter_tables.make)
        for done, step in enumerate(steps):
            project.progress("apply", done, len(steps))
            step(project)
        project.progress("apply", len(steps), len(steps))
        applied_digests.write(project)
    counts: dict[str, int] = {}
    for item in planned.items:
        if item.by == "apply":
            counts[item.kind] = counts.get(item.kind, 0) + (item.action in "+~")
    return Applied(target=project.target.name, made=counts, seconds=time.monotonic() - started)


def _remedy(refused: PlanItem, spec: ProjectSpec) -> str:
    """Return advice on what to do instead of a change that the plan refuses."""
    if refused.kind == "data set":
        return f"undo it, or declare {refused.name}_v2 beside it; all of it: isthmus plan"
    if refused.kind == "feature view":
        new = f"{refused.name}_v2"
        if not spec.feature_views[refused.name].path.endswith(".sql"):
            return (
                f"undo it, or declare {new} beside it, train on that, and take {refused.name} out "
                "later; all of it: isthmus plan"
            )
        return (
            f"undo it, or declare {new} with features/{new}.sql, train on that, and take "
            f"{refused.name} out later; all of it: isthmus plan"
        )
    return "undo it, or add an attribute or table of another name; all of it: isthmus plan"


def _events(project: Project) -> None:
    """Create or extend the warehouse tables and the streams of the declared events."""
    for table in events.tables(project.spec):
        project.target.warehouse.apply(table)
    for event in project.spec.events.values():
        raw = events.raw_table(event)
        project.target.events.apply(StreamSpec(name=raw.name, columns=raw.columns, key="event_id"))


def _tables(project: Project) -> None:
    """Load the static tables whose files changed into the warehouse."""
    from ...feature_store.tables.static_tables import load_static

    for name in project.spec.tables:
        load_static(project, name)


def _objectives(project: Project) -> None:
    """Create a view in the warehouse for each declared objective."""
    for objective in project.spec.objectives.values():
        project.target.warehouse.apply(features.objective_view(project.spec, objective))


def _views(project: Project) -> None:
    """Create the history table and the online view of each feature view."""
    from ...feature_store.views.schema import view_schemas

    schemas, _ = view_schemas(project.description)
    for view in project.spec.feature_views.values():
        columns = schemas[view.name].features
        if view.extract:
            project.target.warehouse.apply(
                features.extracted_table(project.spec, view, view.extract)
            )
        project.target.warehouse.apply(features.history_table(project.spec, view, columns))
        project.target.online.apply(
            OnlineViewSpec(name=view.name, history=view.name, features=columns, ttl=view.ttl)
        )
