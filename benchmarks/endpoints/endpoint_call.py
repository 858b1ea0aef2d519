"""Measure one call of the local endpoint beside a bare Starlette app with the same model.

`python -m benchmarks.endpoints.endpoint_call [--calls N]`. Both serve the same predictor to the
same client over kept connections, asked in blocks in turns, so that the machine's other work meets
all: the ratio is the median of the rounds'. Then the split of N calls at 90/10 must be within 3
sigma.
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
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def rate(call, calls):
    """Return the calls per second of four callers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(lambda: [call() for _ in range(calls // 4)]) for _ in range(4)]:
            done.result()
    return 4 * (calls // 4) / (time.perf_counter() - began)


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
    bare = None
    try:
        model_folder(folder / "bare", 1.0)
        (folder / "bare.py").write_text(BARE)
        bare = subprocess.Popen(
            [sys.executable, str(folder / "bare.py"), str(folder / "bare"), "8791"]
        )
        client = Client(8791)
        while True:
            try:
                client.request("POST", "/invocations", BODY, KIND, what="bare")
                break
            except Unavailable:
                time.sleep(0.05)
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
            "bare Starlette, uvicorn": lambda: client.request(
                "POST", "/invocations", BODY, KIND, what="bare"
            ),
            "endpoint (router)": lambda: routed.request(
                "POST", "/invocations", BODY, KIND, what="routed"
            ),
            "EndpointHost.invoke": lambda: target.endpoints.invoke(
                "ranker", ROWS, variant=None, request_id="q"
            ),
        }
        times = turns(callers, calls // 4)
        base = [statistics.median(block) for block in times["bare Starlette, uvicorn"]]
        ratios = {}
        print(f"{'':<26}{'p50 ms':>9}{'p99 ms':>9}{'calls/s':>9}   p50 ratio")
        for name, blocks in times.items():
            cuts = statistics.quantiles([ms for block in blocks for ms in block], n=100)
            ratios[name] = statistics.median(
                statistics.median(block) / bare for block, bare in zip(blocks, base, strict=True)
            )
            print(
                f"{name:<26}{cuts[49]:>9.3f}{cuts[98]:>9.3f}{rate(callers[name], calls // 4):>9,.0f} "
                f"  {ratios[name]:.2f}"
            )
        counts = Counter(
            target.endpoints.invoke("ranker", ROWS, variant=None, request_id="q").variant
            for _ in range(calls)
        )
        sigma = (calls * 0.9 * 0.1) ** 0.5
        off = (counts["challenger"] - calls * 0.1) / sigma
        counted = f"{counts['champion']:,} / {counts['challenger']:,}"
        print(
            f"split of {calls:,} calls at 90/10: {counted}   {off:+.2f} sigma   ready in {ready:.1f} s"
        )
        within = ratios["endpoint (router)"] <= 2 and abs(off) <= 3
        print("within 2x at p50 and 3 sigma" if within else "NOT within 2x at p50 and 3 sigma")
    finally:
        remove_endpoints(target)
        target.close()
        if bare:
            bare.kill()
            bare.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if within or SMALL else 1


if __name__ == "__main__":
    sys.exit(main())
