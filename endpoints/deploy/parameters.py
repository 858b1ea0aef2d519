"""An endpoint's declared parameters beside what its deployed models take with a call. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from ...errors import Invalid
from ...pipelines.models.predictor import ModelManifest
from ...project.specs.description import Endpoint, Parameter


def comparison(endpoint: Endpoint, manifests: Sequence[ModelManifest]) -> tuple[str, ...]:
    """Return warnings, a line of text each, where a declared parameter and the models disagree.

    Examples: no deployed model accepts the parameter, or one has another default for it.

    Raises:
        Invalid: A model takes one as another type, so that every call with it would fail.
    """
    figures = {
        value
        for rule in endpoint.rules
        for value in msgspec.structs.asdict(rule).values()
        if isinstance(value, str)
    }
    return tuple(
        line
        for parameter in endpoint.parameters.values()
        for line in _compare(endpoint.name, parameter, manifests, figures)
    )


def _compare(
    endpoint: str,
    parameter: Parameter,
    manifests: Sequence[ModelManifest],
    figures: Collection[str],
) -> Iterator[str]:
    """Yield warnings, a line of text each, on how the models treat one declared parameter.

    `figures` are the numbers in the endpoint's rules, in which `$name` stands for a parameter.
    """
    ruled = f"${parameter.name}" in figures  # of rules
    takers = {
        m.configuration: m.accepted[parameter.name]
        for m in manifests
        if parameter.name in m.accepted
    }
    if not (takers or ruled):
        yield (
            f"no deployed model takes {parameter.name}: only who asks for the parameters "
            "themselves has it"
        )
    _check_types(
        endpoint, parameter, {configuration: taken.type for configuration, taken in takers.items()}
    )
    for configuration, taken in takers.items():
        if taken.default != parameter.default:
            yield (
                f"{configuration} was evaluated with {parameter.name}={taken.default}, and is "
                f"called with {parameter.default} by default"
            )


def _check_types(endpoint: str, parameter: Parameter, types: Mapping[str, str]) -> None:
    """Raise Invalid if a parameter is declared with another type than a deployed model accepts.

    `types` has the type that each model accepts. A whole number may be declared for a float.
    """
    for configuration, kind in types.items():
        if kind != parameter.type and (parameter.type, kind) != ("int", "float"):
            raise Invalid(
                f"endpoints.{endpoint}.parameters.{parameter.name} is of type "
                f"{parameter.type}, and {configuration} takes it as {kind}",
                remedy=f"write type: {kind}, or give predict another default",
            )
