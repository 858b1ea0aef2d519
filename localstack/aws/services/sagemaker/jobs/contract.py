"""SageMaker's container contract: the places of files, their content, and the variables.

Source: SageMaker developer guide, "Use your own training algorithms" and "Build your own processing
container".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .....jobs.container import Container

ROOT = "/opt/ml"
HOST = "algo-1"


def resources(instance_type: str) -> dict[str, Any]:
    """Return the content of resourceconfig.json, which tells a training container its hosts.

    There is one host, of this instance type: the stack runs one container for each job.
    """
    return {
        "current_host": HOST,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": [HOST],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": instance_type,
                "hosts": [HOST],
            }
        ],
        "network_interface_name": "lo",
    }


def remarks(container: Container) -> list[str]:
    """Return the lines that tell in a job's log how its container differs from SageMaker's."""
    if container.mounted:
        return []
    words = (
        f"Use the SM_* variables; {ROOT}/ in entrypoint, arguments and environment was replaced "
        f"by {container.root}/"
    )
    return [
        (
            f"[local stack] a private mount namespace is not permitted here: there is no {ROOT}. "
            f"{words}"
        )
    ]


def training_variables(
    container: Container,
    name: str,
    arn: str,
    hyperparameters: Mapping[str, str],
    channels: Mapping[str, Any],
) -> dict[str, str]:
    """Return the environment variables (SM_...) that SageMaker's training toolkit sets.

    A mapped command stands for an image that has the toolkit. `name` and `arn` are the training
    job's; `channels` are its input channels.
    """
    root, config = (
        container.root,
        json.loads((container.host("input/config/resourceconfig.json")).read_text()),
    )
    typed = {key: _json_or_text(value) for key, value in hyperparameters.items()}
    return {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": arn,
        "SM_MODEL_DIR": f"{root}/model",
        "SM_INPUT_DIR": f"{root}/input",
        "SM_INPUT_CONFIG_DIR": f"{root}/input/config",
        "SM_OUTPUT_DIR": f"{root}/output",
        "SM_OUTPUT_DATA_DIR": f"{root}/output/data",
        "SM_CHANNELS": json.dumps(sorted(channels)),
        **{
            f"SM_CHANNEL_{channel.upper().replace('-', '_')}": f"{root}/input/data/{channel}"
            for channel in channels
        },
        "SM_HPS": json.dumps(typed),
        **{f"SM_HP_{key.upper().replace('-', '_')}": str(value) for key, value in typed.items()},
        "SM_INPUT_DATA_CONFIG": json.dumps(channels),
        "SM_RESOURCE_CONFIG": json.dumps(config),
        "SM_CURRENT_HOST": HOST,
        "SM_HOSTS": json.dumps([HOST]),
        "SM_NETWORK_INTERFACE_NAME": config["network_interface_name"],
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": "0",
    }


def _json_or_text(value: str) -> object:
    """Parse a hyperparameter's text as JSON; return the text itself where it is none."""
    try:
        return json.loads(value)
    except ValueError:
        return value
