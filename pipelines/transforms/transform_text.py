"""Say in one line what a transform computes."""

from __future__ import annotations

from ...project.specs.description import Transform
from .compute import bucket_names


def transform_text(transform: Transform) -> str:
    """Return what a transform computes as text: `bucketize seen: below 5, 5 to 10, 10 or more`."""
    if transform.kind in ("cosine", "dot"):
        half = len(transform.inputs) // 2
        views = [name.rpartition("_")[0] for name in (transform.inputs[0], transform.inputs[half])]
        return f"{transform.kind} {', '.join(views)}"
    read = f"{transform.kind} {', '.join(transform.inputs)}"
    if transform.kind == "cross":
        return f"{read} into {transform.into:,}"
    return f"{read}: {', '.join(bucket_names(transform.at))}" if transform.at else read
