"""The container contract: the folders, the files in them, the variables and the command.

Source: SageMaker developer guide, "Use your own training algorithms" and "Build your own processing container".
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from . import namespace

ROOT = "/opt/ml"
HOST = "algo-1"
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE")  # of the stack's own environment


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A job's folder: `ml` is its /opt/ml."""

    folder: Path
    mounted: bool  # whether /opt/ml will be there

    @property
    def ml(self) -> Path:
        return self.folder / "ml"

    @property
    def root(self) -> str:
        """/opt/ml as the command sees it."""
        return ROOT if self.mounted else str(self.ml)

    def host(self, path: str) -> Path:
        """The place outside of a path below /opt/ml."""
        return self.ml / path.removeprefix(ROOT).lstrip("/")


def make(folder: Path) -> Container:
    for name in ("ml", "work", "home", "bin"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pip = folder / "bin" / "pip3"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')  # an interpreter made by uv has no pip beside it
    pip.chmod(0o755)
    return Container(folder=folder, mounted=namespace.prefix() is not None)


def write_json(container: Container, path: str, value: object) -> None:
    target = container.host(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(value, indent=1))


def resources(instance_type: str) -> dict[str, Any]:
    """resourceconfig.json. One host, whatever InstanceCount says: the stack runs one container a job."""
    return {
        "current_host": HOST,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": [HOST],
        "instance_groups": [{"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": [HOST]}],
        "network_interface_name": "lo",
    }


def environment(container: Container, stack: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """The variables of the command: few of ours, how to reach the stack, then the job's own, which win."""
    inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
    inherited["PATH"] = ":".join((str(Path(sys.executable).parent), inherited.get("PATH", os.defpath), str(container.folder / "bin")))
    home = {"HOME": str(container.folder / "home"), "PYTHONUNBUFFERED": "1"}
    return {**inherited, **home, **stack, **{name: local(container, value) for name, value in more.items()}}


def command(container: Container, entrypoint: list[str], arguments: list[str]) -> list[str]:
    """What to start. `python` is the stack's interpreter by PATH; without a mount, /opt/ml in the words is the job's folder."""
    words = [local(container, word) for word in (*entrypoint, *arguments)]
    if words and words[0] in ("python", "python3"):
        words[0] = sys.executable
    if not container.mounted:
        return words
    return namespace.inside(words, container.folder, container.folder / "work") or words


def local(container: Container, word: str) -> str:
    return word if container.mounted else word.replace(f"{ROOT}/", f"{container.root}/")


def remarks(container: Container, instances: int) -> list[str]:
    """What differs from SageMaker, for the job's log."""
    lines = []
    if not container.mounted:
        lines.append(
            f"[local stack] a private mount namespace is not permitted here: there is no {ROOT}. Use the SM_* variables; {ROOT}/ in "
            f"entrypoint, arguments and environment was replaced by {container.root}/"
        )
    if instances > 1:
        lines.append(f"[local stack] InstanceCount is {instances}: one container runs, with one host")
    return lines


def training_variables(
    container: Container, name: str, arn: str, hyperparameters: Mapping[str, str], channels: Mapping[str, Any]
) -> dict[str, str]:
    """The variables of the training toolkit, as a mapped command stands for an image that has it."""
    root, config = container.root, json.loads((container.host("input/config/resourceconfig.json")).read_text())
    typed = {key: _typed(value) for key, value in hyperparameters.items()}
    return {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": arn,
        "SM_MODEL_DIR": f"{root}/model",
        "SM_INPUT_DIR": f"{root}/input",
        "SM_INPUT_CONFIG_DIR": f"{root}/input/config",
        "SM_OUTPUT_DIR": f"{root}/output",
        "SM_OUTPUT_DATA_DIR": f"{root}/output/data",
        "SM_CHANNELS": json.dumps(sorted(channels)),
        **{f"SM_CHANNEL_{channel.upper().replace('-', '_')}": f"{root}/input/data/{channel}" for channel in channels},
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


def _typed(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value
