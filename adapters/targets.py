"""A target of an installed adapter, and what an adapter says of a profile: price, place, SQL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..core import installed
from ..errors import IsthmusError, Unsupported
from ..feature_store.port import SqlProblem
from ..target import Adapter, CallLog, Estimate, Profile, Target, attribute, require
from ..times import Clock, wall_clock

if TYPE_CHECKING:
    from ..endpoints.port import VariantSpec
    from ..feature_store.sql.subset import Rendered
    from ..storage import BlobStore


def find(adapter: str) -> Adapter:
    """What an installed adapter says of itself.

    Unsupported: there is none of the name. MissingDependency: its packages are absent.
    """
    known = installed.adapter(adapter)
    require(known.needs, f"adapter {adapter}")
    return known


def load(profile: Profile, *, calls: CallLog | None = None, clock: Clock = wall_clock) -> Target:
    """A target whose ports are built on first touch."""
    return Target(profile, find(profile.adapter), calls=calls, clock=clock)


def estimate(profile: Profile, variants: Sequence[VariantSpec]) -> Estimate | None:
    """What these variants would cost an hour under a profile.

    None: the adapter has no prices, as the laptop.
    """
    adapter = find(profile.adapter)
    if not (adapter.estimate and variants):
        return None
    priced: Callable[[Profile, Sequence[VariantSpec]], Estimate] = attribute(adapter.estimate)
    return priced(profile, variants)


def ask_prices(target: Target) -> None:
    """Have the provider's price list asked, unless it was this week.

    Where it is not told, the last or the adapter's table stands.
    """
    if target.adapter.price_list:
        ask: Callable[[Target], None] = attribute(target.adapter.price_list)
        with suppress(IsthmusError):
            ask(target)


def where(target: Target) -> str:
    """Where a target is, as a command's first line says it.

    Denied without credentials, or with another account's; nothing is changed.
    """
    if not target.adapter.where:
        return str(target.profile.options.get("bucket", target.name))
    place: Callable[[Target], str] = attribute(target.adapter.where)
    return place(target)


def fixed(target: Target, endpoint: str) -> str:
    """In what an endpoint that stands differs from the target's profile and cannot be changed; "":
    in nothing, or it is not there.
    """
    if not target.adapter.fixed:
        return ""
    differs: Callable[[Target, str], str] = attribute(target.adapter.fixed)
    return differs(target, endpoint)


def blobs_for(uri: str) -> BlobStore:
    """What opens a URI, by its scheme, under the identity of the process: a job is given the URI of
    its run.json and nothing else.

    The adapter is opened with `bucket: SCHEME://NAME` of the URI, the next part of it as its
    project, and a stack's URL when one of the variables of its offline stack has it. Unsupported
    for a scheme that nothing here opens.
    """
    scheme, _, rest = uri.partition("://")
    adapter = next(installed.adapters(lambda adapter: scheme and adapter.scheme == scheme), None)
    if adapter is None:
        raise Unsupported(f"nothing installed opens {scheme}:// URIs: {uri}", capability="blobs")
    bucket, _, below = rest.partition("/")
    options: dict[str, Any] = {"bucket": f"{scheme}://{bucket}"}
    if adapter.offline and (
        url := next(filter(None, map(os.environ.get, adapter.offline.variables)), None)
    ):
        options["endpoint_url"] = url
    return load(
        Profile(
            name=adapter.name,
            adapter=adapter.name,
            project=below.partition("/")[0],
            options=options,
        )
    ).blobs


class Dialect(Protocol):
    """An adapter's SQL module: pure, and importable without its SDK."""

    def check(self, sql: str) -> tuple[SqlProblem, ...]: ...

    def render(self, sql: str) -> Rendered: ...


def sql_of(adapter: str) -> Dialect | None:
    """An adapter's SQL allow-list, also when its packages are not here; None: neutral SQL runs
    there as it is. Unsupported if unknown.
    """
    engine = installed.adapter(adapter).engine
    return cast("Dialect", import_module(engine.dialect)) if engine else None
