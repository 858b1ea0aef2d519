"""Let kfp find its artifacts where the container has its objects, if /gcs cannot be mounted.

This file stands alone: it is run by its path, as the `sitecustomize` of a container.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_MODULE = "kfp.dsl.types.artifact_types"


class _Moved(Loader):
    """A loader that gives kfp's module of artifacts another folder for gs://."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module that the original loader creates."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute a module, then set its constant for the /gcs mount point to the job's folder."""
        self.loader.exec_module(module)
        module.__dict__["_GCS_LOCAL_MOUNT_PREFIX"] = os.environ["ISTHMUS_GCS"]


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that has a constant for the /gcs mount point, to change it on import."""
        if fullname != _MODULE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Moved(spec.loader)
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder())
