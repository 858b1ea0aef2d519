"""Predictions one at a time, on the thread that loaded the model, while the server's loop goes on
in another one.

A predictor need not be thread-safe, and what it opened while it was loaded (SQLite, thread-locals)
is its thread's. So the thread that loads predicts, and health checks and time-outs are the loop's.

Who asks often and alone has its connection lent to that thread, so that no other must wake for a
request. It knows whole requests that are like the one before; with whatever else comes, and as soon
as somebody else asks, the connection goes back to the loop.
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
from ..http.error_log import tell
from . import payloads as wire
from .connections import Connection, Failure, Request
from .lending import ALONE, Loan, Rest

MOST_WAITING = 256  # requests, with the one that is under way; 503 beyond
MOST_ANSWER = 10_000_000  # bytes
_GRACE = (
    5.0  # seconds after its limit in which a prediction that lets no other thread run may still end
)
_ENDS = "a prediction before this one hung, and its process ends"
_encode = msgspec.json.Encoder().encode


class Predictions:
    """`submit` and what it calls are of the loop's thread, `run` of the one that loaded the model."""

    def __init__(
        self, model: LoadedModel, *, extra: bytes, timeout: float | None, hung: Callable[[], None]
    ) -> None:
        """In the loop's thread.

        `hung` is called once a prediction has taken `timeout` seconds and everybody was answered.
        """
        self.ended = asyncio.Event()  # `run` has returned
        self.under_way: dict[
            Request, None
        ] = {}  # in their order, with the one that is being predicted
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._extra = extra
        self._timeout = timeout
        self._hung = hung
        self._queue: SimpleQueue[Request | Loan | None] = SimpleQueue()
        self._began: tuple[Request, float] | None = None
        self._loan: Loan | None = None  # to the thread of `run`
        self._last: Connection | None = None  # that has asked
        self._alone = 0  # how often in a row, and nobody else
        self._watched = self._hangs = False

    def submit(self, request: Request) -> None:
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
        self.recall()
        if self._timeout is not None and not self._watched:
            self._watched = True
            self._loop.call_later(self._timeout, self._watch, self._timeout)

    @property
    def busy(self) -> bool:
        return bool(self.under_way) or self._loan is not None

    def recall(self) -> None:
        """The connection that is lent comes back once its request is answered."""
        if self._loan is not None:
            self._loan.recall()

    def stop(self) -> None:
        """After what was submitted."""
        self._queue.put(None)
        self.recall()

    def run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, Loan):
                self._loop.call_soon_threadsafe(
                    self._take_back, item, item.serve(self._predict, self._extra)
                )
            else:
                self._answer(item)
        self._loop.call_soon_threadsafe(self.ended.set)

    def _answer(self, request: Request) -> None:
        if request.gone:
            status, body = 503, b""
        else:
            status, body = self._predict(request)
        request.write(status, body, self._extra)  # the caller has it before the loop is awake
        self._loop.call_soon_threadsafe(self._finish, request, status, body)

    def _predict(self, request: Request) -> tuple[int, bytes]:
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
        if request in self.under_way:
            del self.under_way[request]
            alone = request.connection is self._last and not self.under_way
            self._last, self._alone = request.connection, self._alone + 1 if alone else 0
            request.reply(status, body, self._extra)
            if self._alone >= ALONE and self._loan is None and self._timeout is None:
                self._lend(request)

    def _lend(self, request: Request) -> None:
        """Its connection, for more that are like it."""
        if (head := request.connection.lend(request)) is None:
            return
        try:
            self._loan, self._alone = Loan(request.connection, head), 0
        except OSError:  # another time
            request.connection.take_back(b"", b"", keep=True)
        else:
            self._queue.put(self._loan)

    def _take_back(self, loan: Loan, rest: Rest) -> None:
        self._loan = None
        loan.close()
        loan.connection.take_back(rest.data, rest.unsent, keep=rest.keep)

    def _watch(self, timeout: float) -> None:
        began = self._began
        if began is not None and time.monotonic() - began[1] >= timeout:
            self._end(began[0], timeout)
        elif self.under_way:
            left = timeout if began is None else began[1] + timeout - time.monotonic()
            self._loop.call_later(max(left, 0.001), self._watch, timeout)
        else:
            self._watched = False

    def _end(self, request: Request, timeout: float) -> None:
        faulthandler.dump_traceback(sys.stderr)  # where it hangs
        print(
            f"error: a prediction took longer than {timeout:g} s, so this process ends",
            file=sys.stderr,
            flush=True,
        )
        self._hangs = True
        waiting, self.under_way = self.under_way, {}
        for asked in waiting:
            asked.keep = False
            if asked is request:
                asked.fail(
                    504, "PredictionTimeout", f"the prediction took longer than {timeout:g} s"
                )
            else:
                asked.fail(503, "Unavailable", _ENDS)
        self._hung()


def answer(model: LoadedModel, request: Request) -> tuple[int, bytes]:
    """Status and JSON."""
    content_type = request.headers.get(b"content-type", b"").decode("latin-1")
    try:
        rows, parameters = wire.request(bytes(request.body), content_type, model.manifest)
        body = _encode(
            {
                "predictions": wire.predictions(
                    model.predictor.predict(rows, **parameters), len(rows)
                )
            }
        )
    except wire.BadRequest as error:
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


_OURS = {__file__, wire.__file__}


def _failure(error: BaseException) -> Failure:
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
