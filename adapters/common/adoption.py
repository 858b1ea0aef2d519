"""The rules for adopting endpoints that Isthmus did not make. Pure.

They decide what the project calls such an endpoint, and what an adopted endpoint refuses.
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
    """Return the adopted endpoints of profiles.yaml: the provider's name by the project's name.

    An adopted endpoint is one that ran already when the project took it over.
    """
    return dict(profile.options.get("adopted") or {})


def name_here(
    native: str, *, requested: str | None, noted: str | None, adopted: Mapping[str, str], own: str
) -> str:
    """Return the name under which the project knows, or will know, an endpoint of the provider.

    Args:
        native: The provider's name or id of the endpoint.
        requested: The name that the user asks for (`--as`), if any.
        noted: The name in the endpoint's own tags or labels, if it has one.
        adopted: The adopted endpoints of profiles.yaml, our name -> the provider's.
        own: What the provider calls the endpoint; the name when nothing else decides.

    Raises:
        Refused: The endpoint is this project's under another name, or the name is another
            endpoint's.
    """
    if noted is not None and requested not in (None, noted):
        raise Refused(
            f"{native} is endpoint {noted} of this project already",
            remedy=f"--as {noted}, or nothing",
        )
    by_native = {theirs: ours for ours, theirs in adopted.items()}
    name = noted or requested or by_native.get(native) or neutral(own)
    if adopted.get(name, native) != native:
        raise Refused(
            f"{name} is {adopted[name]} in profiles.yaml",
            remedy="give this one another name: --as NAME",
        )
    return name


def name_taken(name: str, native: str) -> Refused:
    """Return the error that another endpoint of this project already has the requested name.

    `native` is the provider's name of the endpoint that was to get it.
    """
    return Refused(
        f"{name} is an endpoint of this project already, {native}",
        remedy="give this one another name: --as NAME",
    )


def guard(spec: EndpointSpec, running: Collection[Version]) -> None:
    """Refuse to deploy a version that an adopted endpoint does not run already.

    Args:
        spec: The endpoint as it is to be.
        running: The versions that the endpoint runs. Only their containers can be deployed again,
            as Isthmus makes none for an adopted endpoint.

    Raises:
        Refused: The spec has a version that is not among them.
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
    """Raise NotFound if the endpoint is an adopted one: Isthmus does not create it anew.

    It is called when the provider no longer has the endpoint.
    """
    if endpoint in adopted:
        raise NotFound(
            f"{endpoint} is {adopted[endpoint]} at {provider}, which is gone",
            remedy="make it again the way it was made, or take it out of `adopted:` in "
            f"profiles.yaml and isthmus deploy {endpoint}",
        )


def not_ours(native: str, owner: str | None, profile: Profile) -> Refused:
    """Return the error that an endpoint named in profiles.yaml is not tagged as this project's.

    `native` is the provider's name of it, `owner` the project in its tags, if any.
    """
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
    """Return the error for an endpoint that the project cannot take over, with the reason `why`.

    `native` is the provider's name of it.
    """
    return Unsupported(
        f"{native} cannot be taken over: {why}, which is not supported yet", capability=CAPABILITY
    )
