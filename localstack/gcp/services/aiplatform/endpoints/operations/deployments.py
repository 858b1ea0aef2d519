"""EndpointService's deployments: DeployModel, UndeployModel, MutateDeployedModel.

A deployed model takes traffic once the server of its version is healthy.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from google.cloud.aiplatform_v1.types import (
    DeployedModel,
    DeployModelOperationMetadata,
    DeployModelResponse,
    MutateDeployedModelOperationMetadata,
    MutateDeployedModelResponse,
    UndeployModelOperationMetadata,
    UndeployModelResponse,
)
from google.cloud.aiplatform_v1.types import DeploymentStage as Stage

from ......serving.model_server import ModelServer
from .....core.call import Call
from .....core.errors import GcpError, invalid
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.validation import check_display_name
from ...models import records as models
from .. import model_servers, timing
from ..records import HostedEndpoint, Target, check_split, require_endpoint, show_former_state
from .endpoints import generic

DeployedPb = DeployedModel.pb()
_ID = re.compile(r"[0-9]{1,10}")
_NEW = "0"  # the model that is being deployed, in a request's split
_MUTABLE = {
    *(
        "dedicated_resources.min_replica_count",
        "dedicated_resources.max_replica_count",
        "dedicated_resources.required_replica_count",
    ),
    *("dedicated_resources.autoscaling_metric_specs", "disable_container_logging"),
}
LOST_AFTER = 120.0  # seconds until a deployment that is lost (the fault lost-deploy) says so


@handles("google.cloud.aiplatform.v1.EndpointService.DeployModel")
def deploy_model(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeployModel: deploy a model to an endpoint."""
    hosted = require_endpoint(call, request.endpoint)
    deployed = DeployedPb()
    deployed.CopyFrom(request.deployed_model)
    _check(deployed)
    if not deployed.model:
        raise invalid("deployed_model.model is required.")
    model = models.version_by_name(call, deployed.model)
    if not model.HasField("container_spec"):
        raise GcpError(
            "FAILED_PRECONDITION",
            f"Model {model.name} has no container_spec: the offline GCP serves models of a "
            "container.",
        )
    version = f"{model.name.partition('@')[0]}@{model.version_id}"
    lost = call.fault("lost-deploy", hosted.name.rpartition("/")[2])
    with hosted.lock:
        _assign_id(hosted, deployed)
        check_split(
            _with_new_id(request.traffic_split, deployed.id),
            {*hosted.targets, deployed.id},
            endpoint=hosted.name,
        )
        models.note_deployed(call, version, hosted.name, deployed.id)
        hosted.pending[deployed.id] = version
    deployed.display_name = deployed.display_name or model.display_name
    deployed.model, deployed.model_version_id = version.partition("@")[0], model.version_id
    deployed.create_time.CopyFrom(call.now_pb())
    deployment = _Deployment(call, hosted, deployed, model, dict(request.traffic_split))
    metadata = deployment.stage(Stage.STARTING_DEPLOYMENT)
    delay = LOST_AFTER if lost is not None else timing.seconds(call)
    work = deployment.fail_as_lost if lost is not None else deployment.run
    return operations.start(call, hosted.name, work, metadata=metadata, delay=delay)


@handles("google.cloud.aiplatform.v1.EndpointService.UndeployModel")
def undeploy_model(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UndeployModel: undeploy a model from an endpoint."""
    hosted = require_endpoint(call, request.endpoint)
    context = call.without_request()
    number, split = request.deployed_model_id, dict(request.traffic_split)

    def work(_progress: operations.Progress) -> Any:
        with hosted.lock:
            _check_undeployable(hosted, number, split)
            show_former_state(context, hosted)
            _remove_deployed_model(hosted, number, split)
            target = hosted.targets.pop(number)
            hosted.note_change(context)
        models.note_undeployed(context, hosted.name, number)
        target.server.retire()
        return UndeployModelResponse.pb()()

    with hosted.lock:
        _check_undeployable(hosted, number, split)
    metadata = UndeployModelOperationMetadata.pb()(generic_metadata=generic(call))
    draining = (
        timing.seconds(call) if hosted.message.traffic_split else 0.0
    )  # an endpoint that takes no traffic has none to wait for
    return operations.start(call, hosted.name, work, metadata=metadata, delay=draining)


@handles("google.cloud.aiplatform.v1.EndpointService.MutateDeployedModel")
def mutate_deployed_model(call: Call, request: Any) -> Any:
    """Change a deployed model's numbers of replicas and its logging.

    Replicas are numbers only: one process serves, however many there are said to be.
    """
    hosted = require_endpoint(call, request.endpoint)
    number = request.deployed_model.id
    if wrong := sorted(set(request.update_mask.paths) - _MUTABLE):
        raise invalid(
            f"MutateDeployedModel does not take {', '.join(wrong)} in update_mask: it takes "
            f"{', '.join(sorted(_MUTABLE))}."
        )
    if not request.update_mask.paths:
        raise invalid("update_mask is required.")
    context = call.without_request()

    def mutated() -> Any:
        deployed = hosted.deployed(number)
        if deployed is None:
            raise GcpError("NOT_FOUND", f"DeployedModel {number} does not exist in {hosted.name}.")
        copy = DeployedPb()
        copy.CopyFrom(deployed)
        request.update_mask.MergeMessage(
            request.deployed_model, copy, replace_message_field=True, replace_repeated_field=True
        )
        _check_replicas(copy)
        return copy

    def work(_progress: operations.Progress) -> Any:
        with hosted.lock:
            copy = mutated()
            _scale(context, copy)
            present = hosted.deployed(number)
            assert present is not None  # noqa: S101  mutated() has seen it
            present.CopyFrom(copy)
            hosted.note_change(context)
            return MutateDeployedModelResponse.pb()(deployed_model=copy)

    with hosted.lock:
        mutated()
    metadata = MutateDeployedModelOperationMetadata.pb()(generic_metadata=generic(call))
    return operations.start(call, hosted.name, work, metadata=metadata, delay=timing.seconds(call))


class _Deployment:
    """One DeployModel under way.

    The endpoint changes only at its end, and not at all if it fails.
    """

    def __init__(
        self,
        call: Call,
        hosted: HostedEndpoint,
        deployed: Any,
        model: Any,
        split: Mapping[str, int],
    ) -> None:
        self._call = call.without_request()
        self._hosted = hosted
        self._deployed = deployed
        self._model = model
        self._split = split
        self._generic = generic(call)

    def stage(self, stage: Stage) -> Any:
        """Return the metadata of the deploy operation at a stage of the deployment."""
        self._generic.update_time.CopyFrom(self._call.now_pb())
        return DeployModelOperationMetadata.pb()(
            generic_metadata=self._generic, deployment_stage=stage.value
        )

    def run(self, progress: operations.Progress) -> Any:
        """Start the model server, add it to the endpoint, and return the operation's response.

        Raises:
            GcpError: The server does not become healthy, or the operation was cancelled.
        """
        server: ModelServer | None = None
        over = threading.Event()
        try:
            progress.metadata(self.stage(Stage.PREPARING_MODEL))
            server = model_servers.model_server(
                self._call, self._hosted.name, self._deployed, self._model
            )
            self._call.spawn(_kill_once_cancelled, progress, over, server)
            progress.metadata(self.stage(Stage.STARTING_MODEL_SERVER))
            self._start(server, progress)
            progress.metadata(self.stage(Stage.FINISHING_UP))
            response = self._finish(server)
            progress.metadata(self.stage(Stage.SUCCESSFULLY_DEPLOYED))
        except BaseException:  # an interrupt must not leave a server that runs, either
            self._forget()
            if server is not None:
                server.kill()
            progress.metadata(self.stage(Stage.FAILED_TO_DEPLOY))
            raise
        finally:
            over.set()
        return response

    def _start(self, server: ModelServer, progress: operations.Progress) -> None:
        """Start the model server; wait until it is healthy or the operation is cancelled."""
        problem = server.start(
            lambda folder: model_servers.copy_model_files(self._call, self._model, folder),
            model_servers.start_timeout(self._model),
        )
        if progress.cancelled.is_set():
            raise GcpError("CANCELLED", "The operation was cancelled.")
        if problem is not None:
            raise GcpError("FAILED_PRECONDITION", self._unhealthy(problem))

    def fail_as_lost(self, progress: operations.Progress) -> Any:
        """Fail the operation though the model was deployed, as the fault "lost-deploy" demands."""
        self._forget()
        progress.metadata(self.stage(Stage.FAILED_TO_DEPLOY))
        raise GcpError("INTERNAL", "The deployment was lost: a fault that was asked for")

    def _finish(self, server: ModelServer) -> Any:
        """Add the deployed model to the endpoint, with its share of the traffic."""
        hosted, deployed = self._hosted, self._deployed
        _scale(self._call, deployed)
        with hosted.lock:
            if hosted.deleted:
                raise GcpError("NOT_FOUND", f"The Endpoint does not exist: {hosted.name}")
            split = _with_new_id(self._split, deployed.id)
            check_split(split, {*hosted.targets, deployed.id}, endpoint=hosted.name)
            show_former_state(self._call, hosted)
            hosted.targets[deployed.id] = self._target(server)
            hosted.message.deployed_models.append(deployed)
            if split:
                _set_split(hosted, split)
            hosted.pending.pop(deployed.id, None)
            hosted.note_change(self._call)
        return DeployModelResponse.pb()(deployed_model=deployed)

    def _target(self, server: ModelServer) -> Target:
        """Return the deployed model as a target to which the endpoint routes requests."""
        return Target(
            id=self._deployed.id,
            model=self._deployed.model,
            version=self._deployed.model_version_id,
            display_name=self._model.display_name,
            predict_route=model_servers.vertex_variables(
                self._hosted.name, self._deployed, self._model
            )["AIP_PREDICT_ROUTE"],
            server=server,
        )

    def _forget(self) -> None:
        """Unmark the model version as deployed, so that it may be deployed again or deleted."""
        with self._hosted.lock:
            self._hosted.pending.pop(self._deployed.id, None)
        models.note_undeployed(self._call, self._hosted.name, self._deployed.id)

    def _unhealthy(self, problem: str) -> str:
        """Return the error message for a server that did not become healthy."""
        what = (
            "Model server exited unexpectedly."
            if "exited" in problem
            else "Model server never became ready."
        )
        image = self._model.container_spec.image_uri
        where = (
            "Model server logs can be found in Cloud Logging, endpoint "
            f"{self._hosted.name.rpartition('/')[2]}"
        )
        return f"{what} {where}. (local stack: {image}: {problem})"


def _kill_once_cancelled(
    progress: operations.Progress, over: threading.Event, server: ModelServer
) -> None:
    """Kill the model server if its deployment is cancelled before `over` is set; for a thread."""
    while not over.wait(0.05):
        if progress.cancelled.is_set():
            server.kill()
            return


def _check(deployed: Any) -> None:
    """Raise INVALID_ARGUMENT for a DeployedModel message that asks for what cannot be served."""
    if deployed.id and not _ID.fullmatch(deployed.id):
        raise invalid(f"Invalid deployed_model.id {deployed.id!r}: 1 to 10 digits.")
    check_display_name(deployed.display_name, kind="DeployedModel", required=False)
    resources = deployed.WhichOneof("prediction_resources")
    if resources != "dedicated_resources":
        what = (
            "deployed_model needs dedicated_resources"
            if resources is None
            else f"'{resources}' is not supported for a model of a container"
        )
        raise invalid(f"{what}: give dedicated_resources.")
    if not deployed.dedicated_resources.machine_spec.machine_type:
        raise invalid("deployed_model.dedicated_resources.machine_spec.machine_type is required.")
    _check_replicas(deployed)


def _check_replicas(deployed: Any) -> None:
    """Raise INVALID_ARGUMENT for a DeployedModel whose minimum and maximum replicas do not fit."""
    resources = deployed.dedicated_resources
    if resources.min_replica_count < 1:
        raise invalid(
            "dedicated_resources.min_replica_count must be at least 1, not "
            f"{resources.min_replica_count}."
        )
    fewest, most = resources.min_replica_count, resources.max_replica_count
    if most and most < fewest:
        raise invalid(
            f"dedicated_resources.max_replica_count, {most}, is below min_replica_count, {fewest}."
        )


def _scale(call: Call, deployed: Any) -> None:
    """Bring a deployed model's number of replicas within its new minimum and maximum."""
    resources = deployed.dedicated_resources
    if not resources.max_replica_count:
        resources.max_replica_count = resources.min_replica_count
    now = deployed.status.available_replica_count
    deployed.status.available_replica_count = min(
        max(now, resources.min_replica_count), resources.max_replica_count
    )
    deployed.status.last_update_time.CopyFrom(call.now_pb())


def _assign_id(hosted: HostedEndpoint, deployed: Any) -> None:
    """Set a deployed model's id: the caller's or a new one."""
    taken = {*hosted.targets, *hosted.pending}
    if deployed.id in taken:
        raise GcpError(
            "ALREADY_EXISTS", f"DeployedModel {deployed.id} already exists in {hosted.name}."
        )
    while not deployed.id:
        number = str(secrets.randbelow(9 * 10**9) + 10**9)
        deployed.id = number if number not in taken else ""


def _with_new_id(split: Mapping[str, int], number: str) -> dict[str, int]:
    """Return a traffic split in which the new deployed model's id `number` replaces "0"."""
    return {number if key == _NEW else key: percent for key, percent in split.items()}


def _set_split(hosted: HostedEndpoint, split: Mapping[str, int]) -> None:
    """Replace the traffic split in an endpoint's message."""
    hosted.message.ClearField("traffic_split")
    hosted.message.traffic_split.update(split)


def _check_undeployable(hosted: HostedEndpoint, number: str, split: Mapping[str, int]) -> None:
    """Raise unless the deployed model `number` exists, and has no traffic or is the only one."""
    if number not in hosted.targets:
        raise GcpError("NOT_FOUND", f"DeployedModel {number} does not exist in {hosted.name}.")
    others = set(hosted.targets) - {number}
    if not others:
        return
    check_split(split, hosted.targets, endpoint=hosted.name)
    percent = (split or hosted.message.traffic_split).get(number, 0)
    if percent:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"DeployedModel {number} of {hosted.name} has {percent} % of the traffic: it is "
            "undeployed once it has none.",
        )


def _remove_deployed_model(hosted: HostedEndpoint, number: str, split: Mapping[str, int]) -> None:
    """Remove a deployed model from the endpoint's message, and set the traffic split to `split`.

    If it was the last one, the split becomes empty.
    """
    rest = [deployed for deployed in hosted.message.deployed_models if deployed.id != number]
    shares = {
        key: percent
        for key, percent in (split or hosted.message.traffic_split).items()
        if key != number
    }
    del hosted.message.deployed_models[:]
    hosted.message.deployed_models.extend(rest)
    _set_split(hosted, shares if rest else {})
