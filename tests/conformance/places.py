"""A fresh, empty place for one test of each adapter.

Clouds are their local stacks: one process a session, reset for every test; or, for
SageMaker, what ISTHMUS_CONFORMANCE_ENDPOINT names.

An adapter names its own in the entry point group `isthmus.conformance`: a function that takes an
empty folder, empties whatever stands for the adapter's cloud, and gives the options of a profile
there.
"""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import cache
from tempfile import TemporaryFile
from urllib.request import Request, urlopen

from isthmus.errors import Unsupported
from isthmus.target import Profile

PROJECT = "conf"
GROUP = "isthmus.conformance"
# another server for SageMaker's tests; whatever it holds is removed before every test
ENDPOINT = "ISTHMUS_CONFORMANCE_ENDPOINT"


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
        remedy = (
            "name a function that takes a folder and gives a profile's options, as an entry "
            f"point of the group {GROUP}"
        )
        raise Unsupported(
            f"adapter {adapter} names no fresh place for a test",
            capability="conformance",
            remedy=remedy,
        )
    return named()[adapter].load()


def laptop(folder):
    return {"home": str(folder)}


def aws(_folder):
    url = os.environ.get(ENDPOINT) or aws_stack().url
    _empty(url)
    return {
        "endpoint_url": url,
        "bucket": "s3://conformance",
        "region": "us-east-1",
        "account": "123456789012",
    }


def gcp(_folder):
    from isthmus_stack.client import Stack
    from isthmus_stack.gcp.environment import ways_into

    url = gcp_stack().url
    Stack(url, "gcp").reset()
    address = ways_into(url).grpc_address
    return {
        "endpoint_url": url,
        "grpc_address": address,
        "bucket": "gs://conformance",
        "project": "conformance",
        "location": "us-central1",
    }


def _empty(url):
    """Unsupported for a server that cannot be emptied: tests do not share what they leave."""
    from isthmus.adapters.sagemaker import backend
    from isthmus_stack.client import Stack

    server = backend.server(url)
    if server == backend.OURS:
        Stack(url).reset()
        return
    routes = {backend.MOTO: "moto-api/reset", backend.LOCALSTACK: "_localstack/state/reset"}
    if server not in routes:
        raise Unsupported(
            f"{ENDPOINT} is {url}, and {server} has no way to be emptied", capability="conformance"
        )
    with urlopen(
        Request(f"{url.rstrip('/')}/{routes[server]}", method="POST"), timeout=60
    ):  # an error status raises
        pass


@contextmanager
def moto_server():
    """moto's own server, without any handler of ours, as a process of its own: its URL."""
    with TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=log,
            stderr=log,
        )
        try:
            yield _listening(process, log)
        finally:
            process.kill()
            process.wait()


def _listening(process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        log.seek(0)
        text = log.read()
        if address := re.search(r"Running on (http://127\.0\.0\.1:\d+)", text):
            return address[1]
        if process.poll() is not None:
            raise AssertionError(f"moto's server ended: {text}")
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    raise AssertionError("moto's server does not listen")


def aws_stack():
    return stack("aws")


def gcp_stack():
    return stack("gcp")


@cache
def stack(cloud, clock="instant"):
    """One for all that this process tests; whoever takes it empties it. It ends with this process.

    On the instant clock nothing waits for the minutes that the cloud would take.
    """
    from isthmus_stack.run import start

    running = start(
        cloud,
        clock=clock,
        images={
            "isthmus": f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1 --model "
            "{model} --port {port}"
        },
    )
    atexit.register(running.stop)
    return running
