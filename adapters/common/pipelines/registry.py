"""Checks of what a model registry is given, and its error for an unknown version. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import get_args

from ....errors import Invalid, NotFound
from ....pipelines.port import Approval

_RESERVED = "default"  # Vertex keeps this alias for itself


def check_alias(alias: str) -> None:
    """Raise Invalid if the name cannot be a model version's alias on every target."""
    if not alias or alias == _RESERVED or alias.isdigit():
        raise Invalid(
            f"{alias!r} cannot be an alias",
            remedy="a number means a version, and `default` belongs to Vertex",
        )


def check_approval(approval: str) -> None:
    """Raise Invalid if the word is not one of the approval states of a model version."""
    if approval not in get_args(Approval):
        raise Invalid(
            f"{approval!r} is no approval", remedy=f"one of {', '.join(get_args(Approval))}"
        )


def no_version(model: str, ref: int | str, versions: Mapping[int, Collection[str]]) -> NotFound:
    """Return the error for a version or alias that a model does not have.

    Args:
        model: The model's name.
        ref: The version or alias that was asked for.
        versions: The versions that exist, in order, each with its aliases.
    """
    if not versions:
        return NotFound(
            f"no version of model {model} is registered", remedy="train one of its configurations"
        )
    names = [
        f"{model}@{number}" + "".join(f" ({alias})" for alias in sorted(aliases))
        for number, aliases in versions.items()
    ]
    return NotFound(f"there is no {model}@{ref}", remedy=f"there is {', '.join(names)}")
