"""Check entities and events against each other and against the files in sources/."""

from __future__ import annotations

from pathlib import Path

from ..reading.report import ProblemReport
from ..specs.description import ProjectSpec


def check_entity_keys(spec: ProjectSpec, report: ProblemReport) -> None:
    """Report entities that have the same key column."""
    first: dict[str, str] = {}
    for entity in spec.entities.values():
        if entity.key in first:
            report.add(
                f"entities.{entity.name}.key",
                f"{entity.key} is the key of {first[entity.key]} too",
                "one key belongs to one entity: rename one",
            )
        first.setdefault(entity.key, entity.name)


def one_source(folder: Path, event: str, source: str | None, report: ProblemReport) -> None:
    """Report an event with two sources: the key `source` in project.yaml and a file in sources/."""
    file = f"sources/{event}.sql"
    if source is not None and (folder / file).is_file():
        report.add(
            f"events.{event}.source",
            f"there is {file}, too",
            "an event comes from one of the two: take the key out, or the file away",
        )
