"""Logs: the last lines, and what came after them."""

import time

import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.session import aws_of
from isthmus.adapters.sagemaker.telemetry.logs import place
from isthmus.errors import Invalid, NotFound
from isthmus.target import Profile

GROUP = "/aws/sagemaker/Endpoints/conf-ranker"


@pytest.fixture
def logs(target):
    client = target.native.client("logs")
    client.create_log_group(logGroupName=GROUP)
    for stream in ("champion/i-1", "challenger/i-2"):
        client.create_log_stream(logGroupName=GROUP, logStreamName=stream)

    def put(*messages, stream="champion/i-1", at=None):
        moment = at or int(time.time() * 1000)
        events = [{"timestamp": moment, "message": message} for message in messages]
        client.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
        return moment

    return put


def test_the_last_lines_of_a_variant(target, logs):
    logs(*(f"line {number}" for number in range(5)))
    logs("of the other", stream="challenger/i-2")
    assert target.logs.tail("ranker/champion", limit=2).lines == ("line 3", "line 4")
    assert target.logs.tail("endpoints/ranker/challenger").lines == ("of the other",)
    assert set(target.logs.tail("endpoints/ranker").lines) == {
        *(f"line {number}" for number in range(5)),
        "of the other",
    }


def test_following_gives_every_line_once_those_of_one_millisecond_too(target, logs):
    at = logs("a", "b", "c")
    page = target.logs.tail("ranker/champion", limit=100)
    logs("d", "e", "f", at=at)
    seen = list(page.lines)
    for _ in range(5):
        page = target.logs.tail("ranker/champion", after=page.cursor, limit=2)
        seen += page.lines
    assert sorted(seen) == ["a", "b", "c", "d", "e", "f"]
    assert target.logs.tail("ranker/champion", after=page.cursor).lines == ()
    logs("g", at=at + 1)
    assert target.logs.tail("ranker/champion", after=page.cursor).lines == ("g",)


def test_lines_of_days_ago_are_found_when_there_are_none_since(target, logs):
    logs("old", at=int((time.time() - 2 * 86_400) * 1000))
    assert target.logs.tail("ranker/champion").lines == ("old",)


def test_what_wrote_nothing_yet_is_not_found(target):
    with pytest.raises(NotFound, match="no log yet"):
        target.logs.tail("ranker/champion")


@pytest.mark.parametrize("ref", ["", "ranker/champion/1", "endpoints", "ranker/"])
def test_a_reference_that_names_no_log_is_refused(target, ref):
    with pytest.raises(Invalid):
        target.logs.tail(ref)
    with pytest.raises(Invalid):
        target.logs.tail("ranker", after="no cursor")


def test_a_jobs_log_is_found_by_its_name_or_its_arn():
    arn = "arn:aws:sagemaker:us-east-1:123456789012:processing-job/pipelines-x-fit"
    options = {
        "endpoint_url": "http://127.0.0.1:9",
        "bucket": "s3://b",
        "region": "us-east-1",
    }  # nothing listens: nothing is asked
    aws = aws_of(
        targets.load(
            Profile(name="sagemaker", adapter="sagemaker", project="my_shop", options=options)
        )
    )
    assert place(aws, arn) == ("/aws/sagemaker/ProcessingJobs", "pipelines-x-fit/")
    assert place(aws, "training-jobs/fit") == ("/aws/sagemaker/TrainingJobs", "fit/")
    assert place(aws, "home_ranker/the_new") == (
        "/aws/sagemaker/Endpoints/my-shop-home-ranker",
        "the-new/",
    )
