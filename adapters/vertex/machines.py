"""A profile's machines, replicas and image, with defaults. Pure."""

from __future__ import annotations

import re
from typing import Any

from ...endpoints.port import VariantSpec
from ...errors import Invalid
from ...pipelines.graphs.kubeflow import Resources
from ...project.profiles.job_options import jobs
from ...target import Profile

DEFAULT = "n1-standard-2"
_SHAPE = re.compile(r"([a-z]\d[a-z]?)-(standard|highmem|highcpu)-(\d+)")
# Source: Compute Engine, "Machine families resource and comparison guide"; "" is any family that is
# not named
_GB_PER_CPU = {
    ("n1", "standard"): 3.75,
    ("n1", "highmem"): 6.5,
    ("n1", "highcpu"): 0.9,
    ("c3", "highcpu"): 2.0,
    ("", "standard"): 4.0,
    ("", "highmem"): 8.0,
    ("", "highcpu"): 1.0,
}
IMAGE = "isthmus"  # offline: what the local stack is told that our image is


def serving_machine(profile: Profile, variant: VariantSpec) -> str:
    """Return the machine type that serves a variant."""
    return variant.machine or str(_serving(profile).get("machine") or DEFAULT)


def serving_replicas(profile: Profile, variant: VariantSpec) -> tuple[int, int]:
    """Return a variant's minimum and maximum replicas; by default the profile's."""
    fewest, _, most = str(_serving(profile).get("replicas") or 1).partition("..")
    return variant.instances or (int(fewest), int(most or fewest))


def job_machine(profile: Profile) -> str:
    """Return the machine type for pipeline steps that name none."""
    return str(jobs(profile).get("machine") or DEFAULT)


def container_limits(machine: str) -> Resources:
    """Return the CPUs and memory of a machine type, to request them for a pipeline's container.

    Raises:
        Invalid: The name does not tell the size.
    """
    shape = _SHAPE.fullmatch(machine)
    if shape is None:
        raise Invalid(
            f"{machine!r} is no machine type whose size its name tells",
            remedy="write for example e2-standard-4",
        )
    per_cpu = _GB_PER_CPU.get((shape[1], shape[2])) or _GB_PER_CPU["", shape[2]]
    return Resources(cpu=int(shape[3]), memory_gb=int(shape[3]) * per_cpu)


def job_environment(profile: Profile, project: str) -> dict[str, str]:
    """Return the environment variables with which a job can read its run.json.

    They are the project (a job's default credentials name Google's own) and, offline, the stack's
    URL.
    """
    environment = {"GOOGLE_CLOUD_PROJECT": project}
    if url := profile.options.get("endpoint_url"):
        environment["GCP_ENDPOINT_URL"] = str(url)
    return environment


def image(profile: Profile) -> str:
    """Return the container image for jobs, and for versions that were registered without one.

    Raises Invalid if a profile of a real project has none.
    """
    if named := profile.options.get("image"):
        return str(named)
    if profile.options.get("endpoint_url"):
        return IMAGE
    raise Invalid(
        f"target {profile.name} has no image",
        remedy="build deploy/Dockerfile, push it, and set `image:` in profiles.yaml",
    )


def _serving(profile: Profile) -> dict[str, Any]:
    """Return the profile's `serving` settings."""
    serving: dict[str, Any] | None = profile.options.get("serving")
    return serving or {}
