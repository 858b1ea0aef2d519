"""The changes of a stack: its resources are made, changed, rolled back, removed.

moto resolves the template and makes what is not SageMaker's. A stack's status is told from here,
also where nothing waits for it: a thread looks, and so does whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.caller import acting_for
from ...core.home.declarations import resumes
from ...core.moto_internals import cloudformation_event
from ...core.protocol.moto_server import SERIAL
from ...core.registry import Context
from . import convergence as bringing
from . import resources
from .placeholders import CLASSES, only_in
from .records import Managed, Stacks, stack_of
from .resources import Failure, Properties

_AGAIN = 0.2  # seconds between two looks at an endpoint that is under way


def managed_of(ctx: Context, stack: Any) -> Managed | None:
    """Return the record of a stack's SageMaker resources; None: it has none."""
    return ctx.store(Stacks).by_id.get(stack.stack_id) if stack is not None else None


def restore_outputs(stack: Any) -> None:
    """Set a stack's outputs from its template; moto forgets to after a change set."""
    with SERIAL:
        stack._parse_template()  # noqa: SLF001  as Stack.update does
        stack.output_map = stack._create_output_map()  # noqa: SLF001  as Stack.update does


def begin(
    ctx: Context,
    stack: Any,
    verb: str,
    previous: tuple[str, dict[str, str]] | None,
    params: Properties,
) -> None:
    """Begin to create or update a stack's SageMaker resources, once moto has done the others.

    Args:
        ctx: The handler's context.
        stack: moto's stack.
        verb: CREATE or UPDATE.
        previous: The template and parameters to which a failed update rolls back.
        params: The request's parameters.
    """
    stacks = ctx.store(Stacks)
    managed = stacks.by_id.get(stack.stack_id)
    if managed is None and not any(bringing.declared_in(stack)):
        return
    managed = stacks.by_id.setdefault(stack.stack_id, managed or Managed(stack.stack_id))
    managed.before, managed.on_failure = previous, params.get("OnFailure", "")
    managed.disable_rollback = (
        bool(params.get("DisableRollback")) or managed.on_failure == "DO_NOTHING"
    )
    with SERIAL:
        if stack.events and stack.events[-1].resource_status == f"{verb}_COMPLETE":
            stack.events.pop()  # moto's, who is through with it
    _start_change(ctx, managed, verb)


def delete(ctx: Context, managed: Managed, retained: list[str]) -> None:
    """Begin to delete a stack and its resources, except the retained ones."""
    with managed.lock:  # or what is under way could still say that it is complete
        managed.retained = frozenset(retained)
        _set_status(ctx, managed, "DELETE_IN_PROGRESS", "User Initiated")
        _start_change(ctx, managed, "DELETE")


@resumes(Stacks)
def resume(ctx: Context, stacks: Stacks) -> None:
    """Resume the stacks' creations, updates and deletions under way after a restart.

    moto's record of a stack may be older than the stack's own: it was persisted with another
    request.
    """
    for managed in list(stacks.by_id.values()):
        stack = stack_of(ctx, managed.id)
        if stack is not None:
            stack.status = managed.status
            for logical, resource in managed.resources.items():
                stack.resource_map[logical].name = resource.name
        if managed.verb:
            ctx.spawn(_watch, ctx, managed)


def show(ctx: Context) -> None:
    """Write the present status of all stacks into moto, which answers Describe calls."""
    for managed in list(ctx.store(Stacks).by_id.values()):
        settle(ctx, managed)
        stack = stack_of(ctx, managed.id)
        if stack is not None and managed.status:
            stack.status = managed.status


def _start_change(ctx: Context, managed: Managed, verb: str) -> None:
    """Start a stack's creation, update or deletion, in the background if it takes time.

    `verb` says which: CREATE, UPDATE or DELETE.
    """
    with managed.lock:
        managed.verb, managed.caller = verb, ctx.caller
        if verb != "DELETE":
            managed.status, managed.reason = f"{verb}_IN_PROGRESS", None
            stack_of(ctx, managed.id).status = managed.status
    settle(ctx, managed)
    if managed.verb:
        ctx.spawn(_watch, ctx.without_request(), managed)


def _watch(ctx: Context, managed: Managed) -> None:
    """Carry on a stack's change at intervals until the change ends."""
    while managed.verb and not ctx.stopping.wait(_AGAIN):
        settle(ctx, managed)


def settle(ctx: Context, managed: Managed) -> None:
    """Carry out the steps of a stack's change that are possible now, with the caller's rights.

    The caller is the one who asked for the change.
    """
    with managed.lock, acting_for(managed.caller):
        # a home that moto's stacks could not be kept in
        if managed.verb and stack_of(ctx, managed.id) is None:
            ctx.store(Stacks).by_id.pop(managed.id, None)
            managed.verb = ""
        while managed.verb:
            after = _STEPS[managed.verb](ctx, managed)
            if after is None:
                return
            managed.verb = after


def _apply(ctx: Context, managed: Managed) -> str | None:
    """Make one step of a stack's creation or update.

    Return None while something is under way, "" once the change is complete, or the verb of the
    rollback that follows a failure.
    """
    try:
        if not bringing.reconcile(ctx, managed):
            return None
    except Failure as failure:
        return _fail(ctx, managed, failure)
    bringing.clean(ctx, managed)
    if managed.replaced:
        return None
    _set_status(ctx, managed, f"{managed.verb}_COMPLETE", managed.reason)
    return ""


def _fail(ctx: Context, managed: Managed, failure: Failure) -> str:
    """Record the failure of a stack's change; return the verb of the rollback, or "" for none."""
    verb, happened = managed.verb, "create" if managed.verb == "CREATE" else "update"
    _add_event(ctx, managed, failure.logical, f"{happened.upper()}_FAILED", failure.reason)
    reason = f"The following resource(s) failed to {happened}: [{failure.logical}]."
    if verb == "UPDATE_ROLLBACK":
        _set_status(ctx, managed, "UPDATE_ROLLBACK_FAILED", reason)
        return ""
    if managed.disable_rollback:
        _set_status(ctx, managed, f"{verb}_FAILED", reason)
        return ""
    if verb == "UPDATE":
        _set_status(ctx, managed, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
        _restore_template(ctx, managed)
        return "UPDATE_ROLLBACK"
    if managed.on_failure == "DELETE":
        _set_status(ctx, managed, "DELETE_IN_PROGRESS", reason)
        return "DELETE"
    _set_status(ctx, managed, "ROLLBACK_IN_PROGRESS", f"{reason} Rollback requested by user.")
    return "ROLLBACK"


def _restore_template(ctx: Context, managed: Managed) -> None:
    """Set a stack in moto back to the previous template, for a rollback."""
    stack = stack_of(ctx, managed.id)
    template, parameters = managed.before or (stack.template, stack.parameters)
    with SERIAL, only_in(managed.id):
        events = list(stack.events)
        stack.update(template, stack.role_arn, parameters)
        stack.events, stack.status = events, managed.status


def _remove(ctx: Context, managed: Managed) -> str | None:
    """Delete all of a stack's SageMaker resources, dependants first.

    Return None while an endpoint is being deleted, else the verb of what follows, or "".
    """
    remaining = [*managed.replaced, *managed.resources.values()]
    for resource in sorted(
        remaining, key=lambda resource: -list(CLASSES).index(resource.resource_type)
    ):
        if managed.verb == "DELETE" and resource.logical in managed.retained:
            continue
        try:
            if not resources.remove(ctx, resource):
                return None
        except Failure as failure:
            _add_event(ctx, managed, failure.logical, "DELETE_FAILED", failure.reason)
            _set_status(
                ctx,
                managed,
                f"{managed.verb}_FAILED",
                f"The following resource(s) failed to delete: [{failure.logical}].",
            )
            return ""
        managed.resources.pop(resource.logical, None)
    managed.replaced.clear()
    return _remove_from_moto(ctx, managed)


def _remove_from_moto(ctx: Context, managed: Managed) -> str:
    """Delete a stack's resources that moto itself holds; return "", as nothing follows."""
    try:
        if managed.verb == "DELETE":
            ctx.moto("cloudformation", "DeleteStack", {"StackName": managed.id})
            ctx.store(Stacks).by_id.pop(managed.id, None)
        else:
            _empty(stack_of(ctx, managed.id))
            _set_status(ctx, managed, "ROLLBACK_COMPLETE", managed.reason)
    except Exception as error:  # noqa: BLE001  moto's are of every kind
        _set_status(ctx, managed, f"{managed.verb}_FAILED", str(error))
    return ""


def _empty(stack: Any) -> None:
    """Delete all resources of a stack from moto."""
    with SERIAL:
        stack.resource_map.delete()
        stack.resource_map._resource_json_map = {}  # noqa: SLF001  moto would make again what it is asked to list
        stack.output_map._output_json_map = {}  # noqa: SLF001  moto would tell outputs of resources that are gone


_STEPS: dict[str, Callable[[Context, Managed], str | None]] = {
    "CREATE": _apply,
    "UPDATE": _apply,
    "UPDATE_ROLLBACK": _apply,
    "ROLLBACK": _remove,
    "DELETE": _remove,
}


def _set_status(ctx: Context, managed: Managed, status: str, reason: str | None) -> None:
    """Set a stack's status, and record it as a stack event."""
    managed.status, managed.reason = status, reason
    stack = stack_of(ctx, managed.id)
    with SERIAL:
        stack.status = status
        stack._add_stack_event(status, resource_status_reason=reason)  # noqa: SLF001  moto's own way


def _add_event(ctx: Context, managed: Managed, logical: str, status: str, reason: str) -> None:
    """Record an event of a stack's resource, for DescribeStackEvents.

    `logical` is the resource's id in the template.
    """
    stack = stack_of(ctx, managed.id)
    resource = stack.resource_map[logical]
    with SERIAL:
        stack.events.append(
            cloudformation_event(
                stack_id=stack.stack_id,
                stack_name=stack.name,
                logical_resource_id=logical,
                physical_resource_id=resource.physical_resource_id if resource is not None else "",
                resource_type=resource.cf_resource_type if resource is not None else "",
                resource_status=status,
                resource_status_reason=reason,
                resource_properties=None,
            )
        )
