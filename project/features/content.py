"""Feature views with `extract:` or `profile:`: their structs, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ..reading.fence import ProjectPaths
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, item
from ..sections.references import DeclaredNames, check_declared
from ..sections.values import YamlValues
from ..specs.content import Extract, Profile, vector_columns
from ..specs.description import Entity, Event, FeatureView, ProjectSpec
from .content_keys import is_builtin
from .content_sql import extract_sql, profile_sql
from .extractors import check_function

FILE = "project.yaml"  # the place of a view whose SQL is generated
GENERATED = ("extract", "profile")


def is_generated(values: YamlValues) -> bool:
    """Return whether a feature view's section says what to compute, so that it has no file."""
    return any(kind in values for kind in GENERATED)


def build_content_views(
    sections: Mapping[str, YamlValues],
    entities: Mapping[str, Entity],
    report: ProblemReport,
) -> dict[str, FeatureView]:
    """Build the feature views whose sections have `extract` or `profile`, with their SQL.

    A view is left out where its entity, its event or the view that it averages is wrong; what is
    wrong with these is reported elsewhere.
    """
    built: dict[str, FeatureView] = {}
    for name, values in sections.items():
        entity = entities.get(values["entity"])
        if len([kind for kind in GENERATED if kind in values]) > 1:
            key = f"feature_views.{name}"
            report.add(key, "extract and profile in one view", "write a view for each")
        elif entity is not None and "extract" in values:
            extract = build_extract(values["extract"])
            sql = extract_sql(name, extract, entity.key)
            built[name] = _view(name, values, sql, extract=extract)
    for name, values in sections.items():
        entity = entities.get(values["entity"])
        if entity is None or "extract" in values:
            continue
        profile = build_profile(values["profile"])
        averaged = built.get(profile.view)
        if averaged is None or averaged.extract is None:
            continue
        content_key = entities[averaged.entity].key
        extract = averaged.extract
        sql = profile_sql(name, profile, extract, key=entity.key, content_key=content_key)
        built[name] = _view(name, values, sql, profile=profile)
    return built


def _view(
    name: str,
    values: YamlValues,
    sql: str,
    *,
    extract: Extract | None = None,
    profile: Profile | None = None,
) -> FeatureView:
    """Build a feature view whose SQL is generated."""
    plain = {key: value for key, value in values.items() if key not in GENERATED}
    return FeatureView(name=name, path=FILE, sql=sql, extract=extract, profile=profile, **plain)


def vectors_of(views: Mapping[str, FeatureView]) -> dict[str, tuple[str, ...]]:
    """Return the names of the vector's columns of each view that has a vector."""
    dimensions = {view.name: view.extract.dimensions for view in views.values() if view.extract}
    averaged = {view.name: dimensions[view.profile.view] for view in views.values() if view.profile}
    return {view: vector_columns(view, length) for view, length in (dimensions | averaged).items()}


def build_extract(values: YamlValues) -> Extract:
    """Build the Extract struct from the section `extract` of a feature view."""
    return Extract(
        event=values["from"],
        reads=values["reads"],
        extractor=values["with"],
        parameters=values.get("parameters", {}),
    )


def build_profile(values: YamlValues) -> Profile:
    """Build the Profile struct from the section `profile` of a feature view."""
    return Profile(view=values["of"], event=values["by"], window=values["window"])


class _Project(msgspec.Struct, frozen=True, kw_only=True):
    """The names that the sections `extract` and `profile` may use."""

    sections: Mapping[str, YamlValues]  # of the views that have one of the two
    entities: Mapping[str, Entity]
    events: Mapping[str, Event]
    declared: DeclaredNames
    report: ProblemReport


def check(
    spec: ProjectSpec,
    sections: Mapping[str, YamlValues],
    declared: DeclaredNames,
    *,
    registered: Iterable[str],
    fence: ProjectPaths,
    report: ProblemReport,
) -> None:
    """Report what `extract` and `profile` name and the project does not have.

    Args:
        spec: The project.
        sections: Those of the views that have one of the two, by name.
        declared: Every name of the project.
        registered: The names of registered models.
        fence: What the project may read.
        report: Where problems go.
    """
    project = _Project(
        sections=sections,
        entities=spec.entities,
        events=spec.events,
        declared=declared,
        report=report,
    )
    for name, values in sections.items():
        key = f"feature_views.{name}"
        if "extract" not in values:
            _check_profile(project, values["profile"], values["entity"], f"{key}.profile")
            continue
        _check_extract(project, values["extract"], values["entity"], f"{key}.extract")
        check_function(fence, values["extract"]["with"], f"{key}.extract.with", report)
        if name in registered:
            report.add(
                key,
                f"a model is called {name}, and the view's extractor is registered by that name",
                "rename the view",
            )


def _check_extract(project: _Project, values: YamlValues, entity_name: str, key: str) -> None:
    """Report an event without the entity's key, and attributes that hold no text."""
    report = project.report
    names = project.declared.events
    if not check_declared(
        values["from"], names, f"{key}.from", report, noun="an event", has="events are"
    ):
        return
    event, entity = project.events.get(values["from"]), project.entities.get(entity_name)
    if event is None or entity is None:
        return
    _check_key(event, entity, f"{key}.from", report)
    types = {attribute.name: attribute.type for attribute in event.attributes}
    texts = [name for name, kind in types.items() if kind == "string"]
    for position, name in enumerate(values["reads"]):
        place = item(f"{key}.reads", position)
        if name not in types:
            report.add(
                place,
                f"{name} is not an attribute of {event.name}",
                did_you_mean(name, texts, has="its texts are"),
            )
        elif types[name] != "string" and is_builtin(values["with"]):
            report.add(
                place,
                f"{name} is a {types[name]}, and {values['with']} reads texts",
                did_you_mean(name, texts, has="texts are"),
            )


def _check_key(event: Event, entity: Entity, key: str, report: ProblemReport) -> None:
    """Report an event that does not have an entity's key among its attributes."""
    if all(attribute.name != entity.key for attribute in event.attributes):
        report.add(
            key,
            f"{event.name} has no {entity.key}, the key of {entity.name}",
            f"add {entity.key} to events.{event.name}, or write a view of SQL",
        )


def _check_profile(project: _Project, values: YamlValues, entity_name: str, place: str) -> None:
    """Report a profile of a view without vectors, and an event without both keys."""
    report, sections = project.report, project.sections
    vectors = [name for name, section in sections.items() if "extract" in section]
    if values["of"] not in vectors:
        is_view = values["of"] in project.declared.feature_views
        report.add(
            f"{place}.of",
            f"{values['of']} is {'a view without extract' if is_view else 'not a feature view'}",
            did_you_mean(values["of"], vectors, has="views with extract are")
            or "declare one: {entity: item, extract: {...}}",
        )
        return
    names = project.declared.events
    if not check_declared(
        values["by"], names, f"{place}.by", report, noun="an event", has="events are"
    ):
        return
    event = project.events.get(values["by"])
    for name in (entity_name, sections[values["of"]]["entity"]):
        required = project.entities.get(name)
        if event is not None and required is not None:
            _check_key(event, required, f"{place}.by", report)
