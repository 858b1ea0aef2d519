"""`im.dataset`: what `isthmus dataset` does. export, show, open."""

from __future__ import annotations

from ...feature_store.datasets.export import export
from ...feature_store.datasets.exported import open, show  # noqa: A004  as im.open

__all__ = ["export", "open", "show"]
__dir__ = __all__.copy  # what completion offers
