"""Keys of profiles.yaml that the laptop takes."""

from __future__ import annotations

from ...project.profiles.idle import IDLE
from ...project.reading import quantities
from ...project.reading.names import name_problem
from ...project.reading.shapes import Folder, Key, MapOf, Record, Text


def _duration(text: str) -> str:
    """Check that an option of a profile is a duration such as `60s`, and return it unchanged."""
    quantities.duration(text)
    return text


_DURATION = Text(what="a duration", pattern=quantities.DURATION, parse=_duration, example="60s")

KEYS = {
    "home": Key(
        shape=Folder(default=".isthmus"),
        description="Where the laptop keeps things. Default .isthmus beside project.yaml.",
    ),
    "serving": Key(
        shape=Record(
            noun="serving",
            keys={
                "timeout": Key(
                    shape=_DURATION,
                    description="Of a prediction; the process that hangs is replaced. Default 60s.",
                ),
                "timeouts": Key(
                    shape=MapOf(of=_DURATION, names=name_problem),
                    example="{ranker: 5s}",
                    description="Of endpoints that need another one.",
                ),
                "return_wait": Key(
                    shape=_DURATION,
                    description="For so long a request waits for the return of a variant "
                    "whose processes died. Default 2s.",
                ),
                "request_log": Key(
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
