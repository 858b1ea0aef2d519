"""The WSGI application of the stack: faults first, then our handler or moto, then the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from http.client import responses
from typing import TYPE_CHECKING, Any

import msgspec

from ..core import control
from ..core.calls import is_mutating, names
from ..core.error_log import tell, tell_line
from ..core.faults import Fault, Kind
from ..core.fronts import StackFront, take_faults
from ..core.http.answers import Cut, WsgiAnswer
from ..core.minutes import Minutes
from ..core.state import Stack
from . import coverage
from .core import in_process
from .core.caller import on_behalf_of
from .core.environment import ACCOUNT, REGION
from .core.identity import authentication as door
from .core.incoming import INTERNAL, IncomingRequest
from .core.policy import managed as managed_policies
from .core.policy.enforcement import Access
from .core.policy.evaluation import AccessRequest, Used
from .core.protocol import constraints, moto_server, wire
from .core.protocol.proxy import Proxy
from .core.registry import OPERATIONS, AwsError, Context
from .services.sagemaker.endpoints.invocation.scripted_traffic import add as add_minutes

if TYPE_CHECKING:
    from .core.home.keeper import Keeper

_encode = msgspec.json.Encoder().encode
# moto's own route, which its users' suites call between two tests
_MOTO_RESET = (
    "POST",
    "/moto-api/reset",
)
# what a fault calls the start of a job's host
_ASKED_INSIDE = frozenset({"TrainingJob", "ProcessingJob", "TransformJob"})
# What a throttled caller is told, where it is not ThrottlingException with status 400.
_THROTTLED = {
    "s3": ("SlowDown", 503),
    "cloudwatch": ("Throttling", 400),
    "kinesis": ("ProvisionedThroughputExceededException", 400),
    "firehose": ("ServiceUnavailableException", 503),
    "athena": ("TooManyRequestsException", 400),
    "dynamodb": ("ProvisionedThroughputExceededException", 400),
}


class Front(StackFront):
    """The application of one stack. It is thread-safe: waitress calls it from many threads."""

    def __init__(self, stack: Stack) -> None:
        self.used = Used()
        super().__init__(stack, self.used)
        self.access = Access()
        self._proxy = Proxy(stack)
        self.routes: Mapping[str, Callable[[], object]] = {
            "GET policy": self.used.policy,
            "GET coverage": coverage.coverage,
            "GET environment": self._proxy.variables,
        }
        self._keeper: Keeper | None = None
        self._clients = in_process.Clients(self._internal)
        moto_server.configure(moto_answers=stack.moto_answers)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        # a signature says enough, behind a proxy or in compose too
        refused = _foreign(environ, any_host=not self.stack.any_key)
        if refused is not None:
            done = refused
        elif environ.get("PATH_INFO", "").startswith("/_stack/"):
            done = control.answer(self, environ)
        elif environ.get("PATH_INFO", "").startswith("/moto-api/"):
            done = self._answer_moto_route(environ)
        else:
            wire.buffer_body(environ)
            done = self._parse_and_answer(environ)
        headers = [
            header
            for header in done.headers
            if header[0].lower() not in ("content-length", "connection", "transfer-encoding")
        ]
        if environ["REQUEST_METHOD"] == "HEAD":
            headers = [*headers, *(h for h in done.headers if h[0].lower() == "content-length")]
            start_response(f"{done.status} {responses.get(done.status, 'Answer')}", headers)
            return []
        headers.append(("Content-Length", str(len(done.body))))
        start_response(f"{done.status} {responses.get(done.status, 'Answer')}", headers)
        return [done.body]

    def _parse_and_answer(self, environ: dict[str, Any]) -> WsgiAnswer:
        """Return the HTTP response to a request, also to one that cannot be parsed."""
        try:
            return self._admit(wire.understand(environ))
        except Cut:
            raise
        except Exception as error:  # noqa: BLE001  whatever was sent: its sender is told in its API's shape
            tell_line("a request cannot be read", f"{type(error).__name__}: {error}")
            return wire.unreadable(
                environ,
                AwsError("SerializationException", f"the request cannot be read: {error}", 400),
            )

    def _admit(self, incoming: IncomingRequest) -> WsgiAnswer:
        """Authenticate a request and return its HTTP response, or an error for a refused sender."""
        refused = door.admit(self.stack, incoming)
        if refused is None:
            return self.answer(incoming)
        done = wire.refusal(incoming, refused)
        self._log(incoming, (), done, {}, cut=False, refused=True)
        return done

    def _answer_moto_route(self, environ: dict[str, Any]) -> WsgiAnswer:
        """Return the HTTP response to a request for moto's own control routes (/moto-api/).

        With --open they are free: suites of moto's users call them between two tests.
        """
        route = (environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if (
            not self.stack.any_key
            and (refused := control.refusal_of(self.stack, " ".join(route), environ)) is not None
        ):
            return refused
        wire.buffer_body(environ)
        if route == ("POST", "/moto-api/reset-auth"):
            return self._enforce(environ)
        if route == _MOTO_RESET:
            self.reset()
            return WsgiAnswer(200, (("Content-Type", "application/json"),), b'{"status": "ok"}')
        return self.answer(wire.understand(environ))

    def answer(self, incoming: IncomingRequest) -> WsgiAnswer:
        """Return the HTTP response to an authenticated request; apply faults and log the call.

        Raises:
            Cut: A fault cuts the connection.
        """
        with self.stack.state.request(mutating=is_mutating(incoming.operation)):
            return self._answer(incoming)

    def _answer(self, incoming: IncomingRequest) -> WsgiAnswer:
        """Return the HTTP response to a request by its handler or by moto, with injected faults."""
        named = self._names(incoming)
        faults = (
            {}
            if incoming.is_internal
            else take_faults(self.stack, incoming.service, incoming.operation, named)
        )
        done: WsgiAnswer | None = None
        if "latency" in faults:
            self.stack.state.stopping.wait(faults["latency"].seconds)
        if "throttle" in faults:
            done = wire.refusal(incoming, _throttling(incoming))
        elif "error" in faults:
            done = wire.refusal(incoming, _error(incoming, faults["error"]))
        elif "cut-before" not in faults:
            done = self._save(incoming, self._effect(incoming))
        cut = "cut-before" in faults or "cut-after" in faults
        self._log(incoming, named, done, faults, cut=cut)
        if cut or done is None:
            raise Cut
        return done

    def services(self) -> frozenset[str]:
        """Return the names of the AWS services that the stack covers."""
        return coverage.services()

    def operations(self, service: str | None) -> frozenset[str]:
        """Return the names of the operations of a service, or of all, that the stack covers."""
        return coverage.operations(service) | _ASKED_INSIDE

    def _reset_cloud(self) -> None:
        """Reset moto's state, the persisted state and the recorded permissions."""
        moto_server.reset()
        if self._keeper is not None:
            self._keeper.clear()
        self.access.reset()

    def add_minutes(self, scripted: Minutes) -> None:
        """Add simulated traffic, minute by minute, to an endpoint's CloudWatch metrics."""
        ctx = Context(self.stack, self, ACCOUNT, scripted.region or REGION)
        try:
            add_minutes(ctx, scripted)
        except AwsError as error:
            raise ValueError(error.message) from error

    def begin(self) -> None:
        """Load persisted state before the first request.

        The stack knows its URL by now.
        """
        if self.stack.persistent is not None:
            from .core.home.keeper import Keeper

            keeper = Keeper(
                self.stack.persistent,
                self.stack,
                lambda account, region: Context(self.stack, self, account, region),
            )
            keeper.restore()
            self._keeper = keeper
            keeper.resume()

    def close(self) -> None:
        """Stop the stack's background work, and save its state for the last time."""
        self.stack.clock.settle()
        super().close()
        self._proxy.close()
        if self._keeper is not None:
            self._keeper.close()

    def _effect(self, incoming: IncomingRequest) -> WsgiAnswer:
        """Execute a request by its own handler or else by moto, and return the response."""
        operation = OPERATIONS.get((incoming.service, incoming.operation))
        if _may_meet_deliveries(incoming):
            self.stack.clock.settle()
        try:
            self._authorize(incoming)
            wire.check_body(incoming)
            if operation is None:
                if not self.stack.moto_answers and (refused := moto_server.made_up(incoming)):
                    return wire.refusal(incoming, refused)
                return self._moto(incoming)
            ctx = Context(self.stack, self, incoming.account, incoming.region, incoming)
            params = wire.parameters(incoming)
            if incoming.model is not None:
                constraints.check(
                    incoming.service, incoming.model, params, as_moto=self.stack.moto_answers
                )
            with self.stack.clock.request():
                return wire.answer(incoming, operation.handler(ctx, params))
        except AwsError as error:
            return wire.refusal(incoming, error)
        except Exception as error:  # noqa: BLE001  a handler's mistake: told to the client at once, in words, and to our stderr in full
            tell(f"the handler of {incoming.service}:{incoming.operation} failed", error)
            text = (
                f"the AWS stack failed at {incoming.service}:{incoming.operation}: "
                f"{type(error).__name__}: {error}"
            )
            # 501, which no SDK tries again
            return wire.refusal(incoming, AwsError("InternalFailure", text, 501))

    def _moto(self, incoming: IncomingRequest) -> WsgiAnswer:
        """Let moto execute a request, and return its response."""
        if not self.stack.moto_answers:
            managed_policies.load(incoming)
        done = moto_server.answer(incoming)
        if self._keeper is not None and done.status < 400:
            self._keeper.note(incoming)
        return done

    def _save(self, incoming: IncomingRequest, done: WsgiAnswer) -> WsgiAnswer:
        """Persist what a successful request has changed, then return its response, `done`.

        The response is an error where that cannot be persisted.
        """
        if self._keeper is None or done.status >= 400 or not is_mutating(incoming.operation):
            return done
        try:
            self._keeper.save()
        except Exception as error:  # noqa: BLE001  whatever it is, the client must not be told that all is well
            tell("the stack's home cannot be written", error)
            text = (
                f"the AWS stack did {incoming.service}:{incoming.operation}, but its home cannot "
                f"be written: {error}"
            )
            return wire.refusal(incoming, AwsError("InternalFailure", text, 501))
        return done

    def _authorize(self, incoming: IncomingRequest) -> None:
        """Check that the caller's IAM policies allow a request.

        The stack's own calls are free, but not those that it makes for a caller.

        Raises:
            AwsError: The caller lacks a right.
        """
        inside = incoming.is_internal
        caller = on_behalf_of() if inside else incoming.caller
        if (
            caller is None
            or caller.role
            or incoming.environ.get("PATH_INFO", "").startswith("/moto-api")
        ):
            return
        enforced = self.access.applies_to_next_call(counts=not inside)
        if not (enforced or inside):
            return
        wire.parameters(incoming)
        request = _access_request(incoming, by_athena=inside)
        if inside:
            self.used.add(request, ())
        if enforced:
            self.access.check(incoming, caller, request)

    def _enforce(self, environ: dict[str, Any]) -> WsgiAnswer:
        """Set the number of calls after which IAM policies are enforced on each caller.

        It does what moto's set_initial_no_auth_action_count does.
        """
        try:
            previous = self.access.start(float(environ["wsgi.input"].read()))
        except ValueError:
            return WsgiAnswer(
                400, (("Content-Type", "text/plain"),), b"the body is a number of calls\n"
            )
        return WsgiAnswer(
            200,
            (("Content-Type", "application/json"),),
            _encode({"status": "ok", "PREVIOUS_INITIAL_NO_AUTH_ACTION_COUNT": str(previous)}),
        )

    def _names(self, incoming: IncomingRequest) -> tuple[str, ...]:
        """Return the names of the resources in a request's parameters, for logs and faults.

        A request of the stack to itself has none.
        """
        if incoming.is_internal:
            return ()
        try:
            return names(wire.parameters(incoming))
        except AwsError:  # it will be said when the operation is answered
            return ()

    def _log(
        self,
        incoming: IncomingRequest,
        named: tuple[str, ...],
        done: WsgiAnswer | None,
        faults: Mapping[Kind, Fault],
        *,
        cut: bool,
        refused: bool = False,
    ) -> None:
        """Add a call to the log, and record the IAM permissions that it needed.

        Args:
            incoming: The request.
            named: The names of the resources in it.
            done: The response; None: there is none.
            faults: The injected faults that it met.
            cut: Whether a fault has cut the connection.
            refused: Whether its sender was refused.
        """
        if incoming.is_internal:
            return
        if (
            incoming.model is not None
            and not (incoming.caller.role or refused)
            and (done is None or done.status != 501)
        ):
            self.used.add(_access_request(incoming), named)
        self.calls.add(
            called_at=self.stack.clock.now(),
            service=incoming.service,
            operation=incoming.operation,
            names=named,
            status=0 if cut or done is None else done.status,
            error=done.error if done else None,
            fault=next(reversed([*faults]), None),
        )

    # What a Context asks for (registry.Services).

    def client(self, service: str, account: str, region: str) -> Any:
        """Return a boto3 client whose calls this stack answers inside the process."""
        return self._clients.get(service, account, region)

    def moto(
        self, service: str, operation: str, params: Mapping[str, Any], account: str, region: str
    ) -> dict[str, Any]:
        """Return moto's own result of an operation, even where we have a handler for it."""
        incoming = wire.understand(
            in_process.environ_of_call(service, operation, params, account, region)
        )
        return in_process.parsed(service, operation, self._moto(incoming))

    def forward(self, incoming: IncomingRequest) -> dict[str, Any]:
        """Return moto's own result of a request."""
        return in_process.parsed(incoming.service, incoming.operation, self._moto(incoming))

    def _internal(self, environ: dict[str, Any]) -> WsgiAnswer:
        """Return the response to an internal request, sent by the stack's own boto3 clients."""
        environ[INTERNAL] = True
        return self.answer(wire.understand(environ))


def _may_meet_deliveries(incoming: IncomingRequest) -> bool:
    """Return whether an operation may see or change records that Firehose has not delivered.

    In S3 these are all operations but the one that a delivery makes itself.
    """
    if incoming.service == "s3":
        return incoming.operation != "PutObject"
    if incoming.service == "glue":
        return is_mutating(incoming.operation)
    return incoming.service == "firehose" and incoming.operation == "UpdateDestination"


def _access_request(incoming: IncomingRequest, *, by_athena: bool = False) -> AccessRequest:
    """Return the parts of a request that decide on IAM permissions.

    `by_athena`: Athena sends the request on behalf of its caller.
    """
    return AccessRequest(
        service=incoming.service,
        operation=incoming.operation,
        params=incoming.params or {},
        account=incoming.account,
        region=incoming.region,
        by_athena=by_athena,
    )


def _throttling(incoming: IncomingRequest) -> AwsError:
    """Return the throttling error of the service that a request is for."""
    code, status = _THROTTLED.get(incoming.service, ("ThrottlingException", 400))
    return AwsError(code, "Rate exceeded", status)


def _error(incoming: IncomingRequest, fault: Fault) -> AwsError:
    """Return the AWS error that an injected fault asks for."""
    code = fault.code or ("InternalError" if incoming.service == "s3" else "InternalFailure")
    return AwsError(
        code, "a fault that was asked for", fault.status or (400 if fault.code else 500)
    )


def _foreign(environ: Mapping[str, Any], *, any_host: bool) -> WsgiAnswer | None:
    """Return the error for a request that a web page sends from a browser, else None.

    This server runs commands, so it answers programs only. Requests to other host names than this
    machine's count as a browser's, unless `any_host` is set.
    """
    host = environ.get("HTTP_HOST", "").rpartition(":")[0] or environ.get("HTTP_HOST", "")
    is_own_host = host in (
        "",
        "127.0.0.1",
        "localhost",
        "[::1]",
        "host.docker.internal",
    ) or host.endswith((".localhost", ".amazonaws.com"))
    own = environ.get("HTTP_SEC_FETCH_SITE") in (None, "none", "same-origin")
    if (is_own_host or any_host) and own and "HTTP_ORIGIN" not in environ:
        return None
    body = (
        b"this is a local AWS stack for programs on this machine; it does not answer web pages, "
        b"nor with --open other host names\n"
    )
    return WsgiAnswer(403, (("Content-Type", "text/plain"),), body, "Forbidden")
