"""The offline GCP: a prediction by every way beside the model server itself, the split, other calls. `[--calls N] [--split N]`

All ways in one run, in turns. CPU is the stack process's own, by /proc. Goals of the issue: bare HTTP at most 1.5 times the direct call;
0.25 ms of CPU a call on REST, 0.7 on gRPC; 41 feature reads in 25 ms; SELECT 1 in 40 ms; 100,000 rows loaded in 0.5 s; a publish in 2 ms.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
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
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import bigquery, pubsub_v1, storage
from google.protobuf import json_format, struct_pb2

from benchmarks.measure import Line, table
from isthmus.localstack.gcp import environment
from isthmus.localstack.run import start
from isthmus.tests.conformance.toy_models import model_folder

SERVER = f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1"
PROJECT = "bench-project"
PARENT = f"projects/{PROJECT}/locations/us-central1"
ROUNDS = 5
FEW, MANY = 2, 100
VIEWS, KEYS = 3, 41


class Stack:
    """The stack's process and the genuine clients."""

    def __init__(self, running) -> None:
        self.url = running.url
        self.pid = running.pid
        self.address = environment.of(running.url).grpc_address
        self.anonymous = {"project": PROJECT, "credentials": AnonymousCredentials()}

    def client(self, kind, *, rest: bool = False):
        if rest:
            host = self.url.removeprefix("http://")
            return kind(transport=kind.get_transport_class("rest")(host=host, credentials=AnonymousCredentials(), url_scheme="http"))
        return kind(transport=kind.get_transport_class("grpc")(channel=grpc.insecure_channel(self.address)))

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def instances(count: int) -> list[dict[str, object]]:
    return [{"x": float(i), "y": "a"} for i in range(count)]


def direct_server(stack: ExitStack, folder: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "AIP_PREDICT_ROUTE": "/predict", "AIP_HEALTH_ROUTE": "/ping"}
    process = subprocess.Popen([*SERVER.split(), "--model", str(folder), "--port", str(port)], env=env)
    stack.callback(process.wait)
    stack.callback(process.kill)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    return f"127.0.0.1:{port}"


def deploy(stack: Stack, folder: Path) -> str:
    """An endpoint with two deployed models at 90/10; its name."""
    files = storage.Client(**stack.anonymous, client_options={"api_endpoint": stack.url})
    bucket = files.create_bucket("bench-models")
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.blob(f"model/{path.relative_to(folder)}").upload_from_filename(path)
    models, endpoints = stack.client(v1.ModelServiceClient), stack.client(v1.EndpointServiceClient)
    container = v1.ModelContainerSpec(image_uri="ranker", predict_route="/predict", health_route="/ping")
    model = v1.Model(display_name="ranker", artifact_uri="gs://bench-models/model", container_spec=container)
    version = models.upload_model(parent=PARENT, model=model).result().model
    endpoint = endpoints.create_endpoint(parent=PARENT, endpoint=v1.Endpoint(display_name="home")).result().name
    for number, split in (("1", {"0": 100}), ("2", {"0": 10, "1": 90})):
        machine = v1.DedicatedResources(machine_spec=v1.MachineSpec(machine_type="n1-standard-2"), min_replica_count=1)
        deployed = v1.DeployedModel(id=number, model=version, dedicated_resources=machine)
        endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed, traffic_split=split).result(timeout=120)
    return endpoint


def bare(netloc: str, path: str):
    connection = http.client.HTTPConnection(netloc)

    def ask(count: int) -> None:
        connection.request("POST", path, json.dumps({"instances": instances(count)}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body

    return ask


def by_client(client: v1.PredictionServiceClient, endpoint: str):
    def ask(count: int) -> None:
        values = [json_format.ParseDict(instance, struct_pb2.Value()) for instance in instances(count)]
        client.predict(endpoint=endpoint, instances=values)

    return ask


def predictions(stack: Stack, endpoint: str, direct: str, calls: int) -> None:
    ways = {
        "the model server itself, bare client": bare(direct, "/predict"),
        "the stack, bare client": bare(stack.url.removeprefix("http://"), f"/v1/{endpoint}:predict"),
        "the stack, Google's client over REST": by_client(stack.client(v1.PredictionServiceClient, rest=True), endpoint),
        "the stack, Google's client over gRPC": by_client(stack.client(v1.PredictionServiceClient), endpoint),
    }
    for count in (FEW, MANY):
        took: dict[str, list[float]] = {name: [] for name in ways}
        used = dict.fromkeys(ways, 0.0)
        for round_ in range(ROUNDS + 1):
            for name, ask in ways.items():
                before = stack.cpu()
                for _ in range(calls // ROUNDS if round_ else 50):
                    at = time.perf_counter()
                    ask(count)
                    if round_:
                        took[name].append(time.perf_counter() - at)
                used[name] += stack.cpu() - before if round_ else 0.0
        first = statistics.median(took["the model server itself, bare client"])
        table(
            f"a prediction of {count} instances, {calls:,} calls each, in turns; ratio: p50 to the direct call's",
            [
                Line(
                    name=name,
                    value=f"p50 {statistics.median(times) * 1e3:.2f} ms  {1 / statistics.mean(times):,.0f}/s"
                    f"  CPU {used[name] / len(times) * 1e3:.2f} ms",
                    ratio=statistics.median(times) / first,
                )
                for name, times in took.items()
            ],
        )


def split(stack: Stack, endpoint: str, shares: dict[str, int], calls: int) -> str:
    """The answers' deployed models against the split (chi-square, 1 degree of freedom, p = 0.001)."""
    wanted = v1.Endpoint(name=endpoint, traffic_split=shares)
    stack.client(v1.EndpointServiceClient).update_endpoint(endpoint=wanted, update_mask={"paths": ["traffic_split"]})
    client = stack.client(v1.PredictionServiceClient)
    value = json_format.ParseDict(instances(1)[0], struct_pb2.Value())
    with ThreadPoolExecutor(4) as pool:
        seen = Counter(pool.map(lambda _: client.predict(endpoint=endpoint, instances=[value]).deployed_model_id, range(calls)))
    expected = {name: calls * share / 100 for name, share in shares.items() if share}
    distance = sum((seen[name] - n) ** 2 / n for name, n in expected.items())
    right = not set(seen) - set(expected) and distance < 10.83
    return f"{' / '.join(f'{seen[name]:,}' for name in shares)}   chi-square {distance:.2f} {'(p > 0.001)' if right else 'WRONG'}"


def median_ms(ask, runs: int = 20) -> float:
    ask()
    took = []
    for _ in range(runs):
        at = time.perf_counter()
        ask()
        took.append(time.perf_counter() - at)
    return statistics.median(took) * 1e3


def reads(stack: Stack, warehouse: bigquery.Client):
    """41 keys of three views at once on one channel."""
    admin = stack.client(v1.FeatureOnlineStoreAdminServiceClient)
    store = v1.FeatureOnlineStore(bigtable={"auto_scaling": {"min_node_count": 1, "max_node_count": 1}})
    parent = admin.create_feature_online_store(parent=PARENT, feature_online_store=store, feature_online_store_id="bench").result().name
    rows = ", ".join(f"STRUCT('{key}' AS entity_key, {key} AS value)" for key in range(KEYS))
    warehouse.query_and_wait(f"CREATE TABLE bench.latest AS SELECT * FROM UNNEST([{rows}])")
    names = []
    for number in range(VIEWS):
        source = v1.FeatureView.BigQuerySource(uri=f"bq://{PROJECT}.bench.latest", entity_id_columns=["entity_key"])
        view = v1.FeatureView(big_query_source=source)
        name = admin.create_feature_view(parent=parent, feature_view=view, feature_view_id=f"view_{number}").result().name
        sync = admin.sync_feature_view(feature_view=name).feature_view_sync
        while not admin.get_feature_view_sync(name=sync).run_time.end_time:
            time.sleep(0.05)
        names.append(name)
    fetch = grpc.insecure_channel(stack.address).unary_unary(
        "/google.cloud.aiplatform.v1.FeatureOnlineStoreService/FetchFeatureValues",
        request_serializer=v1.FetchFeatureValuesRequest.serialize,
        response_deserializer=v1.FetchFeatureValuesResponse.deserialize,
    )

    def ask() -> None:
        key = v1.FeatureViewDataKey
        asked = (v1.FetchFeatureValuesRequest(feature_view=names[n % VIEWS], data_key=key(key=str(n))) for n in range(KEYS))
        for future in [fetch.future(request) for request in asked]:
            future.result()

    return ask


def load(warehouse: bigquery.Client, rows: int):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"id": range(rows), "name": [str(n) for n in range(rows)], "value": [n / 7 for n in range(rows)]}), buffer)
    settings = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_TRUNCATE")
    return lambda: warehouse.load_table_from_file(buffer, f"{PROJECT}.bench.rows", rewind=True, job_config=settings).result()


def others(stack: Stack) -> None:
    warehouse = bigquery.Client(**stack.anonymous, client_options={"api_endpoint": stack.url})
    warehouse.create_dataset("bench")
    publisher = pubsub_v1.PublisherClient(
        transport=pubsub_v1.PublisherClient.get_transport_class("grpc")(channel=grpc.insecure_channel(stack.address))
    )
    topic = publisher.create_topic(name=f"projects/{PROJECT}/topics/bench").name
    api = publisher.api if hasattr(publisher, "api") else publisher
    message = {"data": b"{}"}
    lines = [
        Line(name="41 feature reads of three views, one channel", value=f"{median_ms(reads(stack, warehouse)):.1f} ms", goal="25 ms"),
        Line(name="SELECT 1", value=f"{median_ms(lambda: list(warehouse.query_and_wait('SELECT 1'))):.1f} ms", goal="40 ms"),
        Line(name="100,000 rows loaded (Parquet)", value=f"{median_ms(load(warehouse, 100_000), 5):.0f} ms", goal="500 ms"),
        Line(
            name="one message published",
            value=f"{median_ms(lambda: api.publish(request={'topic': topic, 'messages': [message]})):.2f} ms",
            goal="2 ms",
        ),
    ]
    table("other calls, by Google's own clients: median", lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--split", type=int, default=20_000)
    options, _ = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp())
    with ExitStack() as exit_:
        exit_.callback(shutil.rmtree, folder, ignore_errors=True)
        model_folder(folder / "model", 1.0)
        began = time.perf_counter()
        running = exit_.enter_context(start("gcp", images={"ranker": f"{SERVER} --model {{model}} --port {{port}}"}, clock="instant"))
        listening, stack = time.perf_counter() - began, Stack(running)
        empty = stack.megabytes()
        list(stack.client(v1.EndpointServiceClient).list_endpoints(parent=PARENT))
        first = time.perf_counter() - began - listening
        endpoint = deploy(stack, folder / "model")
        predictions(stack, endpoint, direct_server(exit_, folder / "model"), options.calls)
        names = ("1", "2")
        table(
            f"the split of {options.split:,} predictions, four callers",
            [
                Line(name=f"{first}/{second}", value=split(stack, endpoint, dict(zip(names, (first, second), strict=True)), options.split))
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
