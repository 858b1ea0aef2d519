"""Adapters by name, loaded lazily through the entry point group `isthmus.adapters`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import MissingDependency, Unsupported
from ..feature_store.port import SqlProblem
from ..target import CallLog, Capability, Estimate, Profile, Target

if TYPE_CHECKING:
    from ..endpoints.port import VariantSpec
    from ..feature_store.sql import Rendered
    from ..storage import BlobStore


class Adapter(Protocol):
    """What an entry point names. Importing it must not import a cloud SDK; a port's factory may."""

    capabilities: Mapping[str, Capability]
    ports: Mapping[str, Callable[[Target], Any]]

    def missing(self) -> tuple[str, ...]:
        """The packages that this adapter needs and this Python lacks."""
        ...


def names() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    return tuple(sorted(point.name for point in entry_points(group="isthmus.adapters")))


def find(adapter: str) -> Adapter:
    """Unsupported for an unknown adapter; MissingDependency with the pip line when its packages are absent."""
    if adapter == "local":  # what the entry point says, without the 20 ms of asking: every step of every pipeline comes by here
        return import_module(".local", __package__).ADAPTER  # type: ignore[no-any-return]
    from importlib.metadata import entry_points

    found = [point for point in entry_points(group="isthmus.adapters") if point.name == adapter]
    if not found:
        have = ", ".join(names())
        raise Unsupported(
            f"no adapter named {adapter!r} is installed (there is: {have})",
            capability="adapter",
            remedy="an adapter is a package with an entry point in the group isthmus.adapters",
        )
    line = f'pip install "isthmus[{adapter}]"'
    try:
        loaded: Adapter = found[0].load()
    except ImportError as error:
        raise MissingDependency(f"adapter {adapter} needs {error.name or error}", remedy=line) from error
    if missing := loaded.missing():
        raise MissingDependency(f"adapter {adapter} needs {', '.join(missing)}", remedy=line)
    return loaded


def load(profile: Profile, *, calls: CallLog | None = None) -> Target:
    """A target whose ports are built on first touch."""
    adapter = find(profile.adapter)
    return Target(profile, capabilities=adapter.capabilities, ports=adapter.ports, calls=calls)


def estimate(profile: Profile, variants: Sequence[VariantSpec]) -> Estimate | None:
    """What these variants would cost an hour under a profile. None: the adapter has no prices, as the laptop."""
    priced: Callable[[Profile, Sequence[VariantSpec]], Estimate] | None = getattr(find(profile.adapter), "estimate", None)
    return priced(profile, variants) if priced and variants else None


def where(target: Target) -> str:
    """Where a target is, as a command's first line says it. Denied without credentials, or with another account's; nothing is changed."""
    said: Callable[[Target], str] | None = getattr(find(target.adapter), "where", None)
    return said(target) if said else str(target.profile.options.get("bucket", target.name))


# the scheme of a URI -> the adapter of its blobs, and the variable that leads it to a local stack
_SCHEMES = {"s3": ("sagemaker", "AWS_ENDPOINT_URL"), "gs": ("vertex", "STORAGE_EMULATOR_HOST")}


def blobs_for(uri: str) -> BlobStore:
    """What opens a URI, by its scheme, under the identity of the process: a job is given the URI of its run.json and nothing else.

    Unsupported for a scheme that nothing here opens.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in _SCHEMES:
        raise Unsupported(f"nothing installed opens {scheme}:// URIs: {uri}", capability="blobs")
    adapter, variable = _SCHEMES[scheme]
    bucket, _, below = rest.partition("/")
    options: dict[str, Any] = {"bucket": f"{scheme}://{bucket}"}
    if url := os.environ.get(variable):
        options["endpoint_url"] = url
    return load(Profile(name=adapter, adapter=adapter, project=below.partition("/")[0], options=options)).blobs


class Dialect(Protocol):
    """An adapter's SQL module: pure, and importable without its SDK."""

    def check(self, sql: str) -> tuple[SqlProblem, ...]: ...

    def render(self, sql: str) -> Rendered: ...


def sql_of(adapter: str) -> Dialect | None:
    """The SQL allow-list of one of our own adapters, also before the adapter itself can be loaded; None when there is none."""
    try:
        return cast("Dialect", import_module(f"{__package__}.{adapter}.sql"))
    except ModuleNotFoundError:
        return None
