"""Check feature views against the rest of the project."""

from __future__ import annotations

from ..reading.report import ProblemReport
from ..sections.references import DeclaredNames, check_declared
from ..specs.description import ProjectSpec


def check(spec: ProjectSpec, declared: DeclaredNames, report: ProblemReport) -> None:
    """Report feature views whose entity the project does not declare."""
    for view in spec.feature_views.values():
        check_declared(
            view.entity,
            declared.entities,
            f"feature_views.{view.name}.entity",
            report,
            noun="an entity",
            has="entities are",
        )
