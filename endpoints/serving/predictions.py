"""Predictions one at a time, on the thread that loaded the model.

A predictor need not be thread-safe, and what it opened while it was loaded (SQLite, thread-locals)
is its thread's. So the thread that loads predicts, and HTTP, health checks and time-outs are the
thread's of the server's loop.
"""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from ...pipelines.models.predictor import LoadedModel
from ...pipelines.transforms.columns import WrongRows
from ..http.error_log import tell
from ..http.requests import Failure, Headers, JsonAnswer, Request
from . import payloads

MOST_WAITING = 256  # requests, with the one that is under way; 503 beyond
MOST_ANSWER = 10_000_000  # bytes
_GRACE = (
    5.0  # seconds after its limit in which a prediction that lets no other thread run may still end
)
_ENDS = "a prediction before this one hung, and its process ends"
_encode = msgspec.json.Encoder().encode


class Predictions:
    """The queue of requests between the loop, which calls `submit`, and the thread of `run`."""

    def __init__(
        self,
        model: LoadedModel,
        *,
        headers: Headers,
        timeout: float | None,
        hung: Callable[[], None],
    ) -> None:
        """Make them in the loop's thread.

        Args:
            model: Predicts.
            headers: Those of every answer.
            timeout: Seconds that a prediction may take.
            hung: Called once a prediction has taken longer and everybody was answered.
        """
        self.ended = asyncio.Event()  # `run` has returned
        self.under_way: dict[
            Request, None
        ] = {}  # in their order, with the one that is being predicted
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._headers = headers
        self._timeout = timeout
        self._hung = hung
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._began: tuple[Request, float] | None = None
        self._watched = self._hangs = False

    def submit(self, request: Request) -> None:
        """Queue a request for prediction, or answer it by an error if that cannot be."""
        if self._hangs:
            request.fail(503, "Unavailable", _ENDS)
            return
        if len(self.under_way) >= MOST_WAITING:
            request.fail(
                503,
                "Busy",
                f"{MOST_WAITING} requests wait already: ask again later, or deploy more instances",
            )
            return
        self.under_way[request] = None
        self._queue.put(request)
        if self._timeout is not None and not self._watched:
            self._watched = True
            self._loop.call_later(self._timeout, self._watch, self._timeout)

    def stop(self) -> None:
        """Stop predicting after the requests that were submitted so far."""
        self._queue.put(None)

    def run(self) -> None:
        """Predict for submitted requests until `stop` is called."""
        while (request := self._queue.get()) is not None:
            status, body = (503, b"") if request.gone else self._predict(request)
            self._loop.call_soon_threadsafe(self._finish, request, status, body)
        self._loop.call_soon_threadsafe(self.ended.set)

    def _predict(self, request: Request) -> tuple[int, bytes]:
        """Predict for a request, within the time limit; return the status and the body."""
        if self._timeout is None:
            return answer(self._model, request)
        self._began = request, time.monotonic()
        # the kernel ends a process whose prediction holds Python's lock, as no thread of it can
        signal.setitimer(signal.ITIMER_REAL, self._timeout + _GRACE)
        try:
            return answer(self._model, request)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._began = None

    def _finish(self, request: Request, status: int, body: bytes) -> None:
        """Send a prediction's response, unless the client went away meanwhile."""
        if request in self.under_way:
            del self.under_way[request]
            request.reply(JsonAnswer(status, body, self._headers))

    def _watch(self, timeout: float) -> None:
        """End the process if the running prediction takes longer than the time limit in seconds."""
        began = self._began
        if began is not None and time.monotonic() - began[1] >= timeout:
            self._end(began[0], timeout)
        elif self.under_way:
            left = timeout if began is None else began[1] + timeout - time.monotonic()
            self._loop.call_later(max(left, 0.001), self._watch, timeout)
        else:
            self._watched = False

    def _end(self, hanging: Request, timeout: float) -> None:
        """Answer each waiting caller by an error, as the running prediction hangs.

        `hanging` is the request of that prediction; its caller gets another error than the others.
        """
        faulthandler.dump_traceback(sys.stderr)  # where it hangs
        print(
            f"error: a prediction took longer than {timeout:g} s, so this process ends",
            file=sys.stderr,
            flush=True,
        )
        self._hangs = True
        waiting, self.under_way = self.under_way, {}
        for request in waiting:
            if request is hanging:
                words = f"the prediction took longer than {timeout:g} s"
                request.fail(504, "PredictionTimeout", words, close=True)
            else:
                request.fail(503, "Unavailable", _ENDS, close=True)
        self._hung()


def answer(model: LoadedModel, request: Request) -> tuple[int, bytes]:
    """Return the status and the JSON body of the answer to a prediction request.

    The answer is the predictions, or an error.
    """
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    try:
        rows, parameters = payloads.request(bytes(request.body), content_type, model.manifest)
        predicted = model.predictor.predict(rows, **parameters)
        body = _encode({"predictions": payloads.predictions(predicted, len(rows))})
    except (payloads.BadRequest, WrongRows) as error:
        return 400, _encode(Failure(error="BadRequest", message=str(error)))
    except BaseException as error:  # noqa: BLE001  the user's code may raise anything, SystemExit too, and the server outlives it
        return 500, _encode(_failure(error))
    if len(body) > MOST_ANSWER:
        return 500, _encode(
            Failure(
                error="AnswerTooLarge",
                message=f"the predictions have {len(body):,} bytes, above {MOST_ANSWER:,}",
            )
        )
    return 200, body


_OURS = {__file__, payloads.__file__}


def _failure(error: BaseException) -> Failure:
    """Return the error body for an exception in the user's model code, with the line it is from."""
    tell("a prediction failed", error)
    frames: list[Any] = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in _OURS
    ]
    line = (
        f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].line}"
        if frames
        else None
    )
    message = str(error).encode("utf-8", "replace").decode()  # a lone surrogate has no JSON
    return Failure(error=type(error).__name__, message=message, line=line)
