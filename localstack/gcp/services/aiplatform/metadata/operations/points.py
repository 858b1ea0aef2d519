"""TensorboardService's points of time series: written and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.cloud.aiplatform_v1.types import TensorboardTimeSeries, TimeSeriesData
from google.cloud.aiplatform_v1.types import tensorboard_service as service

from .....core.call import Call
from .....core.errors import GcpError
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from ..kinds import EXPERIMENT, RUN, SERIES, TENSORBOARD
from ..records import Points

_SERVICE = "google.cloud.aiplatform.v1.TensorboardService"
_ValueType = TensorboardTimeSeries.ValueType
_VALUES = {_ValueType.SCALAR: "scalar", _ValueType.TENSOR: "tensor"}
_MOST_POINTS = 1000  # that a read gives, where nothing else is asked


@handles(f"{_SERVICE}.WriteTensorboardRunData")
def write_tensorboard_run_data(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call WriteTensorboardRunData: store points of a run's time series."""
    run = standard_methods.get(call, RUN, request.tensorboard_run)
    _check(call, run.name, request.time_series_data)
    _write(call, run.name, request.time_series_data)
    return service.WriteTensorboardRunDataResponse.pb()()


@handles(f"{_SERVICE}.WriteTensorboardExperimentData")
def write_tensorboard_experiment_data(call: Call, request: Any) -> Any:
    """Write the points of several runs: all or nothing."""
    experiment = standard_methods.get(call, EXPERIMENT, request.tensorboard_experiment)
    runs = [
        standard_methods.get(call, RUN, single.tensorboard_run).name
        for single in request.write_run_data_requests
    ]
    for name, single in zip(runs, request.write_run_data_requests, strict=True):
        if not name.startswith(f"{experiment.name}/"):
            raise GcpError("INVALID_ARGUMENT", f"The run {name} is not of {experiment.name}.")
        _check(call, name, single.time_series_data)
    for name, single in zip(runs, request.write_run_data_requests, strict=True):
        _write(call, name, single.time_series_data)
    return service.WriteTensorboardExperimentDataResponse.pb()()


@handles(f"{_SERVICE}.ReadTensorboardTimeSeriesData")
def read_tensorboard_time_series_data(call: Call, request: Any) -> Any:
    """Return the points of a time series.

    It answers Vertex AI's API call ReadTensorboardTimeSeriesData.
    """
    series = standard_methods.get(call, SERIES, request.tensorboard_time_series)
    return service.ReadTensorboardTimeSeriesDataResponse.pb()(
        time_series_data=_data(call, series, request.max_data_points)
    )


@handles(f"{_SERVICE}.BatchReadTensorboardTimeSeriesData")
def batch_read_tensorboard_time_series_data(call: Call, request: Any) -> Any:
    """Return the points of several time series.

    It answers Vertex AI's API call BatchReadTensorboardTimeSeriesData.
    """
    tensorboard = standard_methods.get(call, TENSORBOARD, request.tensorboard)
    series = [standard_methods.get(call, SERIES, name) for name in request.time_series]
    for member in series:
        if not member.name.startswith(f"{tensorboard.name}/"):
            raise GcpError(
                "INVALID_ARGUMENT", f"The time series {member.name} is not of {tensorboard.name}."
            )
    return service.BatchReadTensorboardTimeSeriesDataResponse.pb()(
        time_series_data=[_data(call, member, 0) for member in series]
    )


@handles(f"{_SERVICE}.ExportTensorboardTimeSeriesData")
def export_tensorboard_time_series_data(call: Call, request: Any) -> Any:
    """Return a page of a series' points.

    It answers Vertex AI's API call ExportTensorboardTimeSeriesData.
    """
    series = standard_methods.get(call, SERIES, request.tensorboard_time_series)
    points, token = standard_methods.filtered_page(
        call.store(Points).get(series.name), request, size=_MOST_POINTS, most=10_000
    )
    return service.ExportTensorboardTimeSeriesDataResponse.pb()(
        time_series_data_points=points, next_page_token=token
    )


def _check(call: Call, run: str, data: Sequence[Any]) -> None:
    """Raise an error if points are for a time series that does not exist or has another type.

    `run` is the TensorBoard run to which they are to be added.
    """
    for part in data:
        series = standard_methods.get(
            call, SERIES, f"{run}/{SERIES.collection}/{part.tensorboard_time_series_id}"
        )
        kind = _VALUES.get(series.value_type)
        if kind is None:
            raise GcpError(
                "UNIMPLEMENTED", "time series of blobs are not supported by the offline GCP yet"
            )
        if part.value_type and part.value_type != series.value_type:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The time series {series.name} has another value_type than the data.",
            )
        if any(point.WhichOneof("value") != kind for point in part.values):
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The time series {series.name} takes points with a {kind} only.",
            )


def _write(call: Call, run: str, data: Sequence[Any]) -> None:
    """Append data points to the time series of a TensorBoard run."""
    resources = call.store(Resources)
    for part in data:
        name = f"{run}/{SERIES.collection}/{part.tensorboard_time_series_id}"
        points = call.store(Points).add(name, part.values)

        def note(series: Any, points: Sequence[Any] = points) -> None:
            if points:
                series.metadata.max_step = points[-1].step
                series.metadata.max_wall_time.CopyFrom(
                    max((p.wall_time for p in points), key=lambda moment: moment.ToNanoseconds())
                )

        resources.change(SERIES.word, name, note)


def _data(call: Call, series: Any, most: int) -> Any:
    """Return the points of a time series as a message of the API, thinned to at most `most`."""
    points = call.store(Points).get(series.name)
    if most != -1:
        points = _thinned(points, most or _MOST_POINTS)
    identifier = series.name.rpartition("/")[2]
    return TimeSeriesData.pb()(
        tensorboard_time_series_id=identifier, value_type=series.value_type, values=points
    )


def _thinned(points: list[Any], most: int) -> list[Any]:
    """Return at most `most` points, evenly spread over all, with the first and the last."""
    if len(points) <= most:
        return points
    if most == 1:
        return points[-1:]
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]
