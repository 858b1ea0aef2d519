"""State in S3 when replies are lost: what was written is found by its nonce, and nothing is written twice."""

import threading

import pytest

from isthmus.adapters.sagemaker import session
from isthmus.errors import Conflict, OutcomeUnknown, Refused, Throttled, Unavailable

KINDS = ["cut-before", "cut-after", "throttle", "error"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_put_whose_first_try_goes_wrong_is_made_once_and_its_token_is_right(target, stack, kind):
    stack.fault(kind=kind, service="s3", operation="PutObject")
    token = target.state.put("k", b"one", expect=None)
    assert target.state.get("k").token == token
    stack.fault(kind=kind, service="s3", operation="PutObject")
    assert target.state.put("k", b"two", expect=token) == target.state.get("k").token
    assert target.state.get("k").value == b"two"


@pytest.mark.parametrize("kind", KINDS)
def test_a_delete_whose_first_try_goes_wrong_is_made_once(target, stack, kind):
    for operation in ("PutObject", "DeleteObject"):
        token = target.state.put("k", b"one", expect=None)
        stack.fault(kind=kind, service="s3", operation=operation)
        target.state.delete("k", expect=token)
        assert target.state.get("k") is None
        assert target.state.keys("") == ()
        stack.clear_faults()


@pytest.mark.parametrize(
    ("kind", "error"), [("cut-before", OutcomeUnknown), ("throttle", Throttled), ("error", (OutcomeUnknown, Unavailable))]
)
def test_a_put_that_never_gets_through_is_a_clear_error_and_changes_nothing(target, stack, kind, error):
    token = target.state.put("k", b"one", expect=None)
    stack.fault(kind=kind, service="s3", operation="PutObject", times=None)
    with pytest.raises(error):
        target.state.put("k", b"two", expect=token)
    stack.clear_faults()
    assert target.state.get("k").value == b"one"
    target.state.put("k", b"two", expect=token)


def test_the_sdk_does_not_repeat_a_conditional_write_by_itself(target, stack):
    stack.fault(kind="cut-after", service="s3", operation="PutObject")
    target.state.put("k", b"one", expect=None)
    assert [call.operation for call in stack.calls() if call.service == "s3"].count("PutObject") == 1


def test_a_write_that_is_lost_and_overwritten_is_said_to_be_unknown(target, stack, profile):
    """Our reply is lost; before we look, another process has read our document and written its own."""
    from isthmus.adapters import targets

    other = targets.load(profile)
    mine = target.state
    look = mine._seen

    def after_another(key):
        mine._seen = look
        other.state.put(key, b"theirs", expect=other.state.get(key).token)
        return look(key)

    mine._seen = after_another
    stack.fault(kind="cut-after", service="s3", operation="PutObject")
    with pytest.raises(OutcomeUnknown):
        mine.put("k", b"mine", expect=None)
    assert target.state.get("k").value == b"theirs"


def test_of_many_writers_and_deleters_of_one_token_exactly_one_wins(target):
    for round_ in range(3):
        token = target.state.put("k", b"start", expect=None)
        won = []

        def race(number, token=token, won=won):
            try:
                if number % 2:
                    target.state.delete("k", expect=token)
                else:
                    target.state.put("k", b"%d" % number, expect=token)
            except Conflict:
                return
            won.append(number)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, round_
        found = target.state.get("k")
        assert (found is None) == (won[0] % 2 == 1)
        if found:
            target.state.delete("k", expect=found.token)


def test_a_tombstone_that_a_cut_deleter_left_is_absent_to_everybody(target, stack):
    token = target.state.put("k", b"one", expect=None)
    stack.fault(kind="cut-before", service="s3", operation="DeleteObject", times=None)
    target.state.delete("k", expect=token)
    stack.clear_faults()
    assert target.state.get("k") is None
    assert target.state.keys("") == ()
    with pytest.raises(Conflict):
        target.state.put("k", b"two", expect=token)
    with pytest.raises(Conflict):
        target.state.delete("k", expect=token)
    fresh = target.state.put("k", b"two", expect=None)
    assert target.state.get("k").token == fresh


def put_bytes(target, key, body):
    aws = session.of(target)
    aws.s3().put_object(Bucket=aws.bucket, Key=aws.key("state", key), Body=body)
    return aws.s3().get_object(Bucket=aws.bucket, Key=aws.key("state", key))["ETag"].strip('"')


def test_a_document_of_a_newer_format_is_refused_and_stays(target):
    put_bytes(target, "k", b'{"schema": 9, "text": "else"}')
    with pytest.raises(Refused, match=r"k was written by a newer Isthmus \(format 9; this one reads up to 1\)"):
        target.state.get("k")
    with pytest.raises(Conflict):
        target.state.put("k", b"mine", expect=None)
    with pytest.raises(Refused):
        target.state.get("k")


def test_a_document_from_before_there_were_formats_is_read_and_replaced(target):
    token = put_bytes(target, "k", b'{"nonce": "n", "value": "b25l"}')
    assert target.state.get("k").value == b"one"
    target.state.put("k", b"two", expect=token)
    assert target.state.get("k").value == b"two"
    aws = session.of(target)
    assert aws.s3().get_object(Bucket=aws.bucket, Key=aws.key("state", "k"))["Body"].read().startswith(b'{"schema":1,')
