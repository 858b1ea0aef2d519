"""Events: the catalogue, the ways in, and what was refused.

As `im.events` its verbs are those of `isthmus events`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .catalogue.verbs import diff as diff
    from .catalogue.verbs import list as list
    from .catalogue.verbs import quarantine as quarantine
    from .catalogue.verbs import show as show
else:
    __all__ = ["diff", "list", "quarantine", "show"]

    def __dir__() -> list[str]:
        """Name the verbs, for completion; where nobody types, only once they are loaded.

        See the root's: freezegun reads every name of every module.
        """
        loaded = f"{__name__}.catalogue.verbs" in sys.modules
        return __all__ if loaded or hasattr(sys, "ps1") else []

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'isthmus.events' has no attribute {name!r}")
        from .catalogue import verbs

        return getattr(verbs, name)
