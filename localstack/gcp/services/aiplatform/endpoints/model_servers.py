"""Model servers as Vertex AI runs them: its contract with the container of a model.

Source: Vertex AI, "Custom container requirements for prediction"; ModelContainerSpec.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .....core.images import command_of
from .....serving.model_server import Contract, ModelServer, Program
from ....core.call import Call
from ....core.errors import GcpError
from ...storage import in_process
from .logs import EndpointLog
from .timing import HEALTH

_MOUNT = "/opt/vertex"
_MODEL = f"{_MOUNT}/model"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]*)\)")


def model_server(call: Call, endpoint: str, deployed: Any, model: Any) -> ModelServer:
    """Return a process, not started yet, that serves a deployed model.

    Raises:
        GcpError: FAILED_PRECONDITION, no command is known for its image.
    """
    spec = model.container_spec
    variables = vertex_variables(endpoint, deployed, model)
    own = expand_in_order({variable.name: variable.value for variable in spec.env}, variables)
    environment = {**variables, **own}
    entry = list(spec.command) or command_of(call.images, spec.image_uri)
    if entry is None:
        raise GcpError("FAILED_PRECONDITION", _unmapped_message(spec.image_uri))
    words = [expand_variables(word, environment) for word in (*entry, *spec.args)]
    context = call.without_request()
    return ModelServer(
        call.state,
        Contract(
            mount=_MOUNT,
            model=_MODEL,
            health=variables["AIP_HEALTH_ROUTE"],
            predict=variables["AIP_PREDICT_ROUTE"],
            variables=variables,
        ),
        Program(image=spec.image_uri, command=words, variables=own, stack=call.env),
        folder=call.home / "endpoints" / f"{deployed.id}-{uuid.uuid4().hex[:8]}",
        log=lambda: EndpointLog(context, endpoint, deployed),
    )


def start_timeout(model: Any) -> float:
    """Return how many real seconds a model's container has to become healthy.

    It is the model's deployment_timeout, unless the stack's own limit is shorter.
    """
    spec = model.container_spec
    own = (
        spec.deployment_timeout.ToTimedelta().total_seconds()
        if spec.HasField("deployment_timeout")
        else HEALTH
    )
    return min(own, HEALTH) or HEALTH


def copy_model_files(call: Call, model: Any, folder: Path) -> None:
    """Copy a model's artifact files from Cloud Storage into a folder.

    Raises:
        GcpError: The model's folder in Cloud Storage no longer exists.
    """
    if not model.artifact_uri:
        return
    prefix = f"{model.artifact_uri.rstrip('/')}/"
    if not in_process.uris_below(call, prefix):
        raise GcpError(
            "FAILED_PRECONDITION", f'There are no files under "{model.artifact_uri}" to copy.'
        )
    in_process.download(call, prefix, folder)


def vertex_variables(endpoint: str, deployed: Any, model: Any) -> dict[str, str]:
    """Return the AIP_* environment variables of a deployed model's container."""
    spec = model.container_spec
    name = endpoint.rpartition("/")[2]
    usual = f"/v1/endpoints/{name}/deployedModels/{deployed.id}"
    machine = deployed.dedicated_resources.machine_spec
    return {
        "AIP_HTTP_PORT": "{port}",
        "AIP_HEALTH_ROUTE": spec.health_route or usual,
        "AIP_PREDICT_ROUTE": spec.predict_route or f"{usual}:predict",
        "AIP_STORAGE_URI": model.artifact_uri,
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_PROJECT_NUMBER": endpoint.split("/")[1],
        "AIP_ENDPOINT_ID": name,
        "AIP_DEPLOYED_MODEL_ID": deployed.id,
        "AIP_MODEL_NAME": name,
        "AIP_VERSION_NAME": deployed.id,
        "AIP_MACHINE_TYPE": machine.machine_type,
        **({"AIP_ACCELERATOR_TYPE": _accelerator(machine)} if machine.accelerator_type else {}),
    }


def expand_variables(word: str, environment: Mapping[str, str]) -> str:
    """Expand $(NAME) references in a text as Kubernetes does, and return the text.

    An unknown name stays as it is, and $$ is a dollar.
    """
    return _REFERENCE.sub(
        lambda match: "$" if match[1] is None else environment.get(match[1], match[0]), word
    )


def expand_in_order(variables: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables whose values may refer to earlier ones, expanded."""
    values: dict[str, str] = {}
    for name, value in variables.items():
        values[name] = expand_variables(value, {**environment, **values})
    return values


def _accelerator(machine: Any) -> str:
    """Return the name of a machine's accelerator for AIP_ACCELERATOR_TYPE."""
    name: str = (
        machine.DESCRIPTOR.fields_by_name["accelerator_type"]
        .enum_type.values_by_number[machine.accelerator_type]
        .name
    )
    return name


def _unmapped_message(image: str) -> str:
    """Return the error message for a model whose container image has no command here."""
    return (
        f"Failed to pull image {image}: the local stack does not pull images, and no command "
        f"is mapped to '{image}': start it with "
        "--image NAME=COMMAND, or name it under `images` in profiles.yaml"
    )
