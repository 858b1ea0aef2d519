"""The operations on prepared statements, which belong to a workgroup."""

from __future__ import annotations

from typing import Any

from ....core import paging
from ....core.registry import AwsError, Context, handles
from ..errors import refusal
from ..records import AllPrepared, Prepared
from ..sql import checks as check
from ..sql import statements
from ..sql.errors import Malformed
from . import workgroups


def _missing(name: str) -> AwsError:
    """Return the error for a prepared statement that does not exist."""
    return AwsError(
        "ResourceNotFoundException",
        f"Prepared Statement {name} does not exist",
        400,
        ResourceName=name,
    )


@handles("athena", "CreatePreparedStatement")
def create_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call CreatePreparedStatement: create a prepared statement."""
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
    """Answer Athena's API call UpdatePreparedStatement: change a prepared statement."""
    store = ctx.store(AllPrepared)
    with store.lock:
        key = (params["WorkGroup"], params["StatementName"].lower())
        if key not in store.by_name:
            raise _missing(params["StatementName"])
        store.by_name[key] = _prepared_statement(ctx, params)
    return {}


def _prepared_statement(ctx: Context, params: dict[str, Any]) -> Prepared:
    """Return the prepared statement in a request, after checking that its SQL parses."""
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
    """Answer Athena's API call GetPreparedStatement: return a prepared statement."""
    prepared = ctx.store(AllPrepared).by_name.get(
        (params["WorkGroup"], params["StatementName"].lower())
    )
    if prepared is None:
        raise _missing(params["StatementName"])
    return {"PreparedStatement": _description(prepared)}


@handles("athena", "BatchGetPreparedStatement")
def batch_get_prepared_statement(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call BatchGetPreparedStatement: return several prepared statements."""
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
    """Answer Athena's API call ListPreparedStatements: list the prepared statements."""
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
    """Answer Athena's API call DeletePreparedStatement: delete a prepared statement."""
    if (
        ctx.store(AllPrepared).by_name.pop(
            (params["WorkGroup"], params["StatementName"].lower()), None
        )
        is None
    ):
        raise _missing(params["StatementName"])
    return {}


def _description(prepared: Prepared) -> dict[str, Any]:
    """Return a prepared statement in the form of the API's responses."""
    return {
        "StatementName": prepared.name,
        "QueryStatement": prepared.query,
        "WorkGroupName": prepared.workgroup,
        "Description": prepared.description,
        "LastModifiedTime": prepared.modified,
    }
