"""Delivery streams. moto keeps them; this reads their sources, buffers on the clock, and writes."""

from __future__ import annotations

import contextlib
import threading
import uuid
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.firehose.models import firehose_backends
from moto.glue.models import glue_backends

from .. import kinesis, objects
from ..registry import AwsError, Context, handles
from . import delivery, jq, prefix

CREATES = 5.0  # seconds from CREATING to ACTIVE
_DESTINATIONS = ("ExtendedS3DestinationConfiguration", "S3DestinationConfiguration")
_MIB = 1 << 20
_LARGEST, _MOST = 1_024_000, 500  # bytes a record, records a batch


class Stream(msgspec.Struct, kw_only=True):
    name: str
    source: str | None  # ARN of a Kinesis stream
    active: bool = False
    pending: list[delivery.Record] = []  # put directly, or into the Kinesis stream
    size: int = 0  # their bytes
    waiting: bool = False  # a flush is on the clock
    twice: bool = False  # the next delivery is repeated (a fault)
    positions: dict[str, str] = {}  # shard of the Kinesis stream -> the last sequence number before this was active
    delivered: int = 0
    failed: int = 0
    lock: threading.RLock = msgspec.field(default_factory=threading.RLock)


class Streams:
    def __init__(self) -> None:
        self.by_name: dict[str, Stream] = {}


def invalid(message: str) -> AwsError:
    return AwsError("InvalidArgumentException", message, 400)


@handles("firehose", "CreateDeliveryStream")
def create_delivery_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    destination = next((params[key] for key in _DESTINATIONS if key in params), None)
    if destination is not None:
        _check(destination)
    elif not ctx.moto_answers:
        raise AwsError(
            "NotImplemented", "the local AWS stack's Firehose delivers to S3 alone: give ExtendedS3DestinationConfiguration", 501
        )
    source = params.get("KinesisStreamSourceConfiguration", {}).get("KinesisStreamARN")
    if source is not None:
        _shards(ctx, source)  # InvalidArgumentException when there is none
    answer = ctx.forward()
    if destination is None:
        return answer
    stream = Stream(name=params["DeliveryStreamName"], source=source)
    ctx.store(Streams).by_name[stream.name] = stream
    if source is not None:
        stream.positions = _latest(ctx, source)
    context = ctx.without_request()
    ctx.clock.call_after(CREATES, lambda: _activate(context, stream))
    return answer


def _activate(ctx: Context, stream: Stream) -> None:
    """What a Kinesis stream got while this was being made is delivered too."""
    with stream.lock:
        stream.active = True
        if stream.source is not None:
            _add(stream, _read(ctx, stream.source, stream.positions))
    if stream.pending:
        _schedule(ctx, stream)


def resume(ctx: Context, stream: Stream) -> None:
    """Set the timers of a stream again, after the stack's restart: what was put is delivered, though a Kinesis stream comes back empty."""
    stream.waiting = False
    stream.positions = {}
    if not stream.active:
        ctx.clock.call_after(CREATES, lambda: _activate(ctx, stream))
    elif stream.pending:
        _schedule(ctx, stream)


def _check(destination: dict[str, Any]) -> None:
    dynamic = destination.get("DynamicPartitioningConfiguration", {}).get("Enabled", False)
    keys = _check_processors(destination)
    if dynamic and keys is None:
        raise invalid("Processing Configuration is not enabled when Dynamic Partitioning is enabled")
    if problem := prefix.check(destination.get("Prefix"), destination.get("ErrorOutputPrefix"), keys or frozenset(), dynamic=dynamic):
        raise invalid(problem)
    converts = destination.get("DataFormatConversionConfiguration", {}).get("Enabled", False)
    if converts and destination.get("CompressionFormat", "UNCOMPRESSED") != "UNCOMPRESSED":
        raise invalid("CompressionFormat has to be UNCOMPRESSED when Data Format Conversion is enabled")
    hints = destination.get("BufferingHints", {})
    for wanted, what in ((dynamic, "Dynamic Partitioning"), (converts, "Data Format Conversion")):
        if wanted and hints.get("SizeInMBs", 64) < 64:
            raise invalid(f"BufferingHints.SizeInMBs must be at least 64 when {what} is enabled")
    if dynamic and hints.get("IntervalInSeconds", 300) < 60:
        raise invalid("BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic Partitioning is enabled")


def _check_processors(destination: dict[str, Any]) -> frozenset[str] | None:
    """The keys that metadata extraction gives; None without one."""
    keys = None
    for processor in _processors(destination):
        if processor["Type"] == "Lambda":
            raise AwsError("NotImplemented", "the local AWS stack runs no Lambda for Firehose", 501)
        if processor["Type"] == "MetadataExtraction":
            try:
                keys = delivery.partition_keys(_parameter(processor, "MetadataExtractionQuery") or "")
            except jq.JqError as error:
                raise invalid(f"MetadataExtractionQuery: {error}") from error
    return keys


def _processors(destination: dict[str, Any]) -> list[dict[str, Any]]:
    processing = destination.get("ProcessingConfiguration", {})
    processors: list[dict[str, Any]] = processing.get("Processors", []) if processing.get("Enabled", False) else []
    return processors


def _parameter(processor: dict[str, Any], name: str) -> str | None:
    return next((p["ParameterValue"] for p in processor.get("Parameters", []) if p["ParameterName"] == name), None)


@handles("firehose", "DescribeDeliveryStream")
def describe_delivery_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    answer = ctx.forward()
    stream = ctx.store(Streams).by_name.get(params["DeliveryStreamName"])
    if stream is not None and not stream.active:
        answer["DeliveryStreamDescription"]["DeliveryStreamStatus"] = "CREATING"
    return answer


@handles("firehose", "DeleteDeliveryStream")
def delete_delivery_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    ctx.clock.settle()
    answer = ctx.forward()
    ctx.store(Streams).by_name.pop(params["DeliveryStreamName"], None)
    return answer


@handles("firehose", "PutRecord")
def put_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    stream = _target(ctx, params["DeliveryStreamName"])
    if stream is None:
        return ctx.forward()
    _put(ctx, stream, [params["Record"]["Data"]])
    return {"RecordId": _record_id(), "Encrypted": False}


@handles("firehose", "PutRecordBatch")
def put_record_batch(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    stream = _target(ctx, params["DeliveryStreamName"])
    if stream is None:
        return ctx.forward()
    records = [record["Data"] for record in params["Records"]]
    if len(records) > _MOST or sum(map(len, records)) > 4 * _MIB:
        raise invalid(f"A batch has at most {_MOST} records and 4 MiB")
    _put(ctx, stream, records)
    return {"FailedPutCount": 0, "Encrypted": False, "RequestResponses": [{"RecordId": _record_id()} for _ in records]}


def _target(ctx: Context, name: str) -> Stream | None:
    """The stream to put into; None: it is moto's (another destination, or there is none)."""
    stream = ctx.store(Streams).by_name.get(name)
    if stream is not None and stream.source is not None:
        raise invalid(f"This operation is not permitted on KinesisStreamAsSource delivery stream type: {name}")
    if stream is not None and not stream.active:
        raise AwsError("ResourceNotFoundException", f"Firehose {name} under account {ctx.account} not found.", 400)
    return stream


def _record_id() -> str:
    return f"{uuid.uuid4().hex}{uuid.uuid4().hex}"


def _put(ctx: Context, stream: Stream, records: list[bytes]) -> None:
    for data in records:
        if len(data) > _LARGEST:
            raise AwsError("ValidationException", f"a record has at most {_LARGEST} bytes", 400)
    now = ctx.clock.now()
    _meet_fault(ctx, stream, stream.name)
    with stream.lock:
        _add(stream, [delivery.Record(data, now) for data in records])
    _schedule(ctx.without_request(), stream)


def _meet_fault(ctx: Context, stream: Stream, name: str) -> None:
    """Take a fault that lets what comes now be delivered twice; what came before, on the instant clock, is delivered first, once."""
    if not stream.twice and ctx.fault("duplicate", name) is not None:
        ctx.clock.settle()
        stream.twice = True


def _add(stream: Stream, records: list[delivery.Record]) -> None:
    stream.pending.extend(records)
    stream.size += sum(len(record.data) for record in records)


@handles("kinesis", "PutRecord", "PutRecords")
def put_into_kinesis(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """moto's, and the Firehoses that read from the stream get it."""
    answer = kinesis.put(ctx, params)
    put = zip(params.get("Records") or (params,), answer.get("Records") or (answer,), strict=True)
    taken = [(record["Data"], told["ShardId"], told["SequenceNumber"]) for record, told in put if "SequenceNumber" in told]
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
                _add(stream, [delivery.Record(data, now) for data, shard, number in taken if int(number) > int(read.get(shard) or 0)])
            _schedule(ctx.without_request(), stream)
    return answer


def _schedule(ctx: Context, stream: Stream) -> None:
    """A flush, when the buffer's interval has passed since its first record, or when it is full."""
    if stream.waiting and stream.size < _MIB and not stream.twice:  # no buffer is smaller: to ask moto costs more than the put
        return
    destination = _destination(ctx, stream)
    if destination is None:
        return
    hints = destination.get("BufferingHints", {})
    with stream.lock:
        instant = ctx.clock.mode == "instant"
        if stream.size >= hints.get("SizeInMBs", 5) * _MIB or (instant and stream.twice):
            flush(ctx, stream)
        elif not stream.waiting:
            stream.waiting = True
            if instant:  # the buffer's time is nothing there, and an object a record would be most of a put's cost
                ctx.clock.call_soon(lambda: flush(ctx, stream))
            else:
                ctx.clock.call_after(hints.get("IntervalInSeconds", 300), lambda: flush(ctx, stream))


def flush(ctx: Context, stream: Stream) -> None:
    """Deliver what there is. A record is read once it is written: a failure leaves it for the next time."""
    if ctx.stopping.is_set():
        return
    with stream.lock:
        stream.waiting = False
        destination = _destination(ctx, stream)
        if destination is None:
            return
        records = list(stream.pending)
        if not records:
            return
        bucket = destination["BucketARN"].rpartition(":")[2]
        repeats, stream.twice = (2 if stream.twice else 1), False
        plan = _plan(ctx, stream, destination)
        for _ in range(repeats):
            for batch in delivery.objects(plan, records, ctx.clock.now()):
                with contextlib.suppress(objects.NoSuchBucket):  # a real one tries for a day, then drops the records
                    objects.write(ctx.client("s3"), f"s3://{bucket}/{batch.key}", batch.data)
                stream.failed += batch.records if batch.failed else 0
                stream.delivered += 0 if batch.failed else batch.records
        del stream.pending[: len(records)]
        stream.size = sum(len(record.data) for record in stream.pending)


def _destination(ctx: Context, stream: Stream) -> dict[str, Any] | None:
    """The destination as it is now: UpdateDestination may have changed it. Asked of moto's backend, for every put and every flush."""
    of_moto = firehose_backends[ctx.account][ctx.region].delivery_streams.get(stream.name)
    if of_moto is None:
        return None
    first = of_moto.destinations[0]
    destination: dict[str, Any] = {**(first.get("ExtendedS3") or first["S3"]), "_version": of_moto.version_id}
    return destination


def _plan(ctx: Context, stream: Stream, destination: dict[str, Any]) -> delivery.Plan:
    query, delimiter, split = None, b"", None
    for processor in _processors(destination):
        if processor["Type"] == "MetadataExtraction":
            query = _parameter(processor, "MetadataExtractionQuery")
        elif processor["Type"] == "AppendDelimiterToRecord":
            delimiter = (_parameter(processor, "Delimiter") or "\\n").encode().decode("unicode_escape").encode()
        elif processor["Type"] == "RecordDeAggregation":
            split = _parameter(processor, "SubRecordType") or "JSON"
    conversion = destination.get("DataFormatConversionConfiguration", {})
    serializer = conversion.get("OutputFormatConfiguration", {}).get("Serializer", {}).get("ParquetSerDe", {})
    return delivery.Plan(
        name=stream.name,
        version=str(destination["_version"]),
        prefix=destination.get("Prefix"),
        error_prefix=destination.get("ErrorOutputPrefix"),
        query=query,
        delimiter=delimiter,
        split=split,
        compression=destination.get("CompressionFormat", "UNCOMPRESSED"),
        schema=_schema(ctx, conversion) if conversion.get("Enabled", False) else None,
        codec=serializer.get("Compression", "SNAPPY"),
    )


def _schema(ctx: Context, conversion: dict[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """The columns of the Glue table, without those of its partitions, and the JSON key of each."""
    wanted = conversion["SchemaConfiguration"]
    mapping = (
        conversion.get("InputFormatConfiguration", {}).get("Deserializer", {}).get("OpenXJsonSerDe", {}).get("ColumnToJsonKeyMappings", {})
    )
    database, name = wanted["DatabaseName"], wanted["TableName"]
    try:
        table = glue_backends[ctx.account][ctx.region].get_table(database, name).as_dict()
    except JsonRESTError as error:
        raise AwsError(error.error_type, str(error.message), error.code) from error
    return tuple((c["Name"], c["Type"], mapping.get(c["Name"], c["Name"])) for c in table["StorageDescriptor"]["Columns"])


def _shards(ctx: Context, arn: str) -> list[str]:
    try:
        return [shard["ShardId"] for shard in ctx.client("kinesis").list_shards(StreamName=arn.rpartition("/")[2])["Shards"]]
    except ClientError as error:
        raise invalid(f"Stream {arn.rpartition('/')[2]} under account {ctx.account} not found.") from error


def _ends(ctx: Context, arn: str) -> list[dict[str, str]]:
    """Each shard's last sequence number; "" for an empty one."""
    ends = []
    for shard in _shards(ctx, arn):
        positions: dict[str, str] = {shard: ""}
        _read_shard(ctx, arn, shard, positions)
        ends.append({"ShardId": shard, "SequenceNumber": positions[shard]})
    return ends


def _latest(ctx: Context, arn: str) -> dict[str, str]:
    return {end["ShardId"]: end["SequenceNumber"] for end in _ends(ctx, arn)}


def _read(ctx: Context, arn: str, positions: dict[str, str]) -> list[delivery.Record]:
    return [record for shard in _shards(ctx, arn) for record in _read_shard(ctx, arn, shard, positions)]


def _read_shard(ctx: Context, arn: str, shard: str, positions: dict[str, str]) -> list[delivery.Record]:
    """What follows a position, which is moved."""
    client, name = ctx.client("kinesis"), arn.rpartition("/")[2]
    last = positions.get(shard, "")
    start = (
        {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": last} if last else {"ShardIteratorType": "TRIM_HORIZON"}
    )
    iterator = client.get_shard_iterator(StreamName=name, ShardId=shard, **start)["ShardIterator"]
    records: list[delivery.Record] = []
    while iterator:
        page = client.get_records(ShardIterator=iterator, Limit=10_000)
        records += [delivery.Record(record["Data"], _arrived(record, ctx.clock.now())) for record in page["Records"]]
        if not page["Records"]:
            break
        positions[shard] = page["Records"][-1]["SequenceNumber"]
        iterator = page.get("NextShardIterator")
    return records


def _arrived(record: dict[str, Any], now: datetime) -> datetime:
    arrival: datetime | None = record.get("ApproximateArrivalTimestamp")
    return arrival.astimezone(now.tzinfo) if arrival is not None else now
