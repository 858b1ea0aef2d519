"""The one namespace of tables and views in the warehouse."""

from __future__ import annotations

from typing import get_args

from .reading.report import ProblemReport
from .sections.references import DeclaredNames
from .specs import reach
from .specs.content import extracted_name
from .specs.datasets import examples_name
from .specs.description import ProjectSpec
from .specs.streams import Stream


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report declared things whose tables or views would have the same name in the warehouse.

    The names are made by events/tables/relations.py and feature_store/tables/relations.py.
    """
    taken: dict[str, str] = {}
    owners: list[tuple[str, str, tuple[str, ...]]] = [
        *(("", f"the gateway's {n}", (n, *_of_events(n))) for n in get_args(Stream)),
        *(
            (f"events.{n}", f"events.{n}", (*_of_events(n), *_exposed(n, spec)))
            for n in declared.events
        ),
        *((f"endpoints.{n}", f"endpoints.{n}", (f"{n}_capture",)) for n in declared.endpoints),
        *((f"objectives.{n}", f"objectives.{n}", (n,)) for n in declared.objectives),
        *((f"tables.{n}", f"tables.{n}", (n, f"{n}_raw")) for n in declared.tables),
        *(
            (f"feature_views.{n}", f"feature_views.{n}", (n, *_of_view(n, spec)))
            for n in declared.feature_views
        ),
        *(
            (f"predictions.{p.name}", f"predictions.{p.name}", (p.into,))
            for p in spec.predictions.values()
        ),
        *((f"datasets.{n}", f"datasets.{n}", _of_events(examples_name(n))) for n in spec.datasets),
    ]
    for key, owner, relations in owners:
        clash = next((relation for relation in relations if relation in taken), None)
        if clash is None:
            taken |= dict.fromkeys(relations, owner)
        else:
            report.add(
                key,
                f"it would make the table {clash}, which is made for {taken[clash]}",
                "rename one of the two",
            )


def _of_events(name: str) -> tuple[str, ...]:
    """Return the names of the tables and views that the event `name` has in the warehouse."""
    return f"{name}_raw", f"events_{name}", f"quarantine_{name}"


def _of_view(name: str, spec: ProjectSpec) -> tuple[str, ...]:
    """Return the names of the tables that a feature view has beside its history."""
    view = spec.feature_views.get(name)
    return (extracted_name(name),) if view is not None and view.extract else ()


def _exposed(event: str, spec: ProjectSpec) -> tuple[str, ...]:
    """Return the name of the view that joins an event to its exposures, if it has one."""
    return (
        (f"{event}_exposed",)
        if event in spec.events and reach.has_exposure(spec.events[event])
        else ()
    )
