"""Records of what Isthmus does, for `logging.getLogger("isthmus")`.

Each has `event`, a name that stays, and `fields`.

`logging` is used only where somebody has imported it: nobody else can be listening, and `import
isthmus` does without it.
"""

from __future__ import annotations

import io
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from .escapes import escaping

if TYPE_CHECKING:
    import logging

LOGGER = "isthmus"
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}  # as of logging
FORM, LEVEL = "ISTHMUS_LOG", "ISTHMUS_LOG_LEVEL"  # json, or text; one of LEVELS
# event -> (level, fields, when)
EVENTS = {
    "call": ("info", "operation, resource", "a provider is asked to change something"),
    "read": ("debug", "operation, resource", "a provider is asked"),
    "progress": (
        "info",
        "what, done, total",
        (
            "a command tells its progress, every half a minute (JSON only); total is null where "
            "it is not known"
        ),
    ),
    "stream": (
        "info",
        "consumer, events, rate, behind, checkpoint",
        "a worker reads a stream, every few seconds; behind is in seconds, null if not known",
    ),
    "step": ("info", "run, step, phase, reason", "a training run's step has another phase"),
    "look": (
        "info",
        "endpoint, rollout, phase, step, problems",
        "a rollout's controller has looked, and something is new",
    ),
    "request": (
        "info",
        "method, path, status, ms",
        "a gateway, the pages, the laptop's router or a model server answered",
    ),
    "warning": (
        "warning",
        "message",
        "a command could not do what goes beside its work (JSON only)",
    ),
    "error": ("error", "kind, message, remedy", "a command fails (JSON only)"),
}


def emit(event: str, /, **fields: object) -> None:
    """Write a log record of a known event (a name in EVENTS), with its fields."""
    logger, level = _logger(), LEVELS[EVENTS[event][0]]
    if logger is not None and logger.isEnabledFor(level):
        logger.log(level, "%s", _text(event, fields), extra={"event": event, "fields": fields})


def listening(event: str) -> bool:
    """Return whether log records of this event are written at the present level.

    Ask it before work that is done only for a record.
    """
    logger = _logger()
    return logger is not None and logger.isEnabledFor(LEVELS[EVENTS[event][0]])


def _logger() -> logging.Logger | None:
    """Return the logger `isthmus`, or None while no code has imported `logging`.

    The result is cached, as it is needed at every call of a provider.
    """
    if not _looked_up and (logging := sys.modules.get("logging")) is not None:
        _looked_up.append(logging.getLogger(LOGGER))
    return _looked_up[0] if _looked_up else None


_looked_up: list[logging.Logger] = []


def as_json() -> bool:
    """Return whether the environment asks for the log as JSON lines."""
    return os.environ.get(FORM, "").lower() == "json"


def configure(level: str | None = None, *, stream: TextIO | None = None) -> None:
    """Set up logging to stderr, with the format and the level that the environment sets.

    Only our own programs call it. A `level` takes precedence over ISTHMUS_LOG_LEVEL, and is passed
    on to child processes by it. Without a level, JSON logs begin at info, and there are no text
    logs.
    """
    if level is not None:
        os.environ[LEVEL] = level
    chosen = os.environ.get(LEVEL, "").lower()
    if chosen not in LEVELS:
        if not as_json():
            return
        chosen = "info"
    import logging

    logger = logging.getLogger(LOGGER)
    logger.handlers[:] = [_handler(stream or sys.stderr)]
    logger.setLevel(LEVELS[chosen])
    logger.propagate = False


def tolerate_full_disk() -> None:
    """Keep the program alive when the disk that holds its log is full.

    A server calls it before `configure`, so that it goes on answering.
    """
    file = io.BufferedWriter(_Lossy(2, "w", closefd=False))
    sys.stderr = escaping(
        io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    )


class _Lossy(io.FileIO):
    def write(self, data: Any, /) -> int:
        """Write data to the log; drop them if the stream is broken, so that the program goes on."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _handler(stream: TextIO) -> logging.Handler:
    """Return the log handler that writes records to the stream as text or as JSON lines."""
    import logging

    class Lines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            """Format a record as a line of text or of JSON."""
            return (
                _json(record) if as_json() else f"{_moment(record):%H:%M:%S} {record.getMessage()}"
            )

    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines())
    return handler


def _json(record: logging.LogRecord) -> str:
    """Return a log record as a line of JSON."""
    line: dict[str, Any] = {
        "time": f"{_moment(record):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z",
        "level": record.levelname.lower(),
        "event": getattr(record, "event", "log"),
        **(getattr(record, "fields", None) or {"message": record.getMessage()}),
    }
    return msgspec.json.encode(line, enc_hook=str).decode()


def _moment(record: logging.LogRecord) -> datetime:
    """Return the time in UTC at which a log record was made."""
    return datetime.fromtimestamp(record.created, UTC)


def _text(event: str, fields: dict[str, object]) -> str:
    """Return a log event and its non-empty fields as one line of text."""
    return "  ".join(
        [event, *(f"{name}={value}" for name, value in fields.items() if value not in (None, ""))]
    )
