"""Subscriber's pulls: Pull, Acknowledge, ModifyAckDeadline and StreamingPull."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from google.protobuf import empty_pb2
from google.pubsub_v1 import types
from google.rpc import error_details_pb2

from ....core.call import Call
from ....core.errors import GcpError
from ....core.registry import handles
from ..backlog import Backlog, Delivery
from ..errors import not_found
from ..records import Hub, Subscription

_SERVICE = "google.pubsub.v1.Subscriber"
_LONGEST_PULL = 3.0  # seconds that a Pull waits for a first message
_POLL = 0.02  # seconds between two looks of a Pull that waits
_LOOK = 1.0  # seconds after which a stream that waits looks whether the stack stops
_MOST_PULLED = 1000  # messages of one answer
_MOST_BYTES = 10 * 10**6  # of one answer
_MOST_REQUEST_BYTES = 524_288  # of Acknowledge and ModifyAckDeadline [docs: pubsub/quotas]
_INVALID = "PERMANENT_FAILURE_INVALID_ACK_ID"


@handles(f"{_SERVICE}.Pull")
async def pull(call: Call, request: Any) -> Any:
    """Answer Pull in the event loop, so that a client that waits occupies no thread."""
    subscription = _pull_subscription(call, request.subscription)
    if request.max_messages <= 0:
        raise GcpError("INVALID_ARGUMENT", "max_messages must be larger than 0.")
    backlog, most = subscription.backlog, min(request.max_messages, _MOST_PULLED)
    holder, end = object(), time.monotonic() + _LONGEST_PULL
    while not (deliveries := backlog.take(most, holder, most_bytes=_MOST_BYTES)):
        if (
            request.return_immediately
            or backlog.closed
            or time.monotonic() > end
            or call.stopping.is_set()
        ):
            break
        await asyncio.sleep(_POLL)
    return types.PullResponse.pb()(
        received_messages=[_received_message(delivery) for delivery in deliveries]
    )


@handles(f"{_SERVICE}.Acknowledge")
def acknowledge(call: Call, request: Any) -> Any:
    backlog = _pull_subscription(call, request.subscription).backlog
    _check_ack_ids(request)
    _confirm(backlog, backlog.acknowledge(request.ack_ids))
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.ModifyAckDeadline")
def modify_ack_deadline(call: Call, request: Any) -> Any:
    backlog = _pull_subscription(call, request.subscription).backlog
    _check_deadline(request.ack_deadline_seconds, 0)
    _check_ack_ids(request)
    _confirm(backlog, backlog.modify(request.ack_ids, request.ack_deadline_seconds))
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.StreamingPull")
def streaming_pull(call: Call, requests: Iterator[Any]) -> Iterator[Any]:
    """Answer a StreamingPull, until the client or the subscription ends it."""
    first = next(requests, None)
    if first is None:
        raise GcpError("INVALID_ARGUMENT", "The first message of a StreamingPull is missing.")
    subscription = _pull_subscription(call, first.subscription)
    _check_deadline(first.stream_ack_deadline_seconds, 10)
    stream = _Stream(call, subscription, first)
    call.spawn(stream.read, requests)
    return stream.answers()


class _Stream:
    """One open StreamingPull."""

    def __init__(self, call: Call, subscription: Subscription, first: Any) -> None:
        self._call = call
        self._subscription = subscription
        self._backlog = subscription.backlog
        self._deadline: int = first.stream_ack_deadline_seconds
        self._most: int = first.max_outstanding_messages
        self._most_bytes: int = first.max_outstanding_bytes
        self._confirmations: deque[Any] = deque()
        self._over = False
        self._act(first)

    def read(self, requests: Iterator[Any]) -> None:
        """Handle the requests that a client sends on a streaming pull, until it ends."""
        for request in requests:
            if request.stream_ack_deadline_seconds:
                self._deadline = request.stream_ack_deadline_seconds
            self._act(request)
        self._over = True
        self._backlog.wake()

    def answers(self) -> Iterator[Any]:
        """Yield streaming pull responses with ready messages, within the client's flow control."""
        rules = self._backlog.rules
        properties = types.StreamingPullResponse.SubscriptionProperties.pb()(
            exactly_once_delivery_enabled=rules.exactly_once, message_ordering_enabled=rules.ordered
        )
        answer = types.StreamingPullResponse.pb()
        while not (self._over or self._call.ended.is_set() or self._call.stopping.is_set()):
            changes = self._backlog.changes
            while self._confirmations:
                yield self._confirmations.popleft()
            deliveries = self._take()
            if deliveries:
                yield answer(
                    received_messages=[_received_message(delivery) for delivery in deliveries],
                    subscription_properties=properties,
                )
            elif self._backlog.closed:
                if self._call.stopping.is_set():
                    return
                raise _gone_error(self._subscription)
            else:
                self._backlog.wait(changes, _LOOK)

    def _take(self) -> list[Delivery]:
        """Lease ready messages for the stream, within the client's flow control."""
        messages, size = (
            self._backlog.outstanding(self) if self._most > 0 or self._most_bytes > 0 else (0, 0)
        )
        most = self._most - messages if self._most > 0 else _MOST_PULLED
        most_bytes = self._most_bytes - size if self._most_bytes > 0 else _MOST_BYTES
        if most <= 0 or most_bytes <= 0:
            return []
        return self._backlog.take(
            min(most, _MOST_PULLED),
            self,
            deadline=self._deadline or None,
            most_bytes=min(most_bytes, _MOST_BYTES),
        )

    def _act(self, request: Any) -> None:
        """Apply the acknowledgements and deadline changes of a streaming pull request."""
        answer = types.StreamingPullResponse.pb()()
        if request.ack_ids:
            invalid = self._backlog.acknowledge(request.ack_ids)
            answer.acknowledge_confirmation.ack_ids.extend(
                ack_id for ack_id in request.ack_ids if ack_id not in invalid
            )
            answer.acknowledge_confirmation.invalid_ack_ids.extend(invalid)
        for ack_id, seconds in zip(
            request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=False
        ):
            invalid = self._backlog.modify([ack_id], seconds)
            confirmation = answer.modify_ack_deadline_confirmation
            (confirmation.invalid_ack_ids if invalid else confirmation.ack_ids).append(ack_id)
        if self._backlog.rules.exactly_once and answer.ByteSize():
            self._confirmations.append(answer)
            self._backlog.wake()


def _pull_subscription(call: Call, name: str) -> Subscription:
    """Return the pull subscription of that name.

    Raises:
        GcpError: It does not exist, or is not a pull subscription.
    """
    subscription = call.store(Hub).subscription(call, name)
    if subscription.message.detached:
        raise _gone_error(subscription)
    if subscription.message.HasField("bigquery_config"):
        raise GcpError(
            "FAILED_PRECONDITION", "Cannot pull from a subscription that writes into BigQuery."
        )
    return subscription


def _received_message(delivery: Delivery) -> Any:
    """Return a delivery as a ReceivedMessage message of the API."""
    return types.ReceivedMessage.pb()(
        ack_id=delivery.ack_id, message=delivery.message, delivery_attempt=delivery.attempt
    )


def _check_deadline(seconds: int, least: int) -> None:
    """Raise INVALID_ARGUMENT unless an ack deadline is `least` to 600 seconds."""
    if not least <= seconds <= 600:
        raise GcpError(
            "INVALID_ARGUMENT", f"A deadline is {least} to 600 seconds, and not {seconds}."
        )


def _check_ack_ids(request: Any) -> None:
    """Raise INVALID_ARGUMENT if a request has no ack ids, or more than its size allows."""
    if not request.ack_ids:
        raise GcpError("INVALID_ARGUMENT", "No ack ids specified.")
    if request.ByteSize() > _MOST_REQUEST_BYTES:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"Request payload size exceeds the limit: {_MOST_REQUEST_BYTES} bytes.",
        )


def _confirm(backlog: Backlog, invalid: list[str]) -> None:
    """Raise an error for ack ids without a lease, if delivery is exactly-once.

    In other subscriptions clients are not told.
    """
    if not invalid or not backlog.rules.exactly_once:
        return
    info = error_details_pb2.ErrorInfo(
        reason="EXACTLY_ONCE_ACKID_FAILURE",
        domain="pubsub.googleapis.com",
        metadata=dict.fromkeys(invalid, _INVALID),
    )
    raise GcpError(
        "FAILED_PRECONDITION",
        "Some acknowledgement ids in the request were invalid.",
        details=[info],
    )


def _gone_error(subscription: Subscription) -> GcpError:
    """Return the error for a subscription that was detached or deleted."""
    if subscription.message.detached:
        return GcpError(
            "FAILED_PRECONDITION", f"The subscription {subscription.message.name} is detached."
        )
    return not_found(subscription.message.name)
