"""The operations on records.

Online there is one record for each identifier, the one with the greatest event time; every write
goes to the offline store, too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .....core import paging
from .....core.registry import AwsError, Context, handles
from .. import offline_store as offline
from ..records import Group, Groups, Online, Row
from ..values import Value, event_time, lifetime, parsed_record, refusal, stamp
from .groups import find

_SERVICE = "sagemaker-featurestore-runtime"
_STORES = ("OnlineStore", "OfflineStore")
_MOST_READ, _MOST_WRITTEN, _MOST_UPDATED = 100, 25, 100


@handles(_SERVICE, "PutRecord")
def put_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call PutRecord: write a record."""
    _put(ctx, _ready(ctx, params["FeatureGroupName"]), params)
    return {}


@handles(_SERVICE, "BatchWriteRecord")
def batch_write_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer BatchWriteRecord: an entry that is refused is in Errors; the others are written."""
    if not 1 <= len(params["Entries"]) <= _MOST_WRITTEN:
        raise refusal(
            f"Value at 'entries' failed to satisfy constraint: 1 to {_MOST_WRITTEN} entries."
        )
    errors = []
    for entry in params["Entries"]:
        try:
            request = {"TtlDuration": params.get("TtlDuration"), **entry}
            _put(ctx, _ready(ctx, entry["FeatureGroupName"]), request)
        except AwsError as error:
            errors.append({"Entry": entry, "ErrorCode": error.code, "ErrorMessage": error.message})
    return {"Errors": errors, "UnprocessedEntries": []}


@handles(_SERVICE, "UpdateRecord")
def update_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call UpdateRecord: change some features of a record."""
    group = _ready(ctx, params["FeatureGroupName"])
    if group.online is None or group.storage not in ("Standard_V2", "InMemory"):
        raise refusal(
            "UpdateRecord is available only for the Standard_V2 and InMemory online store types."
        )
    if len(params["Features"]) > _MOST_UPDATED:
        raise refusal(f"At most {_MOST_UPDATED} features can be updated in a call.")
    changes = parsed_record(params["Features"], group.features)
    key = params["RecordIdentifierValueAsString"]
    if changes.get(group.identifier, key) != key:
        raise refusal("The record identifier cannot be updated.")
    if params.get("TtlDuration") and group.event_time not in changes:
        raise refusal("TtlDuration needs the event time in Features.")
    with ctx.store(Groups).lock:
        old = _readable(ctx, group, key)
        if old is None:
            raise AwsError(
                "ResourceNotFound", f"There is no record {key} in FeatureGroup {group.name}.", 404
            )
        values = {**old.values, **changes}
        event_moment = event_time(group.features[group.event_time], _text(values, group.event_time))
        if event_moment < old.event_time:
            raise AwsError(
                "ConflictException", "The EventTime is older than that of the record.", 409
            )
        ttl = lifetime(params.get("TtlDuration")) or old.ttl
        _write(
            ctx, group, values, event_moment, stores=_targets(group, params), ttl=ttl, force=True
        )
    return {}


@handles(_SERVICE, "GetRecord")
def get_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call GetRecord: return a record."""
    group = _ready(ctx, params["FeatureGroupName"])
    _online(group)
    names = _names(group, params.get("FeatureNames"))
    row = _readable(ctx, group, params["RecordIdentifierValueAsString"])
    if row is None:
        return {}
    return {"Record": _record(group, row.values, names), **_expiry(row, params)}


@handles(_SERVICE, "BatchGetRecord")
def batch_get_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer BatchGetRecord for at most 100 records.

    What is missing or expired is left out, what is refused is in Errors.
    """
    requested = sum(len(item["RecordIdentifiersValueAsString"]) for item in params["Identifiers"])
    if not 1 <= requested <= _MOST_READ:
        raise refusal(
            f"Value at 'identifiers' failed to satisfy constraint: 1 to {_MOST_READ} record "
            f"identifiers, not {requested}."
        )
    records: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for item in params["Identifiers"]:
        keys, of_group = (
            item["RecordIdentifiersValueAsString"],
            {"FeatureGroupName": item["FeatureGroupName"]},
        )
        try:
            group = _ready(ctx, item["FeatureGroupName"])
            _online(group)
            names = _names(group, item.get("FeatureNames"))
        except AwsError as error:
            wrong = {"ErrorCode": error.code, "ErrorMessage": error.message}
            errors += [{**of_group, "RecordIdentifierValueAsString": key, **wrong} for key in keys]
            continue
        for key in keys:
            row = _readable(ctx, group, key)
            if row is not None:
                about = {**of_group, "RecordIdentifierValueAsString": key}
                records.append(
                    {**about, "Record": _record(group, row.values, names), **_expiry(row, params)}
                )
    return {"Records": records, "Errors": errors, "UnprocessedIdentifiers": []}


@handles(_SERVICE, "ListRecords")
def list_records(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListRecords: list the records."""
    group = _ready(ctx, params["FeatureGroupName"])
    online = _online(group)
    soft = params.get("IncludeSoftDeletedRecords", False)
    keys = [
        key
        for key in sorted(online)
        if (soft and online[key].deleted) or _readable(ctx, group, key) is not None
    ]
    page, more = paging.page(keys, params, 100, refusal("The NextToken is not valid."))
    return {"RecordIdentifiers": page, **more}


@handles(_SERVICE, "DeleteRecord")
def delete_record(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeleteRecord: delete a record."""
    group = _ready(ctx, params["FeatureGroupName"])
    key = params["RecordIdentifierValueAsString"]
    event_moment = event_time(group.features[group.event_time], params["EventTime"])
    stores = _targets(group, params)
    hard = params.get("DeletionMode", "SoftDelete") == "HardDelete"
    values: dict[str, Value] = {group.identifier: key, group.event_time: params["EventTime"]}
    with ctx.store(Groups).lock:
        if group.online is not None and "OnlineStore" in stores:
            old = _live(ctx, group, key)
            if old is not None and event_moment <= old.event_time:
                if hard:
                    raise refusal(
                        "EventTime: it has to be later than the EventTime of the existing record."
                    )
            elif hard:
                group.online.pop(key, None)
            elif old is not None:
                group.online[key] = Online(values, event_moment, None, None, deleted=True)
    if group.offline is not None and "OfflineStore" in stores:
        offline.append(ctx, group, Row(values, event_moment, ctx.clock.now(), deleted=True))
    return {}


def _put(ctx: Context, group: Group, params: dict[str, Any]) -> None:
    """Write the feature record of a PutRecord request into its stores, online and offline."""
    values = parsed_record(params["Record"], group.features)
    for name in (group.identifier, group.event_time):
        if name not in values:
            raise refusal(f"The record has no value for {name}.")
    event_moment = event_time(group.features[group.event_time], _text(values, group.event_time))
    with ctx.store(Groups).lock:
        _write(
            ctx,
            group,
            values,
            event_moment,
            stores=_targets(group, params),
            ttl=lifetime(params.get("TtlDuration")),
            force=False,
        )


def _write(
    ctx: Context,
    group: Group,
    values: dict[str, Value],
    event_moment: datetime,
    *,
    stores: list[str],
    ttl: Any,
    force: bool,
) -> None:
    """Write a feature record into the online and the offline store, as far as `stores` names them.

    Args:
        ctx: The handler's context.
        group: The feature group.
        values: The record's values by feature.
        event_moment: Its event time.
        stores: OnlineStore, OfflineStore or both.
        ttl: How long it lives online; None: as the group has it.
        force: Whether it is written online even if a newer one is there.
    """
    if group.online is not None and "OnlineStore" in stores:
        key = _text(values, group.identifier)
        old = _live(ctx, group, key)
        lasting = ttl or lifetime(group.request["OnlineStoreConfig"].get("TtlDuration"))
        if old is None or event_moment > old.event_time or force:
            group.online[key] = Online(
                values, event_moment, event_moment + lasting if lasting else None, ttl
            )
    if group.offline is not None and "OfflineStore" in stores:
        offline.append(ctx, group, Row(values, event_moment, ctx.clock.now(), deleted=False))


def _live(ctx: Context, group: Group, key: str) -> Online | None:
    """Return the unexpired online record of an identifier (`key`), or None.

    It may be softly deleted.
    """
    row = (group.online or {}).get(key)
    if row is not None and row.expires is not None and row.expires <= ctx.clock.now():
        (group.online or {}).pop(key, None)
        return None
    return row


def _readable(ctx: Context, group: Group, key: str) -> Online | None:
    """Return the online record of an identifier (`key`); None: there is none, or it was deleted."""
    row = _live(ctx, group, key)
    return None if row is None or row.deleted else row


def _ready(ctx: Context, name: str) -> Group:
    """Return a feature group by name, which must be Created.

    Raises:
        AwsError: There is no such feature group, or it is not Created.
    """
    group = find(ctx, name)
    if group.status != "Created":
        raise refusal(
            f"FeatureGroup {group.name} is {group.status}: it takes records when it is Created."
        )
    return group


def _online(group: Group) -> dict[str, Online]:
    """Return the online store of a feature group: records by their identifier.

    Raises:
        AwsError: The feature group has no online store.
    """
    if group.online is None:
        raise refusal(
            f"FeatureGroup {group.name} has no OnlineStore: records can only be read from an "
            "OnlineStore."
        )
    return group.online


def _targets(group: Group, params: dict[str, Any]) -> list[str]:
    """Return the names of the stores (online, offline) to which a request writes."""
    enabled = [
        name
        for name, store in zip(_STORES, (group.online, group.offline), strict=True)
        if store is not None
    ]
    requested: list[str] = params.get("TargetStores") or enabled
    for name in requested:
        if name not in enabled:
            raise refusal(f"FeatureGroup {group.name} has no {name}.")
    return requested


def _names(group: Group, requested: list[str] | None) -> list[str]:
    """Return the names of the features that a request reads, after checking them.

    `requested` are those that it names; None: it reads all.
    """
    for name in requested or ():
        if name not in group.features:
            raise refusal(f"FeatureName {name} does not exist in FeatureGroup {group.name}.")
    return requested or list(group.features)


def _record(group: Group, values: dict[str, Value], names: list[str]) -> list[dict[str, Any]]:
    """Return a feature record in the API's form, in the order of the definitions.

    A feature without a value is left out.
    """
    return [
        {"FeatureName": name, "ValueAsString": value}
        if isinstance(value, str)
        else {"FeatureName": name, "ValueAsStringList": list(value)}
        for name in group.features
        if name in names and (value := values.get(name)) is not None
    ]


def _expiry(record: Online, params: dict[str, Any]) -> dict[str, str]:
    """Return ExpiresAt of a feature record as a response's member, if the request asks for it."""
    is_shown = params.get("ExpirationTimeResponse") == "Enabled" and record.expires is not None
    return {"ExpiresAt": stamp(record.expires)} if is_shown and record.expires else {}


def _text(values: dict[str, Value], name: str) -> str:
    """Return the value of the feature `name`, which must be a single text, not a collection."""
    value = values[name]
    if not isinstance(value, str):
        raise refusal(f"Feature {name} cannot be a collection.")
    return value
