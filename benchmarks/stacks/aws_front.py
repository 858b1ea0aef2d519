"""Measure the AWS stack's front beside moto's own server. `[--calls N]`.

The figures are calls/s and p50 through boto3, of one caller and twenty, and start-up. The same
operation is asked on moto's server and on moto below the front, then one that a (trivial) handler
of ours answers.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import boto3
from botocore.config import Config

from benchmarks.measure import Line, scaled, table
from isthmus_stack.run import start_aws, variables

HANDLERS = "isthmus_stack.tests.aws.example_handlers"


def measure(call: Callable[[], object], calls: int) -> tuple[float, str]:
    """Return the calls per second of one caller, and all figures as text."""
    for _ in range(20):
        call()
    took = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    alone = calls / sum(took)
    started = time.perf_counter()
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: call(), range(calls)))
    together = calls / (time.perf_counter() - started)
    return (
        alone,
        f"{alone:.0f}/s  p50 {statistics.median(took) * 1e3:.2f} ms  20 callers {together:.0f}/s",
    )


def client(url: str, service: str):
    env = variables("aws", url)
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        config=Config(max_pool_connections=20),
    )


@contextmanager
def moto_server() -> Iterator[tuple[str, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=scaled(1000, 20))
    calls = parser.parse_known_args()[0].calls
    with moto_server() as (url, took):
        theirs, words = measure(client(url, "sagemaker").list_notebook_instances, calls)
    lines = [
        Line(name="moto's server: start-up", value=f"{took:.2f} s"),
        Line(name="moto's server: ListNotebookInstances", value=words),
    ]
    started = time.perf_counter()
    with start_aws(handlers=[HANDLERS]) as stack:
        lines.append(
            Line(name="the stack: start-up", value=f"{time.perf_counter() - started:.2f} s")
        )
        sagemaker, metrics = client(stack.url, "sagemaker"), client(stack.url, "sagemaker-metrics")
        query = {
            "MetricName": "m",
            "ResourceArn": "a",
            "MetricStat": "Avg",
            "Period": "OneMinute",
            "XAxisType": "Timestamp",
        }
        for name, call in {
            "moto below the front: the same": sagemaker.list_notebook_instances,
            "a handler, json": sagemaker.list_hubs,
            "a handler, rest-json": lambda: metrics.batch_get_metrics(MetricQueries=[query]),
        }.items():
            rate, words = measure(call, calls)
            lines.append(Line(name=name, value=words, ratio=rate / theirs))
    table("The AWS stack's front (ratio: calls/s of one caller, to moto's server)", lines)


if __name__ == "__main__":
    main()
