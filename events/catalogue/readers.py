"""Tell who reads an attribute of an event: objectives, metrics, monitors, views, models.

It is told from what they declare, not from what they ran. An objective is a table of its exposure
with what became of it, so it reads all of both events. A metric reads what it adds up, and what
leads from there to the unit; a monitor the outcomes, and what leads to its groups. A view reads
what its SQL names, from the tables that come from the event. A model reads what its objective and
its views read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...project.metrics.metrics import reads
from ...project.monitors import monitors
from ...project.specs.description import FeatureView, Model, ProjectSpec
from ..tables.relations import raw_name, view_name

if TYPE_CHECKING:
    from ...core.runtime.project import Project

Versions = Mapping[str, Sequence[int]]  # registered model -> its versions


def readers(
    spec: ProjectSpec, event: str, attribute: str | None = None, *, versions: Versions | None = None
) -> tuple[str, ...]:
    """Return the names of what depends on an event or one of its attributes.

    A name has a kind in front, such as `objective ctr`, `metric clicks`, `monitor alike`,
    `item_history`, `ranker@1`; a model without versions has its configuration's file.
    """
    objectives = [
        f"objective {name}"
        for name, objective in spec.objectives.items()
        if event in {objective.exposure, objective.outcome}
    ]
    views = [name for name in spec.feature_views if _view_reads(spec, name, event, attribute)]
    models = [
        model for model in spec.models.values() if _model_reads(spec, model, event, set(views))
    ]
    names: list[str] = []
    for model in models:
        model_versions = (versions or {}).get(model.model, ())
        names += [f"{model.model}@{version}" for version in model_versions] or [model.path]
    return tuple(
        dict.fromkeys(
            (
                *objectives,
                *_metrics(spec, event, attribute),
                *_monitors(spec, event, attribute),
                *views,
                *names,
            )
        )
    )


def _metrics(spec: ProjectSpec, event: str, attribute: str | None) -> list[str]:
    """Return the names of the metrics that read an event or its attribute."""
    metrics = [metric for metric in spec.metrics.values() if metric.objective is None]
    return [
        f"metric {metric.name}"
        for metric in metrics
        if any(_is_read(read, event, attribute) for read in reads(metric, spec))
    ]


def _monitors(spec: ProjectSpec, event: str, attribute: str | None) -> list[str]:
    """Return the names of the monitors that read an event or its attribute."""
    return [
        f"monitor {monitor.name}"
        for monitor in spec.monitors.values()
        if any(_is_read(read, event, attribute) for read in monitors.reads(monitor, spec))
    ]


def _is_read(read: tuple[str, str | None], event: str, attribute: str | None) -> bool:
    """Return whether `read`, an (event, attribute) that something reads, is the one asked for.

    If `attribute` is None, any attribute of the event is.
    """
    return read[0] == event and attribute in (None, read[1])


def versions_of(project: Project) -> Versions:
    """Return the registered versions, by model name, of the models that the project declares."""
    names = dict.fromkeys(model.model for model in project.spec.models.values())
    return {
        name: sorted(version.version for version in project.target.registry.versions(name))
        for name in names
    }


def _model_reads(spec: ProjectSpec, model: Model, event: str, views: set[str]) -> bool:
    """Return whether a model reads an event, by its objective or by one of these feature views."""
    objective = spec.objectives.get(model.objective)
    return (objective is not None and event in {objective.exposure, objective.outcome}) or any(
        f.view in views for f in model.features
    )


def _view_reads(
    spec: ProjectSpec, view: str, event: str, attribute: str | None, above: tuple[str, ...] = ()
) -> bool:
    """Return whether a feature view's SQL reads an event, or an attribute of it if one is named.

    Views that it reads are looked at too; `above` are those on the way, so that a circle ends.
    """
    if view in above:
        return False
    tables, columns, everything = _names(spec.feature_views[view])
    sources = {raw_name(event), view_name(event)}
    sources |= {
        name
        for name, objective in spec.objectives.items()
        if event in {objective.exposure, objective.outcome}
    }
    if tables & sources and (attribute is None or everything or attribute in columns):
        return True
    return any(
        _view_reads(spec, other, event, attribute, (*above, view))
        for other in tables & spec.feature_views.keys()
    )


def _names(view: FeatureView) -> tuple[set[str], set[str], bool]:
    """Return the tables and columns named in a view's SQL, and whether it selects `*`."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(view.sql, dialect="duckdb")
    except SqlglotError:
        return set(), set(), False  # `validate` says what is wrong with it
    counted = {star for call in tree.find_all(exp.Count) for star in call.find_all(exp.Star)}
    everything = any(star not in counted for star in tree.find_all(exp.Star))
    return (
        {t.name for t in tree.find_all(exp.Table)},
        {c.name for c in tree.find_all(exp.Column)},
        everything,
    )
