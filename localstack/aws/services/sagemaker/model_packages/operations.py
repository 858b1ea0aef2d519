"""The operations on model package groups and the versions in them.

They are ours, since moto's UpdateModelPackage clears what a call does not name, its groups can be
made twice and nothing can be deleted.
"""

from __future__ import annotations

from typing import Any

from ....core.registry import AwsError, Context, handles
from ..jobs.listing import page_of
from ..tags import operations as tags
from .records import Group, Registry

_KEPT = (  # of the Create call, told again by Describe
    *(
        "ModelPackageName",
        "ModelPackageGroupName",
        "ModelPackageDescription",
        "InferenceSpecification",
        "ValidationSpecification",
    ),
    *(
        "SourceAlgorithmSpecification",
        "CertifyForMarketplace",
        "MetadataProperties",
        "ModelMetrics",
        "CustomerMetadataProperties",
    ),
    *(
        "DriftCheckBaselines",
        "Domain",
        "Task",
        "SamplePayloadUrl",
        "AdditionalInferenceSpecifications",
        "SkipModelValidation",
    ),
    *("SourceUri", "SecurityConfig", "ModelCard", "ModelLifeCycle"),
)
# by UpdateModelPackage, when named
_REPLACED = (
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


def _arn(ctx: Context, kind: str, name: str) -> str:
    """Return the ARN of a model package or a model package group, as `kind` says."""
    return f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:{kind}/{name}"


def _group(ctx: Context, name: str) -> Group:
    """Return a model package group by its name or ARN.

    Raises:
        AwsError: There is no such group.
    """
    group = ctx.store(Registry).groups.get(name.rpartition("/")[2])
    if group is None:
        arn = _arn(ctx, "model-package-group", name.rpartition("/")[2])
        raise AwsError("ValidationException", f"ModelPackageGroup {arn} does not exist.")
    return group


def has_group(ctx: Context, name: str) -> bool:
    """Return whether a model package group of this name exists."""
    return name.rpartition("/")[2] in ctx.store(Registry).groups


def _package(ctx: Context, name: str) -> dict[str, Any]:
    """Return a model package (a version of a group) by its ARN or name.

    Raises:
        AwsError: There is no such model package.
    """
    package = ctx.store(Registry).packages.get(
        name if name.startswith("arn:") else _arn(ctx, "model-package", name.lower())
    )
    if package is None:
        raise AwsError("ValidationException", f"Model package {name} not found")
    return package


def require_approved(ctx: Context, name: str) -> None:
    """Raise an error for the model package `name` if it is not approved for deployment.

    Source: API_CreateModelPackage, ModelApprovalStatus.

    Raises:
        AwsError: Its status is not Approved.
    """
    package = ctx.store(Registry).packages.get(name)
    status = (package or {}).get("ModelApprovalStatus", "Approved")
    if status != "Approved":
        raise AwsError(
            "ValidationException",
            f"Model package {name} is {status}: a version must be Approved to be deployed.",
        )


def _user(ctx: Context) -> dict[str, Any]:
    """Return the user who made a model package, in the form of its CreatedBy."""
    return {"IamIdentity": {"Arn": f"arn:aws:iam::{ctx.account}:root", "PrincipalId": ctx.account}}


@handles("sagemaker", "CreateModelPackageGroup", executes=False)
def create_model_package_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateModelPackageGroup: create a model package group."""
    name, registry = params["ModelPackageGroupName"], ctx.store(Registry)
    arn = _arn(ctx, "model-package-group", name)
    with registry.lock:
        if name in registry.groups and not ctx.moto_answers:  # moto replaces
            raise AwsError("ValidationException", f"Model Package Group already exists: {arn}")
        registry.groups[name] = Group(
            name=name,
            arn=arn,
            description=params.get("ModelPackageGroupDescription"),
            created=ctx.clock.now(),
        )
    tags.put(ctx, arn, params.get("Tags"))
    return {"ModelPackageGroupArn": arn}


@handles("sagemaker", "DescribeModelPackageGroup", executes=False)
def describe_model_package_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeModelPackageGroup: describe a model package group."""
    group = _group(ctx, params["ModelPackageGroupName"])
    return {**_group_summary(group), "CreatedBy": _user(ctx)}


def _group_summary(group: Group) -> dict[str, Any]:
    """Return a model package group in the form of ListModelPackageGroups."""
    required = {
        "ModelPackageGroupName": group.name,
        "ModelPackageGroupArn": group.arn,
        "CreationTime": group.created,
        "ModelPackageGroupStatus": "Completed",
    }
    return (
        {**required, "ModelPackageGroupDescription": group.description}
        if group.description
        else required
    )


@handles("sagemaker", "ListModelPackageGroups", executes=False)
def list_model_package_groups(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListModelPackageGroups: list the model package groups."""
    groups = [_group_summary(group) for group in list(ctx.store(Registry).groups.values())]
    shown, token = _page(groups, params, "ModelPackageGroupName")
    return {"ModelPackageGroupSummaryList": shown, **token}


@handles("sagemaker", "DeleteModelPackageGroup", executes=False)
def delete_model_package_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeleteModelPackageGroup: delete a model package group."""
    group, registry = _group(ctx, params["ModelPackageGroupName"]), ctx.store(Registry)
    with registry.lock:
        if any(
            package.get("ModelPackageGroupName") == group.name
            for package in list(registry.packages.values())
        ):
            raise AwsError(
                "ConflictException",
                f"Model Package Group {group.arn} still has model packages: delete them first.",
            )
        registry.groups.pop(group.name, None)
    tags.drop(ctx, group.arn)
    return {}


@handles("sagemaker", "CreateModelPackage", executes=False)
def create_model_package(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateModelPackage: create a model package."""
    group_name, name, registry = (
        params.get("ModelPackageGroupName"),
        params.get("ModelPackageName"),
        ctx.store(Registry),
    )
    if group_name and name:
        words = (
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot "
            "determine which one to use."
        )
        raise AwsError("ValidationException", words)
    if not group_name and not name:
        raise AwsError("ValidationException", "Missing ARN.")
    if group_name and params.get("Tags") and not ctx.moto_answers:
        words = (
            "Tags are not supported in Model Package versions. Please add them to the Model "
            "Package Group"
        )
        raise AwsError("ValidationException", words)
    if group_name and not has_group(ctx, group_name):
        raise AwsError("ValidationException", "Model Package Group does not exist.")
    with registry.lock:
        token = params.get("ClientToken")
        if token in registry.tokens:
            return {"ModelPackageArn": registry.tokens[token]}
        arn = _take_version(ctx, registry, params)
        if token is not None:
            registry.tokens[token] = arn
    tags.put(ctx, arn, params.get("Tags"))
    return {"ModelPackageArn": arn}


def _take_version(ctx: Context, registry: Registry, params: dict[str, Any]) -> str:
    """Create a model package under the next version of its group, and return its ARN.

    A package without a group gets no version.
    """
    group_name = params.get("ModelPackageGroupName")
    package: dict[str, Any] = {key: params[key] for key in _KEPT if params.get(key) is not None}
    if group_name:
        group = _group(ctx, group_name)
        group.last += 1
        arn = _arn(ctx, "model-package", f"{group.name.lower()}/{group.last}")
        package["ModelPackageGroupName"] = group.name
        package["ModelPackageVersion"] = group.last
        package["ModelApprovalStatus"] = params.get("ModelApprovalStatus", "PendingManualApproval")
    else:
        arn = _arn(ctx, "model-package", params["ModelPackageName"].lower())
        if arn in registry.packages and not ctx.moto_answers:  # moto replaces
            raise AwsError("ValidationException", f"Model Package already exists: {arn}")
    details = [{"Name": arn, "Status": "Completed"}]
    registry.packages[arn] = {
        "CertifyForMarketplace": False,
        **package,
        "ModelPackageArn": arn,
        "CreationTime": ctx.clock.now(),
        "CreatedBy": _user(ctx),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": details, "ImageScanStatuses": details},
    }
    return arn


@handles("sagemaker", "DescribeModelPackage", executes=False)
def describe_model_package(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeModelPackage: describe a model package."""
    return dict(_package(ctx, params["ModelPackageName"]))


@handles("sagemaker", "UpdateModelPackage", executes=False)
def update_model_package(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer UpdateModelPackage: change fields; new customer metadata are added to the old."""
    registry = ctx.store(Registry)
    with registry.lock:
        package = dict(_package(ctx, params["ModelPackageArn"]))
        if "ModelApprovalStatus" in params:
            package["ModelApprovalStatus"] = params["ModelApprovalStatus"]
        package.update({key: params[key] for key in _REPLACED if key in params})
        properties = {
            **package.get("CustomerMetadataProperties", {}),
            **(params.get("CustomerMetadataProperties") or {}),
        }
        for key in params.get("CustomerMetadataPropertiesToRemove") or ():
            properties.pop(key, None)
        package["CustomerMetadataProperties"] = properties
        more = params.get("AdditionalInferenceSpecificationsToAdd") or []
        if more:
            package["AdditionalInferenceSpecifications"] = [
                *package.get("AdditionalInferenceSpecifications", []),
                *more,
            ]
        package["LastModifiedTime"] = ctx.clock.now()
        package["LastModifiedBy"] = _user(ctx)
        registry.packages[package["ModelPackageArn"]] = package
    return {"ModelPackageArn": package["ModelPackageArn"]}


@handles("sagemaker", "DeleteModelPackage", executes=False)
def delete_model_package(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeleteModelPackage: delete a model package."""
    arn = _package(ctx, params["ModelPackageName"])["ModelPackageArn"]
    ctx.store(Registry).packages.pop(arn, None)
    tags.drop(ctx, arn)
    return {}


@handles("sagemaker", "ListModelPackages", executes=False)
def list_model_packages(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListModelPackages: list the model packages."""
    group, approval = params.get("ModelPackageGroupName"), params.get("ModelApprovalStatus")
    kind = "Versioned" if group else params.get("ModelPackageType", "Unversioned")
    if group:
        group = group.rpartition("/")[2]
    packages = [
        _summary(package)
        for package in list(ctx.store(Registry).packages.values())
        if (group is None or package.get("ModelPackageGroupName") == group)
        and (kind == "Both" or ("ModelPackageVersion" in package) == (kind == "Versioned"))
        and approval in (None, package.get("ModelApprovalStatus"))
    ]
    shown, token = _page(packages, params, "ModelPackageName")
    return {"ModelPackageSummaryList": shown, **token}


def _summary(package: dict[str, Any]) -> dict[str, Any]:
    """Return a model package in the form of ListModelPackages."""
    keys = (
        *(
            "ModelPackageName",
            "ModelPackageGroupName",
            "ModelPackageVersion",
            "ModelPackageArn",
            "ModelPackageDescription",
        ),
        *("CreationTime", "ModelPackageStatus", "ModelApprovalStatus", "ModelLifeCycle"),
    )
    return {key: package[key] for key in keys if package.get(key) is not None}


def _page(
    items: list[dict[str, Any]], params: dict[str, Any], name: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return one page of a List operation's items, filtered and sorted, with the NextToken.

    `name` is the member that holds an item's name.
    """
    created_after, created_before, part = (
        params.get("CreationTimeAfter"),
        params.get("CreationTimeBefore"),
        params.get("NameContains"),
    )
    chosen = [
        item
        for item in items
        if (created_after is None or item["CreationTime"] > created_after)
        and (created_before is None or item["CreationTime"] < created_before)
        and (part is None or part in item.get(name, item.get("ModelPackageGroupName", "")))
    ]
    by_name = params.get("SortBy") == "Name"
    chosen.sort(
        key=lambda item: (
            item.get(name, "") if by_name else "",
            item["CreationTime"],
            item.get("ModelPackageVersion", 0),
        ),
        reverse=params.get("SortOrder") == "Descending",
    )
    return page_of(chosen, params)
