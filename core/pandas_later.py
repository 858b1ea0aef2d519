"""Let PyArrow do without pandas in a process of ours until somebody imports it.

PyArrow imports pandas, where it is installed, with the first array that it makes of Python values:
0.2 s and 40 MB in every step and
command. It asks for it once. So it is refused it once, and made to ask again when somebody has
imported pandas (`to_pandas` does that).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    # importlib.abc brings tempfile, shutil and what they read: a sixth of `isthmus --help`
    Loader = object


def install() -> None:
    """Install an import hook that keeps PyArrow from importing pandas before it is needed.

    Where either of the two modules is imported already, nothing changes.
    """
    if not (
        {"pyarrow", "pandas"} & sys.modules.keys()
        or any(isinstance(finder, _Finder) for finder in sys.meta_path)
    ):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the two where Python would."""

    def __init__(self) -> None:
        self.refused: int | None = None  # the thread that finds no pandas

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the import spec of pyarrow or pandas, so that pyarrow does not import pandas."""
        if name not in ("pyarrow", "pandas"):
            return None
        if name == "pandas" and self.refused == threading.get_ident():
            raise ModuleNotFoundError("not before somebody imports it", name=name)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self.without if name == "pyarrow" else _with_pandas)
        return spec

    def without(self) -> None:
        """Import PyArrow's check for pandas so that it finds none, which PyArrow remembers."""
        import pyarrow as pa

        if "pandas" not in sys.modules:
            self.refused = threading.get_ident()
            try:
                pa.array([None])
            finally:
                self.refused = None


def _with_pandas() -> None:
    """Make PyArrow, if it is loaded, load its support for pandas, which was just imported."""
    if (pa := sys.modules.get("pyarrow")) is not None:
        pa.array([None]).to_pandas()


class _Loader(Loader):
    """A module's own loader, and what is to be done once it has loaded it."""

    def __init__(self, loader: Loader, then: Callable[[], None]) -> None:
        self.loader, self.then = loader, then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module as the wrapped loader does."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module by the wrapped loader, then call the follow-up function."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.then()
