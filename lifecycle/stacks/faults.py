"""`im.stack.fault`: what goes wrong in a running stack on purpose. add, list, clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ...reports.results import Shown, StructRows
from .calls import as_ours, places

if TYPE_CHECKING:
    from isthmus_stack.core.faults import Fault

__all__ = ["add", "clear", "list"]
__dir__ = __all__.copy  # what completion offers


class Cleared(Shown, msgspec.Struct, frozen=True, kw_only=True):
    cleared: int | str  # a fault's number, or "all"


def add(
    kind: str,
    *,
    service: str | None = None,
    operation: str | None = None,
    name: str | None = None,
    times: int | None = 1,
    seconds: float = 1.0,
    code: str | None = None,
    url: str | None = None,
) -> Fault:
    """Inject a fault, such as an error or a delay, into the calls of a running offline stack.

    Args:
        kind: What goes wrong, such as throttle or latency.
        service: The service; None: every one.
        operation: The operation; None: every one.
        name: A resource that the call names; None: whatever it names.
        times: How many calls fail, an SDK's retries included; None: until the fault is cleared.
        seconds: How late, or for how long, where the kind has a time.
        code: The error code to answer.
        url: The stack's URL; None: the one that `isthmus stack` would use.

    Raises:
        Invalid: There is no such fault, service or operation, or a number is out of bounds.
        NotFound: No stack answers.
    """
    with as_ours():
        from isthmus_stack.cli import verbs

        return verbs.add_fault(
            places(url),
            kind=kind,
            service=service,
            operation=operation,
            name=name,
            times=times,
            seconds=seconds,
            code=code,
        )


def list(*, url: str | None = None) -> StructRows[Fault]:
    """Return the faults not yet triggered in a running stack; raise NotFound if none answers."""
    with as_ours():
        from isthmus_stack.cli import verbs

        return StructRows(verbs.faults(places(url)))


def clear(number: int | None = None, *, url: str | None = None) -> Cleared:
    """Remove one injected fault, or all, from a stack; raise NotFound if none answers."""
    with as_ours():
        from isthmus_stack.cli import verbs

        verbs.clear_faults(places(url), number)
    return Cleared(cleared=number or "all")
