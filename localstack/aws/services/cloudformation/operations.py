"""The operations on stacks and change sets."""

from __future__ import annotations

from typing import Any

from ...core.registry import AwsError, Context, handles
from . import stack_changes as managing
from . import templates
from .placeholders import only_in
from .records import Stacks, stack_of

_BUSY = "_IN_PROGRESS"


@handles("cloudformation", "CreateStack")
def create_stack(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudFormation's API call CreateStack: create a stack."""
    _prepare(ctx, params)
    with only_in(params["StackName"]):
        answer = ctx.forward()
    managing.begin(ctx, stack_of(ctx, answer["StackId"]), "CREATE", None, params)
    return answer


@handles("cloudformation", "UpdateStack")
def update_stack(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudFormation's API call UpdateStack: change a stack."""
    _prepare(ctx, params)
    stack = stack_of(ctx, params["StackName"])
    previous = _previous_template(stack)
    with only_in(params["StackName"]):
        answer = ctx.forward()
    managing.begin(ctx, stack, "UPDATE", previous, params)
    return answer


@handles("cloudformation", "CreateChangeSet", executes=False)
def create_change_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudFormation's API call CreateChangeSet: create a change set."""
    _prepare(ctx, params)
    return ctx.forward()


@handles("cloudformation", "CreateStackSet", "UpdateStackSet", executes=False)
def stack_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer the operations on stack sets by moto, after a check of the template."""
    _prepare(ctx, params, sets=True)
    return ctx.forward()


@handles("cloudformation", "ExecuteChangeSet")
def execute_change_set(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudFormation's API call ExecuteChangeSet: carry out a change set."""
    _prepare(ctx, {})
    described = ctx.moto("cloudformation", "DescribeChangeSet", _stack_parameters(params))
    stack = stack_of(ctx, described["StackId"])
    new = stack is not None and stack.status == "REVIEW_IN_PROGRESS"
    previous = None if new else _previous_template(stack)
    with only_in(described["StackId"]):
        answer = ctx.forward()
    managing.restore_outputs(stack)
    managing.begin(ctx, stack, "CREATE" if new else "UPDATE", previous, params)
    return answer


@handles("cloudformation", "DeleteStack")
def delete_stack(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer DeleteStack: delete a stack, in the background until its endpoints are gone.

    A creation or update that is under way ends first.
    """
    stack = stack_of(ctx, params["StackName"])
    managed = managing.managed_of(ctx, stack)
    if managed is None:
        return ctx.forward()
    managing.delete(ctx, managed, params.get("RetainResources") or [])
    return {}


@handles(
    "cloudformation",
    "DescribeStackEvents", "DescribeStackResource", "DescribeStackResources",
    "ListStackResources", "ListStacks",
    executes=False,
)  # fmt: skip
def look(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer a Describe or List operation by moto, after updating the stacks' status there."""
    del params
    managing.show(ctx)
    return ctx.forward()


@handles("cloudformation", "DescribeStacks", executes=False)
def describe_stacks(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Describe stacks, SageMaker resources included.

    It answers CloudFormation's API call DescribeStacks.
    """
    del params
    managing.show(ctx)
    answer = ctx.forward()
    reasons = {managed.id: managed.reason for managed in ctx.store(Stacks).by_id.values()}
    stacks = [
        {**stack, "StackStatusReason": reasons[stack["StackId"]]}
        if reasons.get(stack["StackId"])
        else stack
        for stack in answer["Stacks"]
    ]
    return {**answer, "Stacks": stacks}


def _prepare(ctx: Context, params: dict[str, Any], *, sets: bool = False) -> None:
    """Check the template of a request, and register the resource classes that moto needs.

    `sets`: the request is one on stack sets.
    """
    templates.show_placeholders(moto_answers=ctx.moto_answers)
    templates.check(ctx, params, sets=sets)


def _stack_parameters(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that name a change set and its stack."""
    return {name: params[name] for name in ("ChangeSetName", "StackName") if name in params}


def _previous_template(stack: Any) -> tuple[str, dict[str, str]] | None:
    """Return the template and parameters of a stack, to which a failed update rolls back.

    None: moto has no such stack, and answers so.

    Raises:
        AwsError: A change of the stack is under way (ValidationError).
    """
    if stack is None:
        return None
    if stack.status.endswith(_BUSY):
        raise AwsError(
            "ValidationError",
            f"Stack:{stack.stack_id} is in {stack.status} state and can not be updated.",
            400,
        )
    return stack.template, dict(stack.parameters)
