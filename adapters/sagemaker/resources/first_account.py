"""Checks of what an account must have before a project can use it, and a cheap trial round.

The checks change nothing. The names of quotas and the answers of SimulatePrincipalPolicy are those
of AWS's documentation; no account was asked yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from ....endpoints.port import VariantSpec
from ....errors import Invalid, IsthmusError, NotFound
from ....target import AccountCheck, Estimate, FirstAccount, Profile, Target, Trial
from ..machines import DEFAULT, image, job_machine, serving_counts, serving_machine
from ..session import AwsSession, aws_of
from . import prices

_SERVICES = ("sagemaker.amazonaws.com", "firehose.amazonaws.com")  # that act as the profile's role
_ENDPOINT, _JOB = "ml.t2.medium", "ml.t3.medium"  # of the round: the smallest that there are
_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>.+))?"
)
_ASSUMED = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")
_PLACE = ("account", "region", "bucket", "role", "image", "workgroup", "endpoint_url")
_AT_ONCE = 100  # actions of one simulation

Look = Callable[[AwsSession], AccountCheck]


def checks(target: Target, policy: Mapping[str, Any] | None) -> Iterator[AccountCheck]:
    """Yield the checks of an AWS account, in the order in which problems should be fixed.

    Without credentials the first check is the only one. `policy` is as `isthmus stack policy`
    prints it.
    """
    try:
        aws = aws_of(target)
        yield _ok("credentials", f"{_identity(aws)}, account {aws.account()}")
    except IsthmusError as error:
        yield _fails("credentials", error.message, error.remedy or "")
        return
    looks: dict[str, Look] = {
        "region": _region,
        "role": _role,
        "bucket": _bucket,
        "queries": _workgroup,
        "image": _image,
        "quotas": _quotas,
        "rights": partial(_rights, policy=policy),
    }
    for name, look in looks.items():
        try:
            yield look(aws)
        except Invalid as error:  # the profile lacks what is looked for, or names what cannot be
            yield _fails(name, error.message, error.remedy or "")
        except IsthmusError as error:
            yield _unknown(
                name, error.message, "look in AWS's console, or let these credentials read it"
            )


def _ok(name: str, detail: str) -> AccountCheck:
    """Return the result of an account check that passed."""
    return AccountCheck(name=name, status="ok", detail=detail)


def _fails(name: str, detail: str, remedy: str) -> AccountCheck:
    """Return the result of an account check that failed, with what to do."""
    return AccountCheck(name=name, status="fails", detail=detail, remedy=remedy)


def _unknown(name: str, detail: str, remedy: str) -> AccountCheck:
    """Return the result of an account check that could not be made, with what to do."""
    return AccountCheck(name=name, status="unknown", detail=detail, remedy=remedy)


def _identity(aws: AwsSession) -> str:
    """Return the ARN of the caller's identity; raise Denied if the profile has another account."""
    aws.admit()
    with aws.reading("GetCallerIdentity", "account"):
        return str(aws.client("sts").get_caller_identity()["Arn"])


def _region(aws: AwsSession) -> AccountCheck:
    """Check that SageMaker answers in the target's region."""
    partitions = aws.boto3.get_available_partitions()
    if not any(
        aws.region in aws.boto3.get_available_regions("sagemaker", partition_name=partition)
        for partition in partitions
    ):
        return _fails(
            "region",
            f"SageMaker is not in {aws.region}",
            "set `region:` in profiles.yaml to one that has it",
        )
    with aws.reading("ListEndpoints", aws.region):
        aws.client("sagemaker").list_endpoints(MaxResults=1)
    return _ok("region", f"{aws.region}: SageMaker answers")


def _role(aws: AwsSession) -> AccountCheck:
    """Check that the profile's role exists, and that SageMaker and Firehose may assume it."""
    name = aws.role.rpartition("/")[2]
    try:
        with aws.reading("GetRole", name):
            role = aws.client("iam").get_role(RoleName=name)["Role"]
    except NotFound:
        return _fails(
            "role",
            f"there is no role {name}",
            f"make it, to be assumed by {' and '.join(_SERVICES)}; or change `role:` in "
            "profiles.yaml",
        )
    if strangers := [
        service
        for service in _SERVICES
        if service not in _assumed_by(role["AssumeRolePolicyDocument"])
    ]:
        return _fails(
            "role",
            f"{name} cannot be assumed by {' and '.join(strangers)}",
            "add them to the Principal of the role's trust policy",
        )
    return _ok("role", f"{name}: SageMaker and Firehose may assume it")


def _assumed_by(trust: Mapping[str, Any]) -> set[str]:
    """Return the services that a role's trust policy lets in, whatever its conditions are."""
    allowed = [
        statement for statement in _as_list(trust["Statement"]) if statement["Effect"] == "Allow"
    ]
    principals = [
        statement.get("Principal", {})
        for statement in allowed
        if "sts:AssumeRole" in _as_list(statement["Action"])
    ]
    return {
        service
        for principal in principals
        if isinstance(principal, dict)
        for service in _as_list(principal.get("Service", []))
    }


def _as_list(value: Any) -> list[Any]:
    """Return a policy member, one value or a list, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _bucket(aws: AwsSession) -> AccountCheck:
    """Check that the profile's bucket belongs to the account and is in the target's region."""
    try:
        with aws.reading("HeadBucket", aws.bucket):
            head = aws.client("s3").head_bucket(
                Bucket=aws.bucket, ExpectedBucketOwner=aws.account()
            )
    except NotFound:
        return _fails(
            "bucket",
            f"there is no bucket {aws.bucket}",
            f"aws s3 mb s3://{aws.bucket} --region {aws.region}",
        )
    if (region := head.get("BucketRegion", aws.region)) != aws.region:
        return _fails(
            "bucket",
            f"{aws.bucket} is in {region}, the target in {aws.region}",
            "name a bucket of that region in profiles.yaml",
        )
    return _ok("bucket", f"{aws.bucket}: this account's, in {region}")


def _workgroup(aws: AwsSession) -> AccountCheck:
    """Check that Athena's workgroup is enabled."""
    name = str(aws.profile.options.get("workgroup", "primary"))
    try:
        with aws.reading("GetWorkGroup", name):
            group = aws.client("athena").get_work_group(WorkGroup=name).get("WorkGroup")
    except (NotFound, Invalid):
        group = None
    if group is None:
        return _fails(
            "queries",
            f"Athena has no workgroup {name}",
            f"aws athena create-work-group --name {name}",
        )
    if group.get("State") != "ENABLED":
        return _fails(
            "queries",
            f"Athena's workgroup {name} is {group.get('State')}",
            f"aws athena update-work-group --work-group {name} --state ENABLED",
        )
    return _ok("queries", f"Athena's workgroup {name} is enabled")


def _image(aws: AwsSession) -> AccountCheck:
    """Check that the profile's image is in ECR, in the target's region."""
    name = image(aws.profile)
    place = _ECR.fullmatch(name)
    if place is None:
        return _unknown(
            "image", f"{name} is in no ECR repository", "SageMaker pulls from ECR: push it there"
        )
    if place["region"] != aws.region:
        return _fails(
            "image",
            f"{name} is in {place['region']}, the target in {aws.region}",
            "push it to the target's region",
        )
    image_id = (
        {"imageDigest": place["digest"]}
        if place["digest"]
        else {"imageTag": place["tag"] or "latest"}
    )
    try:
        with aws.reading("DescribeImages", name):
            aws.client("ecr").describe_images(
                registryId=place["account"], repositoryName=place["name"], imageIds=[image_id]
            )
    except (NotFound, Invalid) as error:
        return _fails("image", error.message, "build deploy/Dockerfile and push it")
    return _ok("image", f"{place['name']} is in ECR")


def _quotas(aws: AwsSession) -> AccountCheck:
    """Check that the quotas allow a job and a variant of the profile."""
    variant = VariantSpec(name="any", model="any", version=1)
    needs = [
        (
            f"{serving_machine(aws.profile, variant)} for endpoint usage",
            serving_counts(aws.profile, variant)[0],
        ),
        (f"{job_machine(aws.profile)} for processing job usage", 1),
        (f"{job_machine(aws.profile)} for training job usage", 1),
    ]
    with aws.reading("ListServiceQuotas", "sagemaker"):
        pages = (
            aws.client("service-quotas")
            .get_paginator("list_service_quotas")
            .paginate(ServiceCode="sagemaker")
        )
        granted = {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}
    short = [
        f"{name} is {granted[name]:g}"
        for name, count in needs
        if name in granted and granted[name] < count
    ]
    if short:
        return _fails("quotas", "; ".join(short), "ask for more: Service Quotas, Amazon SageMaker")
    if unknown := [name for name, _ in needs if name not in granted]:
        return _unknown(
            "quotas", f"not told: {', '.join(unknown)}", "look: Service Quotas, Amazon SageMaker"
        )
    return _ok("quotas", ", ".join(f"{name}: {granted[name]:g}" for name, _ in needs))


def _rights(aws: AwsSession, policy: Mapping[str, Any] | None) -> AccountCheck:
    """Check by IAM's policy simulator that the credentials permit what `policy` lists."""
    if policy is None:
        remedy = (
            "run the project with --offline, then: isthmus stack policy > policy.json, and "
            "--policy policy.json"
        )
        return _unknown("rights", "no policy to compare with", remedy)
    principal = _principal(aws)
    refused = sorted(
        {
            action
            for statement in policy["Statement"]
            for action in _denied_actions(aws, principal, statement)
        }
    )
    if refused:
        return _fails(
            "rights",
            f"{len(refused)} of the policy's actions are denied: {', '.join(refused)}",
            f"attach the policy to {principal}",
        )
    return _ok("rights", f"{principal} has those of the policy")


def _principal(aws: AwsSession) -> str:
    """Return the ARN of the IAM user or role whose policies apply to the credentials."""
    arn = _identity(aws)
    if (session := _ASSUMED.fullmatch(arn)) is None:
        return arn
    partition, account, name = session.groups()
    try:
        with aws.reading("GetRole", name):
            return str(aws.client("iam").get_role(RoleName=name)["Role"]["Arn"])
    except IsthmusError:
        return f"arn:{partition}:iam::{account}:role/{name}"


def _denied_actions(aws: AwsSession, principal: str, statement: Mapping[str, Any]) -> Iterator[str]:
    """Yield the actions of a policy statement that a principal may not do on all its resources."""
    passed_to = statement.get("Condition", {}).get("StringEquals", {}).get("iam:PassedToService")
    context = (
        [
            {
                "ContextKeyName": "iam:PassedToService",
                "ContextKeyValues": [passed_to],
                "ContextKeyType": "string",
            }
        ]
        if passed_to
        else []
    )
    for actions in _parts(_as_list(statement["Action"])):
        request = {
            "PolicySourceArn": principal,
            "ActionNames": actions,
            "ResourceArns": _as_list(statement["Resource"]),
            "ContextEntries": context,
        }
        with aws.reading("SimulatePrincipalPolicy", principal):
            pages = aws.client("iam").get_paginator("simulate_principal_policy").paginate(**request)
            results = [result for page in pages for result in page["EvaluationResults"]]
        yield from (result["EvalActionName"] for result in results if not _is_allowed(result))


def _parts(actions: Sequence[str]) -> Iterator[list[str]]:
    """Split IAM actions into groups that fit one call of the policy simulator."""
    for begin in range(0, len(actions), _AT_ONCE):
        yield list(actions[begin : begin + _AT_ONCE])


def _is_allowed(result: Mapping[str, Any]) -> bool:
    """Return whether a result of the policy simulator allows an action on every resource."""
    decisions = [part["EvalResourceDecision"] for part in result.get("ResourceSpecificResults", ())]
    return {result["EvalDecision"], *decisions} == {"allowed"}


def smallest(profile: Profile) -> Profile:
    """Return a copy of the profile with the smallest machines, for a cheap trial of the account.

    Its account, region and bucket stay; its database and adopted endpoints are left out.
    """
    place = {name: profile.options[name] for name in _PLACE if name in profile.options}
    return msgspec.structs.replace(
        profile,
        options=place | {"serving": {"instance": _ENDPOINT, "count": 1}, "jobs": {"machine": _JOB}},
    )


def hourly(profile: Profile) -> Estimate:
    """Estimate the USD an hour of all machines that a trial of the account uses at the same time.

    Each machine counts as an ml.m5.large, which costs more.
    """
    table = prices.current(profile)
    cost = prices.hourly(table, DEFAULT, 2)
    return Estimate(hourly_cost=cost, machines=f"1 x {_ENDPOINT}, 1 x {_JOB}", table=table.date)


def names(profile: Profile) -> dict[str, str]:
    """Return a profile's private names (account, bucket ...) with placeholders, for recordings."""
    options = profile.options
    own = {
        str(options.get("account", "")): "123456789012",
        str(options.get("bucket", "")).removeprefix("s3://").partition("/")[0]: "example-bucket",
        str(options.get("image", "")): "isthmus",
        str(options.get("role", "")): "arn:aws:iam::123456789012:role/example",
        str(options.get("endpoint_url", "")): "http://127.0.0.1:4599",
    }
    return {name: mask for name, mask in own.items() if name}


def clear(target: Target) -> None:
    """Delete the project's Glue database after a trial of the account, if it has no tables."""
    aws = aws_of(target)
    glue = aws.client("glue")
    with suppress(NotFound):
        with aws.reading("GetTables", aws.database):
            tables = glue.get_tables(DatabaseName=aws.database)["TableList"]
        if not tables:
            with aws.mutating("DeleteDatabase", aws.database):
                glue.delete_database(Name=aws.database)


FIRST = FirstAccount(
    checks=checks, trial=Trial(smallest=smallest, hourly=hourly, names=names, clear=clear)
)
