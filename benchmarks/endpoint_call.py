"""One call of the local endpoint beside a bare Starlette app with the same model. `python benchmarks/endpoint_call.py [--calls N]`

Both serve the same predictor to the same client over kept connections. Then the split of N calls at 90/10, within 3 sigma.
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

from isthmus.adapters import targets
from isthmus.adapters.local.endpoints.http import Client
from isthmus.errors import Unavailable
from isthmus.target import Profile
from isthmus.tests.conformance.toy_models import endpoint, model_folder, register, remove_endpoints, settled, variant

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


def measure(call, calls):
    """p50 and p99 in ms of one caller, then calls/s of four."""
    for _ in range(200):
        call()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(lambda: [call() for _ in range(calls // 4)]) for _ in range(4)]:
            done.result()
    rate = 4 * (calls // 4) / (time.perf_counter() - began)
    return statistics.median(times), statistics.quantiles(times, n=100)[98], rate


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=20_000)
    calls = parser.parse_known_args()[0].calls
    folder = Path(tempfile.mkdtemp())
    target = targets.load(Profile(name="local", adapter="local", project="bench", options={"home": str(folder / ".isthmus")}))
    bare = None
    try:
        model_folder(folder / "bare", 1.0)
        (folder / "bare.py").write_text(BARE)
        bare = subprocess.Popen([sys.executable, str(folder / "bare.py"), str(folder / "bare"), "8791"])
        client = Client(8791)
        while True:
            try:
                client.request("POST", "/invocations", BODY, KIND, what="bare")
                break
            except Unavailable:
                time.sleep(0.05)
        began = time.perf_counter()
        target.endpoints.apply(
            endpoint(variant(register(target, folder, 1.0), "champion"), variant(register(target, folder, 2.0), "challenger"))
        )
        state = settled(target)
        ready = time.perf_counter() - began
        split = {"champion": Decimal(90), "challenger": Decimal(10)}
        target.endpoints.shift("ranker", split, expect=state.token)
        port = int(next(r for r in target.inventory.list("bench") if r.kind == "endpoint").console_url.rpartition(":")[2])
        routed = Client(port)
        rows = {
            "bare Starlette, uvicorn": measure(lambda: client.request("POST", "/invocations", BODY, KIND, what="bare"), calls // 4),
            "endpoint (router)": measure(lambda: routed.request("POST", "/invocations", BODY, KIND, what="routed"), calls // 4),
            "EndpointHost.invoke": measure(lambda: target.endpoints.invoke("ranker", ROWS, variant=None, request_id="q"), calls // 4),
        }
        base = rows["bare Starlette, uvicorn"]
        print(f"{'':<26}{'p50 ms':>9}{'p99 ms':>9}{'calls/s':>9}   p50 ratio")
        for name, (p50, p99, rate) in rows.items():
            print(f"{name:<26}{p50:>9.3f}{p99:>9.3f}{rate:>9,.0f}   {p50 / base[0]:.2f}")
        counts = Counter(target.endpoints.invoke("ranker", ROWS, variant=None, request_id="q").variant for _ in range(calls))
        sigma = (calls * 0.9 * 0.1) ** 0.5
        off = (counts["challenger"] - calls * 0.1) / sigma
        seen = f"{counts['champion']:,} / {counts['challenger']:,}"
        print(f"split of {calls:,} calls at 90/10: {seen}   {off:+.2f} sigma   ready in {ready:.1f} s")
        within = rows["endpoint (router)"][0] <= 2 * base[0] and abs(off) <= 3
        print("within 2x at p50 and 3 sigma" if within else "NOT within 2x at p50 and 3 sigma")
    finally:
        remove_endpoints(target)
        target.close()
        if bare:
            bare.kill()
            bare.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
