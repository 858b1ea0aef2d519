"""Which adapters are installed: the entry points of the group `isthmus.adapters`.

The one place that looks an adapter up by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...errors import Invalid, IsthmusError, MissingDependency, Unsupported
from ...target import Adapter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "isthmus.adapters"


def names() -> tuple[str, ...]:
    """Return the names of all installed adapters, sorted, without importing them."""
    return tuple(sorted({point.name for point in _entry_points()}))


def adapter(name: str) -> Adapter:
    """Return an installed adapter (support for a cloud or the laptop) by its name.

    Packages that it needs to run may be missing (see `require`).

    Raises:
        Unsupported: Nothing installed has that name.
        MissingDependency: Importing it needs a package that is not installed.
        Invalid: It cannot be imported, or its entry point names something else than an Adapter of
            that name.
    """
    if (own := _built_in_adapter(name)) is not None:
        return own
    for point in _entry_points():
        if point.name == name:
            return _loaded(point)
    raise Unsupported(
        f"no adapter named {name!r} is installed (there is: {', '.join(names())})",
        capability="adapter",
        remedy=f"an adapter is a package with an entry point in the group {GROUP}",
    )


def adapters(where: Callable[[Adapter], object] = lambda _adapter: True) -> Iterator[Adapter]:
    """Yield every adapter that can be imported and for which `where` is true.

    A broken one is left out; `adapter(name)` raises the reason.
    """
    for name in names():
        try:
            candidate = adapter(name)
        except IsthmusError:
            continue
        if where(candidate):
            yield candidate


def _built_in_adapter(name: str) -> Adapter | None:
    """Return an adapter built into this package, or None; this is 20 ms faster than entry points.

    Every step of every pipeline comes by here.
    """
    module = f"{__name__.partition('.')[0]}.adapters.{name}"
    if not name.isidentifier() or find_spec(module) is None:
        return None
    own: Adapter | None = vars(import_module(module)).get("ADAPTER")
    return own


def _entry_points() -> tuple[EntryPoint, ...]:
    """Return the entry points by which Python packages register adapters."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))


def _loaded(point: EntryPoint) -> Adapter:
    """Import an adapter from its entry point; raise MissingDependency if it lacks a package."""
    try:
        named = point.load()
    except ImportError as error:
        lacks = error.name or str(error)
        raise MissingDependency(
            f"adapter {point.name} needs {lacks}", remedy=f"install what brings {lacks}"
        ) from error
    except Exception as error:
        # somebody else's module may fail in any way, and the other adapters are not to suffer
        raise Invalid(
            f"adapter {point.name} cannot be imported: {type(error).__name__}: {error}",
            remedy=f"its entry point is {point.value}",
        ) from error
    if not isinstance(named, Adapter) or named.name != point.name:
        raise Invalid(
            f"adapter {point.name}: {point.value} is not an isthmus.target.Adapter of that name",
            remedy=f'ADAPTER = Adapter(name="{point.name}", ...)',
        )
    return named
