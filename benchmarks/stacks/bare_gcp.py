"""Answer a constant, to measure what a call of Google's client costs where nothing is done for it.

It answers over HTTP and by `grpc.aio`. `python bare_gcp.py COUNT PORT` writes its ports. On the
first (HTTP) and second (gRPC) each prediction is answered with COUNT numbers, whatever is asked,
and a feature read with one value; what comes to the third is passed on to the model server at PORT,
and its answer back.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import grpc
import grpc.aio
import uvloop
from google.cloud import aiplatform_v1 as v1
from google.protobuf import json_format, struct_pb2

_SIZE = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class Bare(asyncio.Protocol):
    """A connection that reads a request to its end, and answers.

    No method, no path, no header but the body's length is looked at.
    """

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer
        self._read = b""
        self._transport: Any = None

    def reply(self, request: bytes) -> None:  # noqa: ARG002  a constant
        self._transport.write(self._answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        size = _SIZE.search(self._read, 0, end) if end >= 0 else None
        if size is not None and len(self._read) >= end + 4 + int(size[1]):
            request, self._read = self._read, b""
            self.reply(request)


class Proxy(Bare):
    """A connection that passes a request on to the model server, and the answer back.

    It has a connection of its own to the server.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._server: Any = None

    def reply(self, request: bytes) -> None:
        if self._server is None:
            self._opening = asyncio.get_running_loop().create_task(self._open(request))
        else:
            self._server.write(request)

    async def _open(self, request: bytes) -> None:
        back = _Back(self._transport)
        self._server, _ = await asyncio.get_running_loop().create_connection(
            lambda: back, "127.0.0.1", self._port
        )
        self._server.write(request)


class _Back(asyncio.Protocol):
    def __init__(self, client: Any) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._client.write(data)


class _Constants(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """A handler that answers by the last part of a method's path with constant bytes."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self._handlers = {
            name: grpc.unary_unary_rpc_method_handler(_constant(answer))
            for name, answer in answers.items()
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers[handler_call_details.method.rpartition("/")[2]]


def _constant(answer: bytes) -> Any:
    async def reply(content: bytes, context: Any) -> bytes:  # noqa: ARG001  a handler's
        return answer

    return reply


async def _serve(count: int, model: int) -> None:
    response = v1.PredictResponse.pb()(
        deployed_model_id="1", model="m", predictions=[struct_pb2.Value(number_value=1.0)] * count
    )
    row = v1.FetchFeatureValuesResponse.pb()(
        key_values={"features": [{"name": "value", "value": {"int64_value": 1}}]}
    )
    body = json_format.MessageToJson(response, indent=None).encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    server = grpc.aio.server()
    answers = {
        "Predict": response.SerializeToString(),
        "FetchFeatureValues": row.SerializeToString(),
    }
    server.add_generic_rpc_handlers((_Constants(answers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    loop = asyncio.get_running_loop()
    bare = await loop.create_server(lambda: Bare(http), "127.0.0.1", 0)
    proxy = await loop.create_server(lambda: Proxy(model), "127.0.0.1", 0)
    print(bare.sockets[0].getsockname()[1], port, proxy.sockets[0].getsockname()[1], flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
