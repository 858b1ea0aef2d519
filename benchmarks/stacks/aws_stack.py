"""Measure invoke_endpoint through the AWS stack (a real model). `[--calls N] [--split N]`.

Beside it stand moto's server (canned) and the model server itself, all three by the same boto3
client, in one run, in turns; then the split of 20,000 calls at 9:1 and at 1:0 (chi-square); then
start-ups. Goals of the issue: at least twice moto's calls/s, at most twice the direct call's time.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import SMALL, Line, scaled, table
from benchmarks.stacks.aws_front import client, moto_server
from isthmus.tests.conformance.toy_models import model_folder
from isthmus_stack.run import start_aws

SERVER = f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1"
BODY = b'{"instances": [{"x": 1.0, "y": "a"}, {"x": 2.0, "y": "a"}]}'
ROLE = "arn:aws:iam::123456789012:role/serving"
ENDPOINT = "ranker"
ROUNDS = 5


def call(runtime, **more):
    return runtime.invoke_endpoint(
        EndpointName=ENDPOINT, ContentType="application/json", Body=BODY, **more
    )


def direct_server(stack: ExitStack, folder: Path) -> str:
    """Start the model server, which takes boto3's own path."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "AIP_PREDICT_ROUTE": f"/endpoints/{ENDPOINT}/invocations"}
    process = subprocess.Popen(
        [*SERVER.split(), "--model", str(folder), "--port", str(port)], env=env
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return f"http://127.0.0.1:{port}"


def deploy(url: str, folder: Path, weights: dict[str, float]) -> float:
    """Make an endpoint on the stack, and return the seconds until it is in service."""
    s3, sagemaker = client(url, "s3"), client(url, "sagemaker")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for path in folder.iterdir():
            tar.add(path, arcname=path.name)
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=data.getvalue())
    container = {"Image": "ranker", "ModelDataUrl": "s3://models/model.tar.gz"}
    sagemaker.create_model(ModelName="ranker", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variants = [
        {
            "VariantName": n,
            "ModelName": "ranker",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": w,
        }
        for n, w in weights.items()
    ]
    sagemaker.create_endpoint_config(EndpointConfigName="one", ProductionVariants=variants)
    began = time.perf_counter()
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName="one")
    while (answer := sagemaker.describe_endpoint(EndpointName=ENDPOINT))[
        "EndpointStatus"
    ] == "Creating":
        time.sleep(0.02)
    if answer["EndpointStatus"] != "InService":
        raise SystemExit(
            f"the endpoint is {answer['EndpointStatus']}: {answer.get('FailureReason')}"
        )
    return time.perf_counter() - began


def measure(runtimes, calls: int) -> dict[str, list[float]]:
    """Return the seconds of each call, the three in turns.

    So what else the machine does meets all of them.
    """
    took: dict[str, list[float]] = {name: [] for name in runtimes}
    for round_ in range(ROUNDS + 1):
        for name, runtime in runtimes.items():
            for _ in range(calls // ROUNDS if round_ else scaled(100, 1)):
                started = time.perf_counter()
                call(runtime)["Body"].read()
                if round_:
                    took[name].append(time.perf_counter() - started)
    return took


def together(runtime, calls: int) -> float:
    """Return the calls per second of four callers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: call(runtime)["Body"].read(), range(calls)))
    return calls / (time.perf_counter() - began)


def chi_square(url: str, weights: dict[str, int], calls: int) -> str:
    sagemaker, runtime = client(url, "sagemaker"), client(url, "sagemaker-runtime")
    desired = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=ENDPOINT, DesiredWeightsAndCapacities=desired
    )
    with ThreadPoolExecutor(4) as pool:
        counts = Counter(
            pool.map(lambda _: call(runtime)["InvokedProductionVariant"], range(calls))
        )
    total = sum(weights.values())
    expected = {name: calls * weight / total for name, weight in weights.items() if weight}
    strangers = set(counts) - set(expected)
    value = sum((counts[name] - n) ** 2 / n for name, n in expected.items())
    right = not strangers and value < 10.83  # 1 degree of freedom, p = 0.001
    shown = " / ".join(f"{counts[name]:,}" for name in weights)
    return f"{shown}   chi-square {value:.2f} {'(p > 0.001)' if right else 'WRONG'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=scaled(3000, 10))
    parser.add_argument("--split", type=int, default=scaled(20_000, 50))
    options, _ = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp())
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        model_folder(folder / "model", 1.0)
        began = time.perf_counter()
        running = stack.enter_context(
            start_aws(
                images={"ranker": f"{SERVER} --model {{model}} --port {{port}}"}, clock="instant"
            )
        )
        started = time.perf_counter() - began
        moto, moto_started = stack.enter_context(moto_server())
        urls = {
            "stack": running.url,
            "moto": moto,
            "direct": direct_server(stack, folder / "model"),
        }
        ready = deploy(running.url, folder / "model", {"champion": 9, "challenger": 1})
        runtimes = {name: client(url, "sagemaker-runtime") for name, url in urls.items()}
        took = measure(runtimes, options.calls)
        fast = {name: 1 / statistics.mean(times) for name, times in took.items()}
        four = {name: together(runtime, options.calls) for name, runtime in runtimes.items()}
        p50 = {name: statistics.median(times) * 1e3 for name, times in took.items()}
        names = {
            "stack": "the stack, a real model",
            "moto": "moto's server, canned",
            "direct": "the model server itself",
        }
        table(
            f"invoke_endpoint by boto3, {options.calls:,} calls each, in turns; ratio: "
            "calls/s to moto's",
            [
                Line(
                    name=names[name],
                    value=f"{fast[name]:,.0f}/s  p50 {p50[name]:.2f} ms  4 callers "
                    f"{four[name]:,.0f}/s",
                    ratio=fast[name] / fast["moto"],
                    goal="at least 2x moto" if name == "stack" else "",
                )
                for name in urls
            ],
            note=f"the stack's p50 is {p50['stack'] / p50['direct']:.2f}x the direct call's "
            "(goal: at most 2x)",
        )
        table(
            f"the split of {options.split:,} calls",
            [
                Line(
                    name="9:1",
                    value=chi_square(running.url, {"champion": 9, "challenger": 1}, options.split),
                ),
                Line(
                    name="1:0",
                    value=chi_square(running.url, {"champion": 1, "challenger": 0}, options.split),
                ),
            ],
        )
        table(
            "start-up, seconds until it answers",
            [
                Line(name="the stack", value=f"{started:.2f} s", ratio=started / moto_started),
                Line(name="moto's server", value=f"{moto_started:.2f} s", ratio=1.0),
                Line(name="an endpoint of two variants, instant clock", value=f"{ready:.2f} s"),
            ],
        )
    good = fast["stack"] >= 2 * fast["moto"] and p50["stack"] <= 2 * p50["direct"]
    return 0 if good or SMALL else 1


if __name__ == "__main__":
    sys.exit(main())
