"""The one way of every request, whatever its protocol: faults, the handler, the log."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ....core import control
from ....core.fronts import StackFront
from ....core.http.answers import WsgiAnswer
from ....core.minutes import Minutes
from ....core.state import Stack
from ..call import Call
from ..environment import PROJECT, STACK, Environment
from ..errors import GcpError
from ..http_messages import HttpAnswer, HttpRequest
from ..identity.callers import Callers
from ..identity.keys import Keys
from ..policy.usage import UsedPermissions
from ..rpc.apis import GoogleApi
from ..rpc.catalog import Catalog
from ..rpc.invocations import Invocation, handler_of, invocation_of, unsupported
from ..rpc.methods import SHARED_OPERATIONS, http_rule_for
from ..rpc.transcoding import JSON, answer_of, error_answer, message_of, stream_of
from .exchanges import Exchange


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The services above this floor, as a front needs them."""

    catalog: Catalog
    names: frozenset[str]  # whose calls the log and the faults know
    coverage: Callable[[str | None], Sequence[Any]]  # the operations of one service, or of all
    add_minutes: Callable[[Call, Minutes], object]  # ValueError: of no endpoint that there is


class Front(StackFront):
    """The front of one stack. Its handlers run in many threads."""

    callers: Callers  # since `begin`

    def __init__(self, stack: Stack, services: Services) -> None:
        self.used = UsedPermissions()
        super().__init__(stack, self.used)
        self.catalog = services.catalog
        self._services = services
        self.grpc_address, self.grpc_port = "", 0
        self.routes: Mapping[str, Callable[[], object]] = {
            "GET environment": self.environment,
            "GET coverage": self._coverage,
            "GET policy": self.used.policy,
        }
        self._keys: Keys | None = None

    # What process.serve and control ask for.

    def begin(self) -> None:
        """Make the stack's certificate authority and keys, once the stack's URL is known."""
        self._keys = Keys(self.stack.home / "keys", f"{self.stack.url}/token")
        self.callers = Callers(self.stack, self._keys.account_key)

    def services(self) -> frozenset[str]:
        """Return the names of the services that logs and faults can name."""
        return self._services.names

    def operations(self, service: str | None) -> frozenset[str]:
        """Return the names of the operations of one service, or of all."""
        covered = self._services.coverage(service)
        return frozenset(row.operation for row in covered) | SHARED_OPERATIONS

    def add_minutes(self, scripted: Minutes) -> None:
        """Add minutes of traffic that a test invented to the metrics of an endpoint.

        Raises:
            ValueError: There is no such endpoint or DeployedModel.
        """
        call = Call(self, self.catalog.default.service, "minutes", {})
        self._services.add_minutes(call, scripted)

    @property
    def keys(self) -> Keys:
        """The stack's certificate authority and account keys, once it listens."""
        if self._keys is None:
            raise RuntimeError("the stack does not listen yet")
        return self._keys

    def environment(self) -> Environment:
        """Return the environment variables by which SDKs reach the stack, by way to connect."""
        door = {
            STACK: self.stack.url,
            "HTTPS_PROXY": self.stack.url,
            "https_proxy": self.stack.url,
            "REQUESTS_CA_BUNDLE": str(self.keys.bundle),
            "SSL_CERT_FILE": str(self.keys.bundle),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(self.keys.bundle),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.keys.account),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        emulators = {
            STACK: self.stack.url,
            **self.catalog.emulator_variables(self.stack.url, self.grpc_address),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }
        return Environment(door=door, emulators=emulators, grpc_address=self.grpc_address)

    def variables(self) -> dict[str, str]:
        """Return the environment variables that direct every SDK to the stack as a proxy."""
        return self.environment().door

    def _coverage(self) -> object:
        """Return the level of support of each operation of all services, as JSON values."""
        return self._services.coverage(None)

    # HTTP.

    def control(self, request: HttpRequest, peer: tuple[str, int] | None) -> HttpAnswer:
        """Answer a control request, /_stack/..., that came from the address `peer`."""
        route = f"{request.method} {request.path.removeprefix('/_stack/')}"
        refused = control.refusal(self.stack, route, request.headers.get("authorization", ""), peer)
        done: WsgiAnswer = refused or control.steer(self, route, request.body, request.query)
        return HttpAnswer(status=done.status, headers=done.headers, body=done.body)

    async def http(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request to one of Google's APIs.

        Raises:
            Cut: The connection is to be closed without an answer.
        """
        api = self.catalog.api_of(request.host, request.path)
        if api is None:
            return error_answer(
                GcpError(
                    "NOT_FOUND", f"The requested URL {request.path} was not found on this server."
                )
            )
        try:
            if not self.catalog.is_loaded(api):
                await asyncio.to_thread(self.catalog.load, api)
            if (routed := self.catalog.route_of(api, request)) is None:
                return await asyncio.to_thread(self._transcode, api, request)
            invocation, handler = routed
            result = await self.answer(invocation, handler, request, request.headers)
            return result if isinstance(result, HttpAnswer) else _http_answer(result)
        except GcpError as error:
            return error_answer(error)

    def answer_part(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request that another contains, such as a part of a batch, in this thread.

        Injected faults apply to it separately, and it has its own line in the log.

        Raises:
            Cut: The connection is to be closed without an answer.
        """
        api = self.catalog.api_of(request.host, request.path)
        routed = None if api is None else self.catalog.route_of(api, request)
        if routed is None:
            return error_answer(
                GcpError(
                    "NOT_FOUND",
                    f"{request.method} {request.path} cannot be a part of a batch",
                    reason="notFound",
                )
            )
        invocation, handler = routed
        try:
            return _http_answer(
                self.answer_in_thread(invocation, handler, request, request.headers)
            )
        except GcpError as error:
            return error_answer(error)

    def _transcode(self, api: GoogleApi, request: HttpRequest) -> HttpAnswer:
        """Answer an RPC of `api` that is called over HTTP with JSON, in this thread."""
        routed = http_rule_for(api, request.method, request.path) if api.module else None
        if routed is None:
            name = f"{request.method} {request.path}"
            invocation = Invocation(api=api, operation=name, names=(), mutating=False)
            return _http_answer(
                self.answer_in_thread(invocation, unsupported(name), request, request.headers)
            )
        method, rule, match = routed
        message = message_of(method, rule, match, request)
        result = self.answer_in_thread(
            invocation_of(method, message), handler_of(method), message, request.headers
        )
        return stream_of(result, request) if method.server_streams else answer_of(result, request)

    # Faults, the effect, the log.

    async def answer(
        self,
        invocation: Invocation,
        handler: Callable[..., Any],
        request: Any,
        headers: Mapping[str, str],
    ) -> Any:
        """Run a handler with injected faults, log and clock, and return its result.

        A coroutine function runs in the event loop, any other handler in a thread.

        Raises:
            GcpError: The call is refused.
            Cut: The connection is to be closed without an answer.
        """
        if not _in_loop(handler):
            return await asyncio.get_running_loop().run_in_executor(
                None, self.answer_in_thread, invocation, handler, request, headers
            )
        with Exchange(self.stack, self.calls, invocation) as exchange:
            exchange.refuse()
            self.used.note(invocation.api, invocation.operation, request)
            result = await handler(
                Call(self, invocation.service, invocation.operation, headers), request
            )
            await asyncio.sleep(exchange.seconds)  # a client may have gone when it is answered
            exchange.end(result)
            return result

    def answer_in_thread(
        self,
        invocation: Invocation,
        handler: Callable[..., Any],
        request: Any,
        headers: Mapping[str, str],
        call: Call | None = None,
    ) -> Any:
        """Run a handler in this thread with injected faults, log and clock, and return its result.

        Raises:
            GcpError: The call is refused.
            Cut: The connection is to be closed without an answer.
        """
        with Exchange(self.stack, self.calls, invocation) as exchange:
            if exchange.faults:
                self.stack.state.stopping.wait(exchange.seconds)
                exchange.refuse()
            self.used.note(invocation.api, invocation.operation, request)
            call = call or Call(self, invocation.service, invocation.operation, headers)
            with self.stack.clock.request():
                result = handler(call, request)
                if inspect.iscoroutine(result):
                    result = asyncio.run(result)
            exchange.end(result)
            return result


_in_loop = functools.cache(inspect.iscoroutinefunction)  # asked at every call


def _http_answer(result: Any) -> HttpAnswer:
    """Return a handler's result as an HTTP answer: as it is, as JSON, or 204 for None."""
    if isinstance(result, HttpAnswer):
        return result
    if result is None:
        return HttpAnswer(status=204)
    return HttpAnswer(headers=JSON, body=msgspec.json.encode(result))
