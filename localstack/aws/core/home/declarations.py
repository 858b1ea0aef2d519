"""Declarations of services about their stores, for a stack that has a home.

They say which stores are not kept over a restart, which attributes are left out of a record, and
how the work in a store goes on when the stack comes up again. They are made when a service's
modules are imported; this floor knows no service.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..registry import Context

T = TypeVar("T")
Resume = Callable[[Context, Any], None]
ContextOf = Callable[[str, str], Context]  # of an account and a region

# the reason that Describe gives for what was under way when the stack ended
ENDED_WITH_STACK = "InternalServerError: the local stack ended while this was under way"
NOT_KEPT: set[type] = set()
# class -> attribute -> what it is when the record is read
LEFT_OUT: dict[type, Mapping[str, Callable[[], object]]] = {}
_RESUMPTIONS: dict[type, Resume] = {}
_AFTER_RESTART: list[Callable[[ContextOf], None]] = []


def not_kept(store: type[T]) -> type[T]:
    """Mark a store class, as a decorator, as not persisted over restarts of the stack."""
    NOT_KEPT.add(store)
    return store


def leaves_out(**attributes: Callable[[], object]) -> Callable[[type[T]], type[T]]:
    """Exclude attributes of a class, as a decorator, from what is persisted on disk.

    Args:
        attributes: By an attribute's name, the function that makes its value when a record is read.
    """

    def declare(kind: type[T]) -> type[T]:
        LEFT_OUT[kind] = attributes
        return kind

    return declare


def resumes(store: type) -> Callable[[Resume], Resume]:
    """Register, as a decorator, the function that restarts a store's work after a restart.

    Timers and background jobs, for example, are not persisted and have to be started again.
    """

    def declare(function: Resume) -> Resume:
        _RESUMPTIONS[store] = function
        return function

    return declare


def after_restart(function: Callable[[ContextOf], None]) -> Callable[[ContextOf], None]:
    """Register, as a decorator, a function to call once all stores are restored at a start."""
    _AFTER_RESTART.append(function)
    return function


def resume_store(ctx: Context, store: object) -> None:
    """Restart the timers and work of a restored store, if its service has registered how."""
    resume = _RESUMPTIONS.get(type(store))
    if resume is not None:
        resume(ctx, store)


def finish_restart(context_of: ContextOf) -> None:
    """Call the functions that services registered with `after_restart`.

    `context_of` makes the context with which a function is called.
    """
    for function in _AFTER_RESTART:
        function(context_of)
