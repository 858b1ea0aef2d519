"""One offline GCP for all of this folder's tests, reset before each; the genuine SDKs in this
process, or in one of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus_stack.client import Stack
from isthmus_stack.gcp import environment
from isthmus_stack.run import environment_for, start

PROJECT, LOCATION = "shop-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
TOY = Path(__file__).parent / "toy_server.py"  # what the image `toy` is


@pytest.fixture(scope="session")
def gcp_process():
    with start(
        "gcp", clock="instant", images={"toy": f"{sys.executable} {TOY} {{model}}"}
    ) as running:
        yield running


class Gcp(Stack):
    """The stack, and the ways of the genuine clients to it."""

    @property
    def grpc_address(self):
        return environment.ways_into(self.url).grpc_address

    def channel(self):
        """For GAPIC clients over gRPC: transport=XGrpcTransport(channel=...)."""
        import grpc

        return grpc.insecure_channel(
            self.grpc_address, options=[("grpc.max_receive_message_length", 64 << 20)]
        )

    def credentials(self):
        """Of the stack's own account, without a token yet."""
        from google.oauth2 import service_account

        file = environment.ways_into(self.url).door["GOOGLE_APPLICATION_CREDENTIALS"]
        return service_account.Credentials.from_service_account_file(
            file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
        )

    def client(self, kind, *, rest=False):
        """A GAPIC client, such as EndpointServiceClient, with nobody's credentials."""
        from google.auth.credentials import AnonymousCredentials

        if rest:
            transport = kind.get_transport_class("rest")
            host = self.url.removeprefix("http://")
            return kind(
                transport=transport(
                    host=host, credentials=AnonymousCredentials(), url_scheme="http"
                )
            )
        return kind(transport=kind.get_transport_class("grpc")(channel=self.channel()))

    def run(self, code, *, timeout=600, **variables):
        """Run Python code in another process, led by the environment alone; what it printed."""
        env = {**environment_for(self.url, os.environ, "gcp"), **variables}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout


@pytest.fixture
def gcp(gcp_process):
    stack = Gcp(gcp_process.url, "gcp")
    stack.reset()
    return stack


@pytest.fixture(params=["grpc", "rest"])
def vertex(gcp, request):
    """`vertex(EndpointServiceClient)`: a client of Vertex AI, over gRPC and over REST."""
    return lambda kind: gcp.client(kind, rest=request.param == "rest")
