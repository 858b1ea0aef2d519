"""PREPARE, EXECUTE and DEALLOCATE PREPARE, as statements of a query."""

from __future__ import annotations

from ....core.registry import Context
from ..errors import QueryFailed, refusal
from ..records import AllPrepared, Prepared
from ..sql import statements
from ..sql.errors import Malformed


def resolve(
    ctx: Context, workgroup: str, execute: statements.Execute, values: tuple[str, ...]
) -> tuple[statements.Statement, tuple[str, ...]]:
    """Return the prepared statement that EXECUTE names, and the values of its parameters.

    The values are those of USING, or else `values`, which the request has.
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
    """Execute PREPARE name FROM query: store a prepared statement in the workgroup.

    Raises:
        QueryFailed: The name is taken (ALREADY_EXISTS).
    """
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
    """Execute DEALLOCATE PREPARE name: delete a prepared statement of the workgroup.

    Raises:
        QueryFailed: There is no such statement (NOT_FOUND).
    """
    if ctx.store(AllPrepared).by_name.pop((workgroup, statement.name), None) is None:
        raise QueryFailed(
            "NOT_FOUND", f"Prepared statement not found: {statement.name}", position=(1, 1)
        )
