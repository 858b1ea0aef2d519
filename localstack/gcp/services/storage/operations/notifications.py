"""Notifications of a bucket to Pub/Sub, and managed folders: stored and shown.

No message is sent yet.
"""

from __future__ import annotations

import re
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route
from ..errors import invalid
from ..field_types import FOLDER, NOTIFICATION, checked
from ..representations import timestamp
from ..requests import base_of, store_of

_TOPIC = re.compile(r"//pubsub\.googleapis\.com/projects/[^/]+/topics/[^/]+")
_CONFIGS = "/storage/v1/b/{bucket}/notificationConfigs"
_FOLDERS = "/storage/v1/b/{bucket}/managedFolders"


@route("storage.notifications.insert", "POST", _CONFIGS, executes=False)
def insert(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Create a notification (storage.notifications.insert)."""
    body, store = checked(request.json(), NOTIFICATION), store_of(call)
    if not _TOPIC.fullmatch(str(body.get("topic", ""))):
        raise invalid(f"Invalid Google Cloud Pub/Sub topic: {body.get('topic')!r}")
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        number = str(max(map(int, bucket.notifications), default=0) + 1)
        link = f"{base_of(request)}/storage/v1/b/{bucket.name}/notificationConfigs/{number}"
        config = (
            {"payload_format": "JSON_API_V1"}
            | body
            | {"kind": "storage#notification", "id": number, "selfLink": link, "etag": number}
        )
        bucket.notifications[number] = config
    return config


@route("storage.notifications.list", "GET", _CONFIGS, executes=False)
def list_configs(call: Call, request: HttpRequest) -> dict[str, Any]:
    """List a bucket's notifications (storage.notifications.list)."""
    configs = list(store_of(call).bucket(request.params["bucket"]).notifications.values())
    return {"kind": "storage#notifications"} | ({"items": configs} if configs else {})


@route("storage.notifications.get", "GET", f"{_CONFIGS}/{{notification}}", executes=False)
def get(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Return a notification (storage.notifications.get)."""
    config = (
        store_of(call)
        .bucket(request.params["bucket"])
        .notifications.get(request.params["notification"])
    )
    if config is None:
        raise _absent(request)
    return config


@route("storage.notifications.delete", "DELETE", f"{_CONFIGS}/{{notification}}", executes=False)
def delete(call: Call, request: HttpRequest) -> HttpAnswer:
    """Delete a notification (storage.notifications.delete)."""
    if (
        store_of(call)
        .bucket(request.params["bucket"])
        .notifications.pop(request.params["notification"], None)
        is None
    ):
        raise _absent(request)
    return HttpAnswer(status=204)


def _absent(request: HttpRequest) -> GcpError:
    """Return the error for a notification that does not exist."""
    return GcpError(
        "NOT_FOUND", f"Notification {request.params['notification']} not found.", reason="notFound"
    )


@route("storage.managedFolders.insert", "POST", _FOLDERS, executes=False)
def insert_folder(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Create a managed folder (storage.managedFolders.insert)."""
    store, name = store_of(call), str(checked(request.json(), FOLDER).get("name") or "").rstrip("/")
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        if not name:
            raise invalid("Invalid argument: a managed folder needs a name")
        if not bucket.uniform:
            raise invalid("Managed folders need uniform bucket-level access.")
        bucket.folders.add(f"{name}/")
    now = timestamp(call.clock.now())
    return {
        "kind": "storage#managedFolder",
        "bucket": bucket.name,
        "name": f"{name}/",
        "createTime": now,
        "updateTime": now,
    }


@route("storage.managedFolders.delete", "DELETE", f"{_FOLDERS}/{{folder}}", executes=False)
def delete_folder(call: Call, request: HttpRequest) -> HttpAnswer:
    """Delete a managed folder (storage.managedFolders.delete)."""
    store, name = store_of(call), request.params["folder"].rstrip("/") + "/"
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        if name not in bucket.folders:
            raise GcpError(
                "NOT_FOUND", f"The managed folder {name} does not exist.", reason="notFound"
            )
        bucket.folders.remove(name)
    return HttpAnswer(status=204)
