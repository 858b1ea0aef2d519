"""awswrangler with a project's session and database where a call leaves them out.

Nothing else of it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Signature, isfunction, ismodule, signature
from types import ModuleType
from typing import Any, final

_GLUE = {
    "awswrangler.athena",
    "awswrangler.catalog",
    "awswrangler.data_quality",
    "awswrangler.s3",
}  # whose `database` is Glue's
_OF_GLUE = ("database", "s3_output", "workgroup")


@final
class Bound:
    """A module of awswrangler with defaults for its functions' arguments.

    Its modules are bound, too; classes and settings are awswrangler's own.
    """

    def __init__(self, module: ModuleType, defaults: Mapping[str, object]) -> None:
        self._module = module
        self._defaults = {
            name: value
            for name, value in defaults.items()
            if name not in _OF_GLUE or _has_glue(module.__name__)
        }
        self._all = defaults

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._module, name)
        if ismodule(attribute):
            return Bound(attribute, self._all)
        return _with_defaults(attribute, self._defaults) if isfunction(attribute) else attribute

    def __dir__(self) -> list[str]:
        return dir(self._module)


def _has_glue(module: str) -> bool:
    """Return whether the `database` argument in an awswrangler module means a Glue database."""
    return any(module == name or module.startswith(f"{name}.") for name in _GLUE)


def _with_defaults(
    function: Callable[..., Any], defaults: Mapping[str, object]
) -> Callable[..., Any]:
    """Wrap a function so that a call gets the defaults (session, database) that it omits."""
    its = signature(function)
    fitting = {name: value for name, value in defaults.items() if name in its.parameters}

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        passed = its.bind_partial(*args, **kwargs).arguments
        missing = {
            name: value
            for name, value in fitting.items()
            if name not in passed and not _omits_database(name, its, passed)
        }
        return function(*args, **kwargs, **missing)

    return call


def _omits_database(name: str, its: Signature, passed: Mapping[str, object]) -> bool:
    """Return whether a call of awswrangler names no table, so that no database may be added.

    to_parquet then writes plain files. `its` is the function's signature, `passed` what the call
    passes.
    """
    table = its.parameters.get("table")
    return (
        name == "database"
        and table is not None
        and table.default is None
        and passed.get("table") is None
    )
