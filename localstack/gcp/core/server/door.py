"""The door: a CONNECT to a host of Google's ends in this process.

TLS uses a certificate for that host; then HTTP, or gRPC if ALPN chooses h2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ....core.http.tunnel import Pipe, end_tls

if TYPE_CHECKING:
    from .front import Front

HOSTS = ("googleapis.com", "prediction.vertexai.goog", "featurestore.vertexai.goog")


def is_google_host(host: str) -> bool:
    """Return whether a host is one of Google's that the stack answers for."""
    return any(host == domain or host.endswith(f".{domain}") for domain in HOSTS)


async def open_door(
    transport: Any,
    host: str,
    front: Front,
    http: Callable[[], asyncio.Protocol],
    to_grpc: Callable[[Any], Pipe],
) -> None:
    """Answer a CONNECT to a host of Google's: end TLS here, and speak HTTP or gRPC with the client.

    Args:
        transport: The client's connection.
        host: The host that the client asked for.
        front: The stack's front.
        http: Makes the protocol for HTTP.
        to_grpc: Makes the pipe from the client to the gRPC port.
    """

    async def onward(secure: Any) -> asyncio.Protocol:
        if secure.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            return http()
        grpc_host, _, grpc_port = front.grpc_address.rpartition(":")
        inner, _ = await asyncio.get_running_loop().create_connection(
            lambda: to_grpc(secure), grpc_host, int(grpc_port)
        )
        return Pipe(inner)

    await end_tls(transport, partial(front.keys.context, host), onward)
