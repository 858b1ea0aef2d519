"""Resolve an endpoint of project.yaml: version numbers in the place of aliases.

Variants that may not change now stay as they run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ...core.runtime.project import Project
from ...errors import NotFound, Refused
from ...project.reading.names import did_you_mean
from ...project.specs.description import Endpoint, Variant
from ..port import EndpointSpec, EndpointState, VariantSpec, VariantState
from ..revision import revision_of
from ..split import percent_text
from .owner_document import OwnerDocument
from .refusals import refusal


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """A spec, and in `notes` how it differs from project.yaml and why, a line each."""

    spec: EndpointSpec
    notes: tuple[str, ...] = ()


def endpoint_of(project: Project, name: str) -> Endpoint:
    """Return an endpoint's declaration in project.yaml, by its name.

    Raises:
        NotFound: It declares none of that name.
    """
    endpoint = project.spec.endpoints.get(name)
    if endpoint is None:
        raise NotFound(
            f"project.yaml has no endpoint {name}",
            remedy=did_you_mean(name, project.spec.endpoints, has="it has"),
        )
    return endpoint


def ranking_endpoint_of(project: Project, name: str) -> Endpoint:
    """Return an endpoint's declaration in project.yaml, if it ranks for an objective.

    Raises:
        NotFound: It declares none of that name.
        Refused: The endpoint has no objective.
    """
    endpoint = endpoint_of(project, name)
    if not endpoint.objective:
        raise Refused(
            f"endpoints.{name} has no objective: nothing can be deployed to it, or rank through "
            "it; nothing was changed",
            remedy=f"write objective: and unit: below endpoints.{name} in project.yaml. Without "
            "them the traffic of an endpoint that was imported can be moved, by hand or by a "
            "rollout",
        )
    return endpoint


def resolve(project: Project, endpoint: Endpoint, running: EndpointState | None) -> Resolved:
    """Return an endpoint's spec to be deployed, with version numbers in place of aliases.

    If the endpoint runs, a variant whose alias names no version any more is left out, as after a
    promotion. A variant with traffic keeps its present version while another variant is to take
    that version over: that one is deployed first, so that the traffic can move there.

    Raises:
        NotFound: No version has an alias.
        Refused: A version was rejected.
    """
    versions = _versions(project, endpoint, may_lack_some=running is not None)
    serving = {variant.name: variant for variant in running.variants} if running else {}
    variants: list[VariantSpec] = []
    notes: list[str] = []
    for variant in endpoint.variants:
        now, new = serving.get(variant.name), versions.get(variant.name)
        heir = _heir(now, serving, versions) if now is not None else None
        if (
            now is not None
            and _has_traffic(now)
            and (new is None or (heir and _model(now) != _model(new)))
        ):
            variants.append(VariantSpec(name=now.name, model=now.model, version=now.version))
            notes.append(_stays(endpoint.name, now, heir))
        elif new is None:
            notes.append(f"{variant.name} is left out: no version is {variant.model}@{variant.ref}")
        else:
            variants.append(new)
    return Resolved(
        spec=EndpointSpec(name=endpoint.name, variants=tuple(variants), routing=endpoint.routing),
        notes=tuple(notes),
    )


def _versions(
    project: Project, endpoint: Endpoint, *, may_lack_some: bool
) -> dict[str, VariantSpec]:
    """Return the model version that each variant is to run, by variant name.

    With `may_lack_some` variants whose alias names no version are left out.

    Raises:
        NotFound: A variant that may not be left out has no version, or none has.
    """
    versions: dict[str, VariantSpec] = {}
    errors: list[NotFound] = []
    for variant in endpoint.variants:
        try:
            versions[variant.name] = version_of(project, endpoint, variant)
        except NotFound as error:
            if not may_lack_some or variant.ref.isdigit():
                raise
            errors.append(error)
    if not versions:
        raise errors[0]
    return versions


def with_owned_counts(
    claim: OwnerDocument | None,
    spec: EndpointSpec,
    running: EndpointState | None,
    *,
    now: datetime,
) -> EndpointSpec:
    """Return a spec with the running numbers of instances, if a rollout or experiment scales them.

    It scales them while it owns the traffic; else the spec is returned unchanged.

    `claim` is the record of who owns the traffic, `running` the endpoint as it runs.

    Raises:
        Refused: The traffic has such an owner, and the spec would change a variant.
    """
    if claim is None or not claim.owner.lasting or running is None:
        return spec
    if running.revision != revision_of(spec):
        raise refusal(
            spec.name,
            claim.owner,
            now=now,
            meanwhile=f"deploy would change {_changes(spec, running)}",
        )
    counts = {
        variant.name: (variant.target_instances, variant.target_instances)
        for variant in running.variants
    }
    variants = (
        msgspec.structs.replace(variant, instances=counts[variant.name])
        for variant in spec.variants
    )
    return msgspec.structs.replace(spec, variants=tuple(variants))


def version_of(project: Project, endpoint: Endpoint, variant: Variant) -> VariantSpec:
    """Return a variant's spec, with the version that its alias or number has in the registry.

    Raises NotFound if there is none, and Refused if that version was rejected.
    """
    ref: int | str = int(variant.ref) if variant.ref.isdigit() else variant.ref
    try:
        version = project.target.registry.get(variant.model, ref)
    except NotFound as error:
        files = [
            m.path
            for m in project.spec.models.values()
            if m.model == variant.model and m.alias == variant.ref
        ]
        raise NotFound(
            f"endpoint {endpoint.name}, variant {variant.name}: there is no "
            f"{variant.model}@{variant.ref} yet",
            remedy=f"isthmus train {' '.join(files) or 'models/<configuration>.yaml'}",
        ) from error
    if version.approval == "rejected":
        raise Refused(
            f"endpoint {endpoint.name}, variant {variant.name}: "
            f"{version.model}@{version.version} was rejected",
            remedy="train another version, or move the alias: isthmus models promote "
            f"{version.model}",
        )
    return VariantSpec(name=variant.name, model=version.model, version=version.version)


def _model(variant: VariantSpec | VariantState) -> tuple[str, int]:
    """Return a variant's model name and version number."""
    return variant.model, variant.version


def _has_traffic(variant: VariantState) -> bool:
    """Return whether a variant has traffic, or is about to have some."""
    return max(variant.percent, variant.target_percent) > 0


def _heir(
    variant: VariantState, serving: Mapping[str, VariantState], versions: Mapping[str, VariantSpec]
) -> str | None:
    """Return the name of the variant that will serve this variant's version in its place, or None.

    `versions` are the declared ones, `serving` the variants that run. The heir is declared with
    this version, and either runs it already or has no traffic.
    """
    for name, spec in versions.items():
        now = serving.get(name)
        if (
            name != variant.name
            and _model(spec) == _model(variant)
            and (now is None or _model(now) == _model(spec) or not _has_traffic(now))
        ):
            return name
    return None


def _stays(endpoint: str, variant: VariantState, heir: str | None) -> str:
    """Return a note that a variant keeps its version while it has traffic, and on the remedy.

    `heir` is the variant that will serve the version, or None.
    """
    move = f"{heir}=100" if heir else f"{variant.name}=0"
    why = f", which {heir} is to have" if heir else ""
    share = f"{percent_text(max(variant.percent, variant.target_percent))} %"
    return (
        f"{variant.name} stays {variant.model}@{variant.version}{why}, while it has {share} of "
        f"the traffic: isthmus traffic {endpoint} {move}, then deploy again"
    )


def _changes(spec: EndpointSpec, running: EndpointState) -> str:
    """Return the names of the variants whose model or version a deploy would change, as text."""
    now, new = (
        {v.name: _model(v) for v in running.variants},
        {v.name: _model(v) for v in spec.variants},
    )
    named = [name for name in {**now, **new} if now.get(name) != new.get(name)]
    return ", ".join(named) or "how its variants run"
