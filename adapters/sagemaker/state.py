"""StateStore in S3: no second service, no second permission."""

from __future__ import annotations

from typing import final

from ...target import Target
from .documents import Documents
from .session import of


@final
class S3StateStore(Documents):
    def __init__(self, target: Target) -> None:
        super().__init__(of(target), "state")
