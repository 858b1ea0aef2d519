"""What a profile says of machines, replicas and the image; and its defaults. Pure."""

from __future__ import annotations

from typing import Any

from ...endpoints.port import VariantSpec
from ...errors import Invalid
from ...target import Profile

DEFAULT = "n1-standard-2"
IMAGE = "isthmus"  # offline: what the local stack is told that our image is


def serving_machine(profile: Profile, variant: VariantSpec) -> str:
    return variant.machine or str(_serving(profile).get("machine") or DEFAULT)


def serving_replicas(profile: Profile, variant: VariantSpec) -> tuple[int, int]:
    """The fewest and the most replicas. A variant that says nothing takes the profile's."""
    fewest, _, most = str(_serving(profile).get("replicas") or 1).partition("..")
    return variant.instances or (int(fewest), int(most or fewest))


def job_machine(profile: Profile) -> str:
    """Of a step that names none."""
    return str(profile.options.get("machine") or DEFAULT)


def image(profile: Profile) -> str:
    """The image of jobs, and of versions registered without one. Invalid when a project's profile has none."""
    if named := profile.options.get("image"):
        return str(named)
    if profile.options.get("endpoint_url"):
        return IMAGE
    raise Invalid(f"target {profile.name} has no image", remedy="build deploy/Dockerfile, push it, and set `image:` in profiles.yaml")


def _serving(profile: Profile) -> dict[str, Any]:
    serving = profile.options.get("serving")
    return serving if isinstance(serving, dict) else {}
