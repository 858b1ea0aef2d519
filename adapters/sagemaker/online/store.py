"""OnlineStore in SageMaker Feature Store: an online-only feature group for each view.

Feature Store serves a record only if its EventTime is greater than that of the stored one. So the
EventTime is the sync's `until`, made to grow with every sync: a correction with the same feature
time is served, and so is a new feature of an old row. What a group cannot say (the columns' types,
up to which time it is complete) is a document beside it, void when the group was made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, final

import msgspec

from ....core.formats import StoredDocument, decode
from ....errors import AlreadyExists, Busy, Conflict, IsthmusError, NotFound
from ....events.port import Column
from ....feature_store.port import OnlineViewSpec, OnlineViewState, SyncReport
from ....storage import Phase, wait
from ....target import Target
from ....times import epoch_milliseconds, from_epoch
from ...common.online import latest_sql, merged, not_found, put_rows
from .. import names
from ..errors import translated
from ..session import AwsSession, aws_of
from ..storage.state import documents
from . import record_batches, records

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "online_view"
_ADD = 100  # features of a call
_ATTEMPTS = 8
_PATIENCE = timedelta(minutes=20)
_KNOWN = 5.0  # seconds that a reader trusts what it knows of a view
_PHASES: dict[str, Phase] = {
    "Creating": "creating",
    "Created": "ready",
    "CreateFailed": "failed",
    "Deleting": "deleting",
    "DeleteFailed": "failed",
}


class _View(StoredDocument, frozen=True, kw_only=True):
    """The document beside a feature group."""

    features: tuple[Column, ...]
    # the group's creation time: another group of the name has another document
    created: str = msgspec.field(name="made")
    stamp: int = 0  # ms; the greatest EventTime that a sync has used
    # ms; everything created up to then is served. None: it must be rebuilt
    synced: int | None = None


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A view's document and its token."""

    view: _View
    token: str


@final
class FeatureStoreOnline:
    """The OnlineStore port over Feature Store."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws = aws_of(target)
        self._documents = documents(self._aws, "online")
        self._readers: dict[str, tuple[float, tuple[Column, ...]]] = {}
        self._writers: dict[str, tuple[float, tuple[Column, ...]]] = {}

    def apply(self, view: OnlineViewSpec) -> None:
        """Make a feature group for an online view, or add features to it.

        Raises:
            Invalid: A feature is dropped, or has another type.
        """
        names.check("view", view.name)
        name = self._name(view.name)
        group = self._group(name)
        stored = self._stored_view(view.name, group)
        features = (
            view.features
            if stored is None
            else merged(view.name, stored.view.features, view.features)
        )
        definitions = records.definitions(features)
        if group is None:
            group = self._create(view.name, name, definitions)
        elif (
            group.get("RecordIdentifierFeatureName") != records.KEY
            or group.get("EventTimeFeatureName") != records.SYNCED
        ):
            raise AlreadyExists(
                f"feature group {name} exists and is not this project's",
                remedy="rename the view or the project",
            )
        elif (
            stored is not None
            and stored.view.features == features
            and not _missing(group, definitions)
        ):
            return
        else:
            self._add(name, group, definitions)
        # a new feature may be in history already: the next sync reads everything
        created, stamp = _creation_time(group), stored.view.stamp if stored is not None else 0
        self._keep(
            view.name,
            lambda old: _View(
                features=features, created=created, stamp=max(stamp, old.stamp if old else 0)
            ),
            created,
        )
        self._readers.pop(view.name, None)

    def _create(self, view: str, name: str, definitions: list[dict[str, str]]) -> dict[str, Any]:
        """Create the view's feature group `name` if it is absent; return its description."""
        with self._aws.mutating("CreateFeatureGroup", name):
            try:
                with translated(f"making feature group {name}", effect=True):
                    self._aws.client("sagemaker").create_feature_group(
                        FeatureGroupName=name,
                        RecordIdentifierFeatureName=records.KEY,
                        EventTimeFeatureName=records.SYNCED,
                        FeatureDefinitions=definitions,
                        OnlineStoreConfig={"EnableOnlineStore": True},
                        Description=f"isthmus: online view {view} of {self._aws.project}",
                        Tags=self._aws.tags(KIND, view),
                    )
            except (AlreadyExists, Busy):  # another process was quicker
                pass
        group = self._group(name)
        if group is None or group["FeatureGroupStatus"] == "Deleting":
            raise Busy(
                f"feature group {name} is "
                f"{'not to be seen yet' if group is None else 'being deleted'}",
                remedy="run this again later",
            )
        return group

    def _add(self, name: str, group: dict[str, Any], definitions: list[dict[str, str]]) -> None:
        """Add missing features to a feature group, as many in each call as SageMaker takes."""
        missing = _missing(group, definitions)
        for start in range(0, len(missing), _ADD):
            self._settled_group(name)
            with self._aws.mutating("UpdateFeatureGroup", name):
                self._aws.client("sagemaker").update_feature_group(
                    FeatureGroupName=name, FeatureAdditions=missing[start : start + _ADD]
                )

    def observe(self, view: str) -> OnlineViewState | None:
        """Return an online view's state with the features that it serves, or None."""
        group = self._group(self._name(view))
        if group is None:
            return None
        stored = self._stored_view(view, group)
        phase = _PHASES[group["FeatureGroupStatus"]]
        if stored is None:
            # half-made: `apply` makes the rest
            return OnlineViewState(phase="creating" if phase == "ready" else phase, columns=())
        return OnlineViewState(
            phase="updating" if phase == "ready" and _updating(group) else phase,
            columns=stored.view.features,
        )

    def sync(self, view: OnlineViewSpec, *, since: datetime | None, until: datetime) -> SyncReport:
        """Write the newest feature values of each entity from the history table to Feature Store.

        Rows created since the hint `since` are read, and whatever an earlier sync has not covered;
        None rebuilds the view. Rows created up to `until` are served.
        """
        name = self._name(view.name)
        group = self._group(name)
        stored = self._stored_view(view.name, group)
        if group is None or stored is None:
            raise not_found(view.name)
        group = self._settled_group(name)
        document = stored.view
        start = (
            None
            if since is None or document.synced is None
            else min(epoch_milliseconds(since), document.synced)
        )
        # must not take back what a later sync has served
        end = max(epoch_milliseconds(until), document.synced or 0)
        latest = self._latest(view, document, start, end)
        if latest.num_rows:
            stamp = max(end, document.stamp + 1)
            try:  # the stamp is taken before it is used: no other sync has the same
                taken = msgspec.json.encode(msgspec.structs.replace(document, stamp=stamp))
                self._documents.put(view.name, taken, expect=stored.token)
            except Conflict as error:
                raise Busy(
                    f"online view {view.name}: another sync began while this one was reading",
                    remedy="run it again",
                ) from error
            with self._aws.mutating("BatchWriteRecord", name):
                record_batches.write(
                    self._aws, name, latest, document.features, records.event_time(stamp)
                )

        def done(old: _View | None) -> _View:
            if old is None or old.features != document.features:
                raise Busy(
                    f"online view {view.name} was changed while it was synced",
                    remedy="run it again",
                )
            return msgspec.structs.replace(old, synced=max(end, old.synced or 0))

        self._keep(view.name, done, _creation_time(group))
        return SyncReport(rows=latest.num_rows, until=from_epoch(end))

    def put(self, view: OnlineViewSpec, rows: pa.Table, *, written_at: datetime) -> None:
        """Write entities' rows to Feature Store with `written_at` as their EventTime.

        Feature Store serves no row whose EventTime is before that of the stored one.

        Raises:
            NotFound: There is no such view.
        """
        name = self._name(view.name)
        latest = put_rows(view, self._writer(view), rows)
        if not latest.num_rows:
            return
        stamp = records.event_time(epoch_milliseconds(written_at))
        latest = latest.rename_columns(["entity_key", "event_timestamp", *latest.column_names[2:]])
        try:
            with self._aws.mutating("BatchWriteRecord", name):
                record_batches.write(self._aws, name, latest, view.features, stamp)
        except IsthmusError:
            self._writers.pop(view.name, None)  # it may be gone, or another one by now
            raise

    def _writer(self, view: OnlineViewSpec) -> tuple[Column, ...]:
        """Return the features of a view that takes records, cached for some seconds.

        Raises:
            NotFound: There is no such view.
        """
        expires, features = self._writers.get(view.name, (0.0, ()))
        if expires < time.monotonic() or not set(view.features).issubset(features):
            name = self._name(view.name)
            stored = self._stored_view(view.name, self._group(name))
            if stored is None:
                raise not_found(view.name)
            self._settled_group(name)
            features = stored.view.features
            self._writers[view.name] = (time.monotonic() + _KNOWN, features)
        return features

    def _latest(
        self, view: OnlineViewSpec, document: _View, start: int | None, end: int
    ) -> pa.Table:
        """Query the newest row of each entity that has a row created in (start, end], in ms.

        The newest row by event time may be one that was created earlier.
        """
        params: dict[str, object] = {"until": from_epoch(end)}
        changed = ""
        if start is not None:
            params["since"] = from_epoch(start)
            changed = (
                f"entity_key IN (SELECT entity_key FROM {view.history} WHERE created_timestamp > "
                "$since) AND "
            )
        sql = latest_sql(
            view.history,
            ("entity_key", "event_timestamp"),
            document.features,
            f"{changed}created_timestamp <= $until",
        )
        return self._target.warehouse.query(sql, params)

    def get(self, keys: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, object] | None]]:
        """Return for each view the feature values of its entity keys, in order; None without.

        Raises NotFound if there is no such view.
        """
        not_empty = {view: view_keys for view, view_keys in keys.items() if view_keys}
        features = {view: self._reader(view) for view in not_empty}
        try:
            stored = record_batches.read(
                self._aws, {self._name(view): view_keys for view, view_keys in not_empty.items()}
            )
        except NotFound:
            for view in not_empty:  # whichever was deleted since
                self._readers.pop(view, None)
                self._reader(view)
            raise
        return {
            view: records.decode(stored[self._name(view)], view_keys, features[view])
            if view_keys
            else []
            for view, view_keys in keys.items()
        }

    def _reader(self, view: str) -> tuple[Column, ...]:
        """Return the features that a view serves, cached for some seconds."""
        expires, features = self._readers.get(view, (0.0, ()))
        if expires < time.monotonic():
            stored = self._stored_view(view, self._group(self._name(view)))
            if stored is None:
                self._readers.pop(view, None)
                raise not_found(view)
            features = stored.view.features
            self._readers[view] = (time.monotonic() + _KNOWN, features)
        return features

    def _settled_group(self, name: str) -> dict[str, Any]:
        """Wait until a feature group takes records, and return its description.

        Its creation and its growing both take a while.
        """
        group = wait(
            lambda: self._group(name),
            lambda current: (
                current is None
                or (current["FeatureGroupStatus"] != "Creating" and not _updating(current))
            ),
            deadline=_PATIENCE,
            what=f"feature group {name}",
        )
        if group is None or group["FeatureGroupStatus"] != "Created":
            state = (
                "absent"
                if group is None
                else f"{group['FeatureGroupStatus']}: {group.get('FailureReason', '')}"
            )
            raise Busy(
                f"feature group {name} is {state}",
                remedy="destroy it and run `isthmus apply` again",
            )
        return group

    def _group(self, name: str) -> dict[str, Any] | None:
        """Return SageMaker's description of a feature group, or None."""
        with self._aws.reading("DescribeFeatureGroup", name):
            try:
                with translated(f"looking at feature group {name}"):
                    group: dict[str, Any] = self._aws.client("sagemaker").describe_feature_group(
                        FeatureGroupName=name
                    )
            except NotFound:
                return None
        return group

    def _stored_view(self, view: str, group: dict[str, Any] | None) -> _Stored | None:
        """Return a view's stored description, unless it belongs to an earlier feature group."""
        document = self._documents.get(view) if group is not None else None
        if document is None or group is None:
            return None
        decoded = _decode(view, document.value)
        return (
            _Stored(view=decoded, token=document.token)
            if decoded.created == _creation_time(group)
            else None
        )

    def _keep(self, view: str, change: Callable[[_View | None], _View], created: str) -> None:
        """Change a view's stored description by calling `change`, again if others changed it too.

        `created` is the feature group's creation time: the description of an earlier group counts
        as none.
        """
        for _ in range(_ATTEMPTS):
            document = self._documents.get(view)
            old = _decode(view, document.value) if document is not None else None
            changed = change(old if old is not None and old.created == created else None)
            if changed == old:
                return
            try:
                self._documents.put(
                    view,
                    msgspec.json.encode(changed),
                    expect=document.token if document is not None else None,
                )
            except Conflict:
                continue
            return
        raise Busy(f"online view {view} is being changed by others", remedy="run it again")

    def _name(self, view: str) -> str:
        """Return the name of an online view's feature group."""
        return names.underscored(self._aws.project, view)


def _decode(view: str, document: bytes) -> _View:
    """Decode a view's stored description from JSON."""
    return decode(document, _View, what=f"the document of online view {view}")


def _missing(group: dict[str, Any], definitions: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return those feature definitions that a feature group does not have yet."""
    have = {feature["FeatureName"] for feature in group["FeatureDefinitions"]}
    return [feature for feature in definitions if feature["FeatureName"] not in have]


def _updating(group: dict[str, Any]) -> bool:
    """Return whether a feature group is being updated."""
    return str(group.get("LastUpdateStatus", {}).get("Status")) == "InProgress"


def _creation_time(group: dict[str, Any]) -> str:
    """Return a feature group's creation time as text, which tells it from an earlier one."""
    created: datetime = group["CreationTime"]
    return created.isoformat()


def remove(aws: AwsSession, view: str) -> None:
    """Delete an online view's feature group and its stored description; it may be absent.

    The inventory calls this.
    """
    name = names.underscored(aws.project, view)
    try:
        with translated(f"deleting feature group {name}", effect=True):
            aws.client("sagemaker").delete_feature_group(FeatureGroupName=name)
    except NotFound:
        pass
    with translated(f"deleting what is known of {view}", effect=True):
        aws.s3().delete_object(Bucket=aws.bucket, Key=aws.key("online", view))


def feature_groups(aws: AwsSession) -> list[tuple[str, str]]:
    """Return this project's feature groups as (our name, ARN), by their names and tags.

    The list that the tagging service has of them may be late.
    """
    views: list[tuple[str, str]] = []
    start = f"{aws.project}-"
    sagemaker = aws.client("sagemaker")
    with aws.reading("ListFeatureGroups", start):
        for page in sagemaker.get_paginator("list_feature_groups").paginate(NameContains=start):
            for group in page["FeatureGroupSummaries"]:
                if (
                    group["FeatureGroupName"].startswith(start)
                    and group["FeatureGroupStatus"] != "Deleting"
                ):
                    tags = {
                        tag["Key"]: tag["Value"]
                        for tag in sagemaker.list_tags(ResourceArn=group["FeatureGroupArn"])["Tags"]
                    }
                    if tags.get(names.PROJECT_TAG) == aws.project:
                        views.append(
                            (
                                tags.get(
                                    names.NAME_TAG, group["FeatureGroupName"].removeprefix(start)
                                ),
                                group["FeatureGroupArn"],
                            )
                        )
    return views
