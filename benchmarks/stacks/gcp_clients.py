"""Start the servers of the benchmark of the offline GCP, and their clients.

The servers are the stack, the model server alone, and one that answers a constant.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1
from google.cloud import storage
from google.protobuf import json_format, struct_pb2

SERVER = f"{sys.executable} -m isthmus.endpoints.server --host 127.0.0.1"
PROJECT = "bench-project"
PARENT = f"projects/{PROJECT}/locations/us-central1"


class Stack:
    """A process to ask, with the genuine clients.

    It is the stack's, or one that answers a constant.
    """

    def __init__(self, url: str, pid: int, address: str) -> None:
        self.url = url
        self.pid = pid
        self.address = address
        self.anonymous = {"project": PROJECT, "credentials": AnonymousCredentials()}

    def client(self, kind, *, rest: bool = False):
        if rest:
            host = self.url.removeprefix("http://")
            return kind(
                transport=kind.get_transport_class("rest")(
                    host=host, credentials=AnonymousCredentials(), url_scheme="http"
                )
            )
        return kind(
            transport=kind.get_transport_class("grpc")(channel=grpc.insecure_channel(self.address))
        )

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def megabytes(self) -> float:
        return (
            int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            * os.sysconf("SC_PAGESIZE")
            / 2**20
        )


def instances(count: int) -> list[dict[str, object]]:
    return [{"x": float(i), "y": "a"} for i in range(count)]


def peers(stack: ExitStack, count: int, direct: str) -> tuple[Stack, str]:
    """Start a process that answers every prediction with so many numbers.

    Return it, and the address at which it passes requests on to the model server.
    """
    command = [
        sys.executable,
        str(Path(__file__).with_name("bare_gcp.py")),
        str(count),
        direct.rpartition(":")[2],
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    http_port, grpc_port, proxy_port = process.stdout.readline().split()
    return Stack(
        f"http://127.0.0.1:{http_port}", process.pid, f"127.0.0.1:{grpc_port}"
    ), f"127.0.0.1:{proxy_port}"


def direct_server(stack: ExitStack, folder: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "AIP_PREDICT_ROUTE": "/predict", "AIP_HEALTH_ROUTE": "/ping"}
    process = subprocess.Popen(
        [*SERVER.split(), "--model", str(folder), "--port", str(port)], env=env
    )
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
    """Make an endpoint with two deployed models at 90/10, and return its name."""
    files = storage.Client(**stack.anonymous, client_options={"api_endpoint": stack.url})
    bucket = files.create_bucket("bench-models")
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.blob(f"model/{path.relative_to(folder)}").upload_from_filename(path)
    models, endpoints = stack.client(v1.ModelServiceClient), stack.client(v1.EndpointServiceClient)
    container = v1.ModelContainerSpec(
        image_uri="ranker", predict_route="/predict", health_route="/ping"
    )
    model = v1.Model(
        display_name="ranker", artifact_uri="gs://bench-models/model", container_spec=container
    )
    version = models.upload_model(parent=PARENT, model=model).result().model
    endpoint = (
        endpoints.create_endpoint(parent=PARENT, endpoint=v1.Endpoint(display_name="home"))
        .result()
        .name
    )
    for number, split in (("1", {"0": 100}), ("2", {"0": 10, "1": 90})):
        machine = v1.DedicatedResources(
            machine_spec=v1.MachineSpec(machine_type="n1-standard-2"), min_replica_count=1
        )
        deployed = v1.DeployedModel(id=number, model=version, dedicated_resources=machine)
        endpoints.deploy_model(
            endpoint=endpoint, deployed_model=deployed, traffic_split=split
        ).result(timeout=120)
    return endpoint


def bare(netloc: str, path: str):
    connection = http.client.HTTPConnection(netloc)

    def ask(count: int) -> None:
        connection.request(
            "POST",
            path,
            json.dumps({"instances": instances(count)}),
            {"Content-Type": "application/json"},
        )
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body

    return ask


def by_client(client: v1.PredictionServiceClient, endpoint: str):
    def ask(count: int) -> None:
        values = [
            json_format.ParseDict(instance, struct_pb2.Value()) for instance in instances(count)
        ]
        client.predict(endpoint=endpoint, instances=values)

    return ask


def clients(server: Stack, endpoint: str, name: str):
    """Return the ways to ask a stack by Google's clients, with the process that each asks."""
    rest, wire = (
        server.client(v1.PredictionServiceClient, rest=True),
        server.client(v1.PredictionServiceClient),
    )
    return {
        f"{name}, Google's client over REST": (server, by_client(rest, endpoint)),
        f"{name}, Google's client over gRPC": (server, by_client(wire, endpoint)),
    }
