"""Describe and adopt an endpoint that stands already: `isthmus import CLOUD endpoint NAME`.

Adopting changes nothing of what runs: each model behind it is registered as a version, and the
provider's endpoint is tagged, last and at once. So a run that was cut is repeated, and one that
ended finds it ours already.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid, Refused, Unsupported
from ...project.reading.names import VARIANT_LENGTH, did_you_mean, name_problem
from ...project.specs.description import ProjectSpec
from ...reports.results import Shown
from ..gateway.request.inputs import ADOPTED, was_adopted
from ..port import Adopter, RunningEndpoint, RunningVariant
from ..split import HUNDRED, percent_text

_HUNDREDTH = Decimal("0.01")


class Adoption(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A standing endpoint with the versions that its models are, or (`adopted` False) would be."""

    target: str
    endpoint: str
    native: str
    adopted: bool
    variants: tuple[RunningVariant, ...]
    yaml: str  # what project.yaml, and profiles.yaml, must say

    def __str__(self) -> str:
        split = "   ".join(
            f"{v.label} {percent_text(v.percent)} % {v.model}@{v.version}" for v in self.variants
        )
        return (
            f"{self.target:<7} {self.native}   {split}   "
            f"{'adopted' if self.adopted else 'not adopted yet'}"
        )


def describe(
    project: Project,
    native: str,
    *,
    name: str | None = None,
    model: str | None = None,
    objective: str | None = None,
) -> Adoption:
    """Describe a running endpoint in the terms of project.yaml, without changing anything.

    `native` is the provider's name of the endpoint; `name` and `model` are its name in the project
    and that of the model whose versions it serves.

    Args:
        project: The project that may take it over.
        native: The provider's name of it.
        name: Its name here.
        model: The model that its models become versions of; by default the endpoint's name.
        objective: The objective that it serves.

    Raises:
        Refused: The endpoint is another project's.
        Unsupported: It, or its kind, cannot be taken over.
    """
    return _adoption(project, _running_endpoint(project, native, name), model, objective)


def adopt(
    project: Project,
    native: str,
    *,
    name: str | None = None,
    model: str | None = None,
    objective: str | None = None,
) -> Adoption:
    """Take over a running endpoint: register the models that it serves, and tag it.

    An endpoint that is this project's already stays as it is. Raises what `describe` raises, and
    Conflict if somebody was faster.
    """
    with project.lock("import"):
        standing = _running_endpoint(project, native, name)
        adoption = _adoption(
            project, standing, model, objective
        )  # all that can be wrong is wrong before the first change
        if adoption.adopted:
            return adoption
        registry, refs = project.target.registry, {}
        for variant in adoption.variants:
            version = registry.register(
                variant.model,
                uri=variant.uri,
                digest=f"{ADOPTED}{variant.content}",
                image=variant.image,
            )
            if version.approval == "pending":
                registry.set_approval(
                    version.model,
                    version.version,
                    "approved",
                    f"adopted: it serves {native} already",
                )
            refs[variant.content] = f"{version.model}@{version.version}"
        _adopter(project).tag(standing, refs)
        return _adoption(project, _running_endpoint(project, native, name), model, objective)


def _adopter(project: Project) -> Adopter:
    """Return the target's Adopter, which reads and tags endpoints that already run in the cloud.

    It raises Unsupported for a target that has none.
    """
    adapter = project.target.adapter
    if adapter.adoptable is None:
        raise Unsupported(
            f"target {project.target.name}: an endpoint that stands on {adapter.title} "
            "cannot be taken over yet",
            capability="import",
        )
    return adapter.adoptable.adopter(project.target)


def _running_endpoint(project: Project, native: str, name: str | None) -> RunningEndpoint:
    """Read what an existing endpoint serves; raise Refused if it is another project's.

    `native` is the provider's name of the endpoint, `name` its name in project.yaml.
    """
    standing = _adopter(project).look(native, name=name)
    if standing.owner not in (None, project.spec.name):
        raise Refused(
            f"{native} is of project {standing.owner}, as it is marked",
            remedy=f"move its traffic from there, or let {standing.owner} give it up",
        )
    _check_name(f"endpoint {native}", standing.name, "give it one: --as NAME")
    for variant in standing.variants:
        _check_name(
            f"variant {variant.native}",
            variant.name,
            "a variant keeps its name, so this one cannot be taken over",
            VARIANT_LENGTH,
        )
    return standing


def _check_name(what: str, name: str, remedy: str, longest: int | None = None) -> None:
    """Raise Invalid if the cloud's name for an endpoint or variant is invalid in project.yaml."""
    if problem := name_problem(name, **({} if longest is None else {"longest": longest})):
        raise Invalid(f"{what} would be called {name!r} here: {problem[0]}", remedy=remedy)


def _adoption(
    project: Project, standing: RunningEndpoint, model: str | None, objective: str | None
) -> Adoption:
    """Return a preview of taking over a running endpoint: its model versions, and YAML to add.

    `model` and `objective` are the names that the user chose, or None.

    `standing` is the endpoint as it runs. `model` and `objective` are the names that the user
    chose, or None.
    """
    adopted = standing.owner == project.spec.name and all(
        variant.version for variant in standing.variants
    )
    variants = (
        standing.variants
        if adopted
        else _with_versions(project, standing, model or _model(standing))
    )
    return Adoption(
        target=project.target.name,
        endpoint=standing.name,
        native=standing.native,
        adopted=adopted,
        variants=variants,
        yaml="\n".join(
            [
                *_project_lines(project.spec, standing.name, variants, objective),
                *_profile_lines(project, standing.options),
            ]
        ),
    )


def _model(standing: RunningEndpoint) -> str:
    """Return the name under which the endpoint's models are registered.

    It is that of an earlier adoption, else the endpoint's own name.

    `standing` is the endpoint as it runs.
    """
    return next((variant.model for variant in standing.variants if variant.model), standing.name)


def _with_versions(
    project: Project, standing: RunningEndpoint, model: str
) -> tuple[RunningVariant, ...]:
    """Return the variants of a running endpoint, each with a version number of `model`.

    A variant whose content is registered already has that version, any other the next free number.
    """
    _check_name("the model", model, "give it another name: --model NAME")
    registered = project.target.registry.versions(model)
    numbers = {
        version.digest.removeprefix(ADOPTED): version.version
        for version in registered
        if was_adopted(version)
    }
    following = max((version.version for version in registered), default=0) + 1
    for variant in standing.variants:
        if variant.content not in numbers:
            numbers[variant.content] = following
            following += 1
    return tuple(
        msgspec.structs.replace(variant, model=model, version=numbers[variant.content])
        for variant in standing.variants
    )


def _project_lines(
    spec: ProjectSpec, name: str, variants: tuple[RunningVariant, ...], objective: str | None
) -> list[str]:
    """Return the lines of YAML that declare the running endpoint in project.yaml."""
    objective = _objective(spec, name, objective)
    width = max(len(variant.name) for variant in variants)
    return [
        "# project.yaml",
        "endpoints:",
        f"  {name}:",
        *(
            [f"    objective: {objective}", f"    unit: {_unit(spec, name, objective)}"]
            if objective
            else ()
        ),
        "    variants:",
        *(
            f"      {variant.name + ':':<{width + 1}} {{model: "
            f"{variant.model}@{variant.version}, traffic: {percent_text(share)}}}"
            f"   # {variant.runs}, {variant.instances} x {variant.machine}"
            for variant, share in zip(variants, _shares(variants), strict=True)
        ),
    ]


def _shares(variants: tuple[RunningVariant, ...]) -> list[Decimal]:
    """Return each variant's traffic share in percent, rounded so that they sum to exactly 100.

    The largest share takes what the rounding to hundredths leaves.
    """
    shares = [variant.percent.quantize(_HUNDREDTH) for variant in variants]
    shares[shares.index(max(shares))] += HUNDRED - sum(shares)
    return shares


def _objective(spec: ProjectSpec, name: str, objective: str | None) -> str | None:
    """Return the name of the objective that a running endpoint is to serve.

    `objective` is the user's choice; without one it is that of project.yaml's endpoint of this
    name, or its only objective. None if the project has no objective. Raises Invalid if the name is
    unknown, or nothing says which one it is.
    """
    if objective is None and not spec.objectives:
        return None
    declared = spec.endpoints.get(name)
    chosen = (
        objective
        or (declared.objective if declared else None)
        or (next(iter(spec.objectives)) if len(spec.objectives) == 1 else None)
    )
    if chosen not in spec.objectives:
        wrong = (
            f"{objective} is no objective of project.yaml"
            if objective
            else "project.yaml does not say which objective it serves"
        )
        raise Invalid(
            wrong,
            remedy=did_you_mean(objective or "", spec.objectives, has="--objective NAME: it has"),
        )
    return chosen


def _unit(spec: ProjectSpec, name: str, objective: str) -> str:
    """Return the attribute whose values the endpoint ranks for, such as visitor_id, for its YAML.

    It is another endpoint's of the same objective, else the objective's, else a placeholder for the
    user.
    """
    endpoints = [
        *filter(None, [spec.endpoints.get(name)]),
        *(e for e in spec.endpoints.values() if e.objective == objective),
    ]
    return (
        endpoints[0].unit
        if endpoints
        else spec.objectives[objective].unit or "visitor_id   # the caller's: change it to yours"
    )


def _profile_lines(project: Project, options: Mapping[str, Any]) -> list[str]:
    """Return lines of YAML with the options that the target in profiles.yaml lacks."""
    missing = [
        f"    {key}: {_flow(value)}"
        for key, value in options.items()
        if project.target.profile.options.get(key) != value
    ]
    return ["# profiles.yaml", "targets:", f"  {project.target.name}:", *missing] if missing else []


def _flow(value: object) -> str:
    """Return a value as YAML on one line (flow style)."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return msgspec.json.encode(value).decode()
