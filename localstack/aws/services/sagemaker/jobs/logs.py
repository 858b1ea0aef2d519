"""A job's lines in CloudWatch Logs, and its metrics, which are read from the lines."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

GROUPS = {
    "training": "/aws/sagemaker/TrainingJobs",
    "processing": "/aws/sagemaker/ProcessingJobs",
    "transform": "/aws/sagemaker/TransformJobs",
}
_EVERY = 0.5  # seconds between two deliveries
_BATCH = 1000  # events a PutLogEvents call; the service takes 10,000 and 1 MiB
_LONGEST = 250_000  # characters of one event


class LogStream:
    """The log stream of one host of a job.

    It is made at once, so that a client which follows it finds it.
    """

    def __init__(self, client: Any, group: str, job: str) -> None:
        self._client = client
        self._group = group
        self._stream = f"{job}/algo-1-{int(time.time())}"
        self._waiting: list[dict[str, Any]] = []
        self._next = 0.0
        self._create()

    def write(self, line: str) -> None:
        # an empty message is refused
        """Queue a line for the job's log stream in CloudWatch Logs."""
        self._waiting.append(
            {"timestamp": int(time.time() * 1000), "message": line[:_LONGEST] or " "}
        )

    def flush_if_due(self) -> None:
        """Send the queued log lines to CloudWatch Logs, if the last sending was long enough ago."""
        if self._waiting and time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Send the queued log lines to CloudWatch Logs.

        Lines stay queued when the service refuses them (by an injected fault): a log never fails
        its job.
        """
        self._next = time.monotonic() + _EVERY
        while self._waiting:
            batch = self._waiting[:_BATCH]
            try:
                self._client.put_log_events(
                    logGroupName=self._group, logStreamName=self._stream, logEvents=batch
                )
            except (ClientError, BotoCoreError):
                return
            del self._waiting[: len(batch)]

    def _create(self) -> None:
        """Create the job's log group and log stream in CloudWatch Logs."""
        for create, arguments in (
            (self._client.create_log_group, {"logGroupName": self._group}),
            (
                self._client.create_log_stream,
                {"logGroupName": self._group, "logStreamName": self._stream},
            ),
        ):
            try:
                create(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
                    raise


# What built-in XGBoost computes (developer guide, "Metrics Computed by the XGBoost Algorithm"), of
# training and of validation
_XGBOOST = (
    *("accuracy", "auc", "aucpr", "balanced_accuracy", "error", "f1", "logloss", "mae"),
    *("map", "merror", "mlogloss", "mse", "ndcg", "r2", "rmse"),
)
_NUMBER = r"([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


def metric_definitions(
    specification: Mapping[str, Any], hyperparameters: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return a training job's MetricDefinitions, names and regular expressions.

    `specification` is its AlgorithmSpecification. They include those that SageMaker itself has for
    XGBoost's images where they run no user's script.
    """
    own: list[dict[str, str]] = list(specification.get("MetricDefinitions", ()))
    repository = specification.get("TrainingImage", "").rpartition("/")[2].partition(":")[0]
    if repository not in ("xgboost", "sagemaker-xgboost") or "sagemaker_program" in hyperparameters:
        return own
    names = [(part, name) for part in ("train", "validation") for name in _XGBOOST]
    return own + [
        {"Name": f"{part}:{name}", "Regex": rf"\[[0-9]+\].*#011{part}-{name}:{_NUMBER}"}
        for part, name in names
    ]


class Metrics:
    """The metrics of MetricDefinitions.

    The first group of each regex is a value; the last value counts.
    """

    def __init__(self, definitions: Sequence[dict[str, str]]) -> None:
        self._patterns = [
            (definition["Name"], re.compile(definition["Regex"])) for definition in definitions
        ]

    def read(self, line: str) -> dict[str, float]:
        """Return the metric values that the regular expressions find in a log line, by name."""
        values: dict[str, float] = {}
        for name, pattern in self._patterns:
            for match in pattern.finditer(line):
                try:
                    values[name] = float(match.group(1) if pattern.groups else match.group(0))
                except (
                    TypeError,
                    ValueError,
                ):  # it matched something that is no number: SageMaker drops it
                    continue
        return values
