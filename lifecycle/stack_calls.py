"""Asking the stack that runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .. import stacks
from ..errors import Invalid, NotFound

if TYPE_CHECKING:
    from isthmus_stack.client import Stack

_Answer = TypeVar("_Answer")


def asked(url: str | None, ask: Callable[[Stack], _Answer]) -> _Answer:
    """Ask the running stack; its refusals are Invalid, its absence NotFound."""
    from isthmus_stack.client import Stack

    places = _places(url)
    for where in places:
        try:
            return ask(Stack(where))
        except OSError:
            continue
        except ValueError as error:
            raise Invalid(f"{where} does not take that: {error}") from None
    raise NotFound(f"no stack answers at {' or '.join(places)}", remedy="start one with `isthmus stack up aws|gcp`, or say --url")


def _places(url: str | None) -> tuple[str, ...]:
    """Where the stack may be that was meant: as the caller says, or the environment; the project's own; where `up` starts one."""
    from isthmus_stack.run import CLOUDS, environment_of

    if url:
        return (url,)
    named = (os.environ.get(variable) for cloud in stacks.clouds().values() for variable in cloud.variables)
    if first := next(filter(None, named), None):
        return (first,)
    return stacks.running_urls(Path.cwd()) or tuple(f"http://127.0.0.1:{environment_of(cloud).PORT}" for cloud in CLOUDS)
