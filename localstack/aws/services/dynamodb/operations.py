"""Additions to moto's DynamoDB.

A table takes its time to be made, items vanish when their time is over, and no change is lost among
threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

from ...core.moto_internals import DynamoType, dynamodb_backends
from ...core.protocol.moto_server import SERIAL
from ...core.registry import AwsError, Context, handles
from .records import Tables

_MAKING = timedelta(seconds=5)
# what was over before stays: Developer Guide, "Using time to live (TTL) in DynamoDB"
_OLDEST = timedelta(days=5 * 365)
_LONGEST = 4_096  # bytes of an expression: Developer Guide, "Quotas", "Expression parameters"


@handles("dynamodb", "CreateTable")
def create_table(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DynamoDB's API call CreateTable: create a table."""
    answer = ctx.forward()
    if ctx.clock.mode != "instant":
        ctx.store(Tables).ready[params["TableName"]] = ctx.clock.now() + _MAKING
    return _with_status(ctx, answer, "TableDescription")


@handles("dynamodb", "DescribeTable")
def describe_table(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  moto's
    """Answer DynamoDB's API call DescribeTable: describe a table."""
    return _with_status(ctx, ctx.forward(), "Table")


@handles("dynamodb", "DeleteTable", "UpdateTable")
def change_table(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer an operation that changes a table by moto, unless the table is still being made."""
    name = _name(params)
    if _is_making(ctx, name):
        raise AwsError(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being created: {name}",
        )
    return ctx.forward()


@handles("dynamodb", "UpdateTimeToLive")
def update_time_to_live(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer UpdateTimeToLive: set a table's TTL attribute, which takes effect at once.

    On AWS it takes effect within an hour.
    """
    with SERIAL:
        table = _table(ctx, _name(params))
        if (
            params["TimeToLiveSpecification"]["Enabled"]
            and table.ttl["TimeToLiveStatus"] == "ENABLED"
        ):
            raise AwsError("ValidationException", "TimeToLive is already enabled")
        return ctx.forward()


@handles("dynamodb", "DescribeTimeToLive")
def describe_time_to_live(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DynamoDB's API call DescribeTimeToLive: return a table's time-to-live setting."""
    _table(ctx, _name(params))
    return ctx.forward()


@handles("dynamodb", "GetItem", "PutItem", "UpdateItem", "DeleteItem")
def on_item(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer an operation on one item by moto, after expired items were removed."""
    if len(params.get("UpdateExpression", "").encode()) > _LONGEST:
        raise AwsError(
            "ValidationException",
            "Invalid UpdateExpression: Expression size has exceeded the maximum allowed size;",
        )
    with SERIAL:
        table = _table(ctx, _name(params))
        key = params.get("Key") or params["Item"]
        names = [table.hash_key_attr, *([table.range_key_attr] if table.range_key_attr else [])]
        if not set(names) <= set(key):
            return ctx.forward()  # which refuses it
        places = [*(DynamoType(key[name]) for name in names), None][:2]
        return _without_key(
            _forward_whole(ctx, table, places, updates="UpdateExpression" in params), params, names
        )


def _forward_whole(
    ctx: Context, table: Any, places: Sequence[DynamoType | None], *, updates: bool
) -> dict[str, Any]:
    """Let moto execute an operation on an item completely or not at all.

    `places` are the item's keys. moto leaves a part of an update that it refuses on the way: with
    `updates` that is undone.
    """
    item = table.get_item(*places)
    _expire(ctx, table, [item] if item is not None else [])
    previous = deepcopy(table.get_item(*places)) if updates else None
    try:
        return ctx.forward()
    except AwsError:
        if updates:
            _put_back(table, places, previous)
        raise


@handles(
    "dynamodb",
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactGetItems",
    "TransactWriteItems",
)
def on_items(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer an operation on several items by moto, after expired items were removed."""
    with SERIAL:
        for name in sorted(_tables_of(params)):
            table = _table(ctx, name)
            _expire(ctx, table, list(table.all_items()))
        return ctx.forward()


@handles("dynamodb", "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")
def on_statements(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001  moto reads the statements
    """Answer PartiQL statements by moto, after expired items were removed."""
    with SERIAL:
        for table in dynamodb_backends[ctx.account][ctx.region].tables.values():
            _expire(ctx, table, list(table.all_items()))
        return ctx.forward()


def _tables_of(params: Mapping[str, Any]) -> set[str]:
    """Return the names of the tables in a request: one operation, a batch or a transaction.

    A transaction's actions are Get, Put, Update, Delete and ConditionCheck.
    """
    single = [params["TableName"]] if "TableName" in params else []
    actions = [action for item in params.get("TransactItems", ()) for action in item.values()]
    return {
        _plain_name(name)
        for name in (
            *single,
            *params.get("RequestItems", ()),
            *(action["TableName"] for action in actions),
        )
    }


def _expire(ctx: Context, table: Any, items: Iterable[Any]) -> None:
    """Delete those of a table's items that have expired (TTL) by the stack's clock."""
    field = table.ttl.get("AttributeName") if table.ttl["TimeToLiveStatus"] == "ENABLED" else None
    now = ctx.clock.now().timestamp()
    for item in items:
        until = item.attrs.get(field)
        if (
            until is not None
            and until.type == "N"
            and 0 < now - float(until.value) < _OLDEST.total_seconds()
        ):
            table.delete_item(item.hash_key, item.range_key)


def _without_key(
    answer: dict[str, Any], params: dict[str, Any], key: Sequence[str]
) -> dict[str, Any]:
    """Remove the key attributes of a new item from moto's answer about updated attributes.

    `key` has the names of these attributes.
    """
    if params.get("ReturnValues") != "UPDATED_NEW" or "Attributes" not in answer:
        return answer
    return {
        **answer,
        "Attributes": {
            name: value for name, value in answer["Attributes"].items() if name not in key
        },
    }


def _put_back(table: Any, places: Sequence[DynamoType | None], previous: Any) -> None:
    """Restore an item as it was before a failed update; None: the item did not exist.

    `places` are the item's keys.
    """
    if previous is not None:
        table.get_item(*places).attrs = previous.attrs
    elif table.get_item(*places) is not None:
        table.delete_item(*places)


def _table(ctx: Context, name: str) -> Any:
    """Return moto's table of this name, which must be ready.

    Raises:
        AwsError: There is no such table, or it is not ready yet.
    """
    table = dynamodb_backends[ctx.account][ctx.region].tables.get(name)
    if table is None or _is_making(ctx, name):
        raise AwsError("ResourceNotFoundException", "Requested resource not found")
    return table


def _with_status(ctx: Context, answer: dict[str, Any], field: str) -> dict[str, Any]:
    """Return moto's answer with the table status CREATING while the table is being made.

    `field` is the member of the answer that describes the table.
    """
    table = answer[field]
    return (
        {**answer, field: {**table, "TableStatus": "CREATING"}}
        if _is_making(ctx, table["TableName"])
        else answer
    )


def _is_making(ctx: Context, name: str) -> bool:
    """Return whether a table is still being made."""
    ready = ctx.store(Tables).ready.get(name)
    return ready is not None and ctx.clock.now() < ready


def _name(params: dict[str, Any]) -> str:
    """Return the name of the table that a request is about."""
    return _plain_name(params["TableName"])


def _plain_name(name: str) -> str:
    """Return the name of a table that is given by name or ARN."""
    return name.rpartition("/")[2]
