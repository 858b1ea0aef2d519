"""Measure one call of the local endpoint beside a bare Starlette app with the same model.

`python -m benchmarks.endpoints.endpoint_call [--calls N]`

The model server is compared with the bare app, and the router with a plain reverse hop (a bare ASGI
application on uvicorn that posts what it gets on by aiohttp) before the bare app. All serve the
same predictor to the same client over kept connections, asked in blocks in turns, so that the
machine's other work meets all: a ratio is the median of the rounds'. Then the split of N calls at
90/10 must be within 3 sigma.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from benchmarks.measure import SMALL, scaled
from isthmus.adapters import targets
from isthmus.adapters.local.endpoints.client import Client
from isthmus.errors import Unavailable
from isthmus.target import Profile
from isthmus.tests.conformance.toy_models import (
    endpoint,
    model_folder,
    register,
    remove_endpoints,
    settled,
    variant,
)

BARE = """
import sys
from pathlib import Path
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from isthmus.pipelines.models.predictor import load

model = load(Path(sys.argv[1])).predictor

async def invoke(request):
    return JSONResponse({"predictions": model.predict((await request.json())["instances"])})

app = Starlette(routes=[Route("/invocations", invoke, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", log_level="warning", access_log=False)
"""
HOP = """
import sys
import aiohttp
import uvicorn

session = None

async def app(scope, receive, send):
    global session
    session = session or aiohttp.ClientSession()
    body = (await receive())["body"]
    kind = {"content-type": "application/json"}
    async with session.post(sys.argv[1], data=body, headers=kind) as answer:
        body = await answer.read()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", lifespan="off", log_level="warning", access_log=False)
"""
GOALS = {"the model server": ("bare Starlette", 1.34), "the router": ("a plain hop to it", 1.34)}
ROWS = [{"x": float(n), "y": "a"} for n in range(4)]
BODY = json.dumps({"instances": ROWS}).encode()
KIND = (("content-type", "application/json"),)
BLOCK = 50  # calls of one in its turn


def turns(callers, calls):
    """Return the milliseconds of one caller's calls, by name: a list for each round."""
    for call in callers.values():
        for _ in range(scaled(200, 1)):
            call()
    times = {name: [] for name in callers}
    for _ in range(max(1, calls // BLOCK)):
        for name, call in callers.items():
            times[name].append([timed(call) for _ in range(BLOCK)])
    return times


def timed(call):
    """Return the milliseconds of a call."""
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def rate(call, calls):
    """Return the calls a second of four callers at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(lambda: [call() for _ in range(calls // 4)]) for _ in range(4)]:
            done.result()
    return 4 * (calls // 4) / (time.perf_counter() - began)


def call(client):
    client.request("POST", "/invocations", BODY, KIND, what="a call")


def answer(client):
    """Wait until a server listens, and answers."""
    while True:
        try:
            return call(client)
        except Unavailable:
            time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=scaled(20_000, 400))
    calls = parser.parse_known_args()[0].calls
    folder = Path(tempfile.mkdtemp())
    target = targets.load(
        Profile(
            name="local",
            adapter="local",
            project="bench",
            options={"home": str(folder / ".isthmus")},
        )
    )
    children = []
    try:
        model_folder(folder / "bare", 1.0)
        (folder / "bare.py").write_text(BARE)
        (folder / "hop.py").write_text(HOP)
        bare, hop, server = Client(8791), Client(8792), Client(8793)
        for command in (
            [str(folder / "bare.py"), str(folder / "bare"), "8791"],
            [str(folder / "hop.py"), "http://127.0.0.1:8791/invocations", "8792"],
            ["-m", "isthmus.endpoints.server", "--model", str(folder / "bare"), "--port", "8793"],
        ):
            child = subprocess.Popen([sys.executable, *command])
            children.append(child)
        for client in (bare, server, hop):
            answer(client)
        began = time.perf_counter()
        target.endpoints.apply(
            endpoint(
                variant(register(target, folder, 1.0), "champion"),
                variant(register(target, folder, 2.0), "challenger"),
            )
        )
        state = settled(target)
        ready = time.perf_counter() - began
        split = {"champion": Decimal(90), "challenger": Decimal(10)}
        target.endpoints.shift("ranker", split, expect=state.token)
        port = int(
            next(
                r for r in target.inventory.list("bench") if r.kind == "endpoint"
            ).console_url.rpartition(":")[2]
        )
        routed = Client(port)
        callers = {
            "bare Starlette": lambda: call(bare),
            "the model server": lambda: call(server),
            "a plain hop to it": lambda: call(hop),
            "the router": lambda: call(routed),
            "EndpointHost.invoke": lambda: target.endpoints.invoke(
                "ranker", ROWS, variant=None, request_id="q"
            ),
        }
        times = turns(callers, calls // 4)
        medians = {name: [statistics.median(block) for block in times[name]] for name in times}
        print(f"{'':<26}{'p50 ms':>9}{'p99 ms':>9}{'calls/s':>9}")
        for name, blocks in times.items():
            cuts = statistics.quantiles([ms for block in blocks for ms in block], n=100)
            print(
                f"{name:<26}{cuts[49]:>9.3f}{cuts[98]:>9.3f}{rate(callers[name], calls // 4):>9,.0f}"
            )
        within = True
        for name, (reference, goal) in GOALS.items():
            ratio = statistics.median(
                ours / theirs
                for ours, theirs in zip(medians[name], medians[reference], strict=True)
            )
            within = within and ratio <= goal
            print(f"{name} beside {reference}: {ratio:.2f}x at p50   goal: {goal}x")
        counts = Counter(
            target.endpoints.invoke("ranker", ROWS, variant=None, request_id="q").variant
            for _ in range(calls)
        )
        sigma = (calls * 0.9 * 0.1) ** 0.5
        off = (counts["challenger"] - calls * 0.1) / sigma
        split = f"{counts['champion']:,} / {counts['challenger']:,}"
        print(
            f"split of {calls:,} calls at 90/10: {split}   {off:+.2f} sigma   ready in {ready:.1f} s"
        )
        within = within and abs(off) <= 3
        print("within the goals and 3 sigma" if within else "NOT within the goals and 3 sigma")
    finally:
        remove_endpoints(target)
        target.close()
        for child in children:
            child.kill()
            child.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if within or SMALL else 1


if __name__ == "__main__":
    sys.exit(main())
