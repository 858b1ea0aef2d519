"""A gRPC channel that only records the methods that a generated transport asks it for."""

from __future__ import annotations

from typing import Any

import grpc


class Recorder(grpc.Channel):  # type: ignore[misc]
    """A channel whose `methods` lists what was asked for.

    Each entry: path, whether the client streams, whether the server streams, the request's
    serializer, the answer's deserializer.
    """

    def __init__(self) -> None:
        self.methods: list[tuple[str, bool, bool, Any, Any]] = []

    def unary_unary(
        self,
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """Record the path and types of a method with one request and one response."""
        self.methods.append((path, False, False, request_serializer, response_deserializer))
        return _nothing

    def unary_stream(
        self,
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """Record the path and types of a method with one request and a stream of responses."""
        self.methods.append((path, False, True, request_serializer, response_deserializer))
        return _nothing

    def stream_unary(
        self,
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """Record the path and types of a method with a stream of requests and one response."""
        self.methods.append((path, True, False, request_serializer, response_deserializer))
        return _nothing

    def stream_stream(
        self,
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        *_: Any,
        **__: Any,
    ) -> Any:
        """Record the path and types of a method with streams of requests and responses."""
        self.methods.append((path, True, True, request_serializer, response_deserializer))
        return _nothing

    def subscribe(self, *_: Any, **__: Any) -> None:
        """Do nothing: this channel never connects."""

    def unsubscribe(self, *_: Any, **__: Any) -> None:
        """Do nothing: this channel never connects."""

    def close(self) -> None:
        """Do nothing: this channel never connects."""

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing, in place of a function of gRPC that a recorded client calls."""
