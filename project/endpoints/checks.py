"""Check endpoints against objectives and registered models."""

from __future__ import annotations

from ..reading.names import did_you_mean, nearest
from ..reading.report import ProblemReport
from ..sections.references import DeclaredNames, check_declared
from ..specs.description import Endpoint, ProjectSpec, Variant
from ..specs.exposures import is_served


def check(
    spec: ProjectSpec,
    declared: DeclaredNames,
    registered: dict[str, set[str]],
    report: ProblemReport,
) -> None:
    """Report objectives and models that endpoints name but the project does not declare.

    Args:
        spec: what is sound so far.
        declared: every name that is written down.
        registered: the models that models/*.yaml name, with the aliases that they give.
        report: where problems go.
    """
    for endpoint in spec.endpoints.values():
        _check_endpoint(endpoint, spec, declared, registered, report)


def _check_endpoint(
    endpoint: Endpoint,
    spec: ProjectSpec,
    declared: DeclaredNames,
    registered: dict[str, set[str]],
    report: ProblemReport,
) -> None:
    """Report mistakes in an endpoint: undeclared objective or model, wrong unit or alias.

    `declared` has all names in the project, and `registered` the aliases of each model.
    """
    key = f"endpoints.{endpoint.name}"
    if endpoint.objective and check_declared(
        endpoint.objective,
        declared.objectives,
        f"{key}.objective",
        report,
        noun="an objective",
        has="objectives are",
    ):
        _check_unit(endpoint, spec, report)
        objective = spec.objectives.get(endpoint.objective)
        if objective is not None and is_served(objective):
            report.add(
                f"{key}.objective",
                f"{objective.name} counts what gateways showed, and a request has the attributes "
                "of an event that you declare",
                "name an objective over such an event here, such as ctr: click / impression; a "
                f"file of models/ may name {objective.name}",
            )
    for variant in endpoint.variants:
        place = f"{key}.variants.{variant.name}.model"
        if variant.ref.isdigit():
            _warn_of_mistyped_model(variant, registered, place, report)
            continue
        if not check_declared(
            variant.model, registered, place, report, noun="a model", has="models/*.yaml name"
        ):
            continue
        aliases = sorted(registered[variant.model])
        if variant.ref not in aliases:
            report.add(
                place,
                f"no file in models/ gives {variant.model} the alias {variant.ref}",
                did_you_mean(variant.ref, aliases, has="aliases are")
                or "give it by hand: isthmus models promote",
                severity="warning",
            )


def _warn_of_mistyped_model(
    variant: Variant, registered: dict[str, set[str]], place: str, report: ProblemReport
) -> None:
    """Warn if a variant's model has no file in models/, but one with a similar name has.

    `registered` are the models with files. It is no error: a model that was adopted (`isthmus
    import`) has versions without a file.
    """
    if variant.model not in registered and (near := nearest(variant.model, registered)):
        report.add(
            place,
            f"no file in models/ makes {variant.model}",
            f"did you mean {near}?",
            severity="warning",
        )


def _check_unit(endpoint: Endpoint, spec: ProjectSpec, report: ProblemReport) -> None:
    """Warn if an endpoint and its objective have different units, such as user and session."""
    objective = spec.objectives.get(endpoint.objective)
    exposure = spec.events.get(objective.exposure) if objective else None
    if objective is None or exposure is None or objective.unit == endpoint.unit:
        return
    if endpoint.unit in {attribute.name for attribute in exposure.attributes}:
        report.add(
            f"endpoints.{endpoint.name}.unit",
            f"{endpoint.unit} is an attribute of {exposure.name}, and the unit of "
            f"{objective.name} is {objective.unit or 'not named'}: "
            "evaluation and experiments count different units",
            f"write unit: {endpoint.unit} in objectives.{objective.name}, or the same "
            "attribute here",
            severity="warning",
        )
