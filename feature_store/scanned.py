"""What a computation of views reads, in bytes, where a target is paid by bytes: told before the as-known check runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..events.relations import raw_name, view_name
from ..project.specs import ProjectSpec
from ..runtime import Project
from .relations import objective_view, static_raw_name
from .sql import reads
from .views import view_sources


def scanned_bytes(project: Project, views: Sequence[str] | None = None) -> int | None:
    """Of computing each of these views (default: all) once: the sizes of the files that its SQL names, as often as it names them.

    None where nothing is paid for reading. An engine that reads only some columns or dates of a table reads less.
    """
    reads: Counter[str] = Counter()
    for source in view_sources(project.description, views):
        for relation, times in _named(source.view.sql, _relations(project.spec)).items():
            reads += Counter({table: times * number for table, number in _tables(project.spec, relation).items()})
    sizes = {table: state.size for table in reads if (state := project.target.warehouse.observe(table)) is not None}
    known = {table: size for table, size in sizes.items() if size is not None}
    return sum(reads[table] * size for table, size in known.items()) if known else None


def _relations(spec: ProjectSpec) -> list[str]:
    return [*map(view_name, spec.events), *spec.objectives, *spec.tables]


def _tables(spec: ProjectSpec, relation: str) -> Counter[str]:
    """How often a relation's own SQL reads each stored table."""
    if relation in spec.tables:
        return Counter({static_raw_name(relation): 1})
    events = {view_name(event): raw_name(event) for event in spec.events}
    if relation in events:
        return Counter({events[relation]: 1})
    sql = objective_view(spec, spec.objectives[relation]).view_sql or ""
    return Counter({events[name]: number for name, number in _named(sql, list(events)).items()})


def _named(sql: str, names: Sequence[str]) -> Counter[str]:
    mentions = reads(sql)
    return Counter({name: mentions[name] for name in names if mentions[name]})


def spoken_bytes(number: int) -> str:
    """`3.4 GB`: decimal, as clouds bill."""
    size = float(number)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"
