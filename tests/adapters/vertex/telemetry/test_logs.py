"""Logs: the last lines, and what came after them."""

from datetime import UTC, datetime, timedelta

import pytest

from isthmus.adapters.vertex.session import session_of
from isthmus.errors import Invalid, NotFound

ENDPOINT = {
    "type": "aiplatform.googleapis.com/Endpoint",
    "labels": {"endpoint_id": "conf-ranker", "location": "us-central1"},
}


@pytest.fixture
def put(target):
    """Write entries as a model server's container does on Google Cloud."""
    from google.cloud.logging_v2.types import LogEntry

    def write(*messages, at=None, resource=ENDPOINT, **labels):
        moment = at or datetime.now(UTC)
        entries = [
            LogEntry(
                log_name="projects/conformance/logs/aiplatform.googleapis.com%2Fprediction_container",
                resource=resource,
                labels=labels,
                timestamp=moment,
                insert_id=f"{messages[0]}{number:03}",
                **(
                    {"text_payload": message}
                    if isinstance(message, str)
                    else {"json_payload": message}
                ),
            )
            for number, message in enumerate(messages)
        ]
        session_of(target).logging.write_log_entries(entries=entries)
        return moment

    return write


def test_the_last_lines_of_an_endpoint_and_nobody_elses(target, put):
    put("a", "b", "c")
    put(
        "of another",
        resource={**ENDPOINT, "labels": {"endpoint_id": "conf-other", "location": "us-central1"}},
    )
    assert target.logs.tail("ranker", limit=2).lines == ("b", "c")
    assert target.logs.tail("endpoints/ranker").lines == ("a", "b", "c")


def test_following_gives_every_line_once_those_of_one_moment_too(target, put):
    at = put("a", "b", "c")
    page = target.logs.tail("ranker")
    put("d", "e", "f", at=at)
    lines = list(page.lines)
    for _ in range(5):
        page = target.logs.tail("ranker", after=page.cursor, limit=2)
        lines += page.lines
    assert sorted(lines) == ["a", "b", "c", "d", "e", "f"]
    put("g", at=at + timedelta(microseconds=1))
    assert target.logs.tail("ranker", after=page.cursor).lines == ("g",)


def test_a_jobs_lines_and_what_a_structured_entry_says(target, put):
    put(
        {"message": "epoch 1", "loss": 0.5},
        {"loss": 0.25},
        resource={"type": "ml_job", "labels": {"job_id": "77"}},
    )
    assert target.logs.tail("jobs/77").lines == ("epoch 1", '{"loss": 0.25}')
    assert target.logs.tail("projects/1/locations/l/customJobs/77", limit=1).lines == (
        '{"loss": 0.25}',
    )


def test_what_wrote_nothing_and_what_is_no_log(target):
    with pytest.raises(NotFound, match="no log yet"):
        target.logs.tail("ranker")
    for ref in ("", "a/b/c", 'x" OR "y'):
        with pytest.raises(Invalid, match="names no log"):
            target.logs.tail(ref)
    with pytest.raises(Invalid, match="no cursor"):
        target.logs.tail("ranker", after="{}")
