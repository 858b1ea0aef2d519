"""Call an extractor: `module.function(rows, **parameters)` fits it, its `extract(rows)` computes.

The module lies beside project.yaml, or the extractor is one of Isthmus's own. Like a trainer's
predictor, the object that the function returns is kept as JSON or by its own files, without a
pickle (pipelines/models/predictor.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ...errors import Invalid, IsthmusError
from ...project.features.content_keys import is_builtin
from ...project.modules import importable
from ...project.specs.content import Extract

ContentRow = dict[str, Any]


class Extractor(Protocol):
    """An object that computes the vectors of contents."""

    def extract(self, rows: list[ContentRow]) -> Sequence[Sequence[float] | None]:
        """Return a vector for each row, in order; None for one that holds nothing to read."""
        ...


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """The vector of one content, or why it has none."""

    values: tuple[float, ...] | None
    problem: str | None = None


def fit(view: str, extract: Extract, rows: list[ContentRow], folder: Path) -> Extractor:
    """Fit an extractor on contents, and return it.

    Args:
        view: The feature view, for messages.
        extract: Its section `extract`.
        rows: The contents, by attribute.
        folder: The project's.

    Raises:
        Invalid: the function does not import, raised, or returned no extractor.
        MissingDependency: a package of a built-in extractor is not installed.
    """
    where = f"{view}: {extract.extractor}"
    parameters = {"dimensions": extract.dimensions} | extract.parameters
    function = _function(extract.extractor, where, folder)
    try:
        extractor: Extractor = function(rows, **parameters)
    except IsthmusError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise Invalid(
            f"{where} raised {type(error).__name__}: {error}",
            remedy="it is called with the contents' rows and the parameters by name, dimensions "
            "among them",
        ) from error
    if not callable(getattr(extractor, "extract", None)):
        raise Invalid(
            f"{where} returned a {type(extractor).__name__}, which has no extract(rows)",
            remedy="return an object with extract(rows: list[dict]) -> list[list[float]]",
        )
    return extractor


def _function(extractor: str, where: str, folder: Path) -> Callable[..., Any]:
    """Import an extractor's function; raise Invalid if that fails."""
    module, _, name = extractor.rpartition(".")
    if is_builtin(extractor):
        built_in: Callable[..., Any] = getattr(
            import_module(f"..builtin.{name}", __package__), name
        )
        return built_in
    importable(str(folder))
    try:
        function: Callable[..., Any] = getattr(import_module(module), name)
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise Invalid(
            f"{where} does not import: {type(error).__name__}: {error}",
            remedy=f"mend {module.replace('.', '/')}.py, or install what it imports",
        ) from error
    return function


def vectors(extractor: Extractor, rows: Sequence[ContentRow], *, dimensions: int) -> list[Vector]:
    """Return the vector of each content, or the problem that it has.

    Where the extractor raises on several rows, each is tried by itself: one that cannot be read
    keeps no other from its vector.

    Raises:
        Invalid: the extractor returned another number of vectors than it got rows.
    """
    if not rows:
        return []
    try:
        computed = list(extractor.extract(list(rows)))
    except Exception as error:  # noqa: BLE001  the user's code may raise anything
        if len(rows) > 1:
            return [vectors(extractor, [row], dimensions=dimensions)[0] for row in rows]
        return [Vector(values=None, problem=f"{type(error).__name__}: {error}".rstrip(": "))]
    if len(computed) != len(rows):
        raise Invalid(
            f"{type(extractor).__name__}.extract returned {len(computed):,} vectors for "
            f"{len(rows):,} rows"
        )
    return [_vector(values, dimensions) for values in computed]


def _vector(values: Sequence[float] | None, dimensions: int) -> Vector:
    """Return an extractor's answer for one content as a vector, or what is wrong with it."""
    if values is None:
        return Vector(values=None, problem="nothing to read")
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        return Vector(values=None, problem=f"the extractor gave no numbers: {error}")
    if len(numbers) != dimensions:
        return Vector(
            values=None, problem=f"the extractor gave {len(numbers)} numbers, not {dimensions}"
        )
    if not all(map(math.isfinite, numbers)):
        return Vector(values=None, problem="the extractor gave a number that is not finite")
    return Vector(values=numbers)
