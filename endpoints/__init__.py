"""Endpoints: deploy, split, ask and watch them.

As `im.endpoints` its verbs are those of `isthmus endpoints`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .verbs import explain as explain
    from .verbs import invoke as invoke
    from .verbs import list as list
    from .verbs import logs as logs
    from .verbs import metrics as metrics
    from .verbs import service as service
    from .verbs import shadow as shadow
else:

    def __getattr__(name: str) -> object:
        if name not in ("explain", "invoke", "list", "logs", "metrics", "service", "shadow"):
            raise AttributeError(f"module 'isthmus.endpoints' has no attribute {name!r}")
        from . import verbs

        return getattr(verbs, name)
