"""Which server stands for Google, and where it takes gRPC."""

import http.server
import threading

import pytest

from isthmus.adapters.vertex import backend
from isthmus.errors import Unavailable, Unsupported
from isthmus.tests.conformance.places import gcp_stack
from isthmus_stack.gcp.environment import ways_into


@pytest.mark.slow
def test_our_stack_says_where_its_grpc_door_is():
    url = gcp_stack().url
    assert backend.address(f"{url}/") == {"grpc_address": ways_into(url).grpc_address}


@pytest.fixture
def other():
    """A server that is none of ours: it answers every page with an empty object."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_another_server_is_refused_as_it_lacks_most_services(other):
    with pytest.raises(Unsupported, match="is not a GCP stack of Isthmus") as refusal:
        backend.address(other)
    assert refusal.value.capability == "offline"


def test_a_stack_that_is_not_there_is_said():
    with pytest.raises(Unavailable, match="nothing answers"):
        backend.address("http://127.0.0.1:9")
