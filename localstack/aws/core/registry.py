"""The registry of handlers, and the context that a handler works with.

    @handles("sagemaker", "CreateEndpoint")
    def create_endpoint(ctx: Context, params: dict[str, Any]) -> dict[str, Any]: ...

`params` are as botocore would have been given them (times are aware datetimes, blobs are bytes),
the result is as botocore would return it (a StreamingBody as bytes). Handlers run in many threads
at once: a store guards itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from ...core.contexts import StackContext
from ...core.faults import Fault
from ...core.state import Stack
from .caller import acting_for
from .environment import ACCOUNT, REGION, ROLE, exports
from .sessions import Sessions

if TYPE_CHECKING:
    from .incoming import IncomingRequest

T = TypeVar("T")
_NAMELESS = "no-role"


class AwsError(Exception):
    """An error in the service's own words.

    Args:
        code: The error's code, such as ResourceNotFound.
        message: The text of the error.
        status: The HTTP status; None: the one in the service's model, else 400.
        fields: The members of the error's shape.
    """

    def __init__(self, code: str, message: str, status: int | None = None, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields


class Handler(Protocol):
    """A function that executes an operation."""

    def __call__(self, ctx: Context, params: dict[str, Any], /) -> dict[str, Any] | None: ...


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that has a handler of ours."""

    service: str  # botocore's name
    name: str
    handler: Handler
    executes: bool  # False: it stores only (the coverage list says so)


OPERATIONS: dict[tuple[str, str], Operation] = {}


def handles(service: str, *operations: str, executes: bool = True) -> Callable[[Handler], Handler]:
    """Register the decorated function as the handler of API operations of a service.

    Args:
        service: botocore's name of the service.
        operations: The names of its operations.
        executes: False: the operation only stores, and the coverage list says so.

    Raises:
        ValueError: An operation has a handler already.
    """

    def add(handler: Handler) -> Handler:
        for name in operations:
            if (service, name) in OPERATIONS:
                raise ValueError(
                    f"{service}:{name} has a handler already: {OPERATIONS[service, name].handler!r}"
                )
            OPERATIONS[service, name] = Operation(
                service=service, name=name, handler=handler, executes=executes
            )
        return handler

    return add


class Services(Protocol):
    """The part of the front that a Context needs: moto below it, the whole stack above."""

    def client(self, service: str, account: str, region: str) -> Any:
        """Return a boto3 client of a service whose calls this stack answers inside the process."""

    def moto(
        self, service: str, operation: str, params: Mapping[str, Any], account: str, region: str
    ) -> dict[str, Any]:
        """Return moto's own result of an operation, even where the stack has a handler for it.

        `params` are the operation's parameters.
        """
        ...

    def forward(self, incoming: IncomingRequest) -> dict[str, Any]:
        """Return moto's own result of a request."""
        ...


class Context(StackContext):
    """A handler's access to the stack: its clock, its stores, its other services.

    It may be kept by a timer or a thread; `forward` alone belongs to the request.
    """

    __slots__ = ("_services", "account", "caller", "incoming", "region")

    def __init__(
        self,
        stack: Stack,
        services: Services,
        account: str,
        region: str,
        incoming: IncomingRequest | None = None,
    ) -> None:
        super().__init__(stack)
        self._services = services
        self.account = account
        self.region = region
        self.incoming = incoming
        self.caller = incoming.caller if incoming is not None else None

    @property
    def _owner(self) -> tuple[str, ...]:
        """The account and region whose state the handler reads and writes."""
        return self.account, self.region

    @property
    def _called(self) -> tuple[str, str]:
        """The service and operation of the request."""
        incoming = self.incoming
        return (incoming.service, incoming.operation) if incoming is not None else ("", "")

    @property
    def moto_answers(self) -> bool:
        """Whether moto's canned answers replace errors for what is not executed here."""
        return self.stack.moto_answers

    def env(self, role: str) -> dict[str, str]:
        """Return environment variables with which a subprocess calls this stack as an IAM role.

        Args:
            role: The role's ARN; "": the request named none.
        """
        role = role or f"arn:aws:iam::{self.account}:role/{_NAMELESS}"
        session = self.sessions.issue(self.account, role=role)
        more = {"AWS_SESSION_TOKEN": session.token, ROLE: role}
        return {**exports(self.stack.url, self.region, session.key, session.secret), **more}

    @property
    def sessions(self) -> Sessions:
        """The session keys that the stack has issued, of all accounts and regions.

        A reset drops them.
        """
        return self.state.store((ACCOUNT, REGION), Sessions)

    def client(self, service: str) -> Any:
        """Return a boto3 client of this same stack, which works without a network connection.

        It reaches every service, moto's included. Its calls are not in the log and meet no faults.
        """
        return self._services.client(service, self.account, self.region)

    def as_caller(self) -> AbstractContextManager[None]:
        """Limit internal calls within the block to the IAM permissions of the request's caller.

        Athena, for example, reads Glue and S3 with its caller's permissions.
        """
        return acting_for(self.caller)

    def moto(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return moto's own answer to an operation, even if we have a handler for it.

        Raises:
            AwsError: moto refuses.
        """
        return self._services.moto(service, operation, params, self.account, self.region)

    def forward(self) -> dict[str, Any]:
        """Return moto's own answer to the request.

        Raises:
            AwsError: moto refuses.
        """
        if self.incoming is None:
            raise RuntimeError(
                "forward() belongs to a request; use moto(service, operation, params)"
            )
        return self._services.forward(self.incoming)

    def service_fault(
        self, service: str, operation: str, names: tuple[str, ...] = ()
    ) -> Fault | None:
        """Take an injected throttling or error fault for an internal call, or None.

        Internal calls are those that a pipeline makes for its steps, and a job for its host;
        `names` are the resources in it. Only a fault that names the operation applies to them; the
        others wait for calls of clients.
        """
        if not any(rule.operation == operation for rule in self.stack.faults.list()):
            return None
        return self.stack.faults.take(("throttle", "error"), service, operation, names)

    def without_request(self) -> Context:
        """Return a context for background work, which does not keep the request in memory."""
        context = Context(self.stack, self._services, self.account, self.region)
        context.state = self.state
        context.caller = self.caller
        return context
