"""Counters in DynamoDB when calls go wrong on the way, and what is particular to it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.session import aws_of
from isthmus.adapters.sagemaker.storage import counters as module
from isthmus.errors import LimitExceeded, NotFound, OutcomeUnknown, Throttled, Unavailable
from isthmus.tests.conformance.places import PROJECT
from isthmus_stack.client import Stack

TABLE = f"{PROJECT}-ranker-counters"


def until(**length):
    return datetime.now(UTC) + timedelta(**(length or {"hours": 25}))


@pytest.fixture
def counters(target):
    target.counters.apply("ranker")
    return target.counters


@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "throttle", "error"])
def test_what_is_transient_is_tried_again_and_what_was_cut_after_its_effect_counts_twice(
    counters, stack, kind
):
    stack.fault(kind=kind, service="dynamodb", operation="UpdateItem", times=1)
    counters.add("ranker", "u", {"a": 1}, until=until())
    stack.fault(kind=kind, service="dynamodb", operation="GetItem", times=1)
    assert counters.get("ranker", "u") == {"a": 2 if kind == "cut-after" else 1}
    assert not stack.faults()


def test_a_stack_that_is_slow_to_refuse_is_asked_again_too(counters, stack, monkeypatch):
    """A store that somebody waits for is not: an attempt of any length is here longer than an
    account is waited for.
    """
    monkeypatch.setattr(module, "_PATIENCE", 0)
    stack.fault(kind="throttle", service="dynamodb", operation="UpdateItem", times=1)
    counters.add("ranker", "u", {"a": 1}, until=until())
    assert counters.get("ranker", "u") == {"a": 1}


@pytest.mark.parametrize(
    ("kind", "error"), [("throttle", Throttled), ("cut-before", OutcomeUnknown)]
)
def test_what_lasts_is_told_after_three_attempts(counters, stack, kind, error):
    stack.fault(kind=kind, service="dynamodb", times=None)
    stack.clear_calls()
    with pytest.raises(error):
        counters.add("ranker", "u", {"a": 1}, until=until())
    with pytest.raises(error if error is Throttled else Unavailable):
        counters.get("ranker", "u")
    assert [call.operation for call in stack.calls()] == ["UpdateItem"] * 3 + ["GetItem"] * 3


@pytest.mark.parametrize(
    "operation", ["CreateTable", "DescribeTable", "UpdateTimeToLive", "DescribeTimeToLive"]
)
@pytest.mark.parametrize("kind", ["cut-before", "cut-after", "error"])
def test_making_a_table_goes_on_where_it_was_cut(target, stack, operation, kind):
    """Each call is made once in a first `apply`, but for the SDK's own attempts."""
    stack.fault(kind=kind, service="dynamodb", operation=operation, times=5)
    with suppress(OutcomeUnknown, Unavailable):
        target.counters.apply("ranker")
    stack.clear_faults()
    target.counters.apply("ranker")
    assert target.counters.observe("ranker") == "ready"
    (table,) = aws_of(target).client("dynamodb").list_tables()["TableNames"]
    assert table == TABLE


def test_a_table_without_a_time_to_live_is_half_made(counters, target):
    client = aws_of(target).client("dynamodb")
    client.update_time_to_live(
        TableName=TABLE, TimeToLiveSpecification={"Enabled": False, "AttributeName": "until"}
    )
    assert counters.observe("ranker") == "creating"
    counters.apply("ranker")
    assert counters.observe("ranker") == "ready"


def test_who_makes_it_at_the_same_moment_as_another_has_made_it_too(counters, monkeypatch):
    seen = iter([None, "ready"])
    monkeypatch.setattr(type(counters), "observe", lambda *_: next(seen))
    counters.apply("ranker")
    assert list(seen) == []


def test_a_table_is_paid_for_by_request_and_tagged_in_the_call_that_makes_it(counters, target):
    client = aws_of(target).client("dynamodb")
    table = client.describe_table(TableName=TABLE)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    tags = {
        tag["Key"]: tag["Value"]
        for tag in client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
    }
    assert tags == {
        "isthmus:project": PROJECT,
        "isthmus:kind": "counters",
        "isthmus:name": "ranker",
    }


def test_somebody_elses_table_of_such_a_name_is_not_listed(counters, target):
    client = aws_of(target).client("dynamodb")
    key = {
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
    }
    client.create_table(TableName=f"{PROJECT}-other-counters", BillingMode="PAY_PER_REQUEST", **key)
    assert [resource.name for resource in target.inventory.list(PROJECT)] == ["ranker"]


def test_a_unit_of_more_counts_than_an_item_holds_is_refused_in_words_and_keeps_what_it_has(
    counters,
):
    amounts = {f"{number}{'x' * 4_000}": 1 for number in range(90)}
    counters.add("ranker", "u", amounts, until=until())
    with pytest.raises(LimitExceeded, match="maximum allowed size") as refusal:
        counters.add("ranker", "u", {f"y{name}": 1 for name in amounts}, until=until())
    assert (
        refusal.value.remedy
        == "an item has at most 400 KB: a shorter `in` of a unit's caps keeps fewer counts"
    )
    assert counters.get("ranker", "u") == amounts
    counters.add("ranker", "u", {"new": 1}, forget=list(amounts), until=until())
    assert counters.get("ranker", "u") == {"new": 1}


def test_a_document_vanishes_when_its_time_is_over_on_the_stacks_clock(counters, stack):
    counters.add("ranker", "u", {"a": 1}, until=until(hours=1))
    counters.add("ranker", "v", {"a": 1}, until=until(hours=30))
    stack.advance(2 * 3600)
    assert [counters.get("ranker", unit) for unit in ("u", "v")] == [{}, {"a": 1}]
    counters.add("ranker", "u", {"b": 1}, until=until(hours=30))
    assert counters.get("ranker", "u") == {"b": 1}


def test_a_table_that_is_being_made_counts_nothing_yet(still_stack, profile):
    stack = Stack(still_stack.url)
    stack.reset()
    target = targets.load(
        msgspec.structs.replace(
            profile, options={**profile.options, "endpoint_url": still_stack.url}
        )
    )
    counters = target.counters
    counters._create("ranker")
    assert counters.observe("ranker") == "creating"
    with pytest.raises(NotFound):
        counters.get("ranker", "u")
    stack.advance(6)
    counters.apply("ranker")
    assert counters.observe("ranker") == "ready"
    target.close()
