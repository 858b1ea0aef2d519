"""Google's filter language, over plain values and over protobuf messages."""

from datetime import UTC, datetime

import pytest

from isthmus_stack.gcp.core.resources.filters import FilterError, matches, of_message, ordered

ROW = {
    "display_name": "ranker",
    "labels": {"owner": "us", "digest": "d1"},
    "labels.owner": "us",
    "labels.digest": "d1",
    "count": 3,
    "enabled": True,
    "create_time": datetime(2026, 11, 25, 12, tzinfo=UTC),
    "aliases": ["default", "champion"],
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        'display_name="ranker"',
        "display_name=ranker",
        "display_name!=other",
        'display_name="rank*"',
        'display_name:"*ANK*"',
        "labels.owner=us",
        "labels.owner:*",
        "labels:owner",
        "NOT labels:absent",
        "-labels.owner=them",
        "labels.absent!=x",
        "count>=3 AND count<4",
        "count=2 OR count=3 AND enabled=true",
        "(count=2 OR count=3) enabled=true",
        "count=3 enabled=true",
        'create_time>"2026-11-25T11:59:59Z"',
        "create_time<=2026-11-25T12:00:00Z",
        "aliases:champion",
        "labels.\"owner\"='us'",
        "display_name=~^ran",
    ],
)
def test_what_fits_a_row(text):
    assert matches(text, ROW.get)
    if text:
        assert not matches(f"NOT ({text})", ROW.get)


def test_or_binds_closer_than_and():
    """As AIP-160 has it, and other languages do not: a OR b AND c is (a OR b) AND c."""
    assert not matches("display_name=ranker OR count=3 AND enabled=false", ROW.get)


@pytest.mark.parametrize(
    "text",
    [
        "display_name=",
        "(count=3",
        "count=3)",
        "=3",
        "count",
        "count=3 AND",
        "count>many",
        "enabled=perhaps",
        "count=f(3)",
        'a="b',
    ],
)
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(FilterError, match="invalid filter"):
        matches(text, ROW.get)


def test_functions_are_those_that_the_service_has():
    functions = {"one_of": lambda value, *arguments: value in arguments}
    assert matches('display_name = one_of("a", "ranker")', ROW.get, functions=functions)
    assert matches('display_name != one_of("a", "b") AND count=3', ROW.get, functions=functions)


def test_a_messages_fields_are_read_by_both_spellings():
    from google.cloud.aiplatform_v1.types import Model

    older, newer = (
        Model.pb(
            Model(
                display_name=name,
                version_id=number,
                labels={"digest": name},
                create_time=datetime(2026, 1, day, tzinfo=UTC),
            )
        )
        for name, number, day in (("b", "1", 1), ("a", "2", 2))
    )
    assert matches('versionId="1" AND display_name=b AND labels.digest=b', of_message(older))
    assert [row.display_name for row in ordered([older, newer], "create_time desc")] == ["a", "b"]
    assert [row.display_name for row in ordered([older, newer], "display_name")] == ["a", "b"]
    assert matches("create_time>2026-01-01T12:00:00Z", of_message(newer))
    with pytest.raises(FilterError, match="nothing_such"):
        matches("nothing_such=1", of_message(newer))
