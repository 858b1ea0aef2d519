"""The output of containers in CloudWatch Logs."""

from __future__ import annotations

from typing import Any

from .....serving.log_lines import Lines
from ..jobs.logs import LogStream


class VariantLog(LogStream, Lines):
    """The stream <variant>/<instance> of the group /aws/sagemaker/Endpoints/<endpoint>."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        Lines.__init__(self)
        self._client = client
        self._group = group
        self._stream = stream
        self._waiting: list[dict[str, Any]] = []
        self._next = 0.0
        self._create()
