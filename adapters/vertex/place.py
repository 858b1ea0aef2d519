"""Where a Vertex target is, as the first line of every command says it."""

from __future__ import annotations

from ...errors import Invalid
from ...target import Target
from . import credentials


def where(target: Target) -> str:
    """Project, location, offline or not, bucket. Denied when there are no credentials; offline none are needed."""
    options = target.profile.options
    offline = "endpoint_url" in options
    for key in ("bucket", *(() if offline else ("project", "location"))):
        if not options.get(key):
            raise Invalid(f"target {target.name} has no {key}", remedy=f"set `{key}:` in profiles.yaml")
    if not offline:
        credentials.default(target.name)
    return f"project {project(options)}  {location(options)}{'  offline' if offline else ''}   {options['bucket']}"


def project(options: dict[str, object]) -> str:
    return str(options.get("project") or "offline")


def location(options: dict[str, object]) -> str:
    return str(options.get("location") or "us-central1")
