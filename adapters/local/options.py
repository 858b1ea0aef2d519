"""Keys of profiles.yaml that the laptop takes."""

from __future__ import annotations

from ...project.profiles.idle import IDLE
from ...project.reading import quantities
from ...project.reading.names import name_problem
from ...project.reading.shapes import Folder, MapOf, Record, RecordKey, Text


def _duration(text: str) -> str:
    """Check that an option of a profile is a duration such as `60s`, and return it unchanged."""
    quantities.duration(text)
    return text


_DURATION = Text(what="a duration", pattern=quantities.DURATION, parse=_duration, example="60s")

KEYS = {
    "home": RecordKey(
        shape=Folder(default=".isthmus"),
        description="Where the laptop keeps things. Default .isthmus beside project.yaml.",
    ),
    "serving": RecordKey(
        shape=Record(
            noun="serving",
            keys={
                "timeout": RecordKey(
                    shape=_DURATION,
                    description="Of a prediction; the process that hangs is replaced. Default 60s.",
                ),
                "timeouts": RecordKey(
                    shape=MapOf(of=_DURATION, names=name_problem),
                    example="{ranker: 5s}",
                    description="Of endpoints that need another one.",
                ),
                "return_wait": RecordKey(
                    shape=_DURATION,
                    description="For so long a request waits for the return of a variant "
                    "whose processes died. Default 2s.",
                ),
                "request_log": RecordKey(
                    shape=_DURATION,
                    description="How long the requests are kept that metrics are read from. "
                    "Default 48h.",
                ),
            },
        ),
        description="Holds from an endpoint's next start.",
    ),
    "idle": IDLE,
}
