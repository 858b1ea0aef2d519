"""Session keys for callers who have a key already, and the identity of callers.

Roles are assumed in moto.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...core.caller import Caller
from ...core.environment import NOTEBOOK_ROLE, NOTEBOOK_ROLE_ID
from ...core.moto_internals import get_partition, sts_backends
from ...core.registry import AwsError, Context, handles

_HOUR = 3600
_UNKNOWN = ":user/moto"  # how moto ends the ARN of a key that it has not issued


@handles("sts", "GetSessionToken")
def get_session_token(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer STS's API call GetSessionToken: return temporary credentials of the caller."""
    return {
        "Credentials": _credentials(
            ctx, ctx.caller, int(params.get("DurationSeconds") or 12 * _HOUR)
        )
    }


@handles("sts", "GetFederationToken")
def get_federation_token(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer STS's API call GetFederationToken: return temporary credentials for a named user."""
    name = params["Name"]
    owner = msgspec.structs.replace(ctx.caller, federated=name) if ctx.caller is not None else None
    user_id, arn = _federated_user(ctx, name)
    return {
        "Credentials": _credentials(ctx, owner, int(params.get("DurationSeconds") or 12 * _HOUR)),
        "FederatedUser": {"FederatedUserId": user_id, "Arn": arn},
        "PackedPolicySize": 6,
    }


def _federated_user(ctx: Context, name: str) -> tuple[str, str]:
    """Return the id and the ARN of the federated user `name`.

    Source: STS's API Reference, GetCallerIdentity.
    """
    return (
        f"{ctx.account}:{name}",
        f"arn:{get_partition(ctx.region)}:sts::{ctx.account}:federated-user/{name}",
    )


def _credentials(ctx: Context, owner: Caller | None, seconds: int) -> dict[str, Any]:
    """Issue temporary credentials in the form of STS's Credentials.

    `owner` is the caller whose rights they have, and `seconds` how long they are valid.
    """
    if not 900 <= seconds <= 36 * _HOUR:
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' must be "
            "900 to 129600",
            400,
        )
    session = ctx.sessions.issue(ctx.account, owner=owner, seconds=seconds)
    return {
        "AccessKeyId": session.key,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.until,
    }


@handles("sts", "GetCallerIdentity")
def get_caller_identity(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  as every handler
    """Answer GetCallerIdentity: return account, user id and ARN of the caller.

    A job or a model server is its role, a federated user is itself; for every other key it is what
    moto says, which for a session is its owner. The stack's own key pair is the role of a notebook,
    which `get_execution_role()` of the sagemaker SDK needs; with --moto-answers it is moto's user.
    """
    caller = ctx.caller
    if caller is None:
        return ctx.forward()
    if caller.federated:
        user_id, arn = _federated_user(ctx, caller.federated)
    elif caller.role:
        name = caller.role.rpartition("/")[2]
        user_id, arn = (
            f"AROA{name.upper()[:17]}:SageMaker",
            f"arn:aws:sts::{ctx.account}:assumed-role/{name}/SageMaker",
        )
    else:
        user_id, arn, _ = sts_backends[ctx.account][get_partition(ctx.region)].get_caller_identity(
            caller.key, ctx.region
        )
        if arn.endswith(_UNKNOWN) and not ctx.moto_answers:
            return _notebook(ctx)
    return {"UserId": user_id, "Account": ctx.account, "Arn": arn}


def _notebook(ctx: Context) -> dict[str, Any]:
    """Return the caller identity of a SageMaker notebook's role."""
    arn = (
        f"arn:{get_partition(ctx.region)}:sts::{ctx.account}:assumed-role/{NOTEBOOK_ROLE}/SageMaker"
    )
    return {"UserId": f"{NOTEBOOK_ROLE_ID}:SageMaker", "Account": ctx.account, "Arn": arn}
