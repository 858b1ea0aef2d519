"""Events: the catalogue, the ways in, and what was refused.

As `im.events` its verbs are those of `isthmus events`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .catalogue.verbs import diff as diff
    from .catalogue.verbs import list as list
    from .catalogue.verbs import quarantine as quarantine
    from .catalogue.verbs import show as show
else:

    def __getattr__(name: str) -> object:
        if name not in ("diff", "list", "quarantine", "show"):
            raise AttributeError(f"module 'isthmus.events' has no attribute {name!r}")
        from .catalogue import verbs

        return getattr(verbs, name)
