"""The stacks with resources of SageMaker, and these resources."""

from __future__ import annotations

import threading
from typing import Any

from ...core.caller import Caller
from ...core.moto_internals import cloudformation_backends
from ...core.registry import Context
from .resources import Resource


class Managed:
    """A stack that has, or had, resources of SageMaker."""

    def __init__(self, stack_id: str) -> None:
        self.id = stack_id
        self.caller: Caller | None = (
            None  # who asked for what is under way: it needs their rights, whoever looks
        )
        self.verb = ""  # what is under way; "": nothing
        self.status = ""
        self.reason: str | None = None
        self.resources: dict[str, Resource] = {}  # by their logical names
        self.replaced: list[Resource] = []  # to be removed once all is well
        self.before: tuple[str, dict[str, str]] | None = (
            None  # template and parameters, to go back to
        )
        self.disable_rollback = False
        self.on_failure = ""
        self.retained: frozenset[str] = frozenset()
        self.lock = threading.RLock()


class Stacks:
    """The stacks of one account and region."""

    def __init__(self) -> None:
        self.by_id: dict[str, Managed] = {}


def stack_of(ctx: Context, name: str) -> Any:
    """Return moto's CloudFormation stack by name or ARN, or None."""
    stacks = cloudformation_backends()[ctx.account][ctx.region].stacks.values()
    return next((stack for stack in stacks if name in (stack.name, stack.stack_id)), None)
