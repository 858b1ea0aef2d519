"""The destination of a delivery stream: what it may ask for, and how records are written by it."""

from __future__ import annotations

from typing import Any

from ...core.moto_internals import JsonRESTError, firehose_backends, glue_backends
from ...core.registry import AwsError, Context
from . import delivery, jq, prefix
from .errors import invalid


def check(destination: dict[str, Any]) -> None:
    """Check the configuration of a stream's S3 destination.

    Raises:
        AwsError: Firehose refuses it.
    """
    dynamic = destination.get("DynamicPartitioningConfiguration", {}).get("Enabled", False)
    keys = _check_processors(destination)
    if dynamic and keys is None:
        raise invalid(
            "Processing Configuration is not enabled when Dynamic Partitioning is enabled"
        )
    if problem := prefix.check(
        destination.get("Prefix"),
        destination.get("ErrorOutputPrefix"),
        keys or frozenset(),
        dynamic=dynamic,
    ):
        raise invalid(problem)
    converts = destination.get("DataFormatConversionConfiguration", {}).get("Enabled", False)
    if converts and destination.get("CompressionFormat", "UNCOMPRESSED") != "UNCOMPRESSED":
        raise invalid(
            "CompressionFormat has to be UNCOMPRESSED when Data Format Conversion is enabled"
        )
    hints = destination.get("BufferingHints", {})
    for enabled, what in ((dynamic, "Dynamic Partitioning"), (converts, "Data Format Conversion")):
        if enabled and hints.get("SizeInMBs", 64) < 64:
            raise invalid(f"BufferingHints.SizeInMBs must be at least 64 when {what} is enabled")
    if dynamic and hints.get("IntervalInSeconds", 300) < 60:
        raise invalid(
            "BufferingHints.IntervalInSeconds must be at least 60 seconds when Dynamic "
            "Partitioning is enabled"
        )


def _check_processors(destination: dict[str, Any]) -> frozenset[str] | None:
    """Check a destination's processors; return the partition keys of metadata extraction.

    None: there is no metadata extraction.
    """
    keys = None
    for processor in _processors(destination):
        if processor["Type"] == "Lambda":
            raise AwsError("NotImplemented", "the local AWS stack runs no Lambda for Firehose", 501)
        if processor["Type"] == "MetadataExtraction":
            try:
                keys = delivery.partition_keys(
                    _parameter(processor, "MetadataExtractionQuery") or ""
                )
            except jq.JqError as error:
                raise invalid(f"MetadataExtractionQuery: {error}") from error
    return keys


def _processors(destination: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the processors of a destination, if processing is enabled."""
    processing = destination.get("ProcessingConfiguration", {})
    processors: list[dict[str, Any]] = (
        processing.get("Processors", []) if processing.get("Enabled", False) else []
    )
    return processors


def _parameter(processor: dict[str, Any], name: str) -> str | None:
    """Return the value of a processor's parameter `name`; None: it has none."""
    return next(
        (
            p["ParameterValue"]
            for p in processor.get("Parameters", [])
            if p["ParameterName"] == name
        ),
        None,
    )


def current(ctx: Context, name: str) -> dict[str, Any] | None:
    """Return the present configuration of a stream's destination, or None without such a stream.

    It is read from moto each time, as UpdateDestination may have changed it.
    """
    of_moto = firehose_backends[ctx.account][ctx.region].delivery_streams.get(name)
    if of_moto is None:
        return None
    first = of_moto.destinations[0]
    destination: dict[str, Any] = {
        **(first.get("ExtendedS3") or first["S3"]),
        "_version": of_moto.version_id,
    }
    return destination


def plan(ctx: Context, name: str, destination: dict[str, Any]) -> delivery.Plan:
    """Return how a stream's records are split, converted and named, by its destination."""
    query, delimiter, split = None, b"", None
    for processor in _processors(destination):
        if processor["Type"] == "MetadataExtraction":
            query = _parameter(processor, "MetadataExtractionQuery")
        elif processor["Type"] == "AppendDelimiterToRecord":
            delimiter = (
                (_parameter(processor, "Delimiter") or "\\n")
                .encode()
                .decode("unicode_escape")
                .encode()
            )
        elif processor["Type"] == "RecordDeAggregation":
            split = _parameter(processor, "SubRecordType") or "JSON"
    conversion = destination.get("DataFormatConversionConfiguration", {})
    serializer = (
        conversion.get("OutputFormatConfiguration", {})
        .get("Serializer", {})
        .get("ParquetSerDe", {})
    )
    return delivery.Plan(
        name=name,
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
    """Return the columns of the Glue table of a format conversion: name, type, JSON key.

    Partition columns are left out.
    """
    configuration = conversion["SchemaConfiguration"]
    mapping = (
        conversion.get("InputFormatConfiguration", {})
        .get("Deserializer", {})
        .get("OpenXJsonSerDe", {})
        .get("ColumnToJsonKeyMappings", {})
    )
    database, name = configuration["DatabaseName"], configuration["TableName"]
    try:
        table = glue_backends[ctx.account][ctx.region].get_table(database, name).as_dict()
    except JsonRESTError as error:
        raise AwsError(error.error_type, str(error.message), error.code) from error
    return tuple(
        (c["Name"], c["Type"], mapping.get(c["Name"], c["Name"]))
        for c in table["StorageDescriptor"]["Columns"]
    )
