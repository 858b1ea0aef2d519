"""The operations on feature groups."""

from __future__ import annotations

import re
from typing import Any

from .....core import paging
from .....core.home.declarations import resumes
from .....core.registry import AwsError, Context, handles
from ...tags import operations as tags
from .. import offline_store as offline
from ..records import Group, Groups
from ..values import RESERVED, Feature

CREATES = 5.0  # seconds from Creating to Created; a real group takes about ten
UPDATES = 2.0
_NAME = re.compile(r"[a-zA-Z0-9]([_-]*[a-zA-Z0-9]){0,63}")
_MOST_FEATURES = 2500


def invalid(message: str) -> AwsError:
    """Return SageMaker's ValidationException with this message."""
    return AwsError("ValidationException", message, 400)


@handles("sagemaker", "CreateFeatureGroup")
def create_feature_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateFeatureGroup: create a feature group."""
    name = params["FeatureGroupName"]
    _check(params)
    groups = ctx.store(Groups)
    now = ctx.clock.now()
    arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:feature-group/{name.lower()}"
    online = params.get("OnlineStoreConfig", {}).get("EnableOnlineStore", False)
    with groups.lock:
        if name in groups.by_name:
            raise AwsError(
                "ResourceInUse",
                f"Resource Already Exists: FeatureGroup with name {name} already exists. "
                "Choose a different name.",
                400,
            )
        group = Group(
            name=name,
            arn=arn,
            created=now,
            modified=now,
            status="Creating",
            identifier=params["RecordIdentifierFeatureName"],
            event_time=params["EventTimeFeatureName"],
            features={item["FeatureName"]: _feature(item) for item in params["FeatureDefinitions"]},
            definitions=list(params["FeatureDefinitions"]),
            request={
                k: params[k]
                for k in ("OnlineStoreConfig", "RoleArn", "Description", "ThroughputConfig")
                if k in params
            },
            online={} if online else None,
            offline=offline.config(ctx, params, now),
        )
        groups.by_name[name] = group
    tags.put(ctx, arn, params.get("Tags"))
    context = ctx.without_request()
    ctx.clock.call_after(CREATES, lambda: _finish_creation(context, group))
    return {"FeatureGroupArn": arn}


def _finish_creation(ctx: Context, group: Group) -> None:
    """Create a feature group's offline store, and set the group Created or CreateFailed."""
    if ctx.stopping.is_set():
        return
    try:
        offline.prepare(ctx, group)
    except offline.OfflineFailed as error:
        group.failure = str(error)
        group.status = "CreateFailed"
        return
    group.status = "Created"


@resumes(Groups)
def resume(ctx: Context, store: Groups) -> None:
    """Set the timers of all feature groups again after a restart."""
    for group in list(store.by_name.values()):
        _resume_group(ctx, group)


def _resume_group(ctx: Context, group: Group) -> None:
    """Set a feature group's timers (creation, update, deletion, flush) after a restart."""
    group.flushing = False
    if group.status == "Creating":
        ctx.clock.call_after(CREATES, lambda: _finish_creation(ctx, group))
    elif group.status == "Deleting":
        ctx.clock.call_after(UPDATES, lambda: _remove(ctx, group))
    elif (group.update or {}).get("Status") == "InProgress":
        ctx.clock.call_after(UPDATES, lambda: _finish_update(ctx, group))
    if group.pending:
        offline.await_flush(ctx, group)


@handles("sagemaker", "DescribeFeatureGroup")
def describe_feature_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeFeatureGroup: describe a feature group."""
    group = find(ctx, params["FeatureGroupName"])
    answer: dict[str, Any] = {
        "FeatureGroupArn": group.arn,
        "FeatureGroupName": group.name,
        "RecordIdentifierFeatureName": group.identifier,
        "EventTimeFeatureName": group.event_time,
        "FeatureDefinitions": group.definitions,
        "CreationTime": group.created,
        "LastModifiedTime": group.modified,
        "FeatureGroupStatus": group.status,
        "ThroughputConfig": {"ThroughputMode": "OnDemand"},
        **group.request,
    }
    if group.offline is not None:
        answer["OfflineStoreConfig"] = group.offline
        answer["OfflineStoreStatus"] = {"Status": "Active"}
    if group.failure:
        answer["FailureReason"] = group.failure
    if group.update:
        answer["LastUpdateStatus"] = group.update
    if group.online is not None:
        answer["OnlineStoreTotalSizeBytes"] = sum(
            len(str(record.values)) for record in list(group.online.values())
        )
    return answer


@handles("sagemaker", "ListFeatureGroups")
def list_feature_groups(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListFeatureGroups: list the feature groups."""
    groups = [
        group for group in list(ctx.store(Groups).by_name.values()) if _matches(group, params)
    ]
    key = {
        "Name": lambda g: g.name,
        "FeatureGroupStatus": lambda g: g.status,
        "OfflineStoreStatus": lambda g: g.offline is not None,
    }
    groups.sort(key=key.get(params.get("SortBy", "CreationTime"), lambda g: (g.created, g.name)))
    if params.get("SortOrder", "Descending") == "Descending":
        groups.reverse()
    page, more = paging.page(
        groups, params, 10, AwsError("ValidationException", "Invalid pagination token.")
    )
    return {
        "FeatureGroupSummaries": [
            {
                "FeatureGroupName": group.name,
                "FeatureGroupArn": group.arn,
                "CreationTime": group.created,
                "FeatureGroupStatus": group.status,
                **(
                    {"OfflineStoreStatus": {"Status": "Active"}}
                    if group.offline is not None
                    else {}
                ),
            }
            for group in page
        ],
        **more,
    }


def _matches(group: Group, params: dict[str, Any]) -> bool:
    """Return whether a feature group passes the filters of ListFeatureGroups."""
    return (
        params.get("NameContains", "") in group.name
        and params.get("FeatureGroupStatusEquals", group.status) == group.status
        and (
            "OfflineStoreStatusEquals" not in params
            or (group.offline is not None and params["OfflineStoreStatusEquals"] == "Active")
        )
        and ("CreationTimeAfter" not in params or group.created > params["CreationTimeAfter"])
        and ("CreationTimeBefore" not in params or group.created < params["CreationTimeBefore"])
    )


@handles("sagemaker", "UpdateFeatureGroup")
def update_feature_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call UpdateFeatureGroup: change a feature group."""
    group = find(ctx, params["FeatureGroupName"])
    with ctx.store(Groups).lock:
        if group.status != "Created":
            raise invalid(
                f"FeatureGroup {group.name} is {group.status}; it can be updated when it is "
                "Created."
            )
        if (group.update or {}).get("Status") == "InProgress":
            raise invalid(f"An update of FeatureGroup {group.name} is in progress.")
        additions = params.get("FeatureAdditions", [])
        for item in additions:
            if item["FeatureName"] in group.features:
                raise invalid(
                    f"Feature {item['FeatureName']} already exists in FeatureGroup {group.name}."
                )
            _check_name(item["FeatureName"])
        if len(group.features) + len(additions) > _MOST_FEATURES:
            raise invalid(f"A feature group has at most {_MOST_FEATURES} features.")
        if online := params.get("OnlineStoreConfig"):
            if group.online is None:
                raise invalid(f"FeatureGroup {group.name} has no online store.")
            group.request["OnlineStoreConfig"] = {**group.request["OnlineStoreConfig"], **online}
        if "ThroughputConfig" in params:
            group.request["ThroughputConfig"] = params["ThroughputConfig"]
        group.definitions = [*group.definitions, *additions]
        group.features = {
            **group.features,
            **{item["FeatureName"]: _feature(item) for item in additions},
        }
        group.modified = ctx.clock.now()
        group.update = {"Status": "InProgress"}
    context = ctx.without_request()
    ctx.clock.call_after(UPDATES, lambda: _finish_update(context, group))
    return {"FeatureGroupArn": group.arn}


def _finish_update(ctx: Context, group: Group) -> None:
    """Add the new features to the offline store's table, at the end of an update."""
    if ctx.stopping.is_set():
        return
    offline.widen(ctx, group)
    group.update = {"Status": "Successful"}


@handles("sagemaker", "DeleteFeatureGroup")
def delete_feature_group(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteFeatureGroup; offline data and the Glue table stay."""
    group = find(ctx, params["FeatureGroupName"])
    if group.status == "Creating":
        raise AwsError("ResourceInUse", f"FeatureGroup {group.name} is being created.", 400)
    group.status = "Deleting"
    context = ctx.without_request()
    offline.flush(context, group)
    ctx.clock.call_after(UPDATES, lambda: _remove(context, group))
    return {}


def _remove(ctx: Context, group: Group) -> None:
    """Remove a feature group and its tags."""
    groups = ctx.store(Groups)
    with groups.lock:
        if groups.by_name.get(group.name) is group:
            del groups.by_name[group.name]
    tags.drop(ctx, group.arn)


@handles("sagemaker", "DescribeFeatureMetadata")
def describe_feature_metadata(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeFeatureMetadata: describe a feature of a group."""
    group = find(ctx, params["FeatureGroupName"])
    feature = _feature_of(group, params["FeatureName"])
    metadata = group.metadata.get(feature.name, {})
    return {
        "FeatureGroupArn": group.arn,
        "FeatureGroupName": group.name,
        "FeatureName": feature.name,
        "FeatureType": feature.kind,
        "CreationTime": group.created,
        "LastModifiedTime": metadata.get("modified", group.created),
        "Description": metadata.get("Description", ""),
        "Parameters": [{"Key": k, "Value": v} for k, v in metadata.get("Parameters", {}).items()],
    }


@handles("sagemaker", "UpdateFeatureMetadata")
def update_feature_metadata(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Change a feature's description and parameters.

    It answers SageMaker's API call UpdateFeatureMetadata.
    """
    group = find(ctx, params["FeatureGroupName"])
    feature = _feature_of(group, params["FeatureName"])
    metadata = group.metadata.get(feature.name, {})
    parameters = {
        **metadata.get("Parameters", {}),
        **{item["Key"]: item["Value"] for item in params.get("ParameterAdditions", [])},
    }
    for key in params.get("ParameterRemovals", []):
        parameters.pop(key, None)
    description = params.get("Description", metadata.get("Description", ""))
    changed = {"Description": description, "Parameters": parameters, "modified": ctx.clock.now()}
    group.metadata = {**group.metadata, feature.name: changed}
    return {}


def find(ctx: Context, name_or_arn: str) -> Group:
    """Return the feature group of a name or an ARN.

    Raises:
        AwsError: There is no such feature group (ResourceNotFound).
    """
    name = name_or_arn.rpartition(":feature-group/")[2]
    by_name = ctx.store(Groups).by_name
    group = by_name.get(name) or next(
        (g for g in list(by_name.values()) if g.arn == name_or_arn), None
    )
    if group is None:
        raise AwsError(
            "ResourceNotFound",
            f"Resource Not Found: Amazon SageMaker can't find a FeatureGroup with name {name}",
            404,
        )
    return group


def _feature_of(group: Group, name: str) -> Feature:
    """Return the feature of a feature group that has this name.

    Raises:
        AwsError: The group has no such feature.
    """
    if name not in group.features:
        raise AwsError(
            "ResourceNotFound", f"Feature {name} does not exist in FeatureGroup {group.name}.", 404
        )
    return group.features[name]


def _feature(item: dict[str, Any]) -> Feature:
    """Parse one entry of FeatureDefinitions."""
    return Feature(item["FeatureName"], item["FeatureType"], item.get("CollectionType"))


def _check(params: dict[str, Any]) -> None:
    """Raise an error for parameters that CreateFeatureGroup refuses.

    Raises:
        AwsError: A parameter is refused (ValidationException).
    """
    name, definitions = params["FeatureGroupName"], params["FeatureDefinitions"]
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Value '{name}' at 'featureGroupName' failed to satisfy constraint: {_NAME.pattern}"
        )
    online = params.get("OnlineStoreConfig", {}).get("EnableOnlineStore", False)
    if not online and "OfflineStoreConfig" not in params:
        raise invalid(
            "Validation Error: You must enable at least one of the OnlineStore and the "
            "OfflineStore."
        )
    _check_names([item["FeatureName"] for item in definitions])
    kinds = {item["FeatureName"]: item["FeatureType"] for item in definitions}
    for key in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
        if params[key] not in kinds:
            raise invalid(f"Validation Error: {key} {params[key]} is not in FeatureDefinitions.")
    if kinds[params["EventTimeFeatureName"]] not in ("String", "Fractional"):
        raise invalid(
            "Validation Error: The type of the event time feature has to be String or Fractional."
        )
    memory = params.get("OnlineStoreConfig", {}).get("StorageType") == "InMemory"
    if any(item.get("CollectionType") for item in definitions) and online and not memory:
        raise invalid(
            "Validation Error: Collection types are only supported with the InMemory online store."
        )


def _check_names(names: list[str]) -> None:
    """Raise an error if feature names are wrong, repeated or too many."""
    if not 1 <= len(names) <= _MOST_FEATURES:
        raise invalid(f"A feature group has 1 to {_MOST_FEATURES} features.")
    if len({name.lower() for name in names}) != len(names):
        raise invalid("Validation Error: Feature names have to be unique.")
    for name in names:
        _check_name(name)


def _check_name(name: str) -> None:
    """Raise an error if a feature's name is reserved or wrong."""
    if name.lower() in RESERVED:
        raise invalid(f"Validation Error: {name} is a reserved feature name.")
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Value '{name}' at 'featureName' failed to satisfy constraint: {_NAME.pattern}"
        )
