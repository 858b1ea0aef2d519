"""TensorboardService's tensorboards, experiments, runs and time series.

Their points are in points.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import operation as metadata
from google.cloud.aiplatform_v1.types import tensorboard_service as service

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import standard_methods
from .....core.resources.store import Resources
from ..kinds import EXPERIMENT, RUN, SERIES, TENSORBOARD
from ..records import Points

_SERVICE = "google.cloud.aiplatform.v1.TensorboardService"
_SECONDS = 2.0  # that the provider takes
_WRITTEN = ("display_name", "description", "labels")


class TreeLevel(msgspec.Struct, frozen=True, kw_only=True):
    """One level of the tree below a tensorboard."""

    kind: standard_methods.ResourceKind
    parent: standard_methods.ResourceKind
    field: str  # of requests
    plural: str  # of answers
    updatable: tuple[str, ...]
    needs_id: bool


LEVELS = (
    TreeLevel(
        kind=EXPERIMENT,
        parent=TENSORBOARD,
        field="tensorboard_experiment",
        plural="tensorboard_experiments",
        updatable=(*_WRITTEN, "source"),
        needs_id=True,
    ),
    TreeLevel(
        kind=RUN,
        parent=EXPERIMENT,
        field="tensorboard_run",
        plural="tensorboard_runs",
        updatable=_WRITTEN,
        needs_id=True,
    ),
    TreeLevel(
        kind=SERIES,
        parent=RUN,
        field="tensorboard_time_series",
        plural="tensorboard_time_series",
        updatable=("display_name", "description", "plugin_name", "plugin_data"),
        needs_id=False,
    ),
)
_CHILDREN = {TENSORBOARD.word: EXPERIMENT, EXPERIMENT.word: RUN, RUN.word: SERIES}


@handles(f"{_SERVICE}.CreateTensorboard")
def create_tensorboard(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateTensorboard: create a tensorboard."""
    tensorboard = request.tensorboard
    if not tensorboard.display_name:
        raise GcpError("INVALID_ARGUMENT", "tensorboard.display_name is required.")
    name = standard_methods.name_of(call, TENSORBOARD, request.parent, call.new_id())
    tensorboard.blob_storage_path_prefix = f"cloud-ai-platform-{secrets.token_hex(16)}"
    tensorboard.run_count = 0
    resources = call.store(Resources)
    with resources.lock:
        if tensorboard.is_default:
            _take_default(call, resources, name)
        standard_methods.create(call, TENSORBOARD, name, tensorboard)
    return standard_methods.long_running(
        call,
        name,
        lambda: tensorboard,
        metadata=service.CreateTensorboardOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.GetTensorboard")
def get_tensorboard(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetTensorboard: return a tensorboard."""
    return _with_runs(call, standard_methods.get(call, TENSORBOARD, request.name))


@handles(f"{_SERVICE}.ListTensorboards")
def list_tensorboards(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListTensorboards: list the tensorboards."""
    tensorboards, token = standard_methods.list_page(call, TENSORBOARD, request)
    listed = [_with_runs(call, tensorboard) for tensorboard in tensorboards]
    return service.ListTensorboardsResponse.pb()(tensorboards=listed, next_page_token=token)


@handles(f"{_SERVICE}.UpdateTensorboard")
def update_tensorboard(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UpdateTensorboard: change a tensorboard."""
    resources = call.store(Resources)
    with resources.lock:
        tensorboard = standard_methods.update(
            call, TENSORBOARD, request.tensorboard, request.update_mask, (*_WRITTEN, "is_default")
        )
        if tensorboard.is_default:
            _take_default(call, resources, tensorboard.name)
    return standard_methods.long_running(
        call,
        tensorboard.name,
        lambda: tensorboard,
        metadata=service.UpdateTensorboardOperationMetadata.pb()(),
        seconds=_SECONDS,
    )


@handles(f"{_SERVICE}.DeleteTensorboard")
def delete_tensorboard(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteTensorboard: delete a tensorboard."""
    return _delete(call, TENSORBOARD, request)


def _answer(level: TreeLevel) -> None:
    """Register the RPC handlers of a level of TensorBoard: experiment, run or time series.

    They are create, get, list, update and delete.
    """
    word, several = (
        level.kind.word,
        level.kind.word if level.kind is SERIES else f"{level.kind.word}s",
    )
    methods: dict[str, Callable[[Call, Any], Any]] = {
        f"Create{word}": lambda call, request: _create(call, level, request.parent, request),
        f"Get{word}": lambda call, request: standard_methods.get(call, level.kind, request.name),
        f"List{several}": lambda call, request: _list(call, level, several, request),
        f"Update{word}": lambda call, request: standard_methods.update(
            call, level.kind, getattr(request, level.field), request.update_mask, level.updatable
        ),
        f"Delete{word}": lambda call, request: _delete(call, level.kind, request),
    }
    if level.kind is not EXPERIMENT:
        methods[f"BatchCreate{several}"] = lambda call, request: _create_batch(
            call, level, several, request
        )
    for name, method in methods.items():
        handles(f"{_SERVICE}.{name}")(method)


def _create(call: Call, level: TreeLevel, parent: str, request: Any) -> Any:
    """Create a TensorBoard resource (experiment, run or time series), and return it."""
    above = standard_methods.get(call, level.parent, parent)
    identifier = getattr(request, f"{level.field}_id")
    if not identifier and level.needs_id:
        raise GcpError("INVALID_ARGUMENT", f"{level.field}_id is required.")
    message = getattr(request, level.field)
    if level.kind is not EXPERIMENT:
        if not message.display_name:
            raise GcpError("INVALID_ARGUMENT", f"{level.field}.display_name is required.")
        siblings = call.store(Resources).below(above.name, level.kind.collection)
        if any(sibling.display_name == message.display_name for sibling in siblings):
            raise GcpError(
                "ALREADY_EXISTS",
                f"There is a {level.kind.word} with the display_name "
                f"{message.display_name!r} already.",
            )
    if level.kind is SERIES and not message.value_type:
        raise GcpError("INVALID_ARGUMENT", "tensorboard_time_series.value_type is required.")
    return standard_methods.create(
        call,
        level.kind,
        standard_methods.name_of(call, level.kind, above.name, identifier or call.new_id()),
        message,
    )


def _create_batch(call: Call, level: TreeLevel, several: str, request: Any) -> Any:
    """Create several TensorBoard resources, all or none, and return the response.

    `several` is the response's field for them. Time series may belong to several runs of an
    experiment.
    """
    resources = call.store(Resources)
    created: list[Any] = []
    with resources.lock:
        try:
            created.extend(
                _create(call, level, single.parent or request.parent, single)
                for single in request.requests
            )
        except GcpError:
            for message in created:
                resources.remove(message.name)
            raise
    return getattr(service, f"BatchCreate{several}Response").pb()(**{level.plural: created})


def _list(call: Call, level: TreeLevel, several: str, request: Any) -> Any:
    """Answer a list request for TensorBoard resources; `several` is the response's field for it."""
    items = [
        item
        for parent in _parents(call, level, request.parent)
        for item in _below(call, parent, level.kind)
    ]
    listed, token = standard_methods.filtered_page(items, request)
    return getattr(service, f"List{several}Response").pb()(
        **{level.plural: listed}, next_page_token=token
    )


def _parents(call: Call, level: TreeLevel, name: str) -> Sequence[str]:
    """Return the names of the parents to list: the one named, or all if its id is `-`."""
    name = canonical(call, name)
    above, _, identifier = name.rpartition(f"/{level.parent.collection}/")
    if identifier == "-":
        return [parent.name for parent in _below(call, above, level.parent)]
    return [standard_methods.get(call, level.parent, name).name]


def _below(call: Call, parent: str, kind: standard_methods.ResourceKind) -> list[Any]:
    """Return the TensorBoard resources of a kind below a parent."""
    return call.store(Resources).below(parent, kind.collection)


def _delete(call: Call, kind: standard_methods.ResourceKind, request: Any) -> Any:
    """Delete a TensorBoard resource with everything below it by a long-running operation."""
    name = canonical(call, request.name)
    resources, points = call.store(Resources), call.store(Points)
    resources.get(kind.word, name)

    def delete(level: standard_methods.ResourceKind = kind, above: str = name) -> None:
        child = _CHILDREN.get(level.word)
        if child is not None:
            for item in resources.below(above, child.collection):
                delete(child, item.name)
        points.forget(above)
        resources.remove(above)

    return standard_methods.long_running(
        call, name, delete, metadata=metadata.DeleteOperationMetadata.pb()(), seconds=_SECONDS
    )


def _with_runs(call: Call, tensorboard: Any) -> Any:
    """Return a tensorboard's message with its run_count filled in."""
    experiments = _below(call, tensorboard.name, EXPERIMENT)
    tensorboard.run_count = sum(
        len(_below(call, experiment.name, RUN)) for experiment in experiments
    )
    return tensorboard


def _take_default(call: Call, resources: Resources, name: str) -> None:
    """Clear is_default of the other tensorboards in a location, as `name` is the default now."""
    parent = name.rpartition(f"/{TENSORBOARD.collection}/")[0]
    for other in _below(call, parent, TENSORBOARD):
        if other.is_default and other.name != name:
            other.is_default = False
            resources.put(other.name, other)


for _level in LEVELS:
    _answer(_level)
