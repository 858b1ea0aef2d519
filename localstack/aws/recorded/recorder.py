"""A recorder of what a boto3 session's clients ask and are answered."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from .form import ABOUT, CALLS, About, Call
from .scrub import Scrubber

_ASKED = "isthmus_recorded_params"


class Recorder:
    """The recorder of the clients that a session makes from now on.

    It keeps every call since `begin` as a line in a folder: an SDK's own repeats are one call. A
    line is written when a call is answered, so a killed process leaves what it had done. A call
    without an answer leaves none.

    Args:
        session: The boto3 session.
        folder: An empty folder.
        names: The caller's own names, each with what is kept in its place.
        version: The version that records.

    Raises:
        FileExistsError: The folder holds something.
    """

    def __init__(
        self, session: Any, folder: Path, *, names: Mapping[str, str], version: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty")
        about = About(
            cloud="aws",
            region=str(session.region_name),
            recorded=datetime.now(UTC),
            isthmus=version,
        )
        (folder / ABOUT).write_bytes(
            msgspec.json.format(msgspec.json.encode(about), indent=1) + b"\n"
        )
        self._file = folder / CALLS
        self._file.touch()
        self._scrubber = Scrubber(names)
        self._lock = threading.Lock()
        self.calls = 0
        self._begun = False
        session.events.register("provide-client-params", self._on_request)
        session.events.register("after-call", self._on_answer)

    def begin(self) -> None:
        """Begin to record the AWS calls of clients that the session makes."""
        self._begun = True

    def _on_request(self, params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Store the parameters of a call until its response comes.

        botocore calls this function before each call; `context` is the same object at the response.
        """
        if not self._begun:
            return
        with self._lock:
            context[_ASKED] = self._scrubber.request_value(params)

    def _on_answer(
        self,
        http_response: Any,
        parsed: Mapping[str, Any],
        model: Any,
        context: Mapping[str, Any],
        **_: Any,
    ) -> None:
        """Write a call with its response to the recording.

        botocore calls this function after each call; `parsed` is the response, and `context` has
        the call's parameters.
        """
        if _ASKED not in context:
            return
        error = parsed.get("Error", {}) if http_response.status_code >= 300 else {}
        with self._lock:
            self.calls += 1
            call = Call(
                number=self.calls,
                service=model.service_model.service_name,
                operation=model.name,
                params=context[_ASKED],
                status=http_response.status_code,
                error=str(error.get("Code", "")) or None,
                message=self._scrubber.message(str(error.get("Message", ""))) or None,
                answer={} if error else self._scrubber.answered(parsed, model.output_shape),
            )
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(call) + b"\n")
