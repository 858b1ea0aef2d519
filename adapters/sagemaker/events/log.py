"""EventLog over Kinesis and Firehose, which writes the Parquet objects of the stream's table.

Events come at least once: producers and Firehose repeat. The table is the warehouse's own, so
batches and single events are read together. Its Glue columns are Firehose's schema, so Firehose
sees an added column too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, final

import msgspec

from ....errors import AlreadyExists, Busy, Invalid, NotFound, Throttled
from ....events.port import Rejected, Row, StreamSpec
from ....feature_store.port import TableSpec
from ....storage import Phase, wait
from ....target import Target
from ...common.event_values import TIME, check_stream, encode_events, rules_of
from ...common.warehouse.tables import without_stream
from .. import names
from ..errors import translated
from ..session import AwsSession, aws_of
from ..warehouse import catalogue, warehouse
from . import stream_records

KIND = "stream"
_ATTEMPTS = 8
_PAUSE = 0.1  # seconds, doubled each time
_PATIENCE = timedelta(minutes=5)
_BUFFER = {
    "IntervalInSeconds": 60,
    "SizeInMBs": 64,
}  # 64 MiB is the least with dynamic partitioning


class _Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that takes events."""

    stored: catalogue.StoredTable
    name: str  # Kinesis' and Firehose's


@final
class KinesisEventLog:
    """The EventLog port over Kinesis."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)
        self._ready: dict[str, _Ready] = {}

    def apply(self, stream: StreamSpec) -> None:
        """Make the Glue table, the Kinesis stream and the Firehose (to Parquet) of an event stream.

        It does not wait until they are ready. Raises Busy if one is being deleted, and Invalid if
        the Firehose belongs to another table or the spec breaks the port's rules.
        """
        check_stream(stream)
        spec = TableSpec(name=stream.name, columns=stream.columns, time_column=TIME)
        warehouse.apply(self._aws, spec, stream_key=stream.key)
        self._ready.pop(stream.name, None)
        name = names.underscored(self._aws.project, stream.name)
        if (source := _stream(self._aws, name)) is None:
            with self._aws.mutating("CreateStream", name), _ignoring_existing():
                self._aws.client("kinesis").create_stream(
                    StreamName=name,
                    StreamModeDetails={"StreamMode": "ON_DEMAND"},
                    Tags=names.tag_map(self._aws.project, KIND, stream.name),
                )
        delivery = _delivery(self._aws, name)
        if "DELETING" in {
            (source or {}).get("StreamStatus"),
            (delivery or {}).get("DeliveryStreamStatus"),
        }:
            raise Busy(f"stream {name} is being deleted", remedy="run this again when it is gone")
        stored = catalogue.existing(self._aws, stream.name)
        own_prefix = f"{stored.prefix}dt=!{{partitionKeyFromQuery:dt}}/"
        if delivery is None:
            self._deliver(stream.name, name, own_prefix)
        elif (prefix := _prefix(delivery)) not in {"", own_prefix}:
            raise Invalid(
                f"Firehose {name} writes below {prefix}: another table's folder",
                remedy="destroy the stream, then apply again",
            )

    def _deliver(self, stream: str, name: str, prefix: str) -> None:
        """Create a stream's Firehose, once its Kinesis stream is active, to write below `prefix`.

        A Firehose delivers only events that come after its creation.
        """
        source = wait(
            lambda: _stream(self._aws, name),
            lambda summary: (
                summary is not None and summary["StreamStatus"] in {"ACTIVE", "UPDATING"}
            ),
            deadline=_PATIENCE,
            what=f"stream {name}",
        )
        assert source is not None  # noqa: S101  the predicate says so
        self._aws.s3()  # the bucket has to be there
        with self._aws.mutating("CreateDeliveryStream", name), _ignoring_existing():
            self._aws.client("firehose").create_delivery_stream(
                **_firehose(self._aws, stream, name, source["StreamARN"], prefix)
            )

    def observe(self, stream: str) -> Phase | None:
        """Return "ready" if a stream's Kinesis stream and Firehose are, None if neither exists.

        It is "creating" in between.
        """
        name = names.underscored(self._aws.project, stream)
        source, delivery = _stream(self._aws, name), _delivery(self._aws, name)
        if source is None and delivery is None:
            return None
        if source is None or delivery is None:
            return "creating"  # half-made: `apply` makes the rest
        if delivery["DeliveryStreamStatus"] in {"CREATING_FAILED", "DELETING_FAILED", "SUSPENDED"}:
            return "failed"
        if "DELETING" in {source["StreamStatus"], delivery["DeliveryStreamStatus"]}:
            return "deleting"
        return (
            "ready"
            if source["StreamStatus"] in {"ACTIVE", "UPDATING"}
            and delivery["DeliveryStreamStatus"] == "ACTIVE"
            else "creating"
        )

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        """Put events into the Kinesis stream; return those that do not fit, with the reasons.

        It waits for a stream that is being made. Raises NotFound without stream, Busy if it is not
        ready after minutes, and Throttled or OutcomeUnknown if some events may be stored: send all
        again.
        """
        cached = self._ready.get(stream)
        ready = cached or self._wait(stream)
        records, rejected = _encode(ready, events)
        if rejected and cached is not None:  # another process may have added a column since
            ready = self._wait(stream)
            records, rejected = _encode(ready, events)
        if records:
            dates = [date for _, date in records]
            with self._aws.mutating("PutRecords", stream):
                stored = catalogue.widen(self._aws, ready.stored, min(dates), max(dates))
                self._ready[stream] = msgspec.structs.replace(ready, stored=stored)
                for some in stream_records.calls([record for record, _ in records]):
                    self._put(stream, ready.name, some)
        return tuple(rejected)

    def _put(self, stream: str, name: str, records: list[dict[str, Any]]) -> None:
        """Send records by PutRecords, repeating those that were not accepted."""
        failed: list[tuple[dict[str, Any], Any]] = []
        for attempt in range(_ATTEMPTS):
            try:
                with translated(f"appending to {stream}", effect=True):
                    reply = self._aws.client("kinesis").put_records(
                        StreamName=name, Records=records
                    )
            except NotFound:
                self._ready.pop(stream, None)
                raise
            if not reply.get("FailedRecordCount"):
                return
            failed = [
                (record, outcome)
                for record, outcome in zip(records, reply["Records"], strict=True)
                if outcome.get("ErrorCode")
            ]
            if not failed:
                return
            records = [record for record, _ in failed]
            if attempt < _ATTEMPTS - 1:
                time.sleep(_PAUSE * 2**attempt)
        first = failed[0][1]
        raise Throttled(
            f"stream {stream}: {len(records):,} events were not taken: {first['ErrorCode']}: "
            f"{first.get('ErrorMessage', '')}",
            remedy="append the same events again: what is there twice is read once",
        )

    def _wait(self, stream: str) -> _Ready:
        """Wait until a stream's Kinesis stream and Firehose are ready to take events.

        Raises:
            NotFound: There is no such stream.
            Busy: It is not ready after some minutes.
        """
        stored = catalogue.read(self._aws, stream)
        phase = self.observe(stream)
        if stored is None or phase is None or stored.document.stream_key is None:
            raise NotFound(
                f"there is no stream {stream}",
                remedy="`isthmus apply` makes the streams that the project needs",
            )
        if phase == "creating":
            phase = wait(
                lambda: self.observe(stream),
                lambda current: current != "creating",
                deadline=_PATIENCE,
                what=f"stream {stream}",
            )
        if phase != "ready":
            raise Busy(f"stream {stream} is {phase}", remedy="run `isthmus apply` again")
        ready = self._ready[stream] = _Ready(
            stored=stored, name=names.underscored(self._aws.project, stream)
        )
        return ready


def _encode(
    ready: _Ready, events: Sequence[Row]
) -> tuple[list[tuple[dict[str, Any], str]], list[Rejected]]:
    """Encode events as Kinesis records with their dates; return these and the rejected events."""
    return encode_events(events, partial(stream_records.record, rules_of(ready.stored.document)))


@contextmanager
def _ignoring_existing() -> Iterator[None]:
    """Ignore an error of the block that says that the resource to create exists already."""
    try:
        with translated("creating", effect=True):
            yield
    except AlreadyExists:
        return
    except (
        Busy
    ) as busy:  # ResourceInUseException is Kinesis' and Firehose's word for "there is one", too
        if "use" not in str(busy).lower() and "exist" not in str(busy).lower():
            raise


def _stream(aws: AwsSession, name: str) -> dict[str, Any] | None:
    """Return Kinesis's description of a stream, or None."""
    with aws.reading("DescribeStreamSummary", name):
        try:
            with translated(f"looking at stream {name}"):
                description: dict[str, Any] = aws.client("kinesis").describe_stream_summary(
                    StreamName=name
                )["StreamDescriptionSummary"]
        except NotFound:
            return None
    return description


def _delivery(aws: AwsSession, name: str) -> dict[str, Any] | None:
    """Return Firehose's description of a delivery stream, or None."""
    with aws.reading("DescribeDeliveryStream", name):
        try:
            with translated(f"looking at Firehose {name}"):
                description: dict[str, Any] = aws.client("firehose").describe_delivery_stream(
                    DeliveryStreamName=name
                )["DeliveryStreamDescription"]
        except NotFound:
            return None
    return description


def _prefix(delivery: dict[str, Any]) -> str:
    """Return the S3 key prefix below which a Firehose delivery stream writes."""
    destinations = delivery.get("Destinations") or [{}]
    return str(destinations[0].get("ExtendedS3DestinationDescription", {}).get("Prefix", ""))


def _firehose(aws: AwsSession, stream: str, name: str, source: str, prefix: str) -> dict[str, Any]:
    """Return the arguments of CreateDeliveryStream for the Firehose of a stream.

    `name` is the Firehose's, `source` the Kinesis stream's ARN, `prefix` where it writes.
    """
    jq = {"ParameterName": "MetadataExtractionQuery", "ParameterValue": "{dt:.dt}"}
    return {
        "DeliveryStreamName": name,
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": source, "RoleARN": aws.role},
        "ExtendedS3DestinationConfiguration": {
            "RoleARN": aws.role,
            "BucketARN": f"arn:aws:s3:::{aws.bucket}",
            "Prefix": prefix,
            "ErrorOutputPrefix": f"{aws.key('rejected', stream)}/!{{firehose:error-output-type}}/",
            "BufferingHints": _BUFFER,
            "CompressionFormat": "UNCOMPRESSED",  # Parquet compresses inside
            "DynamicPartitioningConfiguration": {
                "Enabled": True,
                "RetryOptions": {"DurationInSeconds": 300},
            },
            "ProcessingConfiguration": {
                "Enabled": True,
                "Processors": [
                    {
                        "Type": "MetadataExtraction",
                        "Parameters": [
                            jq,
                            {"ParameterName": "JsonParsingEngine", "ParameterValue": "JQ-1.6"},
                        ],
                    }
                ],
            },
            "DataFormatConversionConfiguration": {
                "Enabled": True,
                "InputFormatConfiguration": {
                    "Deserializer": {"OpenXJsonSerDe": {"CaseInsensitive": True}}
                },
                "OutputFormatConfiguration": {
                    "Serializer": {"ParquetSerDe": {"Compression": "SNAPPY"}}
                },
                "SchemaConfiguration": {
                    "RoleARN": aws.role,
                    "DatabaseName": aws.database,
                    "TableName": stream,
                    "Region": aws.region,
                    "VersionId": "LATEST",
                },
            },
        },
        "Tags": aws.tags(KIND, stream),
    }


def remove(aws: AwsSession, stream: str) -> None:
    """Delete a stream's Firehose, then its Kinesis stream; its table stays.

    The inventory calls this. Either may be absent.
    """
    name = names.underscored(aws.project, stream)
    for service, operation, key in (
        ("firehose", "delete_delivery_stream", "DeliveryStreamName"),
        ("kinesis", "delete_stream", "StreamName"),
    ):
        try:
            with translated(f"deleting {name}", effect=True):
                getattr(aws.client(service), operation)(**{key: name})
        except NotFound:
            continue
        except Busy:
            if service == "kinesis":
                raise
            delivery = _delivery(aws, name)
            if delivery is not None and delivery["DeliveryStreamStatus"] != "DELETING":
                raise
    _close(aws, stream)


def _close(aws: AwsSession, stream: str) -> None:
    """Record in a table's description that it takes no single events any more, only batches."""
    stored = catalogue.read(aws, stream)
    if stored is not None and stored.document.stream_key is not None:
        catalogue.write(aws, stream, lambda old: without_stream(old or stored.document))


def streams(aws: AwsSession) -> list[tuple[str, str]]:
    """Return this project's event streams as (our name, ARN), by their names and tags.

    The list that the tagging service has of them may be late.
    """
    streams: list[tuple[str, str]] = []
    start = f"{aws.project}-"
    kinesis = aws.client("kinesis")
    with aws.reading("ListStreams", start):
        for page in kinesis.get_paginator("list_streams").paginate():
            for name in page["StreamNames"]:
                if name.startswith(start):
                    try:
                        with translated(f"looking at stream {name}"):
                            tags = {
                                tag["Key"]: tag["Value"]
                                for tag in kinesis.list_tags_for_stream(StreamName=name)["Tags"]
                            }
                            arn = kinesis.describe_stream_summary(StreamName=name)[
                                "StreamDescriptionSummary"
                            ]["StreamARN"]
                    except NotFound:
                        continue
                    if (
                        tags.get(names.PROJECT_TAG) == aws.project
                        and tags.get(names.KIND_TAG) == KIND
                    ):
                        streams.append((tags.get(names.NAME_TAG, name.removeprefix(start)), arn))
    return streams
