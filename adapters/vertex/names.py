"""Names and labels of what this adapter makes. Pure.

Endpoints, models, pipelines, topics and subscriptions take `-` for `_`; tables, views and feature
stores keep `_`. A label's value holds no more than small letters, digits, `-` and `_`, which a
neutral name is.
"""

from __future__ import annotations

import re

from ...errors import Invalid
from ...project.reading.names import NAME

PROJECT_LABEL = "isthmus_project"
KIND_LABEL = "isthmus_kind"
NAME_LABEL = "isthmus_name"

_NEUTRAL = re.compile(NAME)


def dashed(project: str, *names: str) -> str:
    """`<project>-<name>...` of ids that refuse `_`. Reversible, as no neutral name has a `-`."""
    return "-".join(part.replace("_", "-") for part in (project, *names))


def endpoint_id(project: str, name: str, variant: str | None = None) -> str:
    """Of an endpoint, or of the endpoint of its own that a variant of a sticky one has.

    No other id has two hyphens in a row.
    """
    whole = dashed(project, name)
    return whole if variant is None else f"{whole}--{dashed(variant)}"


def is_of_variant(endpoint: str) -> bool:
    """Whether an id, or a resource's name, is that of a sticky endpoint's variant."""
    return "--" in endpoint.rpartition("/")[2]


def dataset(project: str) -> str:
    """The BigQuery dataset of a project, unless the profile names another."""
    return f"isthmus_{project}"


def database(project: str, endpoint: str) -> str:
    """The Firestore database of an endpoint's counters: 54 characters at most, of 63.

    It has no labels, so the name is reversible.
    """
    return "-".join(("isthmus", project.replace("_", "-"), "", endpoint.replace("_", "-")))


def endpoint_of(project: str, database: str) -> str | None:
    """The endpoint whose counters a database holds; None: it is not of this project."""
    prefix = f"isthmus-{project.replace('_', '-')}--"
    return database.removeprefix(prefix).replace("-", "_") if database.startswith(prefix) else None


def check(what: str, name: str) -> None:
    if not _NEUTRAL.fullmatch(name):
        raise Invalid(
            f"{name!r} is not a {what} name",
            remedy="small letters, digits and single underscores, a letter first",
        )


def labels(project: str, kind: str, name: str) -> dict[str, str]:
    """What carries a label carries all three, from the creating call on."""
    return {PROJECT_LABEL: project, KIND_LABEL: kind, NAME_LABEL: name}


def label_filter(project: str) -> str:
    """The filter of a service's list: what carries the project's label."""
    return f"labels.{PROJECT_LABEL}={project}"
