"""Measure the offline GCP: a prediction by every way beside the model server itself, and others.

`[--calls N] [--split N]`. All ways are in one run, in turns, beside a proxy of bytes, and beside
each of Google's clients the same client asking a server that answers a constant: no stack on
`grpc.aio` is quicker. CPU is the asked process's own, by /proc. Goals of the issue: bare HTTP at
most 1.5 times the direct call; 600 calls a second on REST, 800 on gRPC; 0.25 ms of CPU a call on
REST, 0.7 on gRPC; 41 feature reads in 25 ms; SELECT 1 in 40 ms; 100,000 rows loaded in 0.5 s; a
publish in 2 ms.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import aiplatform_v1 as v1
from google.cloud import bigquery, pubsub_v1
from google.protobuf import json_format, struct_pb2

from benchmarks.measure import Line, scaled, table
from benchmarks.stacks.gcp_clients import (
    PARENT,
    PROJECT,
    SERVER,
    Stack,
    bare,
    clients,
    deploy,
    direct_server,
    instances,
    peers,
)
from isthmus.tests.conformance.toy_models import model_folder
from isthmus_stack.gcp import environment
from isthmus_stack.run import start

DIRECT = "the model server itself, bare client"
PROXY = "a proxy that reads nothing, bare client"
BARE = "the stack, bare client"
ROUNDS = 5
FEW, MANY = 2, 100
VIEWS, KEYS = 3, 41


def predictions(stack: Stack, endpoint: str, direct: str, calls: int) -> None:
    for count in scaled((FEW, MANY), (FEW,)):
        with ExitStack() as exit_:
            constant, proxy = peers(exit_, count, direct)
            ways = {
                DIRECT: (stack, bare(direct, "/predict")),
                PROXY: (constant, bare(proxy, "/predict")),
                BARE: (stack, bare(stack.url.removeprefix("http://"), f"/v1/{endpoint}:predict")),
                **clients(stack, endpoint, "the stack"),
                **clients(constant, endpoint, "a constant"),
            }
            took, used = in_turns(ways, count, calls)
        medians = {name: statistics.median(times) for name, times in took.items()}
        table(
            f"a prediction of {count} instances, {calls:,} calls each, in turns; ratio: p50 "
            "to the direct call's",
            [
                Line(
                    name=name,
                    value=f"p50 {medians[name] * 1e3:.2f} ms  {1 / statistics.mean(times):,.0f}/s"
                    f"  CPU {used[name] / len(times) * 1e3:.2f} ms",
                    ratio=medians[name] / medians[DIRECT],
                    goal=beside_peer(name, medians),
                )
                for name, times in took.items()
            ],
        )


def in_turns(ways, count: int, calls: int) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Return the seconds of each call, and the CPU seconds of the asked process, by way."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    used = dict.fromkeys(ways, 0.0)
    for round_ in range(ROUNDS + 1):
        for name, (server, ask) in ways.items():
            cpu_before = server.cpu()
            for _ in range(calls // ROUNDS if round_ else scaled(50, 1)):
                started = time.perf_counter()
                ask(count)
                if round_:
                    took[name].append(time.perf_counter() - started)
            used[name] += server.cpu() - cpu_before if round_ else 0.0
    return took, used


def beside_peer(name: str, medians: dict[str, float]) -> str:
    """Return how much more time the stack takes than the least that its way can take.

    The least is that of a proxy, or of a server that answers the same client with a constant.
    """
    if name == BARE:
        return f"1.5x; {medians[BARE] / medians[PROXY]:.2f}x the proxy"
    least = (
        medians.get(name.replace("the stack", "a constant"))
        if name.startswith("the stack")
        else None
    )
    return "" if least is None else f"{medians[name] / least:.2f}x a constant"


def split(stack: Stack, endpoint: str, shares: dict[str, int], calls: int) -> str:
    """Judge the answers' deployed models against the split.

    It is a chi-square test with 1 degree of freedom at p = 0.001.
    """
    update = v1.Endpoint(name=endpoint, traffic_split=shares)
    stack.client(v1.EndpointServiceClient).update_endpoint(
        endpoint=update, update_mask={"paths": ["traffic_split"]}
    )
    client = stack.client(v1.PredictionServiceClient)
    value = json_format.ParseDict(instances(1)[0], struct_pb2.Value())
    with ThreadPoolExecutor(4) as pool:
        counts = Counter(
            pool.map(
                lambda _: client.predict(endpoint=endpoint, instances=[value]).deployed_model_id,
                range(calls),
            )
        )
    expected = {name: calls * share / 100 for name, share in shares.items() if share}
    distance = sum((counts[name] - n) ** 2 / n for name, n in expected.items())
    right = not set(counts) - set(expected) and distance < 10.83
    return (
        f"{' / '.join(f'{counts[name]:,}' for name in shares)}   chi-square {distance:.2f} "
        f"{'(p > 0.001)' if right else 'WRONG'}"
    )


def median_ms(ask, runs: int = scaled(20, 1)) -> float:
    ask()
    took = []
    for _ in range(runs):
        started = time.perf_counter()
        ask()
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1e3


def reads(stack: Stack, warehouse: bigquery.Client):
    """Return the function that reads 41 keys of three views at once on one channel."""
    admin = stack.client(v1.FeatureOnlineStoreAdminServiceClient)
    store = v1.FeatureOnlineStore(
        bigtable={"auto_scaling": {"min_node_count": 1, "max_node_count": 1}}
    )
    parent = (
        admin.create_feature_online_store(
            parent=PARENT, feature_online_store=store, feature_online_store_id="bench"
        )
        .result()
        .name
    )
    rows = ", ".join(f"STRUCT('{key}' AS entity_key, {key} AS value)" for key in range(KEYS))
    warehouse.query_and_wait(f"CREATE TABLE bench.latest AS SELECT * FROM UNNEST([{rows}])")
    names = []
    for number in range(VIEWS):
        source = v1.FeatureView.BigQuerySource(
            uri=f"bq://{PROJECT}.bench.latest", entity_id_columns=["entity_key"]
        )
        view = v1.FeatureView(big_query_source=source)
        name = (
            admin.create_feature_view(
                parent=parent, feature_view=view, feature_view_id=f"view_{number}"
            )
            .result()
            .name
        )
        sync = admin.sync_feature_view(feature_view=name).feature_view_sync
        while not admin.get_feature_view_sync(name=sync).run_time.end_time:
            time.sleep(0.05)
        names.append(name)
    return reading(stack.address, names)


def reading(address: str, names: list[str]):
    fetch = grpc.insecure_channel(address).unary_unary(
        "/google.cloud.aiplatform.v1.FeatureOnlineStoreService/FetchFeatureValues",
        request_serializer=v1.FetchFeatureValuesRequest.serialize,
        response_deserializer=v1.FetchFeatureValuesResponse.deserialize,
    )

    def ask() -> None:
        key = v1.FeatureViewDataKey
        requests = (
            v1.FetchFeatureValuesRequest(feature_view=names[n % VIEWS], data_key=key(key=str(n)))
            for n in range(KEYS)
        )
        for future in [fetch.future(request) for request in requests]:
            future.result()

    return ask


def feature_reads(stack: Stack, warehouse: bigquery.Client) -> list[Line]:
    """Measure 41 reads, and as many of a server that answers a constant, in turns."""
    with ExitStack() as exit_:
        asks = (
            reads(stack, warehouse),
            reading(peers(exit_, FEW, "0")[0].address, ["view"] * VIEWS),
        )
        turns = [[median_ms(ask, scaled(5, 1)) for ask in asks] for _ in range(scaled(4, 1))]
    ours, least = (statistics.median(turn) for turn in zip(*turns, strict=True))
    return [
        Line(
            name="41 feature reads of three views, one channel",
            value=f"{ours:.1f} ms",
            goal=f"25 ms; {ours / least:.2f}x a constant",
        ),
        Line(name="41 calls of a server that answers a constant", value=f"{least:.1f} ms"),
    ]


def load(warehouse: bigquery.Client, rows: int):
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(
            {
                "id": range(rows),
                "name": [str(n) for n in range(rows)],
                "value": [n / 7 for n in range(rows)],
            }
        ),
        buffer,
    )
    settings = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    return lambda: warehouse.load_table_from_file(
        buffer, f"{PROJECT}.bench.rows", rewind=True, job_config=settings
    ).result()


def others(stack: Stack) -> None:
    warehouse = bigquery.Client(**stack.anonymous, client_options={"api_endpoint": stack.url})
    warehouse.create_dataset("bench")
    publisher = pubsub_v1.PublisherClient(
        transport=pubsub_v1.PublisherClient.get_transport_class("grpc")(
            channel=grpc.insecure_channel(stack.address)
        )
    )
    topic = publisher.create_topic(name=f"projects/{PROJECT}/topics/bench").name
    api = publisher.api if hasattr(publisher, "api") else publisher
    message = {"data": b"{}"}
    lines = [
        *feature_reads(stack, warehouse),
        Line(
            name="SELECT 1",
            value=f"{median_ms(lambda: list(warehouse.query_and_wait('SELECT 1'))):.1f} ms",
            goal="40 ms",
        ),
        Line(
            name="100,000 rows loaded (Parquet)",
            value=f"{median_ms(load(warehouse, 100_000), scaled(5, 1)):.0f} ms",
            goal="500 ms",
        ),
        Line(
            name="one message published",
            value=f"{median_ms(lambda: api.publish(request={'topic': topic, 'messages': [message]})):.2f} "
            "ms",
            goal="2 ms",
        ),
    ]
    table("other calls, by Google's own clients: median", lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=scaled(1000, 10))
    parser.add_argument("--split", type=int, default=scaled(20_000, 20))
    options, _ = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp())
    with ExitStack() as exit_:
        exit_.callback(shutil.rmtree, folder, ignore_errors=True)
        model_folder(folder / "model", 1.0)
        began = time.perf_counter()
        running = exit_.enter_context(
            start(
                "gcp",
                images={"ranker": f"{SERVER} --model {{model}} --port {{port}}"},
                clock="instant",
            )
        )
        listening = time.perf_counter() - began
        stack = Stack(running.url, running.pid, environment.ways_into(running.url).grpc_address)
        empty = stack.megabytes()
        list(stack.client(v1.EndpointServiceClient).list_endpoints(parent=PARENT))
        first = time.perf_counter() - began - listening
        endpoint = deploy(stack, folder / "model")
        predictions(stack, endpoint, direct_server(exit_, folder / "model"), options.calls)
        names = ("1", "2")
        table(
            f"the split of {options.split:,} predictions, four callers",
            [
                Line(
                    name=f"{first}/{second}",
                    value=split(
                        stack,
                        endpoint,
                        dict(zip(names, (first, second), strict=True)),
                        options.split,
                    ),
                )
                for first, second in ((90, 10), (100, 0))
            ],
        )
        others(stack)
        table(
            "the process",
            [
                Line(name="listens after", value=f"{listening:.2f} s", goal="1.5 s"),
                Line(name="the first Vertex call, after that", value=f"{first:.2f} s", goal="3 s"),
                Line(name="memory when it listens", value=f"{empty:.0f} MB", goal="120 MB"),
                Line(name="memory at the end", value=f"{stack.megabytes():.0f} MB", goal="450 MB"),
            ],
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
