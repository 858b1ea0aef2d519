"""What a profile says of machines, the image and a job's environment; and its defaults. Pure."""

from __future__ import annotations

from typing import Any

from ...endpoints.port import VariantSpec
from ...errors import Invalid
from ...target import Profile

DEFAULT = "ml.m5.large"
IMAGE = "isthmus"  # offline: what the local stack is told that our image is


def serving_machine(profile: Profile, variant: VariantSpec) -> str:
    return variant.machine or _serving(profile).get("instance") or DEFAULT


def serving_counts(profile: Profile, variant: VariantSpec) -> tuple[int, int]:
    """The fewest and the most instances. A variant that says nothing takes the profile's count."""
    count = int(_serving(profile).get("count") or 1)
    return variant.instances or (count, count)


def job_machine(profile: Profile) -> str:
    """Of a step that names none."""
    return str(profile.options.get("machine") or DEFAULT)


def image(profile: Profile) -> str:
    """The image of jobs, and of versions registered without one.

    Invalid when an account's profile has none.
    """
    if uri := profile.options.get("image"):
        return str(uri)
    if profile.options.get("endpoint_url"):
        return IMAGE
    raise Invalid(
        f"target {profile.name} has no image",
        remedy="build deploy/Dockerfile, push it, and set `image:` in profiles.yaml",
    )


def job_environment(profile: Profile, region: str) -> dict[str, str]:
    """What a job needs before it can read run.json: the region, and offline the way to the local
    stack.

    Its role gives the credentials, on an account and offline. What is here must be enough for
    `targets.blobs_for(run_uri)`.
    """
    environment = {"AWS_DEFAULT_REGION": region}
    if url := profile.options.get("endpoint_url"):
        environment |= {"AWS_ENDPOINT_URL": str(url)}
    return environment


def _serving(profile: Profile) -> dict[str, Any]:
    serving = profile.options.get("serving")
    return serving if isinstance(serving, dict) else {}
