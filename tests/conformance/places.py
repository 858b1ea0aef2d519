"""A fresh, empty place for one test of each adapter. Clouds are their local stacks: one process a session, reset for every test.

An adapter names its own in the entry point group `isthmus.conformance`: a function that takes an empty folder, empties whatever stands for
the adapter's cloud, and gives the options of a profile there.
"""

from __future__ import annotations

import atexit
import sys
from functools import cache

from isthmus.errors import Unsupported
from isthmus.target import Profile

PROJECT = "conf"
GROUP = "isthmus.conformance"


def fresh(adapter, folder):
    """The profile of an empty target. `folder` does not exist yet; it is the test's own."""
    return Profile(name=adapter, adapter=adapter, project=PROJECT, options=_place(adapter)(folder))


@cache
def named():
    """Adapter -> the entry point of its place."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _place(adapter):
    if adapter not in named():
        remedy = f"name a function that takes a folder and gives a profile's options, as an entry point of the group {GROUP}"
        raise Unsupported(f"adapter {adapter} names no fresh place for a test", capability="conformance", remedy=remedy)
    return named()[adapter].load()


def laptop(folder):
    return {"home": str(folder)}


def aws(_folder):
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
