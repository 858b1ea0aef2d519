"""STS: session keys for who has keys already, and who somebody is. Roles are assumed in moto."""

from __future__ import annotations

from typing import Any

from .registry import AwsError, Context, handles

_HOUR = 3600


@handles("sts", "GetSessionToken")
def get_session_token(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return {"Credentials": _credentials(ctx, int(params.get("DurationSeconds") or 12 * _HOUR))}


@handles("sts", "GetFederationToken")
def get_federation_token(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    name = params["Name"]
    return {
        "Credentials": _credentials(ctx, int(params.get("DurationSeconds") or 12 * _HOUR)),
        "FederatedUser": {
            "FederatedUserId": f"{ctx.account}:{name}",
            "Arn": f"arn:aws:sts::{ctx.account}:federated-user/{name}",
        },
        "PackedPolicySize": 6,
    }


def _credentials(ctx: Context, seconds: int) -> dict[str, Any]:
    if not 900 <= seconds <= 36 * _HOUR:
        raise AwsError("ValidationError", f"1 validation error detected: Value '{seconds}' at 'durationSeconds' must be 900 to 129600", 400)
    session = ctx.sessions.issue(ctx.account, owner=ctx.caller, seconds=seconds)
    return {
        "AccessKeyId": session.key,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.until,
    }


@handles("sts", "GetCallerIdentity")
def get_caller_identity(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  as every handler
    """A job's or a model server's role, where the caller is one; else what moto says."""
    role = ctx.caller.role if ctx.caller is not None else ""
    if not role:
        return ctx.forward()
    name = role.rpartition("/")[2]
    return {
        "UserId": f"AROA{name.upper()[:17]}:SageMaker",
        "Account": ctx.account,
        "Arn": f"arn:aws:sts::{ctx.account}:assumed-role/{name}/SageMaker",
    }
