"""Names and labels of the Google resources that this adapter makes. Pure.

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
    """Return `<project>-<name>...` for ids that cannot have `_`, which becomes `-`.

    It can be reversed, as no neutral name has a `-`.
    """
    return "-".join(part.replace("_", "-") for part in (project, *names))


def endpoint_id(project: str, name: str, variant: str | None = None) -> str:
    """Return the Vertex AI id of an endpoint, or of a sticky endpoint's variant's own one.

    No other id has two hyphens in a row.
    """
    whole = dashed(project, name)
    return whole if variant is None else f"{whole}--{dashed(variant)}"


def is_of_variant(endpoint: str) -> bool:
    """Return whether an endpoint's id or resource name is of a variant of a sticky endpoint."""
    return "--" in endpoint.rpartition("/")[2]


def dataset(project: str) -> str:
    """Return the default name of a project's BigQuery dataset; the profile may name another."""
    return f"isthmus_{project}"


def database(project: str, endpoint: str) -> str:
    """Return the name of the Firestore database for an endpoint's counters.

    It tells project and endpoint again, as databases have no labels. It has at most 54 of 63
    characters.
    """
    return "-".join(("isthmus", project.replace("_", "-"), "", endpoint.replace("_", "-")))


def endpoint_of(project: str, database: str) -> str | None:
    """Return the endpoint whose counters a Firestore database holds, or None.

    None means that it is not one of the project's.
    """
    prefix = f"isthmus-{project.replace('_', '-')}--"
    return database.removeprefix(prefix).replace("-", "_") if database.startswith(prefix) else None


def check(what: str, name: str) -> None:
    """Raise Invalid if the name of a `what` does not follow the rules that hold on every target."""
    if not _NEUTRAL.fullmatch(name):
        raise Invalid(
            f"{name!r} is not a {what} name",
            remedy="small letters, digits and single underscores, a letter first",
        )


def labels(project: str, kind: str, name: str) -> dict[str, str]:
    """Return the labels that mark a resource as the project's: project, kind and name."""
    return {PROJECT_LABEL: project, KIND_LABEL: kind, NAME_LABEL: name}


def label_filter(project: str) -> str:
    """Return the filter that lists the resources with the project's label."""
    return f"labels.{PROJECT_LABEL}={project}"
