"""Starting a fleet: a server for each of its variants, all at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ...jobs.images import command_of
from ..registry import Context
from . import timing
from .hosting import model_server, unmapped
from .models import Content, NoModel, content, fetch
from .records import Fleet, Variant


def start(ctx: Context, endpoint: str, fleet: Fleet) -> None:
    """Begin in the background. With --moto-answers an image that nobody mapped is no failure: moto's canned answers stand in for it."""
    ctx.spawn(_start, ctx, endpoint, fleet)


def wait(ctx: Context, fleet: Fleet) -> bool:
    """Until every server answers or one has failed; False: the stack is stopping."""
    while not fleet.started.wait(0.1):
        if ctx.stopping.is_set():
            return False
    return True


def _start(ctx: Context, endpoint: str, fleet: Fleet) -> None:
    try:
        with ThreadPoolExecutor(max(1, len(fleet.all)), thread_name_prefix="model-server") as pool:
            failures = [failure for failure in pool.map(lambda variant: _serve(ctx, endpoint, variant), fleet.all) if failure]
        fleet.failure = failures[0] if failures else None
    except BaseException as error:
        fleet.failure = f"the local stack failed: {error!r}"
        raise
    finally:
        fleet.started.set()


def _serve(ctx: Context, endpoint: str, variant: Variant) -> str | None:
    try:
        source = content(ctx, variant.config["ModelName"])
        command = command_of(ctx.images, source.image)
        if command is None:
            if ctx.moto_answers:
                return None
            return _words(variant, unmapped(source.image))
        variant.image, variant.resolved = source.image, ctx.clock.now()
        variant.server = model_server(ctx, endpoint, variant.name, source, command)
        problem = variant.server.start(lambda folder: fetch(ctx, source, folder), _patience(variant))
        return _started(variant, source, problem)
    except NoModel as error:
        return _words(variant, str(error))


def _started(variant: Variant, source: Content, wrong: str | None) -> str | None:
    if wrong is None:
        return None
    return (
        f"The primary container for production variant {variant.name} did not pass the ping health check. Please check CloudWatch logs for "
        f"this endpoint. (local stack: image {source.image}: {wrong})"
    )


def _patience(variant: Variant) -> float:
    return float(variant.config.get("ContainerStartupHealthCheckTimeoutInSeconds") or timing.HEALTH)


def _words(variant: Variant, wrong: str) -> str:
    return f"Variant {variant.name}: {wrong}"
