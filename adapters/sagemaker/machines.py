"""A profile's machines, image and job environment, with defaults. Pure."""

from __future__ import annotations

from typing import Any

from ...endpoints.port import VariantSpec
from ...errors import Invalid
from ...project.profiles.job_options import jobs
from ...target import Profile

DEFAULT = "ml.m5.large"
IMAGE = "isthmus"  # offline: what the local stack is told that our image is


def serving_machine(profile: Profile, variant: VariantSpec) -> str:
    """Return the instance type that serves a variant."""
    return variant.machine or _serving(profile).get("instance") or DEFAULT


def serving_counts(profile: Profile, variant: VariantSpec) -> tuple[int, int]:
    """Return a variant's minimum and maximum instances; the profile's count stands for both."""
    count = int(_serving(profile).get("count") or 1)
    return variant.instances or (count, count)


def job_machine(profile: Profile) -> str:
    """Return the instance type for pipeline steps that name none."""
    return str(jobs(profile).get("machine") or DEFAULT)


def image(profile: Profile) -> str:
    """Return the container image for jobs, and for versions that were registered without one.

    Raises Invalid if a profile of a real account has none.
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
    """Return the environment variables with which a job can read its run.json.

    They are the region and, offline, the way to the local stack. The job's role gives it
    credentials.
    """
    environment = {"AWS_DEFAULT_REGION": region}
    if url := profile.options.get("endpoint_url"):
        environment |= {"AWS_ENDPOINT_URL": str(url)}
    return environment


def _serving(profile: Profile) -> dict[str, Any]:
    """Return the profile's `serving` settings."""
    serving = profile.options.get("serving")
    return serving if isinstance(serving, dict) else {}
