"""The variables that Vertex AI promises a training container.

Source: Vertex AI, "Code requirements for custom training" and "Distributed training";
CustomJobSpec's docstrings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One machine of a job."""

    pool: int
    index: int
    port: int  # where the others find it, on this machine's loopback

    @property
    def name(self) -> str:
        """The replica's name in a distributed job, such as workerpool0-1."""
        return f"workerpool{self.pool}-{self.index}"

    @property
    def chief(self) -> bool:
        """Whether the replica is the job's chief: the first of the first worker pool."""
        return (self.pool, self.index) == (0, 0)


def variables(
    job: str, base_output: str, replicas: Sequence[Replica], mine: Replica, project: str
) -> dict[str, str]:
    """Return the environment variables that Vertex AI sets for one replica of a job.

    Args:
        job: The job's id.
        base_output: Its base_output_directory, empty for none.
        replicas: All replicas of the job.
        mine: The replica in question.
        project: The project's number.
    """
    contract = {
        "CLOUD_ML_JOB_ID": job,
        "CLOUD_ML_PROJECT_ID": project,
        "CLUSTER_SPEC": json.dumps(_cluster(replicas, mine)),
    }
    if base_output:
        base = base_output.rstrip("/")
        contract |= {
            "AIP_MODEL_DIR": f"{base}/model/",
            "AIP_CHECKPOINT_DIR": f"{base}/checkpoints/",
            "AIP_TENSORBOARD_LOG_DIR": f"{base}/logs/",
        }
    return contract


def _cluster(replicas: Sequence[Replica], mine: Replica) -> dict[str, Any]:
    """Return what CLUSTER_SPEC tells the replica `mine` about all replicas, as a JSON value."""
    cluster: dict[str, list[str]] = {}
    for replica in replicas:
        cluster.setdefault(f"workerpool{replica.pool}", []).append(f"127.0.0.1:{replica.port}")
    return {
        "cluster": cluster,
        "environment": "cloud",
        "task": {"type": f"workerpool{mine.pool}", "index": mine.index},
    }
