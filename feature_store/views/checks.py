"""Check features for `validate`: the views' SQL, and what models ask of the views.

It is pure but for the tables' files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...errors import Problem
from ...events.tables.column_types import COLUMN_TYPES
from ...project.endpoints import rules
from ...project.models.builtin_trainers import is_builtin, unreadable_columns
from ...project.models.logged import scored_event
from ...project.models.transforms import column_types, feature_keys, type_problems
from ...project.reading.names import did_you_mean, nearest
from ...project.reading.report import place, problem_at
from ...project.specs.description import Attribute, AttributeType, Feature, Model, ParsedProject
from ...project.specs.exposures import event_named
from ...project.specs.rules import Rule
from ..port import SqlProblem
from .row_queries import as_view, row_query
from .schema import ViewSchema, sql_problem, view_schemas


def check(description: ParsedProject) -> tuple[Problem, ...]:
    """Return every problem of a project's feature views and of the features its models name.

    Each has its line.
    """
    schemas, problems = view_schemas(description)
    models = (
        problem
        for model in description.spec.models.values()
        for problem in _features(model, description, schemas)
    )
    return (
        *problems,
        *models,
        *_rules(description, schemas),
        *_monitors(description, schemas),
        *_predictions(description),
    )


def check_target(
    description: ParsedProject, adapter_check: Callable[[str], tuple[SqlProblem, ...]]
) -> tuple[Problem, ...]:
    """Return the parts of the views' SQL that one target cannot express, as problems.

    What no target can express is left to `check`, so that it is reported once.
    """
    from ..sql.subset import check as check_neutral

    spec = description.spec
    queries = (
        *spec.feature_views.values(),
        *(as_view(prediction) for prediction in spec.predictions.values()),
    )
    return tuple(
        sql_problem(query, problem)
        for query in queries
        if not check_neutral(query.sql)
        for problem in adapter_check(query.sql)
    )


def _predictions(description: ParsedProject) -> Iterator[Problem]:
    """Yield problems of predictions: of rows to score, and of columns that models read there."""
    spec = description.spec
    keys = {view.name: spec.entities[view.entity].key for view in spec.feature_views.values()}
    for prediction in spec.predictions.values():
        query = row_query(description, prediction)
        yield from query.problems
        names = {column.name for column in query.columns}
        needed = {
            feature.name if feature.view is None else keys.get(feature.view, ""): (model, feature)
            for model in spec.models.values()
            if (model.model, model.alias) == (prediction.model, prediction.ref)
            for feature in model.features
            if feature.name not in model.serve_as
        }
        for name, (model, feature) in needed.items() if query.columns else ():
            if name and name not in names:
                yield Problem(
                    file=prediction.path,
                    line=1,
                    message=f"{prediction.name}: {model.path} reads {feature}, and the rows have "
                    f"no {name}",
                    remedy=f"add {name} to the SELECT",
                )


def _rules(description: ParsedProject, schemas: dict[str, ViewSchema]) -> Iterator[Problem]:
    """Yield problems of features that the rules of endpoints name.

    A view lacks the feature, or the rule compares it with a value of another type.
    """
    for rule, key in (
        pair for endpoint in description.spec.endpoints.values() for pair in rules.places(endpoint)
    ):
        for name in rules.reads(rule):
            view, dot, feature = name.partition(".")
            if dot and view in schemas:
                missing = _no_feature(Feature(view=view, name=feature), schemas)
                for problem in [missing] if missing else _misfits(rule, name, schemas[view]):
                    yield problem_at(description, rules.reading_key(rule, name, key), *problem)


def _monitors(description: ParsedProject, schemas: dict[str, ViewSchema]) -> Iterator[Problem]:
    """Yield problems of features by which monitors group: unknown ones, or of a wrong type."""
    for monitor in description.spec.monitors.values():
        view, dot, name = monitor.items.partition(".")
        if not (dot and view in schemas):
            continue
        feature = next((column for column in schemas[view].features if column.name == name), None)
        problem = _no_feature(Feature(view=view, name=name), schemas)
        if feature is not None and feature.type not in ("string", "int64", "bool"):
            kind = COLUMN_TYPES[feature.type].attribute
            problem = (
                f"{monitor.items} is a {kind}, and a group is of one value",
                "use a feature of type string, int or bool",
            )
        if problem:
            yield problem_at(description, f"monitors.{monitor.name}.items", *problem)


def _misfits(rule: Rule, name: str, schema: ViewSchema) -> Iterator[tuple[str, str]]:
    """Yield a rule's conditions that do not fit the type of the feature `name`, with remedies."""
    feature = next(column for column in schema.features if f"{schema.name}.{column.name}" == name)
    return rules.misfits(rule, Attribute(name=name, type=COLUMN_TYPES[feature.type].attribute))


def _features(
    model: Model, description: ParsedProject, schemas: dict[str, ViewSchema]
) -> Iterator[Problem]:
    """Yield a problem for each feature of a model that does not exist or clashes with another."""
    first: dict[str, Feature] = {}
    of_file = () if model.logged else zip(model.features, feature_keys(model), strict=True)
    for feature, entry in of_file:
        if unknown := _unknown(feature, model, description, schemas):
            message, remedy = unknown
        elif feature.name in first:
            message = f"{feature} is called {feature.name}, as {first[feature.name]} is"
            remedy = (
                "names of features are unique within a model: take one out, or rename it in its "
                "view's SQL"
            )
        else:
            first[feature.name] = feature
            continue
        line_place = place(description, f"{model.path}:{entry}")
        yield Problem(
            file=line_place.file,
            line=line_place.line,
            message=f"features: {message}",
            remedy=remedy,
        )
    types = column_types(model, _feature_types(model, description, schemas))
    columns = unreadable_columns(model, types) if is_builtin(model.trainer) else ()
    for entry, message, remedy in (*type_problems(model, types), *columns):
        line_place = place(description, f"{model.path}:{entry}")
        yield Problem(
            file=line_place.file,
            line=line_place.line,
            message=f"{entry}: {message}",
            remedy=remedy,
        )


def _feature_types(
    model: Model, description: ParsedProject, schemas: dict[str, ViewSchema]
) -> dict[str, AttributeType]:
    """Return the types of a model's features by name, of those that are known."""
    spec = description.spec
    objective = spec.objectives.get(model.objective)
    event = event_named(spec, objective.exposure) if objective else None
    event = scored_event(model, spec) if model.logged else event
    attributes: dict[str, AttributeType] = (
        {a.name: a.type for a in event.attributes} if event else {}
    )
    in_views: dict[tuple[str, str], AttributeType] = {
        (schema.name, column.name): COLUMN_TYPES[column.type].attribute
        for schema in schemas.values()
        for column in schema.features
    }
    types: dict[str, AttributeType | None] = {
        feature.name: attributes.get(feature.name)
        if feature.view is None
        else in_views.get((feature.view, feature.name))
        for feature in model.features
    }
    return {name: kind for name, kind in types.items() if kind is not None}


def _unknown(
    feature: Feature, model: Model, description: ParsedProject, schemas: dict[str, ViewSchema]
) -> tuple[str, str | None] | None:
    """Return why a feature that a model names does not exist and what to do, or None.

    A feature is an attribute of the exposure or in its view. None where it exists or that is
    uncertain.
    """
    spec = description.spec
    if feature.view is None:
        objective = spec.objectives.get(model.objective)
        event = event_named(spec, objective.exposure) if objective else None
        names = [attribute.name for attribute in event.attributes] if event else []
        if event is None or feature.name in names:
            return None
        owner = next(
            (
                view
                for view, schema in schemas.items()
                if any(f.name == feature.name for f in schema.features)
            ),
            None,
        )
        hint = (
            f"did you mean {owner}.{feature.name}?"
            if owner
            else did_you_mean(feature.name, names, has=f"{event.name} has")
        )
        return f"{feature.name} is not an attribute of {event.name}", hint
    if feature.view not in spec.feature_views:
        return f"{feature.view} is not a feature view", did_you_mean(
            feature.view, spec.feature_views, has="views are"
        )
    if feature.view not in schemas:
        return None  # its SQL is wrong, which is said already
    return _no_feature(feature, schemas)


def _no_feature(feature: Feature, schemas: dict[str, ViewSchema]) -> tuple[str, str] | None:
    """Return why a view lacks a feature that is named and what to do, as two texts.

    None if the view has it.
    """
    names = [column.name for column in schemas[str(feature.view)].features]
    if feature.name in names:
        return None
    near = nearest(feature.name, names)
    meant = f"did you mean {feature.view}.{near}?   " if near else ""
    return f"{feature} is not a feature", f"{meant}{feature.view} has {', '.join(names)}"
