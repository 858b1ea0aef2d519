"""The door:

CONNECT to a host of Google's ends here. TLS by a certificate for that host; then HTTP, or gRPC
where ALPN says h2.
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


def leads_here(host: str) -> bool:
    return any(host == known or host.endswith(f".{known}") for known in HOSTS)


async def open_to(
    transport: Any,
    host: str,
    front: Front,
    http: Callable[[], asyncio.Protocol],
    to_grpc: Callable[[Any], Pipe],
) -> None:
    """Answer the CONNECT, end TLS, hand the bytes on: to what `http` makes, or by what `to_grpc`
    makes to the gRPC port.
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
