"""The processes behind a fleet: one for each instance of its variants, up to MOST.

There are more and fewer of them as the counts change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ......core.images import command_of
from ......serving.model_server import ModelServer
from .....core.registry import Context
from .. import timing
from ..records import Fleet, Variant
from .models import Content, NoModel, content, fetch
from .servers import model_server, unmapped_message

T = TypeVar("T")
MOST = 4  # processes of one variant; they stand for all of its instances


def start(ctx: Context, endpoint: str, fleet: Fleet) -> None:
    """Start the model servers of a fleet (an endpoint's variants) in the background.

    An image without a local command is a failure, unless --moto-answers is set: then moto's canned
    answers take the place of the model's.
    """
    ctx.spawn(_start, ctx, endpoint, fleet)


def wait(ctx: Context, fleet: Fleet) -> bool:
    """Wait until every model server of a fleet is healthy or one has failed.

    Return False when the stack is stopping.
    """
    while not fleet.started.wait(0.1):
        if ctx.stopping.is_set():
            return False
    return True


def processes(count: int) -> int:
    """Return how many local processes stand for a variant with `count` instances.

    It is at most `MOST`.
    """
    return min(count, MOST)


def grows(fleet: Fleet) -> bool:
    """Return whether a fleet's desired instance counts need more processes than run."""
    return any(
        variant.image and processes(variant.desired_count) > len(variant.servers)
        for variant in fleet.all
    )


def resize(ctx: Context, endpoint: str, fleet: Fleet) -> str | None:
    """Start and end model servers to match a fleet's desired instance counts.

    If one server does not start, the variants keep their present counts, and the error is returned.
    """
    changed = [variant for variant in fleet.all if variant.image and not variant.serverless]
    wrong = _first(
        lambda variant: _grow(ctx, endpoint, variant, processes(variant.desired_count)), changed
    )
    for variant in changed:
        shrink(variant, processes(variant.count if wrong else variant.desired_count))
    return wrong


def shrink(variant: Variant, count: int) -> None:
    """End a variant's last instances once their requests are answered, leaving `count`."""
    gone = variant.servers[count:]
    variant.servers, variant.healthy = variant.servers[:count], variant.healthy[:count]
    for server in gone:
        server.retire()


def _start(ctx: Context, endpoint: str, fleet: Fleet) -> None:
    """Start the model servers of a fleet, and record failures in its variants."""
    try:
        counts = {
            variant.name: 1 if variant.serverless else processes(variant.desired_count)
            for variant in fleet.all
        }
        fleet.failure = _first(
            lambda variant: _grow(ctx, endpoint, variant, counts[variant.name]), fleet.all
        )
    except BaseException as error:
        fleet.failure = f"the local stack failed: {error!r}"
        raise
    finally:
        fleet.started.set()


def _grow(ctx: Context, endpoint: str, variant: Variant, count: int) -> str | None:
    """Start a variant's missing model servers, up to `count`; return an error message, or None.

    They take requests once all of them answer.
    """
    try:
        source = content(ctx, variant.config["ModelName"])
        command = command_of(ctx.images, source.image)
        if command is None:
            return (
                None
                if ctx.moto_answers
                else _failure_reason(variant, unmapped_message(source.image))
            )
        variant.image, variant.resolved = source.image, ctx.clock.now()
        more = [
            model_server(ctx, endpoint, variant.name, source, command, remark=_remark(variant))
            for _ in range(count - len(variant.servers))
        ]
        variant.servers = (*variant.servers, *more)
        wrong = _first(lambda server: _serve(ctx, variant, source, server), more)
    except NoModel as error:
        return _failure_reason(variant, str(error))
    if wrong is None:
        variant.healthy = variant.servers
    return wrong


def _serve(ctx: Context, variant: Variant, source: Content, server: ModelServer) -> str | None:
    """Download a model and start its server; return an error message, or None.

    `source` is the model's container.
    """
    wrong = server.start(lambda folder: fetch(ctx, source, folder), _start_timeout(variant))
    if wrong is None:
        return None
    return (
        f"The primary container for production variant {variant.name} did not pass the ping "
        "health check. Please check CloudWatch logs for "
        f"this endpoint. (local stack: image {source.image}: {wrong})"
    )


def _first(function: Callable[[T], str | None], things: Iterable[T]) -> str | None:
    """Call a function with all items in parallel; return the first error message, or None."""
    todo = list(things)
    if len(todo) < 2:
        return function(todo[0]) if todo else None
    with ThreadPoolExecutor(len(todo), thread_name_prefix="model-server") as pool:
        return next(filter(None, list(pool.map(function, todo))), None)


def _remark(variant: Variant) -> str | None:
    """Return a log line about a variant with more instances than processes, or None."""
    count = variant.desired_count
    return (
        f"[local stack] variant {variant.name} has {count} instances: {MOST} processes stand "
        "for them"
        if count > MOST
        else None
    )


def _start_timeout(variant: Variant) -> float:
    """Return the seconds within which a variant's container must become healthy."""
    return float(variant.config.get("ContainerStartupHealthCheckTimeoutInSeconds") or timing.HEALTH)


def _failure_reason(variant: Variant, wrong: str) -> str:
    """Return an error message about a variant, for FailureReason; `wrong` says what went wrong."""
    return f"Variant {variant.name}: {wrong}"
