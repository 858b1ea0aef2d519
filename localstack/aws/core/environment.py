"""The variables that lead AWS's SDKs to a stack, and those that would lead them away."""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Mapping

import msgspec

from ...core import keys

TITLE = "AWS"
PORT = 4599
ADDRESS = "AWS_ENDPOINT_URL"
NEEDS = ("boto3", "flask", "moto", "numpy", "waitress")
OPTIONS = frozenset({"home", "any_key", "moto_answers"})
SERVICES = "sagemaker s3 glue athena kinesis firehose cloudwatch"
ACCOUNT = "123456789012"  # of the stack's own keys
# and whose session they are; a notebook's, as the console names it
NOTEBOOK_ROLE = "AmazonSageMaker-ExecutionRole"
NOTEBOOK_ROLE_ID = "AROAISTHMUSNOTEBOOK00"
ANY = keys.Pair("offline", "offline")  # where nobody looks at the keys
REGION = "us-east-1"
DOOR = "ISTHMUS_STACK_DOOR"  # the HTTPS_PROXY that a stack has set
ROLE = "ISTHMUS_STACK_ROLE"  # in a job or a model server: whose keys its environment has
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
# Variables that would lead an SDK somewhere else, or to somebody's real credentials.
STRAY = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_REGION",
    ROLE,
    DOOR,
)


def variables(url: str) -> dict[str, str]:
    """Return the environment variables that point every AWS SDK at the offline AWS at `url`.

    The keys are the stack's own; for a server that is no stack of this user's, they are
    placeholders.
    """
    of_stack = keys.keys_of(url)
    pair = of_stack.pair if of_stack is not None else ANY
    return exports(url, REGION, pair.access_key, pair.secret_key)


def exports(url: str, region: str, access_key: str, secret_key: str) -> dict[str, str]:
    """Return environment variables that give an AWS SDK an endpoint, a region and a key pair."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": region,
    }


def proxy(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that lead clients with hard-coded AWS hosts to the stack.

    They are proxy settings: empty where another proxy is set, or where no stack of ours listens.
    """
    if (
        any(environ.get(name, environ.get(DOOR)) != environ.get(DOOR) for name in _PROXIES)
        or keys.keys_of(url) is None
    ):
        return {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/_stack/environment", timeout=60) as answer:
        return msgspec.json.decode(answer.read(), type=dict[str, str])


def ways(url: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return the ways to reach the stack at `url`: AWS has one, without a heading of its own.

    Each is a pair: the heading to print over it, and the environment variables to export.
    """
    return (("", variables(url)),)


def summary(url: str) -> str:
    """Return a sentence on how many operations the stack at `url` executes."""
    from ...core.client import Stack

    levels = Counter(operation["level"] for operation in Stack(url).coverage())
    return f"{levels['executes']} operations execute, {levels['stores only']} only store"


def stray(name: str) -> bool:
    """Return whether an environment variable of this name would send an SDK to the real AWS.

    Such a variable must not be set for a process that uses the offline AWS only.
    """
    return name in STRAY or name.startswith("AWS_ENDPOINT_URL_")
