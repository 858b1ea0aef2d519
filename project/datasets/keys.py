"""The keys of the section `datasets:`."""

from __future__ import annotations

from ..reading.common_shapes import DURATION, name_text
from ..reading.shapes import Flag, Record, RecordKey

DATASET = Record(
    noun="a data set",
    keys={
        "objective": RecordKey(
            shape=name_text(),
            required=True,
            example="served_ctr",
            description="An objective that counts what gateways showed (rate: click / exposures): "
            "its rows are the data set's examples, with their outcome.",
        ),
        "stream": RecordKey(
            shape=Flag(),
            example="true",
            description="A worker (isthmus stream run) appends each example to the stream "
            "examples_<name> as soon as its outcome is known.",
        ),
        "lateness": RecordKey(
            shape=DURATION,
            example="5m",
            description="How late an exposure or an outcome may come. Default 5m.",
        ),
    },
)
