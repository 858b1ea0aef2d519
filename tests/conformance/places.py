"""A fresh, empty place for one test of each adapter. Clouds are their local stacks: one process a session, reset for every test."""

from __future__ import annotations

import atexit
import sys
from functools import cache

from isthmus.target import Profile

PROJECT = "conf"


def fresh(adapter, home):
    """The profile of an empty target. `home` is an empty folder, which only the laptop's target needs."""
    return Profile(name=adapter, adapter=adapter, project=PROJECT, options=_OPTIONS.get(adapter, _at_home)(home))


def _at_home(home):
    return {"home": str(home)}


def _aws(_home):
    from isthmus.localstack.client import Stack

    url = aws_stack().url
    Stack(url).reset()
    return {"endpoint_url": url, "bucket": "s3://conformance", "region": "us-east-1", "account": "123456789012"}


@cache
def aws_stack():
    """On the instant clock: nothing waits for the minutes that the cloud would take. It ends with this process."""
    from isthmus.localstack.run import start_aws

    stack = start_aws(
        clock="instant",
        images={"isthmus": f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1 --model {{model}} --port {{port}}"},
    )
    atexit.register(stack.stop)
    return stack


_OPTIONS = {"sagemaker": _aws}
