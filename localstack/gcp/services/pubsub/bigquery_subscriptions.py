"""Subscriptions that write their messages into a table of BigQuery, before somebody reads it.

With use_table_schema a message is a JSON object of the table's columns; without it, the column
`data` receives the message as it is. What does not fit goes to the dead letter topic, or is tried
again [docs: pubsub/docs/bigquery].
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from google.pubsub_v1 import types

from ...core.call import Call
from ...core.errors import GcpError
from ..bigquery.pending_rows import PendingRows
from .backlog import Delivery

if TYPE_CHECKING:
    from .records import Subscription

_LATEST = 1.0  # seconds after which rows are written though nobody reads
_BATCH = 10_000
_LEASE = 600.0  # seconds: longer than a busy machine writes; what broke comes again after them
_METADATA = ("subscription_name", "message_id", "publish_time", "attributes")


def complete_config(call: Call, subscription: Any) -> None:
    """Check a subscription's bigquery_config, and set its state in the message.

    Raises:
        GcpError: Something in it is not supported, or the table does not exist or lacks a column.
    """
    from ..bigquery.operations import in_process

    config = subscription.bigquery_config
    if config.use_topic_schema:
        raise GcpError(
            "UNIMPLEMENTED",
            "bigquery_config.use_topic_schema is not supported by the offline GCP yet: "
            "schemas are not",
        )
    config.table = config.table.replace(":", ".", 1)
    if config.table.count(".") != 2:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"bigquery_config.table {config.table!r} is not project.dataset.table.",
        )
    columns = {field.name for field in in_process.table_schema(call, config.table)}
    needed = [
        *(() if config.use_table_schema else ("data",)),
        *(_METADATA if config.write_metadata else ()),
    ]
    for name in needed:
        if name not in columns:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The table {config.table} has no column {name}, which the subscription writes.",
            )
    config.state = types.BigQueryConfig.State.ACTIVE


def start_writing(call: Call, subscription: Subscription) -> None:
    """Start to write a BigQuery subscription's messages to its table as they are published."""
    context = call.without_request()
    late, timed = context.store(PendingRows), threading.Event()

    def noted() -> None:
        late.note(subscription, lambda: write_waiting(context, subscription))
        if (
            not timed.is_set()
        ):  # what is tried again waits for a reader, and must not keep what comes from its time
            timed.set()
            context.clock.call_at_limit(_LATEST, at_latest)

    def at_latest() -> None:
        timed.clear()
        late.settle()

    subscription.on_messages = noted


def write_waiting(call: Call, subscription: Subscription) -> None:
    """Append the unacknowledged messages of a subscription to its BigQuery table.

    They are acknowledged once they are written.
    """
    backlog = subscription.backlog
    deliveries: list[Delivery] = []
    try:
        while batch := backlog.take(_BATCH, subscription, deadline=_LEASE):
            deliveries += batch
        _append(call, subscription, deliveries)
    finally:
        backlog.modify(
            [delivery.ack_id for delivery in deliveries], 0
        )  # what is neither written nor refused comes again
        if backlog.unacknowledged():
            _try_again(call, subscription)


def _append(call: Call, subscription: Subscription, deliveries: list[Delivery]) -> None:
    """Write leased messages into a subscription's BigQuery table, and acknowledge them."""
    from ..bigquery.data import decode
    from ..bigquery.operations import in_process

    backlog, config = subscription.backlog, subscription.message.bigquery_config
    try:
        fields = in_process.table_schema(call, config.table)
    except GcpError:  # the table is gone: they wait until it is there again
        config.state = types.BigQueryConfig.State.NOT_FOUND
        return
    config.state = types.BigQueryConfig.State.ACTIVE
    rows: dict[str, Any] = {}  # by ack id
    unfit = []
    for delivery in deliveries:
        row = _row(subscription.message, delivery.message)
        try:
            decode.record(row, fields, ignore_unknown=config.drop_unknown_fields)
            rows[delivery.ack_id] = row
        except decode.WrongValue:
            unfit.append(delivery.ack_id)
    backlog.reject(unfit)
    for ack_id in backlog.modify(
        rows, _LEASE
    ):  # what follows an unfit one under its ordering key comes again, after it
        del rows[ack_id]
    with suppress(GcpError):  # the table has changed meanwhile
        in_process.append_rows(
            call, config.table, list(rows.values()), ignore_unknown=config.drop_unknown_fields
        )
        backlog.acknowledge(rows)


def _try_again(call: Call, subscription: Subscription) -> None:
    """Register an attempt to write a subscription's messages before BigQuery is read next."""
    call.store(PendingRows).note(subscription, lambda: write_waiting(call, subscription))


def _row(subscription: Any, message: Any) -> Any:
    """Return a Pub/Sub message as a row of the subscription's BigQuery table."""
    config = subscription.bigquery_config
    row: dict[str, Any] = {}
    if config.use_table_schema:
        try:
            row = msgspec.json.decode(message.data)
        except msgspec.DecodeError:
            return None
        if not isinstance(row, dict):
            return None
    else:
        row["data"] = message.data.decode("utf-8", "replace")
    if config.write_metadata:
        row |= {
            "subscription_name": subscription.name,
            "message_id": message.message_id,
            "publish_time": message.publish_time.ToJsonString(),
            "attributes": json.dumps(dict(message.attributes)),
        }
    return row
