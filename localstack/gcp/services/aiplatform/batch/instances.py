"""The instances of a batch prediction: one for each line or row, and what the model is sent of it.

Source: "Get batch predictions from a custom trained model", BatchPredictionJob.InstanceConfig.
"""

from __future__ import annotations

import base64
import csv
import fnmatch
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from ....core.call import Call
from ....core.errors import GcpError
from ...bigquery.operations import in_process as bigquery
from ...storage import in_process as storage

_ROWS = 1000  # of a table that are Python's objects at once


class BatchInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One instance. `columns`: its columns in an output table, besides the prediction."""

    sent: Any  # to the model
    shown: Mapping[str, Any]  # in a JSON line of the output: `instance`, or `key`
    columns: Mapping[str, Any]
    wrong: str = ""  # why there is nothing to send


class _UnfitError(ValueError):
    """An instance that does not fit the job's configuration."""


def items(call: Call, job: Any) -> Iterator[BatchInstance]:
    """Yield the instances of a batch prediction job's input files or table, in their order.

    Raises:
        GcpError: A file or a table does not exist.
    """
    source, config = job.input_config, job.instance_config
    if source.instances_format == "bigquery":
        yield from _of_table(call, source.bigquery_source.input_uri, config)
        return
    read = _of_csv if source.instances_format == "csv" else _of_lines
    for uri in _files(call, source.gcs_source.uris):
        yield from read(storage.read(call, uri).decode("utf-8", "replace"), config)


def _files(call: Call, uris: Any) -> list[str]:
    """Return the gs:// URIs of the objects that the job's input URIs, perhaps with *, match."""
    names: list[str] = []
    for uri in uris:
        present = storage.uris_below(call, uri.partition("*")[0])
        matching = [
            name
            for name in present
            if name == uri or ("*" in uri and fnmatch.fnmatchcase(name, uri))
        ]
        if not matching:
            raise GcpError("INVALID_ARGUMENT", f"No file was found at {uri}.")
        names += matching
    return names


def _of_lines(text: str, config: Any) -> Iterator[BatchInstance]:
    """Yield the instances in a JSON Lines file's text, with the fields that `config` selects.

    `config` is the job's instance_config.
    """
    for line in filter(str.strip, text.split("\n")):
        try:
            yield _of_json(msgspec.json.decode(line), line.strip(), config)
        except (msgspec.DecodeError, RecursionError) as error:
            yield _unreadable(line, f"the line is not JSON: {error}")
        except _UnfitError as error:
            yield _unreadable(line, str(error))


def _of_json(value: Any, line: str, config: Any) -> BatchInstance:
    """Return the instance in one line of a JSON Lines file, whose parsed value is `value`."""
    columns = {"instance": line}
    if isinstance(value, dict):
        return _of_object(
            value, config, array=config.instance_type == "array", columns=columns, shown=value
        )
    if chooses_fields(config) or config.instance_type == "object":
        raise _UnfitError("the instance is not a JSON object")
    if config.instance_type == "array" and not isinstance(value, list):
        raise _UnfitError("the instance is not a JSON array")
    return BatchInstance(sent=value, shown={"instance": value}, columns=columns)


def _of_csv(text: str, config: Any) -> Iterator[BatchInstance]:
    """Yield the instances in the text of a CSV file, one a line.

    Unquoted cells are numbers, and no cell has a line break.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    header = next(csv.reader(lines[:1]), [])
    for line in lines[1:]:
        try:
            cells = next(csv.reader([line], quoting=csv.QUOTE_NONNUMERIC))
            row = dict(zip(header, cells, strict=True))
            yield _of_object(row, config, array=True, columns=row, shown=cells)
        except ValueError as error:
            yield _unreadable(line, f"the row cannot be read: {error}")


def _of_table(call: Call, uri: str, config: Any) -> Iterator[BatchInstance]:
    """Yield the instances of a BigQuery table, one a row, as the job's `config` selects fields."""
    table = bigquery.table_parts(uri)
    rows = bigquery.query(call, table[0], f"SELECT * FROM `{'.'.join(table)}`")
    for batch in rows.to_batches(max_chunksize=_ROWS):
        for values in batch.to_pylist():
            row = {name: json_value(value) for name, value in values.items()}
            try:
                yield _of_object(
                    row, config, array=config.instance_type != "object", columns=row, shown=row
                )
            except _UnfitError as error:
                yield BatchInstance(
                    sent=None, shown={"instance": row}, columns=row, wrong=str(error)
                )


def _of_object(
    value: Mapping[str, Any], config: Any, *, array: bool, columns: Mapping[str, Any], shown: Any
) -> BatchInstance:
    """Return an instance of named values, with the fields that instance_config chooses.

    If the configuration has a key field, the output has its value instead of the instance.
    """
    if missing := [
        name
        for name in (*config.included_fields, *filter(None, [config.key_field]))
        if name not in value
    ]:
        raise _UnfitError(f"the instance has no field {missing[0]}")
    left_out = {*config.excluded_fields, config.key_field}
    names = [name for name in (config.included_fields or value) if name not in left_out]
    sent = [value[name] for name in names] if array else {name: value[name] for name in names}
    if config.key_field:
        key = {"key": value[config.key_field]}
        return BatchInstance(sent=sent, shown=key, columns=key)
    return BatchInstance(sent=sent, shown={"instance": shown}, columns=columns)


def chooses_fields(config: Any) -> bool:
    """Return whether a batch prediction job's instance_config chooses fields of an instance."""
    return bool(config.included_fields or config.excluded_fields or config.key_field)


def _unreadable(line: str, why: str) -> BatchInstance:
    """Return an instance that cannot be sent to the model: its input line, and the reason `why`."""
    return BatchInstance(sent=None, shown={"instance": line}, columns={"instance": line}, wrong=why)


def json_value(value: Any) -> Any:
    """Return a BigQuery value as a JSON value, the way BigQuery's own exports write it.

    Decimals and times become texts, bytes become base64.
    """
    if isinstance(value, dict):
        return {name: json_value(member) for name, member in value.items()}
    if isinstance(value, list):
        return [json_value(member) for member in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if isinstance(value, Decimal) else value
