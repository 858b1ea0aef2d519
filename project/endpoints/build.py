"""Values of the section `endpoints:` -> structs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child
from ..sections.values import (
    YamlValues,
    allowed_values,
    build_attribute,
    check_domain,
    typed,
    value_problem,
)
from ..specs.description import Endpoint, Parameter, Shadow, Variant

_WITHOUT_OBJECTIVE = ("objective", "variants")  # the keys that need none


def build_endpoint(name: str, values: YamlValues, key: str, report: ProblemReport) -> Endpoint:
    """Build an Endpoint from its section of project.yaml, and report mistakes.

    `key` is the section's path in the file, to which `report` adds problems.
    """
    _check_objective(values, key, report)
    variants = tuple(
        Variant(
            name=variant, model=about["model"][0], ref=about["model"][1], traffic=about["traffic"]
        )
        for variant, about in values["variants"].items()
    )
    total = sum((variant.traffic for variant in variants), Decimal(0))
    if total != 100:
        shares = " + ".join(f"{variant.traffic.normalize():f}" for variant in variants)
        summed = (
            f"sums to {shares} = {total.normalize():f}" if len(variants) > 1 else f"is {shares}"
        )
        report.add(
            child(key, "variants"), f"traffic {summed}, not 100", "make the shares sum to 100"
        )
    attributes = tuple(
        build_attribute(attribute, about, child(key, f"attributes.{attribute}"), report)
        for attribute, about in values.get("attributes", {}).items()
    )
    parameters = {
        parameter: _build_parameter(parameter, about, child(key, f"parameters.{parameter}"), report)
        for parameter, about in values.get("parameters", {}).items()
    }
    built: YamlValues = {"variants": variants, "attributes": attributes, "parameters": parameters}
    if "shadow" in values:
        built["shadow"] = _build_shadow(
            values["shadow"], [variant.name for variant in variants], child(key, "shadow"), report
        )
    return Endpoint(name=name, **values | built)


def _check_objective(values: YamlValues, key: str, report: ProblemReport) -> None:
    """Report an endpoint without an objective or a unit if it has keys that need them.

    `values` and `key` are the endpoint's values and path in project.yaml.
    """
    needing = [name for name, value in values.items() if name not in _WITHOUT_OBJECTIVE and value]
    if "objective" in values and "unit" not in values:
        report.add(key, "unit is missing", "write unit: visitor_id")
    elif "objective" not in values and needing:
        report.add(
            key,
            f"objective is missing, and {', '.join(needing)} "
            f"{'need' if len(needing) > 1 else 'needs'} it",
            "write objective: ctr, or variants alone: then only traffic can be moved",
        )


def _build_shadow(
    about: YamlValues, variants: Sequence[str], key: str, report: ProblemReport
) -> Shadow:
    """Build an endpoint's shadow, a variant that gets copies of requests; report a wrong variant.

    `about` are its values in project.yaml, and `key` its path there; `variants` are declared.
    """
    shadow = Shadow(**about)
    if shadow.variant not in variants:
        remedy = did_you_mean(shadow.variant, variants, has="the endpoint has")
        report.add(
            child(key, "variant"), f"{shadow.variant} is not a variant of the endpoint", remedy
        )
    elif len(variants) == 1:
        report.add(
            child(key, "variant"),
            f"{shadow.variant} is the only variant",
            "add the other one, which answers",
        )
    if not shadow.share:
        report.add(
            child(key, "share"), "0% copies nothing", "write a share above 0%, or take shadow: out"
        )
    return shadow


def _build_parameter(name: str, about: YamlValues, key: str, report: ProblemReport) -> Parameter:
    """Build a serving parameter; report a default outside its bounds or allowed values.

    `about` are its values in project.yaml, and `key` its path there.
    """
    fields: YamlValues = (
        about | allowed_values(about) | {"default": typed(about["default"], about["type"])}
    )
    parameter = Parameter(name=name, **fields)
    check_domain(parameter, key, report)
    if report.sound(key) and (problem := value_problem(parameter.default, parameter)):
        report.add(child(key, "default"), *problem)
    return parameter
