"""The IAM permissions of Cloud Logging's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "LoggingServiceV2.WriteLogEntries": "logEntries.create",
}
