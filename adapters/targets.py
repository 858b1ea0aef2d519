"""Adapters by name, loaded lazily through the entry point group `isthmus.adapters`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol

from ..errors import MissingDependency, Unsupported
from ..feature_store.port import SqlProblem
from ..target import CallLog, Capability, Profile, Target


class Adapter(Protocol):
    """What an entry point names. Importing it must not import a cloud SDK; a port's factory may."""

    capabilities: Mapping[str, Capability]
    ports: Mapping[str, Callable[[Target], Any]]

    def missing(self) -> tuple[str, ...]:
        """The packages that this adapter needs and this Python lacks."""
        ...


def names() -> tuple[str, ...]:
    return tuple(sorted(point.name for point in entry_points(group="isthmus.adapters")))


def find(adapter: str) -> Adapter:
    """Unsupported for an unknown adapter; MissingDependency with the pip line when its packages are absent."""
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


def sql_check(adapter: str) -> Callable[[str], tuple[SqlProblem, ...]] | None:
    """An adapter's SQL allow-list, pure and without its SDK; None when there is no such list here."""
    try:
        return import_module(f"{__package__}.{adapter}.sql").check  # type: ignore[no-any-return]
    except ModuleNotFoundError:
        return None
