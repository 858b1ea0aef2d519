"""Pub/Sub's API."""

from __future__ import annotations

import re

from ...core.rpc.apis import GoogleApi
from .permissions import PERMISSIONS

API = GoogleApi(
    service="pubsub",
    package="google.pubsub.v1",
    module="google.pubsub_v1",
    hosts=("pubsub.googleapis.com",),
    paths=re.compile(
        r"/v1/projects/[^/]+/(topics|subscriptions|snapshots|schemas)\b|/v1/_deleted-topic_"
    ),
    resources=re.compile(r"(/|%2F)(topics|subscriptions|snapshots|schemas)(/|%2F)"),
    emulator="PUBSUB_EMULATOR_HOST",
    permissions=PERMISSIONS,
    handlers=(
        f"{__package__}.operations.topics",
        f"{__package__}.operations.subscriptions",
        f"{__package__}.operations.pulling",
        f"{__package__}.operations.snapshots",
        f"{__package__}.operations.policies",
    ),
)
