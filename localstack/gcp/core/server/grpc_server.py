"""The gRPC port: every RPC of the table, in the clear.

Handlers run in threads, or in the loop where they are coroutine functions.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import grpc
import grpc.aio

from ....core.http.answers import Cut
from ....core.http.connection_limits import HEAD_WITHIN
from ..call import Call
from ..errors import GcpError
from ..identity.callers import peer_of
from ..rpc.apis import GoogleApi
from ..rpc.invocations import handler_of, invocation_of
from ..rpc.methods import RpcMethod

if TYPE_CHECKING:
    from .front import Front

_BYTES = 64 << 20  # of one message: BigQuery's pages of Arrow, and models' instances
_WORDS = 6 << 10  # bytes of an error's message
_AS_THEY_ARE = "".join(chr(code) for code in range(0x20, 0x7F) if code != ord("%"))
_AHEAD = 16  # messages of a stream that wait for a slow reader
_END = object()
_STATUS = {status.value[0]: status for status in grpc.StatusCode}


async def serve(front: Front, host: str) -> tuple[Any, int]:
    """Start the gRPC server on a free port; return the server and the port."""
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", _BYTES),
            ("grpc.max_send_message_length", _BYTES),
            ("grpc.so_reuseport", 0),
            (
                "grpc.server_handshake_timeout_ms",
                int(1_000 * HEAD_WITHIN),
            ),  # for who connects and says nothing
        )
    )
    server.add_generic_rpc_handlers((_Handlers(front),))
    port = server.add_insecure_port(f"{host}:0")
    await server.start()
    return server, port


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """The handlers of gRPC paths.

    A method whose API is not imported yet is answered as a stream of bytes, which is the same on
    the wire.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self._known: dict[tuple[str, str], Any] = {}

    def service(self, handler_call_details: Any) -> Any:
        """Return gRPC's handler for a call, by its path and the API that its metadata names."""
        details = handler_call_details
        api = self._api_of(details.invocation_metadata)
        key = (details.method, api.service)
        if key not in self._known:
            catalog = self._front.catalog
            if not catalog.is_loaded(catalog.api_of_path(details.method) or api):
                return grpc.stream_stream_rpc_method_handler(self._first(details.method, api))
            method = catalog.method_of(details.method, api)
            if method is None:  # anybody's text: not one to keep
                return grpc.stream_stream_rpc_method_handler(self._first(details.method, api))
            self._known[key] = self._method(method)
        return self._known[key]

    def _api_of(self, metadata: Any) -> GoogleApi:
        """Return the API that a call of a service common to all APIs is meant for.

        The resource in the call's routing header decides.
        """
        catalog = self._front.catalog
        for name, value in metadata or ():
            if name == "x-goog-request-params":
                return catalog.api_of_resource(str(value))
        return catalog.default

    def _method(self, method: RpcMethod) -> Any:
        """Return gRPC's handler for an RPC, unary or streaming."""
        if not method.client_streams and not method.server_streams:
            return grpc.unary_unary_rpc_method_handler(self._unary(method))
        return grpc.stream_stream_rpc_method_handler(self._stream(method))

    def _first(self, path: str, api: GoogleApi) -> Callable[..., Any]:
        """Return a handler for an RPC that first imports the RPC's API, and then answers."""

        async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            method = await asyncio.to_thread(self._load, path, api)
            if method is None:
                await context.abort(
                    grpc.StatusCode.UNIMPLEMENTED, f"{path} is no method that the offline GCP knows"
                )
            elif method.client_streams or method.server_streams:
                async for message in self._stream(method)(requests, context):
                    yield message
            else:
                async for request in requests:
                    yield await self._unary(method)(request, context)
                    break

        return answer

    def _load(self, path: str, api: GoogleApi) -> RpcMethod | None:
        """Import the API of an RPC's path, with its handlers; return the RPC, or None."""
        catalog = self._front.catalog
        method = catalog.method_of(path, api)
        if method is not None:
            catalog.load(method.api)
        return method

    def _unary(self, method: RpcMethod) -> Callable[..., Any]:
        """Return a coroutine function that answers an RPC with one request and one answer."""
        front = self._front

        async def answer(content: bytes, context: Any) -> bytes:
            try:
                headers = _admit(front, context)
                message = _message(method, content)
                result: bytes = (
                    await front.answer(
                        invocation_of(method, message), handler_of(method), message, headers
                    )
                ).SerializeToString()
            except (GcpError, Cut) as error:
                await _abort(context, error)
                raise
            return result

        return answer

    def _stream(self, method: RpcMethod) -> Callable[..., Any]:
        """Return an asynchronous generator function that answers a streaming RPC."""

        async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            try:
                headers = _admit(self._front, context)
            except GcpError as error:
                await _abort(context, error)
                raise
            stream = _Stream(self._front, method, headers)
            reading = asyncio.create_task(stream.read(requests))
            self._front.stack.state.spawn(stream.work)
            try:
                async for item in stream.messages():
                    if isinstance(item, GcpError | Cut):
                        await _abort(context, item)
                    else:
                        yield item
            finally:
                stream.end()
                reading.cancel()

        return answer


class _Stream:
    """A stream between the loop and the thread in which its handler runs."""

    def __init__(self, front: Front, method: RpcMethod, headers: Mapping[str, str]) -> None:
        self._front = front
        self._method = method
        self._call = Call(front, method.api.service, method.operation, headers, threading.Event())
        self._loop = asyncio.get_running_loop()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)

    # In the loop.

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Pass a client's messages to the handler's thread, until the client sends no more."""
        with contextlib.suppress(Exception):  # the client has gone, or sends what is no message
            async for content in requests:
                self._incoming.put(_message(self._method, content))
        self._incoming.put(_END)

    async def messages(self) -> AsyncIterator[Any]:
        """Yield the messages that the handler's thread has made."""
        while (item := await self._outgoing.get()) is not _END:
            self._room.release()
            yield item

    def end(self) -> None:
        """Tell the handler's thread to end, as the stream is over."""
        self._call.ended.set()
        self._incoming.put(_END)
        self._room.release(_AHEAD)

    # In the thread.

    def work(self) -> None:
        """Run the handler in its thread, and pass its messages to the event loop."""
        try:
            for message in self._results():
                if self._call.ended.is_set():
                    return
                self._put(message.SerializeToString())
        except (GcpError, Cut) as error:
            self._put(error)
        except Exception as error:  # noqa: BLE001  in the middle of a stream: the handler's mistake
            self._put(
                GcpError(
                    "INTERNAL",
                    f"the GCP stack failed at {self._method.name}: {type(error).__name__}: {error}",
                )
            )
        self._put(_END)

    def _results(self) -> Iterable[Any]:
        """Call the handler, and return its messages as it makes them."""
        messages = iter(self._incoming.get, _END)
        request = messages if self._method.client_streams else next(messages, None)
        if request is None:
            raise GcpError(
                "INVALID_ARGUMENT", "Request contains an invalid argument: no message came."
            )
        invocation = invocation_of(self._method, None if self._method.client_streams else request)
        result = self._front.answer_in_thread(
            invocation, handler_of(self._method), request, self._call.headers, self._call
        )
        return result if self._method.server_streams else (result,)

    def _put(self, item: Any) -> None:
        """Pass a message or an error to the event loop; block while the client reads slowly."""
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._outgoing.put_nowait, item)


def _message(method: RpcMethod, content: bytes) -> Any:
    """Parse the bytes of a gRPC request into the RPC's request message.

    Raises:
        GcpError: INVALID_ARGUMENT, the bytes are no such message.
    """
    from google.protobuf.message import DecodeError

    try:
        return method.request.FromString(content)
    except DecodeError as error:
        raise GcpError(
            "INVALID_ARGUMENT", f"Request contains an invalid argument: {error}"
        ) from error


def _admit(front: Front, context: Any) -> Mapping[str, str]:
    """Check that a gRPC call's caller is admitted, and return the call's headers.

    Raises:
        GcpError: UNAUTHENTICATED, the caller is not admitted.
    """
    headers = _headers(context)

    def is_own() -> bool:
        return front.callers.is_own(peer_of(context.peer()), front.grpc_port)

    if (refused := front.callers.refusal(headers.get("authorization", ""), is_own)) is not None:
        raise refused
    return headers


def _headers(context: Any) -> Mapping[str, str]:
    """Return a gRPC call's metadata as headers."""
    return {
        name: value if isinstance(value, str) else value.decode("latin-1")
        for name, value in context.invocation_metadata() or ()
    }


async def _abort(context: Any, error: GcpError | Cut) -> None:
    """End a gRPC call with an error, or as if its connection had broken."""
    if isinstance(error, Cut):  # as a client sees a connection that broke
        await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        return
    trailing = (("grpc-status-details-bin", _status(error)),) if error.details else ()
    await context.abort(_STATUS[error.code], _short(error.message), trailing)


def _short(text: str) -> str:
    """Return an error's text, shortened to the limit of gRPC's headers.

    Clients refuse more headers than 8 kB, and then report that instead of the error.
    """
    quoted = quote(text, safe=_AS_THEY_ARE)
    return text if len(quoted) <= _WORDS else unquote(quoted[:_WORDS], errors="ignore")


def _status(error: GcpError) -> bytes:
    """Return an error with its details as a serialized google.rpc.Status."""
    from google.protobuf import any_pb2, json_format
    from google.rpc import status_pb2

    status = status_pb2.Status(code=error.code, message=error.message)
    for detail in error.details:
        packed = any_pb2.Any()
        if isinstance(detail, Mapping):
            json_format.ParseDict(dict(detail), packed)
        else:
            packed.Pack(detail)
        status.details.append(packed)
    content: bytes = status.SerializeToString()
    return content
