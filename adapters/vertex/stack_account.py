"""The identity of calls to a local stack.

On Linux the stack sees whose process calls; elsewhere a token of its own account tells it.
"""

from __future__ import annotations

import sys
from typing import Any

from ...errors import Denied
from . import backend

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def credentials(url: str) -> Any:
    """Return the Google credentials for calls of a local stack, anonymous where it needs none.

    Raises:
        Denied: The key of its account is another user's file.
    """
    if sys.platform == "linux":
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()
    from google.oauth2.service_account import Credentials

    try:
        return Credentials.from_service_account_file(backend.account(url), scopes=[_SCOPE])
    except OSError as error:
        raise Denied(
            f"the GCP stack at {url} is another user's: {error}",
            remedy="use a stack of your own, or let it start with --open",
        ) from error


def with_token(channel: Any, credentials: Any) -> Any:
    """Return a gRPC channel that sends the credentials' access token with each call."""
    from google.auth.credentials import AnonymousCredentials

    if isinstance(credentials, AnonymousCredentials):
        return channel
    import grpc
    from google.auth.transport.requests import Request

    transport = Request()

    def with_headers(continuation: Any, client_call_details: Any, request: Any) -> Any:
        headers: dict[str, str] = {}
        credentials.before_request(transport, "POST", "", headers)
        metadata = [
            *(client_call_details.metadata or ()),
            *((name.lower(), value) for name, value in headers.items()),
        ]
        return continuation(client_call_details._replace(metadata=metadata), request)

    class Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):  # type: ignore[misc]  # grpc has no types to mypy
        def intercept_unary_unary(
            self, continuation: Any, client_call_details: Any, request: Any
        ) -> Any:
            """Add the access token to a call with one answer; called by gRPC."""
            return with_headers(continuation, client_call_details, request)

        def intercept_unary_stream(
            self, continuation: Any, client_call_details: Any, request: Any
        ) -> Any:
            """Add the access token to a call with a stream of answers; called by gRPC."""
            return with_headers(continuation, client_call_details, request)

    return grpc.intercept_channel(channel, Bearer())
