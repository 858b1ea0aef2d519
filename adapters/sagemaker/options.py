"""Keys of profiles.yaml that SageMaker takes."""

from __future__ import annotations

from ...project.profiles.idle import IDLE
from ...project.profiles.job_options import jobs_key
from ...project.profiles.options import BUDGET, IMAGE, OFFLINE, adopted
from ...project.reading.shapes import Key, Number, Record, Text

_ROLE = Text(
    what="a role's ARN",
    pattern=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/.+",
    example="arn:aws:iam::123456789012:role/ranker",
)
_ENDPOINT = Text(
    what="an endpoint's name", pattern=r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", example="prod-ranker"
)
_MACHINE = Text(what="an instance type", pattern=r"ml\..+", example="ml.m5.large")

KEYS = {
    "account": Key(
        shape=Text(what="an account of 12 digits", pattern=r"[0-9]{12}", example='"123456789012"'),
        description="Credentials of another account are refused before the first call.",
    ),
    "region": Key(
        shape=Text(what="a region", pattern=r"[a-z]{2}(-[a-z]+)+-[0-9]", example="ap-northeast-1")
    ),
    "bucket": Key(
        shape=Text(
            what="a bucket",
            pattern=r"s3://[a-z0-9][a-z0-9.-]+(/.*)?",
            example="s3://example-ranker",
        )
    ),
    "role": Key(shape=_ROLE),
    "image": IMAGE,
    "serving": Key(
        shape=Record(
            noun="serving",
            keys={
                "instance": Key(shape=_MACHINE),
                "count": Key(shape=Number(whole=True, least=1)),
            },
        )
    ),
    "adopted": adopted(_ENDPOINT, "SageMaker's"),
    "budget": BUDGET,
    "idle": IDLE,
    "jobs": jobs_key(_MACHINE),
    "offline": OFFLINE,
}
