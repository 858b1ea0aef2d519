"""A model container's output in Cloud Logging: resource aiplatform.googleapis.com/Endpoint."""

from __future__ import annotations

from typing import Any

from .....serving.log_lines import Lines
from ....core.call import Call
from ...logging import in_process
from .records import location_of

LOG = "aiplatform.googleapis.com/prediction_container"
RESOURCE = "aiplatform.googleapis.com/Endpoint"


class EndpointLog(Lines):
    """The lines of one deployed model; with disable_container_logging they stay in this process."""

    def __init__(self, call: Call, endpoint: str, deployed: Any) -> None:
        super().__init__()
        self._call = call
        self._project = endpoint.split("/")[1]
        self._labels = {
            "endpoint_id": endpoint.rpartition("/")[2],
            "location": location_of(endpoint),
            "deployed_model_id": deployed.id,
        }
        self._silent = deployed.disable_container_logging
        self._waiting: list[str] = []

    def write(self, line: str) -> None:
        """Queue a line of a model server's output for Cloud Logging, unless logging is off."""
        if not self._silent:
            self._waiting.append(line)

    def flush_if_due(self) -> None:
        """Write the queued lines to Cloud Logging; called at intervals."""
        self.flush()

    def flush(self) -> None:
        """Write the queued lines of a model server's output to Cloud Logging."""
        lines, self._waiting = self._waiting, []
        if lines:
            in_process.write(
                self._call,
                f"projects/{self._project}/logs/{LOG.replace('/', '%2F')}",
                RESOURCE,
                self._labels,
                lines,
            )
