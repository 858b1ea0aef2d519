"""The feature groups that the stack keeps, with their records."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .values import Feature, Value


class Online(msgspec.Struct, frozen=True):
    """The record that is served for an identifier."""

    values: dict[str, Value]
    event_time: datetime
    expires: datetime | None
    ttl: timedelta | None  # its own; None follows the group at its writing
    deleted: bool = False  # softly: its event time still counts


class Row(msgspec.Struct, frozen=True):
    """A row for the offline store."""

    values: dict[str, Value]
    event_time: datetime
    api_invocation_time: datetime
    deleted: bool


class Group(msgspec.Struct, kw_only=True):
    """A feature group."""

    name: str
    arn: str
    created: datetime
    modified: datetime
    status: str  # Creating, Created, CreateFailed, Deleting, DeleteFailed
    identifier: str
    event_time: str
    features: dict[str, Feature]
    definitions: list[dict[str, Any]]
    request: dict[str, Any]  # what Describe gives back as it came
    online: dict[str, Online] | None  # None: no online store
    offline: dict[str, Any] | None  # OfflineStoreConfig, completed
    failure: str | None = None
    update: dict[str, Any] | None = None  # LastUpdateStatus
    metadata: dict[str, dict[str, Any]] = {}  # feature -> Description, Parameters
    pending: list[Row] = []  # on their way to S3
    flushing: bool = False

    @property
    def storage(self) -> str:
        """The type of the group's online storage."""
        storage_type: str = self.request.get("OnlineStoreConfig", {}).get("StorageType", "Standard")
        return storage_type


class Groups:
    """The feature groups of one account and region."""

    def __init__(self) -> None:
        self.by_name: dict[str, Group] = {}
        self.lock = threading.RLock()
