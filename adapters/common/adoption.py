"""Endpoints that stood before Isthmus, as every adapter judges them that takes them over: their
names here, and what they refuse. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...endpoints.port import EndpointSpec
from ...errors import NotFound, Refused, Unsupported
from ...project.reading.names import neutral
from ...target import Profile

CAPABILITY = "import"
Version = tuple[str, int]  # of a model of ours


def names(profile: Profile) -> dict[str, str]:
    """What profiles.yaml says: our name of an endpoint -> the provider's."""
    return dict(profile.options.get("adopted") or {})


def name_here(
    native: str, *, wanted: str | None, noted: str | None, adopted: Mapping[str, str], own: str
) -> str:
    """What the project calls an endpoint: as it is `noted` there, is `wanted`, stands in
    profiles.yaml, or as it is called there (`own`).

    Refused: it is ours under another name, or the name has another endpoint.
    """
    if noted is not None and wanted not in (None, noted):
        raise Refused(
            f"{native} is endpoint {noted} of this project already",
            remedy=f"--as {noted}, or nothing",
        )
    by_native = {theirs: ours for ours, theirs in adopted.items()}
    name = noted or wanted or by_native.get(native) or neutral(own)
    if adopted.get(name, native) != native:
        raise Refused(
            f"{name} is {adopted[name]} in profiles.yaml",
            remedy="give this one another name: --as NAME",
        )
    return name


def name_taken(name: str, native: str) -> Refused:
    """The name is that of an endpoint which the project made."""
    return Refused(
        f"{name} is an endpoint of this project already, {native}",
        remedy="give this one another name: --as NAME",
    )


def guard(spec: EndpointSpec, running: Collection[Version]) -> None:
    """Refused: a version that does not run there.

    `running`: those of an endpoint whose containers are not ours to make.
    """
    new = [
        f"{variant.model}@{variant.version}"
        for variant in spec.variants
        if (variant.model, variant.version) not in running
    ]
    if new:
        raise Refused(
            f"{spec.name} was adopted, and {', '.join(new)} does not run there: Isthmus "
            "repeats its containers and makes none",
            remedy="deploy it the way the endpoint was made; then isthmus import, with --adopt",
        )


def guard_absent(endpoint: str, adopted: Mapping[str, str], provider: str) -> None:
    """NotFound: what was adopted is not made anew."""
    if endpoint in adopted:
        raise NotFound(
            f"{endpoint} is {adopted[endpoint]} at {provider}, which is gone",
            remedy="make it again the way it was made, or take it out of `adopted:` in "
            f"profiles.yaml and isthmus deploy {endpoint}",
        )


def not_ours(native: str, owner: str | None, profile: Profile) -> Refused:
    """profiles.yaml names an endpoint that is marked as another project's, or as nobody's."""
    text = f"{native} is not of this project: "
    if owner:
        return Refused(
            f"{text}it is marked as {owner}'s",
            remedy=f"let {owner} give it up, or take it out of `adopted:` in profiles.yaml",
        )
    return Refused(
        f"{text}nobody has adopted it",
        remedy=f"isthmus import {profile.adapter} endpoint {native} --adopt",
    )


def unsupported(native: str, why: str) -> Unsupported:
    return Unsupported(
        f"{native} cannot be taken over: {why}, which is not supported yet", capability=CAPABILITY
    )
