"""Measure what a ranking costs beside the call of the endpoint that it makes.

`--requests N`. The figures are p50, the process's own CPU, and memory after many. One process asks
one request after the other, measured in turns, so that the machine's other work meets all. There
are 20 candidates, 3 places, features of two views, exposures on; also two layers that have a run
each, then four rules, too, then a cap per unit beside them; what four threads count at once; an
assignment and OpenFeature's flags. The memory is that of a process of its own that has ranked N
times (default 100,000).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

import isthmus
from isthmus.adapters.local.endpoints.client import Client
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.decide.live_document import (
    LIVE,
    LiveArm,
    LiveExperiments,
    LiveLayer,
    LiveRun,
)
from isthmus.endpoints.gateway.decide.live_reader import LiveReader
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.gateway.log.scored_rows import scored_rows
from isthmus.endpoints.gateway.log.streams import STREAMS
from isthmus.endpoints.gateway.rank.ranking import ShownItem
from isthmus.endpoints.gateway.request.inputs import manifest_of, union, view_keys
from isthmus.errors import OutcomeUnknown, Unavailable
from isthmus.events.intake.ingest import ingest
from isthmus.storage import Versioned
from isthmus.tests.conformance.toy_models import remove_endpoints, until
from isthmus.tests.endpoints import mini

from ..measure import Line, scaled, table

ITEMS, CANDIDATES, SLOTS, CALLS = 80, 20, 3, scaled(4_000, 100)
TESTED = "Gateway.rank, 2 layers"
NOW = datetime(2024, 1, 10, tzinfo=UTC)
RULES = """
    parameters: {factor: {type: float, min: 0, default: 2}}
    rules:
      - block: {where: {item_history.item_impressions: {min: 1000}}}
      - boost: {where: {item_history.item_impressions: {max: 10}}, times: $factor}
      - pin:   {item_id: 5, position: 1}
      - cap:   {by: item_history.item_impressions, max: 2, per: response}
"""
RULED = f"{TESTED}, 4 rules"
LOGGING = "Gateway.rank, log_features"
CAP = "      - cap:   {by: item_id, max: 3, per: unit, in: 24h}\n"
CAPPED = f"{RULED}, a cap per unit"
THREADS, ADDED = 4, scaled(10_000, 50)
HEAVY = ("duckdb", "pyarrow", "pandas", "numpy", "sklearn")


def main() -> None:
    parser = argparse.ArgumentParser(prog="gateway")
    parser.add_argument("--requests", type=int, default=scaled(100_000, 20))
    requests = parser.parse_known_args()[0].requests
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        folder = filled(Path(name))
        with mini.opened(folder) as project:
            try:
                mini.register(project, "popular")
                mini.register(project, "both")
                deploy(project, "ranker")
                project.target.events.apply(STREAMS["assignments"])
                in_process(project)
                at_once(project)
                project.target.state.put(LIVE, msgspec.json.encode(two_layers()), expect=None)
                over_http(project, folder)
                memory(folder, requests)
            finally:
                remove_endpoints(project.target)


def in_process(project: isthmus.Project) -> None:
    chance = random.Random(0)
    requests = [request(chance, number) for number in range(512)]
    with_exposures, without = (
        Gateway(project, "ranker"),
        Gateway(project, "ranker", emit=lambda _stream, _rows: ()),
    )
    document = Versioned(value=msgspec.json.encode(two_layers()), token="t", written_at=NOW)
    tested = Gateway(project, "ranker", live=LiveReader(lambda: document))
    project.target.counters.apply("ranker")
    others = [with_rules(project.folder, rules) for rules in (RULES, RULES + CAP)]
    ruled, capped = (
        Gateway(other, "ranker", live=LiveReader(lambda: document)) for other in others
    )
    logging = Gateway(with_rules(project.folder, "\n    log_features: true\n"), "ranker")
    body = instances(project)
    measured = turns(
        {
            "EndpointHost.invoke": lambda n: project.target.endpoints.invoke(
                "ranker", body, variant=None, request_id=f"b-{n}"
            ),
            LOGGING: lambda n: logging.rank(requests[n % 512]),
            "Gateway.rank, exposures to nowhere": lambda n: without.rank(requests[n % 512]),
            "Gateway.rank": lambda n: with_exposures.rank(requests[n % 512]),
            TESTED: lambda n: tested.rank(requests[n % 512]),
            RULED: lambda n: ruled.rank(requests[n % 512]),
            CAPPED: lambda n: capped.rank(requests[n % 512]),
            "Gateway.assign, 2 layers": lambda n: tested.assign({"visitor_id": f"v{n % 512}"}),
            "Gateway.evaluate, 2 layers": lambda n: tested.evaluate(f"v{n % 512}", {}),
        }
    )
    for gateway in (ruled, capped, logging):
        gateway.close()
        gateway.project.target.close()
    lines = []
    least, cpu = measured["EndpointHost.invoke"]
    for name, (p50, seconds) in measured.items():
        goal = "goal: 0.6 ms more, 0.6 ms of CPU more" if name in (RULED, CAPPED) else ""
        value = f"{p50:.3f} ms, {1000 * seconds:.3f} of CPU"
        lines.append(Line(name=name, value=value, ratio=p50 / least, goal=goal))
        if name.startswith("Gateway.rank"):
            lines.append(
                Line(
                    name="  more than the call",
                    value=f"{p50 - least:+.3f} ms, {1000 * (seconds - cpu):+.3f} of CPU",
                )
            )
    lines += [
        Line(
            name=f"log_features, more than Gateway.rank: {SLOTS} rows of {len(body[0])} values",
            value=f"{1000 * (measured[LOGGING][0] - measured['Gateway.rank'][0]):+.1f} us, "
            f"{1e6 * (measured[LOGGING][1] - measured['Gateway.rank'][1]):+.1f} us of CPU, "
            f"{SLOTS * logged_bytes(project):,.0f} bytes",
        ),
        *wide_rows(),
    ]
    table(f"one ranking of {CANDIDATES} candidates in process, p50 of {CALLS:,}", lines)


def logged_bytes(project: isthmus.Project) -> float:
    """Return how many bytes an exposure has more whose row was logged, on average."""
    sql = (
        "SELECT avg(length(features) + length(scored_by)) AS bytes FROM exposures "
        "WHERE features IS NOT NULL"
    )
    return float(project.target.warehouse.query(sql, {})["bytes"][0].as_py())


def wide_rows() -> list[Line]:
    """Measure the text of one row by its number of features, all of them floats."""
    chance = random.Random(0)
    lines = []
    for width in (10, 50, 200):
        row = {f"item_feature_{number}": chance.random() for number in range(width)}
        place = ShownItem(item=1, position=1, score=0.5, propensity=1.0)
        seconds = timeit.timeit(lambda r=row, p=place: scored_rows([1], [r], [p]), number=10_000)
        (text,) = scored_rows([1], [row], [place]).texts
        value = f"{100 * seconds:.1f} us, {len(text or ''):,} bytes"
        lines.append(Line(name=f"a row of {width} floats as text", value=value))
    return lines


def at_once(project: isthmus.Project) -> None:
    """Measure threads that count for one unit: how long they take, and that nothing is lost."""
    counters, until = project.target.counters, project.wall() + timedelta(hours=25)

    def add(thread: int) -> None:
        for number in range(ADDED):
            counters.add("ranker", "busy", {"all": 1, f"{thread}-{number % 50}": 1}, until=until)

    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(add, range(THREADS)))
    spent = time.perf_counter() - began
    if (counted := counters.get("ranker", "busy")["all"]) != THREADS * ADDED:
        raise SystemExit(f"{counted:,} of {THREADS * ADDED:,} were counted")
    table(
        f"{THREADS} threads count {ADDED:,} answers each, of one unit",
        [
            Line(
                name="Counters.add",
                value=f"{1000 * spent / (THREADS * ADDED):.3f} ms, all of {THREADS * ADDED:,} "
                "counted",
            )
        ],
    )


def with_rules(folder: Path, rules: str) -> isthmus.Project:
    """Open the project of the same store and endpoint, with rules."""
    (folder / "ruled.yaml").write_text((folder / "project.yaml").read_text().rstrip() + rules)
    return isthmus.open(folder / "ruled.yaml")


def over_http(project: isthmus.Project, folder: Path) -> None:
    """Measure `isthmus gateway` in a process of its own, by the client that asks the endpoint."""
    chance = random.Random(0)
    requests = [json.dumps(request(chance, number)).encode() for number in range(512)]
    body = instances(project)
    command = [sys.executable, "-m", "isthmus", "gateway", "--port", "0", "--json"]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    try:
        text = ""
        while not text.endswith("}\n"):
            text += server.stdout.readline()
        client = Client(int(json.loads(text)["url"].rpartition(":")[2]))
        until(lambda: answers(client), what="the gateway")

        def post(path: str, body: bytes) -> None:
            reply = client.request(
                "POST", path, body, (("content-type", "application/json"),), what="the gateway"
            )
            if reply.status != 200:
                raise SystemExit(f"{reply.status}: {reply.body.decode()}")

        invoke = "EndpointHost.invoke"
        flags = "/ofrep/v1/evaluate/flags"
        measured = turns(
            {
                invoke: lambda n: project.target.endpoints.invoke(
                    "ranker", body, variant=None, request_id=f"b-{n}"
                ),
                "POST /rank": lambda n: post("/rank", requests[n % 512]),
                "POST /assign": lambda n: post(
                    "/assign", json.dumps({"visitor_id": f"v{n % 512}"}).encode()
                ),
                f"POST {flags}": lambda n: post(
                    flags, json.dumps({"context": {"targetingKey": f"v{n % 512}"}}).encode()
                ),
            }
        )
    finally:
        server.terminate()
        server.wait()
    least, most = measured[invoke][0], measured["POST /rank"][0]
    lines = [
        Line(name=invoke, value=f"{least:.3f} ms"),
        Line(
            name="POST /rank", value=f"{most:.3f} ms", ratio=most / least, goal="goal: 1.2 ms more"
        ),
        Line(name="  more than the call", value=f"{most - least:+.3f} ms"),
        *(
            Line(name=name, value=f"{p50:.3f} ms", ratio=p50 / least)
            for name, (p50, _) in list(measured.items())[2:]
        ),
    ]
    table(f"the same over HTTP, 2 layers, p50 of {CALLS:,}", lines)


def two_layers() -> LiveExperiments:
    """Return two layers with a run of every unit each, one of them over the variants."""
    arms = {
        "home": (LiveArm("control", 5_000), LiveArm("treatment", 10_000, {"blend": 0.7})),
        "search": (
            LiveArm("control", 5_000, {"variant": "champion"}),
            LiveArm("treatment", 10_000, {"variant": "challenger"}),
        ),
    }
    runs = [
        LiveRun(
            run=f"{name}.1",
            experiment=name,
            layer=name,
            ranges=((0, 9_999),),
            arms=run_arms,
            holdout=500,
            salt=f"{name}.1",
            started=NOW,
        )
        for name, run_arms in arms.items()
    ]
    layers = {name: LiveLayer(endpoint="ranker", salt=name, holdout=200) for name in arms}
    return LiveExperiments(version=1, written=NOW, layers=layers, runs=tuple(runs))


def answers(client: Client) -> bool:
    try:
        return client.request("GET", "/health", what="the gateway").status == 200
    except (Unavailable, OutcomeUnknown):
        return False


def turns(calls: dict[str, Callable[[int], Any]]) -> dict[str, tuple[float, float]]:
    """Return p50 in ms and CPU seconds of this process a call, in turns of 100 calls each."""
    for call in calls.values():
        for number in range(scaled(100, 1)):
            call(number)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu = dict.fromkeys(calls, 0.0)
    for turn in range(CALLS // 100):
        for name, call in calls.items():
            began_cpu = time.process_time()
            for number in range(100):
                began = time.perf_counter()
                call(100 * turn + number)
                seconds[name].append(time.perf_counter() - began)
            time.sleep(0.05)  # what was left to a thread is its own cost
            cpu[name] += time.process_time() - began_cpu
    return {
        name: (1000 * statistics.median(times), cpu[name] / len(times))
        for name, times in seconds.items()
    }


def request(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "visitor_id": f"v{number}",
        "segment_id": "a",
        "item_id": chance.sample(range(1, ITEMS + 1), CANDIDATES),
        "slots": SLOTS,
    }


def instances(project: isthmus.Project) -> list[dict[str, Any]]:
    """Return the rows that the gateway would send, to measure the call alone."""
    inputs = union(
        [manifest_of(project, "ranker", 1), manifest_of(project, "ranker", 2)], view_keys(project)
    )
    names = [name for _, names in inputs.views.values() for name in names]
    return [{**inputs.constants, **dict.fromkeys(names, 12)} for _ in range(CANDIDATES)]


APART = """
import json, random, sys
from isthmus.endpoints.gateway.gateway import Gateway
import isthmus

def megabytes(field):
    (line,) = (line for line in open("/proc/self/status") if line.startswith(field))
    return int(line.split()[1]) / 1024

with isthmus.open(sys.argv[1]) as project:
    gateway = Gateway(project, "ranker")
    chance = random.Random(0)
    for number in range(int(sys.argv[2])):
        items = chance.sample(range(1, 81), 20)
        gateway.rank({"visitor_id": f"v{number}", "segment_id": "a", "item_id": items, "slots": 3})
    gateway.close()
    print(json.dumps([megabytes("VmRSS"), megabytes("VmHWM"), sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def memory(folder: Path, requests: int) -> None:
    command = [sys.executable, "-c", APART, str(folder / "project.yaml"), str(requests)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    resident, most, imported = json.loads(done.stdout)
    lines = [
        Line(name="resident", value=f"{resident:.0f} MB", goal="goal: 120 MB"),
        Line(name="the most", value=f"{most:.0f} MB"),
        Line(
            name="heavy modules imported",
            value=", ".join(name for name in HEAVY if name in imported) or "none",
        ),
    ]
    table(f"a process that has ranked {requests:,} times", lines)


def filled(folder: Path) -> Path:
    """Make the small project of the endpoints' tests, with more items."""
    mini.write(folder)
    impressions = [
        {
            "event_id": f"i{number}",
            "event_timestamp": f"2024-01-0{2 + number // 200}T10:00:00Z",
            "item_id": 1 + number % ITEMS,
            "segment_id": "a",
            "position": 1,
        }
        for number in range(800)
    ]
    clicks = [
        {
            "event_id": "c1",
            "event_timestamp": "2024-01-02T10:01:00Z",
            "impression_id": "i1",
            "item_id": 2,
        }
    ]
    with mini.opened(folder) as project:
        isthmus.apply(project)
        for event, rows in (("impression", impressions), ("click", clicks)):
            path = folder / f"{event}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            ingest(project, event=event, data=path)
        isthmus.materialize(project)
    return folder


if __name__ == "__main__":
    main()
