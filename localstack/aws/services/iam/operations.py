"""iam:SimulatePrincipalPolicy, by the evaluation that enforces policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...core.policy.enforcement import effects
from ...core.registry import AwsError, Context, handles

_LEFT_OUT = (
    "PolicyInputList",
    "PermissionsBoundaryPolicyInputList",
    "PolicyExclusionList",
    "ResourcePolicy",
    "ResourceHandlingOption",
)
_PASSED_TO = "iam:passedtoservice"


@handles("iam", "SimulatePrincipalPolicy")
def simulate(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SimulatePrincipalPolicy: the decision on each action and each resource.

    Context keys other than iam:PassedToService are ignored.
    """
    if refused := [name for name in _LEFT_OUT if params.get(name)]:
        raise AwsError("InvalidInput", f"the AWS stack does not simulate {', '.join(refused)}", 501)
    statements = list(_statements(ctx.client("iam"), params["PolicySourceArn"]))
    context = {
        entry["ContextKeyName"].lower(): entry["ContextKeyValues"]
        for entry in params.get("ContextEntries") or ()
    }
    passed_to = next(iter(context.get(_PASSED_TO) or ()), "")
    resources = params.get("ResourceArns") or ["*"]
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": _decision(effects(statements, (action, resource, passed_to))),
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in params["ActionNames"]
        for resource in resources
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def _decision(found_effects: set[str]) -> str:
    """Return the EvalDecision that effects make: explicitDeny if one is Deny, allowed if any are.

    Without an effect it is implicitDeny.
    """
    if "Deny" in found_effects:
        return "explicitDeny"
    return "allowed" if found_effects else "implicitDeny"


def _statements(iam: Any, arn: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of all IAM policies of a user, a group or a role, named by ARN.

    The policies of a user's groups count.
    """
    kind, _, path = arn.rpartition(":")[2].partition("/")
    if kind not in ("user", "group", "role"):
        raise AwsError("InvalidInput", f"Invalid Entity Arn: {arn}", 400)
    name = path.rpartition("/")[2]
    for document in _documents(iam, kind, name):
        yield from (
            [document["Statement"]]
            if isinstance(document["Statement"], dict)
            else document["Statement"]
        )


def _documents(iam: Any, kind: str, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the IAM policy documents, attached and inline, of a user, a group or a role.

    `kind` says which of them it is, and `name` is its name.
    """
    named = {f"{kind.title()}Name": name}
    try:
        inline = getattr(iam, f"list_{kind}_policies")(**named)["PolicyNames"]
    except iam.exceptions.NoSuchEntityException as error:
        raise AwsError(
            "NoSuchEntity", f"The {kind} with name {name} cannot be found.", 404
        ) from error
    for policy in inline:
        yield getattr(iam, f"get_{kind}_policy")(**named, PolicyName=policy)["PolicyDocument"]
    for policy in getattr(iam, f"list_attached_{kind}_policies")(**named)["AttachedPolicies"]:
        standing = iam.get_policy(PolicyArn=policy["PolicyArn"])["Policy"]["DefaultVersionId"]
        yield iam.get_policy_version(PolicyArn=policy["PolicyArn"], VersionId=standing)[
            "PolicyVersion"
        ]["Document"]
    for group in iam.list_groups_for_user(UserName=name)["Groups"] if kind == "user" else ():
        yield from _documents(iam, "group", group["GroupName"])
