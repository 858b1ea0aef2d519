"""Spans, as OpenTelemetry's own SDK gets them."""

import asyncio
import importlib
import sys
import threading
from types import SimpleNamespace

import pytest

pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry's SDK is not installed: make setup")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import isthmus
from isthmus.core import spans
from isthmus.endpoints.http import server as listening
from isthmus.errors import DryRun, Unavailable
from isthmus.target import CallLog

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SLOW = """
import contextlib, importing
importing.begun.set()
assert importing.release.wait(120)
SpanKind = {"INTERNAL": 0}
def get_tracer(name):
    from types import SimpleNamespace
    return SimpleNamespace(start_as_current_span=lambda *told: contextlib.nullcontext())
"""


@pytest.fixture
def told(monkeypatch):
    """What ends while a test runs, for a provider of its own: the process has one for good."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter.get_finished_spans


def test_a_verb_is_a_span_and_what_it_asks_of_the_provider_is_within_it(tmp_path, told):
    isthmus.init(tmp_path / "shop", example="starter")
    with (
        isthmus.open(tmp_path / "shop") as project,
        project.lock("tag"),
        project.lock("promote"),
    ):  # a verb of a verb
        project.target.blobs.put(f"{project.target.blobs.root}/x", b"1")
    call, verb = told()
    assert (call.name, call.kind) == ("blobs.put", trace.SpanKind.CLIENT)
    assert call.attributes["isthmus.resource"].endswith("/x")
    assert verb.name == "isthmus tag"
    assert call.parent.span_id == verb.context.span_id


def test_a_command_is_a_span_of_its_name(tmp_path, told):
    from isthmus.tests.cli.running import isthmus as command

    isthmus.init(tmp_path / "shop", example="starter")
    command(tmp_path / "shop", "events", "list")
    assert [span.name for span in told()] == ["isthmus events list"]


def test_an_error_is_told_with_the_call_that_had_it(told):
    with pytest.raises(Unavailable), CallLog().mutating("PutRecords", "clicks"):
        raise Unavailable("the network is away")
    (call,) = told()
    assert call.status.status_code is trace.StatusCode.ERROR
    assert "the network is away" in call.status.description


def test_a_dry_run_calls_nothing_and_has_no_span(told):
    with pytest.raises(DryRun), CallLog(dry_run=True).mutating("PutRecords", "clicks"):
        pass
    assert told() == ()


def test_a_request_goes_on_with_its_caller_s_trace(told):
    async def answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 503})

    async def ask():
        headers = [(b"traceparent", CALLER.encode())]
        scope = {"type": "http", "method": "POST", "path": "/rank", "headers": headers}
        await listening._with_spans(answer)(scope, None, sent)

    async def sent(_message): ...

    asyncio.run(ask())
    (request,) = told()
    assert (request.name, request.kind) == ("POST /rank", trace.SpanKind.SERVER)
    assert request.attributes["http.response.status_code"] == 503
    assert f"{request.context.trace_id:032x}" == CALLER.split("-")[1]
    assert f"{request.parent.span_id:016x}" == CALLER.split("-")[2]


def test_a_span_waits_for_a_thread_that_is_at_importing_the_api(tmp_path, monkeypatch):
    """As a cloud's SDK does at its first use: the module is there before what it holds."""
    begun, release = threading.Event(), threading.Event()
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "trace.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "importing", SimpleNamespace(begun=begun, release=release))
    thread = threading.Thread(target=importlib.import_module, args=("opentelemetry.trace",))
    thread.start()
    assert begun.wait(120)
    threading.Timer(0.05, release.set).start()
    with spans.span("PutRecords"):
        assert release.is_set()
    thread.join()


def test_without_the_api_nothing_is_imported_for_a_span(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    with (
        spans.verb("train"),
        spans.span("PutRecords", sent={"traceparent": CALLER}, resource="clicks") as tell,
    ):
        tell(status=200)
    assert not spans.listening()
    assert not any(name.partition(".")[0] == "opentelemetry" for name in sys.modules)
