"""The keys of entities and events."""

from __future__ import annotations

import re

from ..reading.common_shapes import COLUMN, DURATION, WORDS
from ..reading.names import NAME, column_problem
from ..reading.quantities import Mistake
from ..reading.shapes import Flag, Free, ListOf, MapOf, Number, OneOf, Record, RecordKey, Text

_URIS = {
    "s3": (r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+", "s3://bucket/folder/"),
    "gs": (r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]/.+", "gs://bucket/folder/"),
    "athena": (r"[A-Za-z0-9_]+\.[A-Za-z0-9_]+", "athena://database.table"),
    "bigquery": (r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}", "bigquery://dataset.table"),
}


def _source(text: str) -> str:
    """Return the path or URI of an event's source data unchanged; raise Mistake if malformed."""
    scheme, separator, rest = text.partition("://")
    if not text.strip():
        raise Mistake("it is empty", "write a path or a URI, or leave the key out")
    if separator and scheme not in _URIS:
        examples = ", ".join(example for _, example in _URIS.values())
        raise Mistake(
            f"{scheme}:// is no place of events",
            f"write a path from the project's folder, or one of {examples}",
        )
    if separator and not re.fullmatch(_URIS[scheme][0], rest):
        raise Mistake(f"{text!r} names nothing", f"write it like {_URIS[scheme][1]}")
    return text


ENTITY = Record(
    noun="an entity",
    keys={
        "key": RecordKey(
            shape=COLUMN,
            required=True,
            example="item_id",
            description="The column that holds it. Attributes of this name refer to it.",
        ),
        "type": RecordKey(
            shape=OneOf(
                words=("int", "string"),
                near={"str": "string", "text": "string", "integer": "int", "bigint": "int"},
            ),
            required=True,
            example="int",
        ),
        "description": RecordKey(shape=WORDS),
    },
)
ATTRIBUTE = Record(
    noun="an attribute",
    keys={
        "type": RecordKey(
            shape=OneOf(
                words=("bool", "int", "float", "string", "timestamp"),
                near={"str": "string", "text": "string", "integer": "int", "double": "float",
                      "number": "float", "boolean": "bool", "datetime": "timestamp"},
            ),
            required=True,
            example="string",
        ),
        "required": RecordKey(shape=Flag(), description="Default true."),
        "min": RecordKey(shape=Number()),
        "max": RecordKey(shape=Number()),
        "allowed": RecordKey(shape=ListOf(of=Free()), description="The only values that it takes."),
        "description": RecordKey(shape=WORDS),
    },
)  # fmt: skip
EVENT = Record(
    noun="an event",
    keys={
        "description": RecordKey(shape=WORDS),
        "owner": RecordKey(shape=WORDS, description="Whom to ask about it."),
        "attributes": RecordKey(
            shape=MapOf(of=ATTRIBUTE, names=column_problem, pattern=NAME, least=1),
            required=True,
            example="{item_id: {type: int}}",
        ),
        "source": RecordKey(
            shape=Text(what="a source", parse=_source),
            example="data/clicks/*.jsonl.gz",
            description="Where its rows are, in place of sources/<event>.sql: a file, a folder or "
            "a glob, s3://bucket/folder/, athena://database.table, gs://bucket/folder/, "
            "bigquery://dataset.table. Files are JSON lines, CSV, TSV (plain, .gz, .zst) or "
            "Parquet.",
        ),
        "max_lateness": RecordKey(
            shape=DURATION, description="Older events are quarantined. Default 30d."
        ),
        "max_ahead": RecordKey(
            shape=DURATION,
            description="How far an event may be ahead of the clock; later ones wait. Default 2m.",
        ),
    },
)
