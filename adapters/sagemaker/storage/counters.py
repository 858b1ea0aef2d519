"""Counters in DynamoDB: a table for each endpoint, and in it an item for each unit.

The attributes of a unit's item are its numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, final

from ....errors import (
    AlreadyExists,
    Busy,
    Invalid,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from ....storage import Phase, wait
from ....target import Target
from ...common.storage.counters import KIND, counters_of
from .. import names
from ..errors import translated
from ..session import AwsSession, aws_of

T = TypeVar("T")
_UNIT, _UNTIL = "unit", "until"  # the key, and the attribute by which items vanish
# begins the name of an attribute that is a number: no name is reserved, empty, `unit` or `until`
_NUMBER = "n"
# names of a call, well within an expression's 4 KB and 300 operators (Developer Guide, "Quotas",
# "Expression parameters")
_MOST = 100
_WITHIN = 2  # seconds of an attempt, as somebody waits for an answer
_PAUSES = (
    0.05,
    0.2,
)  # seconds before it is tried again, if the attempts before took no longer than
_PATIENCE = 0.5
# seconds for either at a stack, which shares its machine with others: moto takes a tenth of a
# second of CPU for a change
_OFFLINE = 15
_MADE = timedelta(minutes=5)
_PHASES: dict[str, Phase] = {
    "CREATING": "creating",
    "DELETING": "deleting",
    "ACTIVE": "ready",
    "UPDATING": "ready",
}


@final
class DynamoCounters:
    """The Counters port over DynamoDB."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)

    def apply(self, endpoint: str) -> None:
        """Create an endpoint's DynamoDB table with its tags and time to live, and wait for it.

        Raises:
            Busy: The table does not appear, or is being deleted.
        """
        phase = self.observe(endpoint)
        if phase == "ready":
            return
        if phase is None:
            self._create(endpoint)
        name = _table_name(self._aws, endpoint)
        status = wait(
            lambda: self._status(name),
            lambda current: current != "CREATING",
            deadline=_MADE,
            what=f"making table {name}",
        )
        if status not in ("ACTIVE", "UPDATING"):
            raise Busy(
                f"table {name} is {status or 'not to be seen yet'}", remedy="run this again later"
            )
        setting = {"Enabled": True, "AttributeName": _UNTIL}
        try:
            with self._aws.mutating("UpdateTimeToLive", name):
                self._aws.client("dynamodb").update_time_to_live(
                    TableName=name, TimeToLiveSpecification=setting
                )
        except Invalid:  # another process was quicker
            if self.observe(endpoint) != "ready":
                raise

    def _create(self, endpoint: str) -> None:
        """Create an endpoint's DynamoDB table, unless another process is creating it."""
        name = _table_name(self._aws, endpoint)
        with (
            suppress(AlreadyExists, Busy),
            self._aws.mutating("CreateTable", name),
        ):  # another process is making it
            self._aws.client("dynamodb").create_table(
                TableName=name,
                AttributeDefinitions=[{"AttributeName": _UNIT, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": _UNIT, "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
                Tags=self._aws.tags(KIND, endpoint),
            )

    def observe(self, endpoint: str) -> Phase | None:
        """Return the phase of an endpoint's DynamoDB table, or None if there is none.

        It is "creating" as long as it has no time to live.
        """
        name = _table_name(self._aws, endpoint)
        status = self._status(name)
        phase = None if status is None else _PHASES.get(status, "failed")
        if phase != "ready":
            return phase
        with self._aws.reading("DescribeTimeToLive", name):
            time_to_live = self._aws.client("dynamodb").describe_time_to_live(TableName=name)[
                "TimeToLiveDescription"
            ]
        # half-made: `apply` makes the rest
        return (
            "ready"
            if time_to_live.get("TimeToLiveStatus") in ("ENABLING", "ENABLED")
            else "creating"
        )

    def _status(self, name: str) -> str | None:
        """Return DynamoDB's status of a table, or None."""
        try:
            with self._aws.reading("DescribeTable", name):
                return str(
                    self._aws.client("dynamodb").describe_table(TableName=name)["Table"][
                        "TableStatus"
                    ]
                )
        except NotFound:
            return None

    def get(self, endpoint: str, unit: str) -> Mapping[str, int]:
        """Return the counts of a unit (such as a user) by name, by a strongly consistent read.

        Raises:
            NotFound: `apply` was not called for the endpoint.
            Unavailable: DynamoDB does not answer.
        """
        name = _table_name(self._aws, endpoint)
        self._aws.calls.reading("GetItem", name)
        with counters_of(endpoint):
            item = self._again(lambda: self._item(name, unit))
        return {
            key.removeprefix(_NUMBER): int(value["N"])
            for key, value in item.items()
            if key.startswith(_NUMBER)
        }

    def _item(self, name: str, unit: str) -> Mapping[str, Any]:
        """Read a unit's DynamoDB item, or return an empty one."""
        with translated(f"GetItem {name}"):
            response = self._client().get_item(
                TableName=name, Key=_item_key(unit), ConsistentRead=True
            )
        item: Mapping[str, Any] = response.get("Item", {})
        return item

    def add(
        self,
        endpoint: str,
        unit: str,
        amounts: Mapping[str, int],
        *,
        forget: Collection[str] = (),
        until: datetime,
    ) -> None:
        """Add amounts to a unit's counts by an UpdateItem, or several if one would be too long.

        Raises:
            NotFound: `apply` was not called for the endpoint.
            Unavailable: DynamoDB does not answer.
        """
        name = _table_name(self._aws, endpoint)
        with counters_of(endpoint), self._aws.mutating("UpdateItem", name):
            for change in _changes(amounts, forget, until):
                self._again(partial(self._update, name, unit, change))

    def _update(self, name: str, unit: str, change: Mapping[str, Any]) -> None:
        """Apply one change (UpdateItem's arguments) to a unit's item."""
        with translated(f"UpdateItem {name}", effect=True):
            self._client().update_item(TableName=name, Key=_item_key(unit), **change)

    def _client(self) -> Any:
        """Return a DynamoDB client with a short time-out and without retries."""
        return self._aws.client(
            "dynamodb", retrying=False, within=_OFFLINE if self._aws.offline else _WITHIN
        )

    def _again(self, call: Callable[[], T]) -> T:
        """Call a function; repeat it after a transient error that came quickly; return its result.

        A repeated call may count twice, which is better than not at all.
        """
        began, patience = time.monotonic(), _OFFLINE if self._aws.offline else _PATIENCE
        for pause in _PAUSES:
            try:
                return call()
            except (Throttled, Unavailable, OutcomeUnknown):
                if time.monotonic() - began > patience:
                    raise
            time.sleep(pause)
        return call()


def remove(aws: AwsSession, endpoint: str) -> None:
    """Delete an endpoint's DynamoDB table with every count; it may be absent.

    The inventory calls this.
    """
    name = _table_name(aws, endpoint)
    with suppress(NotFound), translated(f"deleting table {name}", effect=True):
        aws.client("dynamodb").delete_table(TableName=name)


def tables(aws: AwsSession) -> list[tuple[str, str]]:
    """Return the project's DynamoDB tables of counters as (endpoint, ARN), by names and tags.

    The list that the tagging service has of them may be late.
    """
    client, start = aws.client("dynamodb"), names.underscored(aws.project, "")
    with aws.reading("ListTables", start):
        pages = client.get_paginator("list_tables").paginate()
        tables = [name for page in pages for name in page["TableNames"] if name.startswith(start)]
        return [pair for name in tables if (pair := _owned_table(aws, client, name)) is not None]


def _owned_table(aws: AwsSession, client: Any, name: str) -> tuple[str, str] | None:
    """Return (endpoint, ARN) of the table `name` if its tags name this project, else None."""
    table = client.describe_table(TableName=name)["Table"]
    tags = {
        tag["Key"]: tag["Value"]
        for tag in client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    }
    ours = (
        tags.get(names.PROJECT_TAG) == aws.project
        and tags.get(names.KIND_TAG) == KIND
        and table["TableStatus"] != "DELETING"
    )
    return (tags[names.NAME_TAG], table["TableArn"]) if ours else None


def _changes(
    amounts: Mapping[str, int], forget: Collection[str], until: datetime
) -> Iterator[dict[str, Any]]:
    """Yield the UpdateItem arguments for a change of counts; additions come before removals.

    `amounts` are added and `forget` are names to remove. Usually one call suffices. `until` is when
    the counts expire.
    """
    every = [*amounts.items(), *((name, None) for name in forget if name not in amounts)]
    for start in range(0, max(len(every), 1), _MOST):
        yield _change(every[start : start + _MOST], until)


def _change(part: Sequence[tuple[str, int | None]], until: datetime) -> dict[str, Any]:
    """Return the UpdateItem arguments that change some counts.

    `part` has by name the amount to add, or None to remove the count; `until` is when the counts
    expire.
    """
    values = {
        amount: f":{number}"
        for number, amount in enumerate(
            dict.fromkeys(amount for _, amount in part if amount is not None)
        )
    }
    added = [
        f"#{index} {values[amount]}" for index, (_, amount) in enumerate(part) if amount is not None
    ]
    removed = [f"#{index}" for index, (_, amount) in enumerate(part) if amount is None]
    clauses = [
        "SET #until = :until",
        f"ADD {', '.join(added)}" if added else "",
        f"REMOVE {', '.join(removed)}" if removed else "",
    ]
    numbers = {place: {"N": str(amount)} for amount, place in values.items()}
    return {
        "UpdateExpression": " ".join(filter(None, clauses)),
        "ExpressionAttributeNames": {
            "#until": _UNTIL,
            **{f"#{index}": f"{_NUMBER}{name}" for index, (name, _) in enumerate(part)},
        },
        "ExpressionAttributeValues": {":until": {"N": str(int(until.timestamp()) + 1)}, **numbers},
    }


def _item_key(unit: str) -> dict[str, dict[str, str]]:
    """Return the DynamoDB key of the item that holds a unit's counts."""
    return {_UNIT: {"S": unit}}


def _table_name(aws: AwsSession, endpoint: str) -> str:
    """Return the name of an endpoint's counter table."""
    return f"{names.underscored(aws.project, endpoint)}-{KIND}"
