"""Endpoints: deploy, split, ask and watch them.

As `im.endpoints` its verbs are those of `isthmus endpoints`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .operations.verbs import explain as explain
    from .operations.verbs import invoke as invoke
    from .operations.verbs import list as list
    from .operations.verbs import logs as logs
    from .operations.verbs import metrics as metrics
    from .operations.verbs import service as service
    from .operations.verbs import shadow as shadow
else:
    __all__ = ["explain", "invoke", "list", "logs", "metrics", "service", "shadow"]

    def __dir__() -> list[str]:
        """Name the verbs, for completion; where nobody types, only once they are loaded.

        See the root's: freezegun reads every name of every module.
        """
        loaded = f"{__name__}.operations.verbs" in sys.modules
        return __all__ if loaded or hasattr(sys, "ps1") else []

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'isthmus.endpoints' has no attribute {name!r}")
        from .operations import verbs

        return getattr(verbs, name)
