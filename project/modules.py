"""The modules beside project.yaml: trainers, predictors, functions of steps.

They are importable where one of them is about to run, and not before: a project may be somebody
else's, and its folder may hold a file by the name of any library. So our own processes are started
with Python's -P, too, which leaves the current folder out.
"""

from __future__ import annotations

import sys
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType

_folders: set[str] = set()


def importable(folder: str) -> None:
    """Make modules in a project's folder importable, always compiled from their present source.

    Python's cached bytecode is not used: it recognizes a changed source by length and time in
    seconds, so a trainer that was edited twice within a second would run as it was before.
    """
    if folder not in _folders:
        _folders.add(folder)
        if _finder not in sys.path_hooks:
            sys.path_hooks.insert(0, _finder)
        for path in filter(
            _is_project_path, list(sys.path_importer_cache)
        ):  # a copy: other threads import meanwhile
            del sys.path_importer_cache[path]
    if folder not in sys.path:
        sys.path.insert(0, folder)


class _FromSource(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compile the module from its source, ignoring cached bytecode."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _finder(path: str) -> FileFinder:
    """Return the import finder for a folder of the project; raise ImportError for others."""
    if not _is_project_path(path):
        raise ImportError(path)
    return FileFinder(
        path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES)
    )


def _is_project_path(path: str) -> bool:
    """Return whether a path is in a project's folder, but not in a Python environment inside it.

    Libraries may well use their bytecode.
    """
    places = {path, *map(str, Path(path).parents)}
    return bool(places & _folders) and "site-packages" not in Path(path).parts
