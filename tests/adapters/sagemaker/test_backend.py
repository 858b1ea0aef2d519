"""Other servers than our stack: what answers is named, and so is what it lacks. moto's own server
runs as a process of its own.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from botocore import xform_name

from isthmus.adapters import targets
from isthmus.adapters.sagemaker import backend
from isthmus.errors import Unavailable, Unsupported
from isthmus.tests.conformance.places import aws_stack, moto_server


def opened(profile, url):
    return targets.load(
        msgspec.structs.replace(profile, options=profile.options | {"endpoint_url": url})
    )


@pytest.fixture
def page_server():
    """A server of pages: path -> (status, content type, body); any other is an HTML page of status
    500, as a broken server's.
    """
    pages = {}

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(self.path)
            status, kind, body = pages.get(
                self.path, (500, "text/html", b"<html>Internal Server Error</html>")
            )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = answer  # noqa: N815  http.server's names

        def log_message(self, *_):
            pass

    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url, server.pages, server.asked = f"http://127.0.0.1:{server.server_port}", pages, asked
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_our_own_stack_is_known_and_the_first_line_says_nothing_more(profile, target):
    assert backend.server(aws_stack().url) == backend.OURS
    assert targets.where(target) == "account 123456789012  us-east-1  offline   s3://conformance"


@pytest.mark.slow
def test_a_moto_server_is_named_with_what_it_lacks_and_the_rest_of_it_is_used(profile):
    with moto_server() as url:
        target = opened(profile, url)
        assert targets.where(target).endswith(
            "this is a moto server: ListFeatureGroups is not there; see "
            "localstack/docs/other-servers.md"
        )
        target.blobs.put(f"{target.blobs.root}/runs/x", b"x")
        assert target.blobs.get(f"{target.blobs.root}/runs/x") == b"x"
        client = target.native.client("sagemaker")
        with pytest.raises(
            Unsupported, match="this is a moto server: ListMonitoringSchedules is not there"
        ) as refusal:
            client.list_monitoring_schedules()
        assert refusal.value.capability == "ListMonitoringSchedules"


def test_localstack_is_known_by_its_health_page(page_server):
    page_server.pages["/_localstack/health"] = (
        200,
        "application/json",
        b'{"services": {"s3": "running"}, "version": "4"}',
    )
    assert backend.server(page_server.url) == "LocalStack"


def test_an_unknown_server_has_no_operation_that_it_answers_with_a_page_and_is_asked_for_it_once(
    profile, page_server
):
    target = opened(profile, page_server.url)
    line = targets.where(target)
    assert "this is an unknown server: ListBuckets, GetDatabases" in line
    assert line.endswith("are not there; see localstack/docs/other-servers.md")
    page_server.asked.clear()
    with pytest.raises(Unsupported, match="ListEndpoints is not there"):
        target.native.client("sagemaker").list_endpoints()
    assert page_server.asked.count("/") == 1


@pytest.mark.parametrize(
    ("service", "operation"),
    [("athena", "ListWorkGroups"), ("cloudwatch", "ListMetrics"), ("s3", "ListBuckets")],
)
@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (
            501,
            "application/json",
            b'{"__type": "InternalFailure", "message": "not yet implemented or pro feature"}',
        ),
        (400, "application/json", b'{"__type": "UnknownOperationException"}'),
        (404, "text/html", b"<html>Not Found</html>"),
    ],
)
def test_every_way_of_not_having_an_operation_is_told_as_that(
    profile, page_server, service, operation, status, kind, body
):
    page_server.pages["/"] = (status, kind, body)
    with pytest.raises(Unsupported, match=f"{operation} is not there"):
        getattr(opened(profile, page_server.url).native.client(service), xform_name(operation))()


def test_a_refusal_by_an_operation_is_not_its_absence(profile, page_server):
    page_server.pages["/"] = (
        400,
        "application/json",
        b'{"__type": "ValidationException", "message": "no"}',
    )
    line = targets.where(opened(profile, page_server.url))
    assert "ListFeatureGroups" not in line
    assert "ListPipelines" not in line


def test_where_nothing_answers_the_key_is_named(profile):
    with pytest.raises(Unavailable, match="nothing answers at") as error:
        targets.where(opened(profile, "http://127.0.0.1:9"))
    assert "offline:" in error.value.remedy
