"""AWS's managed policies in moto's IAM, loaded at the first call of IAM.

moto makes a backend of IAM for each of six partitions at the first call of whatever service. With
AWS's 1,582 policies in each, that took 0.9 s of CPU and 34 MB, and a home 24 MB.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ....core.home.pickles import Left
from ..environment import NOTEBOOK_ROLE, NOTEBOOK_ROLE_ID
from ..incoming import IncomingRequest
from ..moto_internals import (
    AWSManagedPolicy,
    IAMBackend,
    aws_managed_policies_data,
    get_partition,
    iam_backends,
)
from ..protocol.moto_server import SERIAL

# of a backend: they are all there (True), or but for those that a home keeps (False)
_COMPLETE = "has_aws_managed_policies"


def load(incoming: IncomingRequest) -> None:
    """Load AWS's managed policies into moto, and attach those of the notebook role.

    It is done before a call of IAM, not at the start.
    """
    if incoming.service != "iam":
        return
    with SERIAL:
        iam: Any = iam_backends[incoming.account][get_partition(incoming.region)]
        complete = getattr(iam, _COMPLETE, None)
        if complete:
            return
        _add(iam)
        notebooks = iam.roles.get(NOTEBOOK_ROLE_ID)
        if complete is None and notebooks is not None and not notebooks.managed_policies:
            iam.attach_role_policy(
                f"arn:{iam.partition}:iam::aws:policy/AmazonSageMakerFullAccess", NOTEBOOK_ROLE
            )
        setattr(iam, _COMPLETE, True)  # last: a home may be written meanwhile


def left_out(iam: IAMBackend) -> Left:
    """Return the attributes of moto's IAM that are not persisted, each with its replacement.

    Policies of AWS that are attached to nothing are 4 MB, and moto has them anyway.
    """
    policies = {
        arn: policy
        for arn, policy in list(iam.managed_policies.items())
        if policy.attachment_count or not isinstance(policy, AWSManagedPolicy)
    }
    of_aws = [policy for policy in policies.values() if isinstance(policy, AWSManagedPolicy)]
    values: dict[str, Callable[[], object]] = {
        "managed_policies": lambda: policies,
        "aws_managed_policies": lambda: of_aws,
    }
    if hasattr(iam, _COMPLETE):
        values[_COMPLETE] = lambda: False
    return {IAMBackend: values}


def _add(iam: Any) -> None:
    """Add all of AWS's managed policies to moto's IAM."""
    of_moto = json.loads(aws_managed_policies_data).items()
    policies = [
        AWSManagedPolicy.from_data(name, iam.account_id, iam.region_name, data)
        for name, data in of_moto
    ]
    of_aws = {policy.arn: iam.managed_policies.get(policy.arn, policy) for policy in policies}
    iam.managed_policies = {**of_aws, **iam.managed_policies}
    iam.aws_managed_policies = list(of_aws.values())
