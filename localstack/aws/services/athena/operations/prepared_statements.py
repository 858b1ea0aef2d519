"""Prepared statements, kept by workgroup."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import msgspec

from ....core import paging
from ....core.registry import AwsError, Context, handles
from ..errors import QueryFailed
from ..sql import checks as check
from ..sql import statements
from ..sql.errors import Malformed
from . import workgroups
from .catalogs import refusal


class Prepared(msgspec.Struct, frozen=True):
    name: str
    query: str
    workgroup: str
    description: str
    modified: datetime


class AllPrepared:
    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], Prepared] = {}
        self.lock = threading.Lock()


def resolve(
    ctx: Context, workgroup: str, execute: statements.Execute, values: tuple[str, ...]
) -> tuple[statements.Statement, tuple[str, ...]]:
    """The statement that EXECUTE stands for, and the values of USING, or else `values`, those of
    the call.
    """
    prepared = ctx.store(AllPrepared).by_name.get((workgroup, execute.name))
    if prepared is None:
        raise Malformed(f"Prepared statement {execute.name} was not found in workgroup {workgroup}")
    if execute.parameters and values:
        raise refusal(
            f"EXECUTE {execute.name} has USING: the call cannot bring ExecutionParameters, too"
        )
    return statements.read(prepared.query), execute.parameters or values


def prepare(ctx: Context, workgroup: str, statement: statements.Prepare) -> None:
    """PREPARE name FROM query. ALREADY_EXISTS."""
    store, key = ctx.store(AllPrepared), (workgroup, statement.name)
    with store.lock:
        if key in store.by_name:
            raise QueryFailed(
                "ALREADY_EXISTS",
                f"Prepared statement {statement.name} already exists in workgroup {workgroup}",
            )
        store.by_name[key] = Prepared(
            statement.name, statement.query, workgroup, "", ctx.clock.now()
        )


def deallocate(ctx: Context, workgroup: str, statement: statements.Deallocate) -> None:
    """DEALLOCATE PREPARE name. NOT_FOUND."""
    if ctx.store(AllPrepared).by_name.pop((workgroup, statement.name), None) is None:
        raise QueryFailed("NOT_FOUND", f"Prepared statement not found: {statement.name}", at=(1, 1))


def _missing(name: str) -> AwsError:
    return AwsError(
        "ResourceNotFoundException",
        f"Prepared Statement {name} does not exist",
        400,
        ResourceName=name,
    )


@handles("athena", "CreatePreparedStatement")
def create_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    store = ctx.store(AllPrepared)
    with store.lock:
        key = (params["WorkGroup"], params["StatementName"].lower())
        if key in store.by_name:
            raise refusal(
                f"Prepared statement {params['StatementName']} already exists in workgroup "
                f"{params['WorkGroup']}"
            )
        store.by_name[key] = _prepared_statement(ctx, params)
    return {}


@handles("athena", "UpdatePreparedStatement")
def update_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    store = ctx.store(AllPrepared)
    with store.lock:
        key = (params["WorkGroup"], params["StatementName"].lower())
        if key not in store.by_name:
            raise _missing(params["StatementName"])
        store.by_name[key] = _prepared_statement(ctx, params)
    return {}


def _prepared_statement(ctx: Context, params: dict[str, Any]) -> Prepared:
    workgroups.find(ctx, params["WorkGroup"])
    try:
        check.syntax(statements.preparable(params["QueryStatement"]).query)
    except Malformed as error:
        raise refusal(str(error)) from error
    return Prepared(
        params["StatementName"],
        params["QueryStatement"],
        params["WorkGroup"],
        params.get("Description", ""),
        ctx.clock.now(),
    )


@handles("athena", "GetPreparedStatement")
def get_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    prepared = ctx.store(AllPrepared).by_name.get(
        (params["WorkGroup"], params["StatementName"].lower())
    )
    if prepared is None:
        raise _missing(params["StatementName"])
    return {"PreparedStatement": _description(prepared)}


@handles("athena", "BatchGetPreparedStatement")
def batch_get_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    store = ctx.store(AllPrepared).by_name
    by_name = {
        name: store.get((params["WorkGroup"], name.lower()))
        for name in params["PreparedStatementNames"]
    }
    return {
        "PreparedStatements": [
            _description(prepared) for prepared in by_name.values() if prepared is not None
        ],
        "UnprocessedPreparedStatementNames": [
            {
                "StatementName": name,
                "ErrorCode": "STATEMENT_NOT_FOUND",
                "ErrorMessage": f"Prepared Statement {name} does not exist",
            }
            for name, prepared in by_name.items()
            if prepared is None
        ],
    }


@handles("athena", "ListPreparedStatements")
def list_prepared_statements(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    of_group = sorted(
        (
            p
            for p in list(ctx.store(AllPrepared).by_name.values())
            if p.workgroup == params["WorkGroup"]
        ),
        key=lambda p: p.name,
    )
    page, more = paging.page(of_group, params, 50, refusal("The NextToken is not valid."))
    return {
        "PreparedStatements": [
            {"StatementName": p.name, "LastModifiedTime": p.modified} for p in page
        ],
        **more,
    }


@handles("athena", "DeletePreparedStatement")
def delete_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    if (
        ctx.store(AllPrepared).by_name.pop(
            (params["WorkGroup"], params["StatementName"].lower()), None
        )
        is None
    ):
        raise _missing(params["StatementName"])
    return {}


def _description(prepared: Prepared) -> dict[str, Any]:
    return {
        "StatementName": prepared.name,
        "QueryStatement": prepared.query,
        "WorkGroupName": prepared.workgroup,
        "Description": prepared.description,
        "LastModifiedTime": prepared.modified,
    }
