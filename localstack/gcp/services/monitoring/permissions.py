"""The IAM permissions of Cloud Monitoring's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "QueryService.QueryTimeSeries": "timeSeries.list",
}
