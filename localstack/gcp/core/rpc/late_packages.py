"""Load Google's generated packages without their clients, which this server does not use.

The `__init__` of such a package imports all of its clients, synchronous and asynchronous: of Vertex
AI's that is two thirds of the time and the memory of an import. Here it runs only when the package
is asked for a name that is no module below it.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

IMPORTING = threading.RLock()  # Google's packages do not bear two threads that import them at once


def install(packages: Iterable[str]) -> None:
    """Make Google's packages import their client modules only on use, in this process.

    A package that is imported already stays as it is.
    """
    names = "|".join(re.escape(package) for package in packages)
    sys.meta_path.insert(0, _Finder(re.compile(rf"({names})(\.services(\.\w+(\.transports)?)?)?")))


class _Finder(MetaPathFinder):
    def __init__(self, names: re.Pattern[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a package whose import is to be delayed, and give it a lazy loader."""
        spec = (
            PathFinder.find_spec(fullname, path, target)
            if self._names.fullmatch(fullname)
            else None
        )
        if spec is None or spec.loader is None or spec.submodule_search_locations is None:
            return None
        spec.loader = _LateLoader(spec.loader)
        return spec


class _LateLoader(Loader):
    """A loader that defers the execution of a package's `__init__`."""

    def __init__(self, genuine: Loader) -> None:
        self.genuine = genuine

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return a stand-in module that is really imported when an attribute of it is used."""
        return _LatePackage(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module that was created runs the genuine loader on its first use."""


class _LatePackage(ModuleType):
    """A package that imports its modules on demand, and runs its `__init__` only if it must."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return importlib.import_module(
                f"{self.__name__}.{name}"
            )  # without our lock: who holds a module's may wait for it
        with IMPORTING:
            if name in vars(self):  # another thread was first
                return vars(self)[name]
            spec = self.__spec__
            if spec is not None and isinstance(
                spec.loader, _LateLoader
            ):  # else its `__init__` is under way, or has been
                genuine = spec.loader.genuine
                spec.loader = genuine
                genuine.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]  # from now on a module like others
                return getattr(self, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
