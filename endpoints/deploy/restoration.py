"""Choose what `deploy` puts behind an endpoint, also where `isthmus guard` has stopped it.

A stopped endpoint comes back with the versions and the split that it had.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ...core.runtime.project import Project
from ...errors import NotFound, Refused
from ...project.specs.description import Endpoint, Variant
from ..port import EndpointSpec, EndpointState, VariantSpec
from ..split import HUNDRED, percent_text
from ..traffic.owner import is_stopped
from ..traffic.owner_document import Owner, OwnerDocument, StoppedVariant
from ..traffic.resolution import Resolved, resolve, version_of


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as `deploy` will put it, and its first split in percent by variant."""

    resolved: Resolved
    split: dict[str, Decimal]


def planned(
    project: Project,
    endpoint: Endpoint,
    running: EndpointState | None,
    claim: OwnerDocument | None,
) -> Planned:
    """Return the versions and the first split that `deploy` gives an endpoint.

    They are those of project.yaml, or of a stopped endpoint those that it had.

    Raises:
        NotFound: No version has an alias.
        Refused: A version was rejected.
    """
    if is_stopped(claim):
        return _as_stopped(project, endpoint, claim.owner)
    return Planned(
        resolved=resolve(project, endpoint, running),
        split={variant.name: variant.traffic for variant in endpoint.variants},
    )


def _as_stopped(project: Project, endpoint: Endpoint, stop: Owner) -> Planned:
    """Return a stopped endpoint with its versions and split, as far as project.yaml allows.

    `stop` is the record of the stop. A variant that is new in project.yaml gets no traffic. Where
    one with traffic is gone from it, the split is the declared one.
    """
    was = {variant.name: variant for variant in stop.stopped}
    variants: list[VariantSpec] = []
    lost = False
    notes: list[str] = []
    for variant in endpoint.variants:
        former = was.get(variant.name)
        spec = _former_version(project, variant, former)
        declared = _declared_version(project, endpoint, variant)
        if spec is None:
            if not isinstance(declared, VariantSpec):
                raise declared
            if former is not None:
                lost = True
                notes.append(
                    f"{variant.name} was {former.model}@{former.version}, which may not serve any "
                    f"more or is of another model: it is {declared.model}@{declared.version} now"
                )
            spec = declared
        elif isinstance(declared, VariantSpec) and declared.version != spec.version:
            notes.append(
                f"{variant.name} is {spec.model}@{spec.version}, and project.yaml names "
                f"{declared.model}@{declared.version} by now: deploy again"
            )
        variants.append(spec)
    split = {
        variant.name: stop.split.get(variant.name, Decimal(0)) for variant in endpoint.variants
    }
    if sum(split.values()) != HUNDRED:
        gone = [name for name, percent in stop.split.items() if percent and name not in split]
        split = {variant.name: variant.traffic for variant in endpoint.variants}
        notes.append(
            "its split is that of project.yaml, "
            + (
                f"which has no {', '.join(gone)} any more "
                f"({', '.join(f'{percent_text(stop.split[name])} %' for name in gone)})"
                if gone
                else "as it had none yet when it was stopped"
            )
        )
    exactly = "as it was" if not lost else "with other versions than it had"
    return Planned(
        resolved=Resolved(
            spec=EndpointSpec(
                name=endpoint.name, variants=tuple(variants), routing=endpoint.routing
            ),
            notes=(f"it comes back {exactly} when it was stopped, {stop.since}", *notes),
        ),
        split=split,
    )


def _former_version(
    project: Project, variant: Variant, former: StoppedVariant | None
) -> VariantSpec | None:
    """Return the version that a variant had, or None if it had none or it may not serve now.

    It may not where the version was rejected or removed since, or project.yaml names another model.

    `former` is the variant as it was recorded at the stop.
    """
    if former is None or former.model != variant.model:
        return None
    try:
        version = project.target.registry.get(former.model, former.version)
    except NotFound:
        return None
    if version.approval == "rejected":
        return None
    return VariantSpec(name=former.name, model=former.model, version=former.version)


def _declared_version(
    project: Project, endpoint: Endpoint, variant: Variant
) -> VariantSpec | NotFound | Refused:
    """Return the version that project.yaml names for a variant, or the error why it has none."""
    try:
        return version_of(project, endpoint, variant)
    except (NotFound, Refused) as error:
        return error
