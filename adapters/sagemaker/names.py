"""Names and tags of the AWS resources that this adapter makes. Pure.

Endpoints, their variants, models and pipelines take `-` for `_`; streams and feature groups keep
`_`. Tables and views need no prefix: every project has a Glue database of its own. A tagged
resource carries all three tags from the call that makes it.
"""

from __future__ import annotations

import re

from ...errors import Invalid
from ...project.reading.names import NAME

PROJECT_TAG = "isthmus:project"
KIND_TAG = "isthmus:kind"
NAME_TAG = "isthmus:name"

_NEUTRAL = re.compile(NAME)


def dashed(project: str, *names: str) -> str:
    """Return `<project>-<name>...` for endpoints, models and pipelines, with `_` as `-`.

    It can be reversed, as no neutral name has a `-`.
    """
    return "-".join(part.replace("_", "-") for part in (project, *names))


def variant(name: str) -> str:
    """Return SageMaker's name for a variant, in which `_` becomes `-`.

    The function `neutral` of project.reading.names reverses it.
    """
    return name.replace("_", "-")


def underscored(project: str, name: str) -> str:
    """Return `<project>-<name>` for streams and feature groups, whose names may have `_`."""
    return f"{project}-{name}"


def database(project: str) -> str:
    """Return the default name of a project's Glue database; the profile may name another."""
    return f"isthmus_{project}"


def check(what: str, name: str) -> None:
    """Raise Invalid if the name of a `what` does not follow the rules that hold on every target."""
    if not _NEUTRAL.fullmatch(name):
        raise Invalid(
            f"{name!r} is not a {what} name",
            remedy="small letters, digits and single underscores, a letter first",
        )


def tags(project: str, kind: str, name: str) -> list[dict[str, str]]:
    """Return the tags that mark a resource as the project's, as a list of Key and Value.

    Most services take them so.
    """
    return [{"Key": key, "Value": value} for key, value in tag_map(project, kind, name).items()]


def tag_map(project: str, kind: str, name: str) -> dict[str, str]:
    """Return the tags that mark a resource as the project's, as a mapping for Kinesis and Glue."""
    return {PROJECT_TAG: project, KIND_TAG: kind, NAME_TAG: name}
