"""Syncs of feature views: by hand, by cron and continuous, one at a time.

A view serves what its last successful sync read.
"""

from __future__ import annotations

import contextlib
import traceback
from typing import Any

from google.cloud.aiplatform_v1.types import FeatureViewSync

from ....core.call import Call
from ....core.errors import GcpError
from ....core.resources.store import Resources
from . import cron
from .direct_writes import after_sync
from .kinds import SYNC
from .records import Served
from .sources import feature_names, read
from .values import Key, SourceError

_SECONDS = 5.0  # from the request of a sync to its end; a real one takes minutes
_CONTINUOUS = 60.0  # seconds between two looks of a continuous sync
_INVALID_ARGUMENT, _INTERNAL = 3, 13  # of google.rpc.Code


def start(call: Call, view: Any) -> str:
    """Begin to sync a feature view from its source in the background; return the sync's name.

    Raises:
        GcpError: FAILED_PRECONDITION, another sync is running.
    """
    served = call.store(Served)
    with served.lock:
        if view.name in served.running:
            raise GcpError(
                "FAILED_PRECONDITION",
                f"A sync of the FeatureView {view.name} is running: there is one at a time.",
            )
        served.running.add(view.name)
    name = _new_sync(call, view.name)
    context = call.without_request()
    call.clock.call_after(_SECONDS, lambda: _run(context, name, view.name))
    return name


def schedule(call: Call, view: Any) -> None:
    """Start the timer of a feature view's syncs as its sync_config says: continuous or by cron.

    A continuous view is also synced at once. The view's former timer is cancelled.
    """
    served = call.store(Served)
    context = call.without_request()
    if timer := served.timers.pop(view.name, None):
        timer.cancel()
    if view.sync_config.continuous:
        name = _new_sync(call, view.name)
        _run(context, name, view.name)
        served.timers[view.name] = call.clock.call_every(
            _CONTINUOUS, lambda: _sync_if_changed(context, name, view.name)
        )
    elif view.sync_config.cron:
        _await_next(context, view.name, view.sync_config.cron)


def drop_view(call: Call, view: str) -> None:
    """Delete a feature view's timer, syncs and served rows."""
    served = call.store(Served)
    resources = call.store(Resources)
    if timer := served.timers.pop(view, None):
        timer.cancel()
    served.snapshots.pop(view, None)
    served.written.pop(view, None)
    for sync in resources.below(view, SYNC.collection):
        resources.remove(sync.name)


def _await_next(call: Call, view: str, text: str) -> None:
    """Set a timer for a feature view's next sync by its cron expression `text`."""
    now = call.clock.now()
    due = cron.next_time(cron.parse(text), now)
    if due is None:
        return

    def run() -> None:
        current = call.store(Resources).find(view)
        if current is None or call.stopping.is_set():
            return
        with contextlib.suppress(GcpError):  # one is running
            start(call, current)
        _await_next(call, view, text)

    call.store(Served).timers[view] = call.clock.call_at_limit((due - now).total_seconds(), run)


def _new_sync(call: Call, view: str) -> str:
    """Store a new FeatureViewSync that begins now, and return its name."""
    name = f"{view}/{SYNC.collection}/{call.new_id()}"
    sync = FeatureViewSync.pb()(name=name, create_time=call.now_pb())
    sync.run_time.start_time.CopyFrom(call.now_pb())
    call.store(Resources).add(name, sync)
    return name


def _sync_if_changed(call: Call, name: str, view: str) -> None:
    """Sync a continuously synced feature view unless its source is unchanged.

    The instant clock calls it four times a second.
    """
    from ...bigquery.operations import in_process

    versions, version = call.store(Served).versions, in_process.content_version(call)
    if call.clock.mode != "instant" or versions.get(view) != version:
        versions[view] = version
        _run(call, name, view)


def _run(call: Call, name: str, view: str) -> None:
    """Read a feature view's source into its served rows; if that fails, the former rows stay.

    `name` is the FeatureViewSync whose outcome is stored.
    """
    served = call.store(Served)
    resources = call.store(Resources)
    sync, current = resources.find(name), resources.find(view)
    try:
        if call.stopping.is_set() or sync is None or current is None:
            return
        began = call.now_pb().ToNanoseconds()
        try:
            snapshot = read(call, current)
        except SourceError as error:
            sync.final_status.code, sync.final_status.message = _INVALID_ARGUMENT, str(error)
        except GcpError as error:
            sync.final_status.code, sync.final_status.message = error.code, error.message
        except Exception as mistake:  # noqa: BLE001  ours: told to who waits for the sync, and to our stderr in full
            traceback.print_exc()
            sync.final_status.code = _INTERNAL
            sync.final_status.message = f"the GCP stack failed: {type(mistake).__name__}: {mistake}"
        else:
            _serve(call, current, snapshot, began)
            sync.ClearField("final_status")
            sync.final_status.SetInParent()
            sync.sync_summary.row_synced = len(snapshot)
        if current.sync_config.continuous:
            sync.sync_summary.system_watermark_time.CopyFrom(call.now_pb())
        else:
            sync.run_time.end_time.CopyFrom(call.now_pb())
        resources.put(name, sync)
    finally:
        with served.lock:
            served.running.discard(view)


def _serve(call: Call, view: Any, snapshot: dict[Key, bytes], began: int) -> None:
    """Serve what a sync has read, and what was written directly since it began (nanoseconds)."""
    served = call.store(Served)
    with served.lock:
        if written := served.written.get(view.name):
            features = feature_names(call, view, view.name)
            served.written[view.name] = after_sync(
                written,
                snapshot,
                features,
                began,
                timed=view.WhichOneof("source") == "feature_registry_source",
            )
        served.snapshots[view.name] = snapshot
