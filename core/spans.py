"""OpenTelemetry spans of commands, verbs, provider calls and requests.

Only where something in this process has imported OpenTelemetry's API: nobody else can be listening,
and nothing of ours imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

_NAME = "isthmus"  # of the tracer
_verb: ContextVar[bool] = ContextVar("isthmus_verb", default=False)
Kind = Literal["INTERNAL", "SERVER", "CLIENT"]


def _ignored(**_attributes: object) -> None:
    """Ignore a span's attributes; it stands in for the function that records them."""


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "INTERNAL",
    sent: Mapping[str, str] | None = None,
    **attributes: object,
) -> Generator[Callable[..., None]]:
    """Open an OpenTelemetry span around the block, and record an error that leaves the block.

    The block is given a function that adds attributes to the span.

    Args:
        name: The span's name.
        kind: OpenTelemetry's kind of span.
        sent: Request headers that may carry the caller's trace.
        attributes: The span's attributes; names without a dot get the prefix `isthmus.`.
    """
    if not listening():
        yield _ignored
        return
    from opentelemetry import (
        trace,
    )  # it is imported, or another thread is at it: then this waits for it

    tracer = trace.get_tracer(_NAME)
    with tracer.start_as_current_span(
        name, _caller(sent), trace.SpanKind[kind], _named(attributes)
    ) as opened:
        yield lambda **more: opened.set_attributes(_named(more))


@contextmanager
def verb(name: str) -> Generator[None]:
    """Open an OpenTelemetry span for a command, unless it runs inside another command's span."""
    if _verb.get():
        yield
        return
    token = _verb.set(True)
    try:
        with span(f"isthmus {name}"):
            yield
    finally:
        _verb.reset(token)


def listening() -> bool:
    """Return whether OpenTelemetry's API is imported, so that spans may be read."""
    return "opentelemetry.trace" in sys.modules


def _caller(sent: Mapping[str, str] | None) -> Any:
    """Return the caller's OpenTelemetry trace context from the headers `sent`, or None."""
    if sent is None:
        return None
    from opentelemetry.propagate import extract  # of the same package, which is imported

    return extract(sent)


def _named(attributes: Mapping[str, object]) -> dict[str, Any]:
    """Return a span's attributes with the prefix `isthmus.`, without those that have no value."""
    return {
        name if "." in name else f"{_NAME}.{name}": value
        for name, value in attributes.items()
        if value is not None
    }
