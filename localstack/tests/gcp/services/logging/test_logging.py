"""Logging with Google's own client, led by the environment alone, and with its GAPIC client."""

import json

import pytest
from google.api_core import exceptions
from google.cloud.logging_v2.services.config_service_v2 import ConfigServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.metrics_service_v2 import MetricsServiceV2Client
from google.protobuf import timestamp_pb2

PROJECT = "projects/shop-project"
LOG = f"{PROJECT}/logs/serving"
RESOURCE = {
    "type": "aiplatform.googleapis.com/Endpoint",
    "labels": {"endpoint_id": "7", "location": "us-central1"},
}


@pytest.fixture
def client(gcp):
    """With four entries, an hour apart."""
    client = gcp.client(LoggingServiceV2Client)
    entries = [
        {"text_payload": "Loading the model", "severity": "INFO"},
        {
            "text_payload": "no such column: ctr",
            "severity": "ERROR",
            "labels": {"variant": "canary"},
        },
        {"json_payload": {"request": {"path": "/predict", "status": 500}}, "severity": "WARNING"},
        {"text_payload": "bye", "severity": "DEFAULT", "log_name": f"{PROJECT}/logs/other%2Fone"},
    ]
    for hour, entry in enumerate(entries):
        entry["timestamp"] = timestamp_pb2.Timestamp(seconds=1_700_000_000 + 3600 * hour)
    client.write_log_entries(
        log_name=LOG, resource=RESOURCE, labels={"team": "ranking"}, entries=entries
    )
    return client


def listed(client, text, **more):
    entries = client.list_log_entries(request={"resource_names": [PROJECT], "filter": text, **more})
    return [entry.text_payload or dict(entry.json_payload["request"])["path"] for entry in entries]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["Loading the model", "no such column: ctr", "/predict", "bye"]),
        ("severity>=WARNING", ["no such column: ctr", "/predict"]),
        ('severity=ERROR OR textPayload:"loading"', ["Loading the model", "no such column: ctr"]),
        ('labels.variant="canary" AND labels.team=ranking', ["no such column: ctr"]),
        (f'logName="{LOG}" -- only ours\nNOT labels.variant:*', ["Loading the model", "/predict"]),
        (
            (
                'resource.labels.endpoint_id="7" AND '
                'resource.type="aiplatform.googleapis.com/Endpoint" AND column'
            ),
            ["no such column: ctr"],
        ),
        ("jsonPayload.request.status>=500", ["/predict"]),
        (
            'timestamp>="2023-11-14T23:13:20Z" AND timestamp<"2023-11-15T01:13:20Z"',
            ["no such column: ctr", "/predict"],
        ),
        ('log_id("other/one")', ["bye"]),
        ('textPayload=~"^no such"', ["no such column: ctr"]),
    ],
)
def test_entries_are_listed_by_filters(client, text, expected):
    assert listed(client, text) == expected


def test_the_newest_come_first_where_it_is_asked_and_pages_leave_nothing_out(client):
    assert listed(client, "", order_by="timestamp desc", page_size=1) == [
        "bye",
        "/predict",
        "no such column: ctr",
        "Loading the model",
    ]


def test_a_filter_that_is_none_is_refused(client):
    with pytest.raises(exceptions.InvalidArgument, match="filter"):
        listed(client, "severity>=")


def test_logs_are_listed_and_deleted(client):
    assert list(client.list_logs(parent=PROJECT)) == [f"{PROJECT}/logs/other%2Fone", LOG]
    client.delete_log(log_name=LOG)
    assert list(client.list_logs(parent=PROJECT)) == [f"{PROJECT}/logs/other%2Fone"]
    with pytest.raises(exceptions.NotFound):
        client.delete_log(log_name=LOG)


def test_an_entry_that_is_sent_twice_is_one(client):
    entry = {
        "text_payload": "again",
        "insert_id": "1",
        "timestamp": timestamp_pb2.Timestamp(seconds=1_700_000_000),
    }
    for _ in range(2):
        client.write_log_entries(log_name=LOG, resource=RESOURCE, entries=[entry])
    assert listed(client, "again") == ["again"]


def test_the_client_that_people_use_writes_and_reads(gcp):
    code = """
import json, logging
from google.cloud import logging as cloud
client = cloud.Client()
logger = client.logger("jobs")
logger.log_text("hello", severity="WARNING", labels={"a": "b"})
logger.log_struct({"step": 3})
logging.getLogger("mine").addHandler(cloud.handlers.CloudLoggingHandler(client, name="python"))
logging.getLogger("mine").error("failed %s", "twice")
client.close()
entries = list(cloud.Client().list_entries(order_by=cloud.ASCENDING, filter_='NOT jsonPayload."logging.googleapis.com/diagnostic":*'))
print(json.dumps([[entry.log_name.rpartition("/")[2], entry.severity, entry.payload] for entry in entries]))
"""
    rows = json.loads(gcp.run(code).splitlines()[-1])
    assert rows[:2] == [["jobs", "WARNING", "hello"], ["jobs", None, {"step": 3}]]
    assert rows[2][:2] == ["python", "ERROR"]
    assert rows[2][2] == "failed twice"


def test_sinks_and_metrics_are_kept(gcp):
    sinks, metrics = gcp.client(ConfigServiceV2Client), gcp.client(MetricsServiceV2Client)
    sink = {
        "name": "errors",
        "destination": "pubsub.googleapis.com/projects/shop-project/topics/errors",
        "filter": "severity>=ERROR",
    }
    assert sinks.create_sink(parent=PROJECT, sink=sink).writer_identity.startswith(
        "serviceAccount:"
    )
    metrics.create_log_metric(
        parent=PROJECT, metric={"name": "errors", "filter": "severity>=ERROR"}
    )
    metrics.update_log_metric(
        metric_name=f"{PROJECT}/metrics/errors", metric={"filter": "severity>=CRITICAL"}
    )
    assert [metric.filter for metric in metrics.list_log_metrics(parent=PROJECT)] == [
        "severity>=CRITICAL"
    ]
    with pytest.raises(exceptions.AlreadyExists):
        sinks.create_sink(parent=PROJECT, sink=sink)
    sinks.delete_sink(sink_name=f"{PROJECT}/sinks/errors")
    with pytest.raises(exceptions.NotFound, match="Sink errors does not exist"):
        sinks.get_sink(sink_name=f"{PROJECT}/sinks/errors")
