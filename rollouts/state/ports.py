"""The parts of a target that a rollout needs: five ports, and two that a project adds.

A scripted world has the same (world/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from ...endpoints.port import EndpointHost, MetricSource, Window
from ...pipelines.port import ModelRegistry
from ...storage import BlobStore, StateStore

# (endpoint, window) -> by variant and minute: how many scores, and their mean. Minutes without one
# are absent
Scores = Callable[[str, Window], Mapping[str, Mapping[datetime, tuple[int, float]]]]
# (endpoint, variant): one request to a variant that has no traffic yet. An IsthmusError says what
# is wrong with it
SmokeTest = Callable[[str, str], None]


class ControllerPorts(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of one controller."""

    state: StateStore
    endpoints: EndpointHost
    metrics: MetricSource
    registry: ModelRegistry
    blobs: BlobStore
    smoke: SmokeTest
    scores: Scores | None = None  # None: the endpoint's exposures are not logged
