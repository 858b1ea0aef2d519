"""Keys of profiles.yaml that Vertex AI takes."""

from __future__ import annotations

import re

from ...project.profiles.idle import IDLE
from ...project.profiles.job_options import jobs_key
from ...project.profiles.options import BUDGET, IMAGE, OFFLINE, adopted
from ...project.reading.quantities import Mistake
from ...project.reading.shapes import FILLED, Key, OneOf, Record, Text

_REPLICAS = r"[1-9][0-9]{0,3}(\.\.[1-9][0-9]{0,3})?"
_ACCOUNT = Text(
    what="a service account",
    pattern=r"[^@\s]+@[^@\s]+\.gserviceaccount\.com",
    example="ranker@example-ranker.iam.gserviceaccount.com",
)
_ENDPOINT = Text(
    what="an endpoint's id",
    pattern=r"[a-z0-9](-*[a-z0-9]){0,62}",
    example="1234567890123456789",
    numbers=True,
)


def _replicas(text: str) -> str:
    """Check that an option is a number or range of replicas such as `1..3`; return it unchanged."""
    if not re.fullmatch(_REPLICAS, text):
        raise Mistake(
            f"{text!r} is not a number of replicas", "write 1..3, the fewest and the most, or 2"
        )
    fewest, _, most = text.partition("..")
    if most and int(most) < int(fewest):
        raise Mistake(f"{text}: the most is below the fewest", f"write {most}..{fewest}")
    return text


KEYS = {
    "project": Key(shape=FILLED, description="The Google Cloud project's id."),
    "location": Key(
        shape=Text(what="a location", pattern=r"[a-z]+(-[a-z]+)+[0-9]+", example="asia-northeast1")
    ),
    "bucket": Key(
        shape=Text(
            what="a bucket",
            pattern=r"gs://[a-z0-9][a-z0-9._-]+(/.*)?",
            example="gs://example-ranker",
        )
    ),
    "service_account": Key(shape=_ACCOUNT),
    "image": IMAGE,
    "serving": Key(
        shape=Record(
            noun="serving",
            keys={
                "machine": Key(shape=FILLED),
                "replicas": Key(
                    shape=Text(
                        what="a number of replicas",
                        pattern=_REPLICAS,
                        parse=_replicas,
                        example="1..3",
                        numbers=True,
                    ),
                    description="1..3: the fewest and the most.",
                ),
            },
        )
    ),
    "endpoint": Key(
        shape=OneOf(words=("dedicated", "shared")),
        description="dedicated: 10 MB a request and no quota of requests; shared: 1.5 MB and "
        "30,000 requests a minute.",
    ),
    "adopted": adopted(_ENDPOINT, "the id of Vertex AI's endpoint"),
    "budget": BUDGET,
    "idle": IDLE,
    "jobs": jobs_key(
        Text(
            what="a machine type",
            pattern=r"[a-z]\d[a-z]?-(standard|highmem|highcpu)-\d+",
            example="n1-standard-4",
        )
    ),
    "offline": OFFLINE,
}
