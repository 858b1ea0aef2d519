"""Endpoints: deploy, split, ask and watch them.

As `im.endpoints` its verbs are those of `isthmus endpoints`.
"""

from __future__ import annotations

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

    def __getattr__(name: str) -> object:
        if name not in ("explain", "invoke", "list", "logs", "metrics", "service", "shadow"):
            raise AttributeError(f"module 'isthmus.endpoints' has no attribute {name!r}")
        from .operations import verbs

        return getattr(verbs, name)
