"""The verbs of isthmus_stack with our errors, and which stack they ask."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.runtime import stacks
from ...errors import (
    Invalid,
    IsthmusError,
    MissingDependency,
    NotFound,
    Refused,
    Unavailable,
    Unsupported,
)

if TYPE_CHECKING:
    from isthmus_stack.cli import errors


@contextmanager
def as_ours() -> Generator[None, None, None]:
    """Convert exceptions that isthmus_stack raises in the block to Isthmus's own classes.

    Raises:
        MissingDependency: The package is not installed.
    """
    stacks.require_package()
    from isthmus_stack.cli import errors

    try:
        yield
    except errors.StackError as error:
        raise _ours(error) from error


def _ours(error: errors.StackError) -> IsthmusError:
    """Convert an exception of the package isthmus_stack to one of Isthmus's own classes."""
    from isthmus_stack.cli import errors

    remedy = error.remedy.replace("isthmus-stack ", "isthmus stack ")
    if isinstance(error, errors.Unsupported):
        return Unsupported(str(error), capability="stack compare", remedy=remedy)
    kinds: dict[type[errors.StackError], type[IsthmusError]] = {
        errors.NotFound: NotFound,
        errors.Newer: Refused,
        errors.MissingPackage: MissingDependency,
        errors.Unavailable: Unavailable,
    }
    return kinds.get(type(error), Invalid)(str(error), remedy=remedy)


def places(url: str | None) -> tuple[str, ...]:
    """Return the URLs at which a command looks for a running offline stack, likeliest first.

    They are `url` or the environment's, else those of the project's running stacks, else the
    default of `up`.
    """
    from isthmus_stack.cli import verbs

    named = (
        os.environ.get(variable)
        for cloud in stacks.clouds().values()
        for variable in cloud.variables
    )
    if first := url or next(filter(None, named), None):
        return verbs.places(first)
    return stacks.running_urls(Path.cwd()) or verbs.places()
