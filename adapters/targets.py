"""Targets of installed adapters, and what an adapter knows of a profile: price and place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..core.plugins import installed
from ..errors import IsthmusError, Unsupported
from ..feature_store.port import Rendered, SqlProblem
from ..target import Adapter, CallLog, Estimate, Profile, Target, require
from ..times import Clock, wall_clock

if TYPE_CHECKING:
    from ..endpoints.port import VariantSpec
    from ..storage import BlobStore


def find(adapter: str) -> Adapter:
    """Return the description of an installed adapter by its name.

    Raises:
        Unsupported: No adapter has the name.
        MissingDependency: The packages that it needs are not installed.
    """
    description = installed.adapter(adapter)
    require(description.needs, f"adapter {adapter}")
    return description


def load(profile: Profile, *, calls: CallLog | None = None, clock: Clock = wall_clock) -> Target:
    """Open the target of a profile; its ports are built on first use."""
    return Target(profile, find(profile.adapter), calls=calls, clock=clock)


def estimate(profile: Profile, variants: Sequence[VariantSpec]) -> Estimate | None:
    """Estimate the USD that endpoint variants cost an hour under a profile; None without prices."""
    adapter = find(profile.adapter)
    if adapter.priced is None or not variants:
        return None
    return adapter.priced.estimate(profile, variants)


def ask_prices(target: Target) -> None:
    """Fetch and cache the provider's price list, unless it was fetched this week.

    If the provider does not answer, the last list or the adapter's own table stays in force.
    """
    if target.adapter.priced is not None:
        with suppress(IsthmusError):
            target.adapter.priced.refresh(target)


def where(target: Target) -> str:
    """Return where a target keeps its resources, as text for the first line of a command.

    Raises:
        Denied: There are no credentials, or they are another account's. Nothing was changed.
    """
    if target.adapter.located is None:
        return str(target.profile.options.get("bucket", target.name))
    return target.adapter.located.place(target)


def fixed(target: Target, endpoint: str) -> str:
    """Return how a running endpoint differs from the profile in settings that cannot be changed.

    It is text for a message, "" if nothing differs or the endpoint does not exist.
    """
    if target.adapter.fixed is None:
        return ""
    return target.adapter.fixed.differences(target, endpoint)


def blobs_for(uri: str) -> BlobStore:
    """Return the blob store that opens a URI, chosen by the URI's scheme.

    A job is given the URI of its run.json and nothing else. The store works under the identity of
    the process. Its adapter is opened with `bucket: SCHEME://NAME` of the URI, with the next part
    of the URI as its project, and with a stack's URL if one of the variables of its offline stack
    has one.

    Raises:
        Unsupported: Nothing installed opens such URIs.
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

    def check(self, sql: str) -> tuple[SqlProblem, ...]:
        """Return a problem for each part of a query that the engine cannot express.

        Queries are in neutral SQL, the subset that all targets share.
        """
        ...

    def render(self, sql: str) -> Rendered:
        """Translate a query in the SQL that all targets share to the engine's SQL."""
        ...


def sql_of(adapter: str) -> Dialect | None:
    """Return the module that renders an adapter's SQL dialect; None if it needs no rendering.

    Queries are written in neutral SQL, the subset that all targets share. The adapter's packages
    need not be installed.

    Raises:
        Unsupported: No adapter has the name.
    """
    engine = installed.adapter(adapter).engine
    return cast("Dialect", import_module(engine.dialect)) if engine else None
