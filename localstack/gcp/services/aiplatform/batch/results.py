"""The results of a batch prediction: files in Cloud Storage, or tables of BigQuery.

Google documents the names of the folder and the tables, and the columns of models with schemata.
For a custom container it is a guess that `prediction` and the `instance` of a line are texts of
JSON in a table.
"""

from __future__ import annotations

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import BatchPredictionJob

from ....core.call import Call
from ...bigquery.data.types import SchemaField
from ...bigquery.operations import in_process as bigquery
from ...storage import in_process as storage
from .instances import BatchInstance

OutputInfoPb = BatchPredictionJob.OutputInfo.pb()
_encode = msgspec.json.Encoder().encode
_FILES = ("prediction.results-00000-of-00001", "prediction.errors_stats-00000-of-00001")
_PREDICTION = SchemaField(name="prediction", type="STRING")
_ERRORS = SchemaField(
    name="errors",
    type="RECORD",
    fields=(SchemaField(name="code", type="INTEGER"), SchemaField(name="message", type="STRING")),
)


class PredictionFailure(msgspec.Struct, frozen=True):
    """The reason why an instance has no prediction, as google.rpc.Status has it."""

    code: int
    message: str


class Results(ABC):
    """A sink of predictions and failures; `close` ends it. `info`: the job's output_info."""

    info: Any

    @abstractmethod
    def add(self, items: Sequence[BatchInstance], predictions: Sequence[Any]) -> None:
        """Write the instances of a batch with their predictions."""

    @abstractmethod
    def fail(self, items: Sequence[BatchInstance], failure: PredictionFailure) -> None:
        """Write the instances of a batch that failed, with the error."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output once all batches are written."""


def results(call: Call, job: Any, display_name: str, folder: Path) -> Results:
    """Return the writer for a batch job's predictions, to files or to a BigQuery table.

    Raises:
        GcpError: The bucket or the project's dataset does not exist.
    """
    now = call.clock.now()
    timestamp = now.strftime("%Y_%m_%dT%H_%M_%S_") + f"{now.microsecond // 1000:03}Z"
    config = job.output_config
    if config.predictions_format == "bigquery":
        return _Tables(call, job, display_name, timestamp)
    prefix = config.gcs_destination.output_uri_prefix.rstrip("/")
    directory = f"{prefix}/prediction-{display_name}-{timestamp}"
    storage.uris_below(call, f"{prefix}/")  # the bucket is there
    kind = _Csv if config.predictions_format == "csv" else _Lines
    return kind(call, directory, folder)


class _Files(Results):
    """Results that are written to local files, and uploaded at the end."""

    ending = ""

    def __init__(self, call: Call, directory: str, folder: Path) -> None:
        self._call = call
        self.info = OutputInfoPb(gcs_output_directory=directory)
        self._folder = folder
        folder.mkdir(parents=True)
        self._results, self._errors = (
            (folder / f"{name}{self.ending}").open("w", encoding="utf-8", newline="")
            for name in _FILES
        )

    def close(self) -> None:
        """Upload the written result files to Cloud Storage."""
        self._results.close()
        self._errors.close()
        storage.upload(self._call, self._folder, self.info.gcs_output_directory)


class _Lines(_Files):
    def add(self, items: Sequence[BatchInstance], predictions: Sequence[Any]) -> None:
        """Write a batch's instances and predictions as JSON lines."""
        for item, prediction in zip(items, predictions, strict=True):
            self._results.write(_line({**item.shown, "prediction": prediction}))

    def fail(self, items: Sequence[BatchInstance], failure: PredictionFailure) -> None:
        """Write the instances of a failed batch, with their errors, as JSON lines."""
        for item in items:
            self._errors.write(_line({**item.shown, "error": failure}))


class _Csv(_Files):
    ending = ".csv"

    def __init__(self, call: Call, directory: str, folder: Path) -> None:
        super().__init__(call, directory, folder)
        self._headed: set[Any] = set()

    def add(self, items: Sequence[BatchInstance], predictions: Sequence[Any]) -> None:
        """Write a batch's instances and predictions as CSV rows."""
        for item, prediction in zip(items, predictions, strict=True):
            self._row(self._results, {**item.columns, "prediction": _text(prediction)})

    def fail(self, items: Sequence[BatchInstance], failure: PredictionFailure) -> None:
        """Write the instances of a failed batch, with their errors, as CSV rows."""
        for item in items:
            self._row(
                self._errors,
                {
                    **{name: _text(value) for name, value in item.shown.items()},
                    "errors": _text(failure),
                },
            )

    def _row(self, file: Any, row: Mapping[str, Any]) -> None:
        """Write a row to a CSV file, and before the first row the header."""
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        if file not in self._headed:
            self._headed.add(file)
            writer.writerow(row)
        writer.writerow(row.values())


class _Tables(Results):
    def __init__(self, call: Call, job: Any, display_name: str, timestamp: str) -> None:
        self._call = call
        project, dataset, table = _output_table(
            job.output_config.bigquery_destination.output_uri, display_name, timestamp
        )
        self._predictions = f"{project}.{dataset}.{table or f'predictions_{timestamp}'}"
        self._errors = (
            f"{project}.{dataset}.{f'{table}_errors' if table else f'errors_{timestamp}'}"
        )
        columns = _columns(call, job)
        bigquery.create_table(call, self._predictions, [*columns, _PREDICTION])
        bigquery.create_table(call, self._errors, [*columns, _ERRORS])
        self.info = OutputInfoPb(
            bigquery_output_dataset=f"bq://{project}.{dataset}",
            bigquery_output_table=self._predictions.rpartition(".")[2],
        )

    def add(self, items: Sequence[BatchInstance], predictions: Sequence[Any]) -> None:
        """Append a batch's instances and predictions to the predictions table in BigQuery."""
        rows = [
            {**item.columns, "prediction": _text(prediction)}
            for item, prediction in zip(items, predictions, strict=True)
        ]
        bigquery.append_rows(self._call, self._predictions, rows)

    def fail(self, items: Sequence[BatchInstance], failure: PredictionFailure) -> None:
        """Append the instances of a failed batch to the errors table in BigQuery."""
        errors = {"code": failure.code, "message": failure.message}
        rows = [{**item.columns, "errors": errors} for item in items]
        bigquery.append_rows(
            self._call, self._errors, rows, ignore_unknown=True
        )  # a line that cannot be read has no key

    def close(self) -> None:
        """Do nothing, as each batch was written to BigQuery when it came."""


def _output_table(uri: str, display_name: str, timestamp: str) -> tuple[str, str, str]:
    """Return the project, the dataset and the table of a bq:// output URI, with defaults."""
    project, dataset, table = (*uri.removeprefix("bq://").split("."), "", "")[:3]
    return project, dataset or re.sub(r"\W", "_", f"prediction_{display_name}_{timestamp}"), table


def _columns(call: Call, job: Any) -> list[SchemaField]:
    """Return the columns that a BigQuery output table needs for the instances of a job."""
    if job.input_config.instances_format != "bigquery":
        return [
            SchemaField(name="key" if job.instance_config.key_field else "instance", type="STRING")
        ]
    fields = bigquery.table_schema(call, job.input_config.bigquery_source.input_uri)
    key = job.instance_config.key_field
    if not key:
        return [
            msgspec.structs.replace(field, mode="REPEATED" if field.repeated else "NULLABLE")
            for field in fields
        ]
    return [SchemaField(name="key", type=field.type) for field in fields if field.name == key]


def _line(value: Mapping[str, Any]) -> str:
    """Return a dictionary as one line of a JSON Lines file."""
    return f"{_text(value)}\n"


def _text(value: Any) -> str:
    """Return a value as JSON text."""
    return _encode(value).decode()
