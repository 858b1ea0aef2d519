"""`features: logged`: a model is trained on the rows that gateways logged with their exposures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..reading import yaml
from ..reading.report import ProblemReport
from ..reading.shapes import ListOf, Schema
from ..specs.description import Endpoint, Event, Feature, Model, Objective, ProjectSpec
from ..specs.exposures import is_served
from .transforms import ListedFeature

LOGGED = "logged"


class FeaturesShape(msgspec.Struct, frozen=True):
    """A model's `features`: a list, or the word `logged`."""

    def read(self, node: yaml.YamlNode, key: str, report: ProblemReport) -> Any:
        """Return the word, or the entries of the list, or report what is wrong with them."""
        if isinstance(node, yaml.Scalar) and node.text == LOGGED:
            return LOGGED
        return _LIST.read(node, key, report)

    def schema(self) -> Schema:
        """Return the JSON Schema of the YAML values that this shape accepts."""
        return {"anyOf": [{"const": LOGGED}, _LIST.schema()]}


_LIST = ListOf(of=ListedFeature())


def logging_endpoints(model: Model, endpoints: Mapping[str, Endpoint]) -> list[Endpoint]:
    """Return the endpoints that serve a model and log the rows that it scores."""
    return [
        endpoint
        for endpoint in endpoints.values()
        if endpoint.log_features and any(v.model == model.model for v in endpoint.variants)
    ]


def scored_event(model: Model, spec: ProjectSpec) -> Event | None:
    """Return the event whose attributes the requests have whose rows a model is trained on.

    It is the exposure of the objective that the logging endpoint ranks for.
    """
    for endpoint in logging_endpoints(model, spec.endpoints):
        objective = spec.objectives.get(endpoint.objective)
        if objective is not None and objective.exposure in spec.events:
            return spec.events[objective.exposure]
    return None


def with_logged_features(
    models: Mapping[str, Model], endpoints: Mapping[str, Endpoint], report: ProblemReport
) -> dict[str, Model]:
    """Return the models, with the features of the logged rows for those of `features: logged`.

    A logged row has what the variants of its endpoint read. So the features, and the values at
    serving, are those of the files that give the variants' aliases. Reports a model whose rows
    nobody logs.
    """
    return {
        name: _filled(model, models.values(), endpoints, report) if model.logged else model
        for name, model in models.items()
    }


def _filled(
    model: Model,
    models: Iterable[Model],
    endpoints: Mapping[str, Endpoint],
    report: ProblemReport,
) -> Model:
    """Return a model with the features that the logged rows have; report it if there are none."""
    key = f"{model.path}:features"
    logging = logging_endpoints(model, endpoints)
    if not logging and not report.sound("endpoints"):
        return model
    if not logging:
        serving = [
            endpoint.name
            for endpoint in endpoints.values()
            if any(variant.model == model.model for variant in endpoint.variants)
        ]
        report.add(
            key,
            f"logged needs log_features: true on an endpoint that serves {model.model}",
            f"write it in endpoints.{serving[0]}"
            if serving
            else f"no endpoint serves {model.model}: list its features instead",
        )
        return model
    sources = list(_sources(model, models, logging))
    if not sources:
        named = [f"{v.model}@{v.ref}" for e in logging for v in e.variants]
        report.add(
            key,
            "logged rows have the features of "
            f"{' and '.join(dict.fromkeys(named))}, and no other file in models/ gives such an "
            "alias",
            "name a variant of the endpoint by an alias that a file of models/ gives",
        )
    features: dict[str, Feature] = {}
    serve_as: dict[str, Any] = {}
    for source in sources:
        for feature in source.features:
            other = features.setdefault(feature.name, feature)
            if other != feature:
                report.add(
                    key,
                    f"{feature.name} is {other} for one variant and {feature} for {source.name}",
                    "rename one of the two: one row serves every variant",
                )
        serve_as |= source.serve_as
    return msgspec.structs.replace(model, features=tuple(features.values()), serve_as=serve_as)


def _sources(model: Model, models: Iterable[Model], logging: Sequence[Endpoint]) -> Iterator[Model]:
    """Yield the configurations whose versions the logging endpoints' variants name."""
    named = {(v.model, v.ref) for endpoint in logging for v in endpoint.variants}
    for other in models:
        if not other.logged and other.model == model.model and (other.model, other.alias) in named:
            yield other


def check_logged(model: Model, objective: Objective, report: ProblemReport) -> bool:
    """Report a model whose objective and features do not go together; return whether they do.

    Rows of what gateways showed carry their features, and other rows have none that were logged.
    """
    if model.logged and not is_served(objective):
        report.add(
            f"{model.path}:features",
            f"logged rows are exposures of a gateway, and {objective.name} counts "
            f"{objective.exposure}",
            f"name an objective that counts them: rate: {objective.outcome} / exposures",
        )
    elif not model.logged and is_served(objective):
        report.add(
            f"{model.path}:features",
            f"{objective.name} counts what gateways showed, and those rows carry what was scored",
            "write features: logged",
        )
    return model.logged == is_served(objective)
