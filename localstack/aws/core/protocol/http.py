"""HTTP beyond waitress, as AWS needs it.

S3 has headers and empty bodies of its own; a refusal has the shape of the API that is called.
"""

from __future__ import annotations

from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser

from ....core.http import wsgi_server
from ..registry import AwsError
from . import wire

# Codes of S3's API Reference ("Error responses") for HTTP's statuses, of what waitress refuses
# before there is a request.
_CODES = {
    400: "BadRequest",
    413: "EntityTooLarge",
    431: "RequestHeaderSectionTooLarge",
    501: "NotImplemented",
}


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    """A parser that takes S3's metadata names with an underscore, and announced empty bodies."""

    def parse_header(self, header_plus: bytes) -> None:
        """Parse a request's headers; keep S3's metadata headers with an underscore in the name.

        waitress would drop those, and wait for ever for a body that was announced and is empty.
        """
        metadata: dict[str, str] = {}
        if b"x-amz-meta-" in header_plus.lower():
            lines = header_plus.split(b"\r\n")
            for position, line in enumerate(lines[1:], 1):
                name, colon, value = line.partition(b":")
                if b"_" in name and name.lower().startswith(b"x-amz-meta-"):
                    sent = name.decode("latin-1")
                    metadata["HTTP_" + sent.upper().replace("-", "_")] = sent
                    lines[position] = name.replace(b"_", b"-") + colon + value
            header_plus = b"\r\n".join(lines)
        super().parse_header(header_plus)
        if not self.chunked and not self.content_length:
            # waitress would wait for a body of no bytes for ever (S3 SDKs put empty objects so)
            self.expect_continue = False
        self.metadata_names = metadata


class _Task(wsgi_server.Task):
    def get_environment(self) -> dict[str, Any]:
        """Return the request's environment, with S3's metadata names as they were sent."""
        environ: dict[str, Any] = super().get_environment()
        if names := getattr(self.request, "metadata_names", None):
            environ["moto.preserved_header_names"] = names
        return environ

    def build_response_header(self) -> bytes:
        """Return the answer's headers, with S3's metadata names in lower case.

        waitress would capitalize them, and an SDK reads them as they come.
        """
        written: bytes = super().build_response_header()
        if b"X-Amz-Meta-" not in written:
            return written
        return b"\r\n".join(
            _lowered(line) if line.startswith(b"X-Amz-Meta-") else line
            for line in written.split(b"\r\n")
        )


class _ErrorTask(HTTPChannel.error_task_class):  # type: ignore[misc]  # waitress has no types
    """The answer to what is no HTTP request.

    Where its headers were not read nobody knows for which API it is: it gets S3's shape, as other
    plain HTTP does.
    """

    def execute(self) -> None:
        """Write the HTTP error for a request that could not be parsed."""
        request: Any = self.request
        error = request.error
        refusal = AwsError(
            _CODES.get(error.code, "InternalFailure"), f"{error.reason}: {error.body}", error.code
        )
        answer = wire.unreadable(_environ(request.headers), refusal)
        self.status = f"{error.code} {error.reason}"
        self.response_headers = list(answer.headers)
        self.set_close_on_finish()
        self.content_length = len(answer.body)
        self.write(answer.body)


def _environ(headers: dict[str, str]) -> dict[str, Any]:
    """Return the WSGI variables by which moto finds out which API a request is for."""
    return {
        "CONTENT_TYPE": headers.get("CONTENT_TYPE", ""),
        "HTTP_AUTHORIZATION": headers.get("AUTHORIZATION", ""),
    }


def _lowered(line: bytes) -> bytes:
    """Return a header line with its name in lower case."""
    name, colon, value = line.partition(b":")
    return name.lower() + colon + value


class Channel(wsgi_server.Channel):
    parser_class = _Parser
    task_class = _Task
    error_task_class = _ErrorTask
