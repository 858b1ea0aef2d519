"""Delivery streams: moto keeps them; their sources are read, buffered and written here."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any

from ...core import objects
from ...core.home.declarations import resumes
from ...core.registry import AwsError, Context, handles
from ..kinesis import operations as kinesis
from . import delivery, destinations, sources
from .errors import invalid
from .records import Stream, Streams

CREATES = 5.0  # seconds from CREATING to ACTIVE
_DESTINATIONS = ("ExtendedS3DestinationConfiguration", "S3DestinationConfiguration")
_MIB = 1 << 20
_LARGEST, _MOST = 1_024_000, 500  # bytes a record, records a batch


@handles("firehose", "CreateDeliveryStream")
def create_delivery_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Firehose's API call CreateDeliveryStream: create a delivery stream."""
    destination = next((params[key] for key in _DESTINATIONS if key in params), None)
    if destination is not None:
        destinations.check(destination)
    elif not ctx.moto_answers:
        raise AwsError(
            "NotImplemented",
            "the local AWS stack's Firehose delivers to S3 alone: give "
            "ExtendedS3DestinationConfiguration",
            501,
        )
    source = params.get("KinesisStreamSourceConfiguration", {}).get("KinesisStreamARN")
    if source is not None:
        sources.shards(ctx, source)  # InvalidArgumentException when there is none
    answer = ctx.forward()
    if destination is None:
        return answer
    stream = Stream(name=params["DeliveryStreamName"], source=source)
    ctx.store(Streams).by_name[stream.name] = stream
    if source is not None:
        stream.positions = sources.latest(ctx, source)
    context = ctx.without_request()
    ctx.clock.call_after(CREATES, lambda: _activate(context, stream))
    return answer


def _activate(ctx: Context, stream: Stream) -> None:
    """Set a delivery stream ACTIVE, and take the records that its Kinesis stream has already."""
    with stream.lock:
        stream.active = True
        if stream.source is not None:
            _add(stream, sources.read(ctx, stream.source, stream.positions))
    if stream.pending:
        _schedule(ctx, stream)


@resumes(Streams)
def resume(ctx: Context, store: Streams) -> None:
    """Set the delivery timers of all delivery streams again after a restart."""
    for stream in list(store.by_name.values()):
        _resume_stream(ctx, stream)


def _resume_stream(ctx: Context, stream: Stream) -> None:
    """Set the timer of one delivery stream again after a restart: to activate or to deliver.

    Records that were put before the restart are still delivered. A Kinesis stream is read from its
    beginning, as moto brings it back empty.
    """
    stream.waiting = False
    stream.positions = {}
    if not stream.active:
        ctx.clock.call_after(CREATES, lambda: _activate(ctx, stream))
    elif stream.pending:
        _schedule(ctx, stream)


@handles("firehose", "DescribeDeliveryStream")
def describe_delivery_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Firehose's API call DescribeDeliveryStream: describe a delivery stream."""
    answer = ctx.forward()
    stream = ctx.store(Streams).by_name.get(params["DeliveryStreamName"])
    if stream is not None and not stream.active:
        answer["DeliveryStreamDescription"]["DeliveryStreamStatus"] = "CREATING"
    return answer


@handles("firehose", "DeleteDeliveryStream")
def delete_delivery_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Firehose's API call DeleteDeliveryStream: delete a delivery stream."""
    ctx.clock.settle()
    answer = ctx.forward()
    ctx.store(Streams).by_name.pop(params["DeliveryStreamName"], None)
    return answer


@handles("firehose", "PutRecord")
def put_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Firehose's API call PutRecord: add a record to a delivery stream."""
    stream = _target(ctx, params["DeliveryStreamName"])
    if stream is None:
        return ctx.forward()
    _put(ctx, stream, [params["Record"]["Data"]])
    return {"RecordId": _record_id(), "Encrypted": False}


@handles("firehose", "PutRecordBatch")
def put_record_batch(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Firehose's API call PutRecordBatch: add several records to a delivery stream."""
    stream = _target(ctx, params["DeliveryStreamName"])
    if stream is None:
        return ctx.forward()
    records = [record["Data"] for record in params["Records"]]
    if len(records) > _MOST or sum(map(len, records)) > 4 * _MIB:
        raise invalid(f"A batch has at most {_MOST} records and 4 MiB")
    _put(ctx, stream, records)
    return {
        "FailedPutCount": 0,
        "Encrypted": False,
        "RequestResponses": [{"RecordId": _record_id()} for _ in records],
    }


def _target(ctx: Context, name: str) -> Stream | None:
    """Return the delivery stream into which a request puts records.

    None: the stream is moto's, as it has another destination or does not exist.
    """
    stream = ctx.store(Streams).by_name.get(name)
    if stream is not None and stream.source is not None:
        raise invalid(
            f"This operation is not permitted on KinesisStreamAsSource delivery stream type: {name}"
        )
    if stream is not None and not stream.active:
        raise AwsError(
            "ResourceNotFoundException",
            f"Firehose {name} under account {ctx.account} not found.",
            400,
        )
    return stream


def _record_id() -> str:
    """Return a new RecordId for a record that was put."""
    return f"{uuid.uuid4().hex}{uuid.uuid4().hex}"


def _put(ctx: Context, stream: Stream, records: list[bytes]) -> None:
    """Append records to a delivery stream's buffer, and deliver it now or set its timer."""
    for data in records:
        if len(data) > _LARGEST:
            raise AwsError("ValidationException", f"a record has at most {_LARGEST} bytes", 400)
    now = ctx.clock.now()
    _meet_fault(ctx, stream, stream.name)
    with stream.lock:
        _add(stream, [delivery.Record(data, now) for data in records])
    _schedule(ctx.without_request(), stream)


def _meet_fault(ctx: Context, stream: Stream, name: str) -> None:
    """Take an injected fault, if there is one, by which the next records are delivered twice.

    What was put before, on the instant clock, is delivered first, once.
    """
    if not stream.twice and ctx.fault("duplicate", name) is not None:
        ctx.clock.settle()
        stream.twice = True


def _add(stream: Stream, records: list[delivery.Record]) -> None:
    """Append records to a delivery stream's buffer."""
    stream.pending.extend(records)
    stream.size += sum(len(record.data) for record in records)


@handles("kinesis", "PutRecord", "PutRecords")
def put_into_kinesis(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer PutRecord and PutRecords of Kinesis; pass the records to delivery streams, too."""
    answer = kinesis.put(ctx, params)
    put = zip(params.get("Records") or (params,), answer.get("Records") or (answer,), strict=True)
    taken = [
        (record["Data"], result["ShardId"], result["SequenceNumber"])
        for record, result in put
        if "SequenceNumber" in result
    ]
    kinesis.stamp(ctx, params, ((shard, number) for _, shard, number in taken))
    now = ctx.clock.now()
    name = params.get("StreamName") or params.get("StreamARN", "").rpartition("/")[2]
    for stream in list(ctx.store(Streams).by_name.values()):
        if stream.source is not None and stream.source.rpartition("/")[2] == name:
            _meet_fault(ctx, stream, name)
            with stream.lock:
                if not stream.active:  # it reads for itself, once it is
                    continue
                read = stream.positions
                _add(
                    stream,
                    [
                        delivery.Record(data, now)
                        for data, shard, number in taken
                        if int(number) > int(read.get(shard) or 0)
                    ],
                )
            _schedule(ctx.without_request(), stream)
    return answer


def _schedule(ctx: Context, stream: Stream) -> None:
    """Set the timer for a delivery stream's next flush of its buffer to S3.

    It comes after the buffer's interval, or when the buffer is full.
    """
    # no buffer is smaller: to ask moto costs more than the put
    if stream.waiting and stream.size < _MIB and not stream.twice:
        return
    destination = destinations.current(ctx, stream.name)
    if destination is None:
        return
    hints = destination.get("BufferingHints", {})
    with stream.lock:
        instant = ctx.clock.mode == "instant"
        if stream.size >= hints.get("SizeInMBs", 5) * _MIB or (instant and stream.twice):
            flush(ctx, stream)
        elif not stream.waiting:
            stream.waiting = True
            # the buffer's time is nothing there, and an object a record would be most of a put's
            # cost
            if instant:
                ctx.clock.call_soon(lambda: flush(ctx, stream))
            else:
                ctx.clock.call_after(
                    hints.get("IntervalInSeconds", 300), lambda: flush(ctx, stream)
                )


def flush(ctx: Context, stream: Stream) -> None:
    """Write all buffered records of a delivery stream to S3.

    A record leaves the buffer once it is written: after a failure the next flush writes it.
    """
    if ctx.stopping.is_set():
        return
    with stream.lock:
        stream.waiting = False
        destination = destinations.current(ctx, stream.name)
        if destination is None:
            return
        records = list(stream.pending)
        if not records:
            return
        bucket = destination["BucketARN"].rpartition(":")[2]
        repeats, stream.twice = (2 if stream.twice else 1), False
        plan = destinations.plan(ctx, stream.name, destination)
        for _ in range(repeats):
            for batch in delivery.objects(plan, records, ctx.clock.now()):
                # a real one tries for a day, then drops the records
                with contextlib.suppress(objects.NoSuchBucket):
                    objects.write(ctx.client("s3"), f"s3://{bucket}/{batch.key}", batch.data)
                stream.failed += batch.records if batch.failed else 0
                stream.delivered += 0 if batch.failed else batch.records
        del stream.pending[: len(records)]
        stream.size = sum(len(record.data) for record in stream.pending)
