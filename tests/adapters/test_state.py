"""State in a cloud's object store when replies are lost: what was written is found by its nonce,
and nothing is written twice.
"""

import threading
from importlib.util import find_spec

import pytest

from isthmus.adapters import targets
from isthmus.errors import Conflict, OutcomeUnknown, Refused, Throttled, Unavailable
from isthmus.tests.conformance.places import fresh
from isthmus_stack.client import Stack

KINDS = ["cut-before", "cut-after", "throttle", "error"]


class Place:
    """A target of one cloud, its stack, and what the cloud calls a write and a deletion."""

    adapter = cloud = service = write = remove = ""
    wait = ()  # what the SDK does between its tries, and what it does here

    def __init__(self, home):
        self.profile = fresh(self.adapter, home)
        self.target = targets.load(self.profile)
        self.stack = Stack(self.profile.options["endpoint_url"], self.cloud)

    def fault(self, kind, operation, **more):
        self.stack.fault(kind=kind, service=self.service, operation=operation, **more)

    def count(self, operation):
        return [
            call.operation for call in self.stack.calls() if call.service == self.service
        ].count(operation)


class S3(Place):
    adapter, cloud, service, write, remove = "sagemaker", "aws", "s3", "PutObject", "DeleteObject"
    wait = ("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)

    def put_bytes(self, key, body):
        from isthmus.adapters.sagemaker import session

        aws = session.aws_of(self.target)
        return (
            aws.s3()
            .put_object(Bucket=aws.bucket, Key=aws.key("state", key), Body=body)["ETag"]
            .strip('"')
        )

    def bytes(self, key):
        from isthmus.adapters.sagemaker import session

        aws = session.aws_of(self.target)
        return aws.s3().get_object(Bucket=aws.bucket, Key=aws.key("state", key))["Body"].read()


class Gcs(Place):
    adapter, cloud, service, write, remove = (
        "vertex",
        "gcp",
        "storage",
        "storage.objects.insert",
        "storage.objects.delete",
    )
    wait = ("google.api_core.retry.retry_unary.time.sleep", lambda _: None)

    def _blob(self, key):
        from isthmus.adapters.vertex import session

        vertex = session.session_of(self.target)
        return vertex.blobs().blob(vertex.key("state", key))

    def put_bytes(self, key, body):
        blob = self._blob(key)
        blob.upload_from_string(body)
        return str(blob.generation)

    def bytes(self, key):
        return self._blob(key).download_as_bytes()


PLACES = [
    pytest.param(kind, id=name)
    for name, module, kind in (("sagemaker", "boto3", S3), ("vertex", "grpc", Gcs))
    if find_spec(module)
]


@pytest.fixture(params=PLACES)
def place(request, tmp_path, monkeypatch):
    """A call that is tried again is tried at once: how long the SDK waits before that is its
    affair.
    """
    monkeypatch.setattr(*request.param.wait)
    place = request.param(tmp_path / "home")
    yield place
    place.target.close()


@pytest.fixture
def target(place):
    return place.target


@pytest.mark.parametrize("kind", KINDS)
def test_a_put_whose_first_try_goes_wrong_is_made_once_and_its_token_is_right(place, target, kind):
    place.fault(kind, place.write)
    token = target.state.put("k", b"one", expect=None)
    assert target.state.get("k").token == token
    place.fault(kind, place.write)
    assert target.state.put("k", b"two", expect=token) == target.state.get("k").token
    assert target.state.get("k").value == b"two"


@pytest.mark.parametrize("kind", KINDS)
def test_a_delete_whose_first_try_goes_wrong_is_made_once(place, target, kind):
    for operation in (place.write, place.remove):
        token = target.state.put("k", b"one", expect=None)
        place.fault(kind, operation)
        target.state.delete("k", expect=token)
        assert target.state.get("k") is None
        assert target.state.keys("") == ()
        place.stack.clear_faults()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cut-before", OutcomeUnknown),
        ("throttle", Throttled),
        ("error", (OutcomeUnknown, Unavailable)),
    ],
)
def test_a_put_that_never_gets_through_is_a_clear_error_and_changes_nothing(
    place, target, kind, error
):
    token = target.state.put("k", b"one", expect=None)
    place.fault(kind, place.write, times=None)
    with pytest.raises(error):
        target.state.put("k", b"two", expect=token)
    place.stack.clear_faults()
    assert target.state.get("k").value == b"one"
    target.state.put("k", b"two", expect=token)


def test_the_sdk_does_not_repeat_a_conditional_write_by_itself(place, target):
    place.fault("cut-after", place.write)
    target.state.put("k", b"one", expect=None)
    assert place.count(place.write) == 1


def test_a_write_that_is_lost_and_overwritten_is_said_to_be_unknown(place, target):
    """Our reply is lost; before we look, another process has read our document and written its own."""
    other = targets.load(place.profile)
    mine = target.state
    look = mine._look

    def after_another(key):
        mine._look = look
        other.state.put(key, b"theirs", expect=other.state.get(key).token)
        return look(key)

    mine._look = after_another
    place.fault("cut-after", place.write)
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
        document = target.state.get("k")
        assert (document is None) == (won[0] % 2 == 1)
        if document:
            target.state.delete("k", expect=document.token)


def test_a_tombstone_that_a_cut_deleter_left_is_absent_to_everybody(place, target):
    token = target.state.put("k", b"one", expect=None)
    place.fault("cut-before", place.remove, times=None)
    target.state.delete("k", expect=token)
    place.stack.clear_faults()
    assert target.state.get("k") is None
    assert target.state.keys("") == ()
    with pytest.raises(Conflict):
        target.state.put("k", b"two", expect=token)
    with pytest.raises(Conflict):
        target.state.delete("k", expect=token)
    fresh = target.state.put("k", b"two", expect=None)
    assert target.state.get("k").token == fresh


def test_a_document_of_a_newer_format_is_refused_and_stays(place, target):
    place.put_bytes("k", b'{"schema": 9, "text": "else"}')
    with pytest.raises(
        Refused, match=r"k was written by a newer Isthmus \(format 9; this one reads up to 1\)"
    ):
        target.state.get("k")
    with pytest.raises(Conflict):
        target.state.put("k", b"mine", expect=None)
    with pytest.raises(Refused):
        target.state.get("k")


def test_a_document_from_before_there_were_formats_is_read_and_replaced(place, target):
    token = place.put_bytes("k", b'{"nonce": "n", "value": "b25l"}')
    assert target.state.get("k").value == b"one"
    target.state.put("k", b"two", expect=token)
    assert target.state.get("k").value == b"two"
    assert place.bytes("k").startswith(b'{"schema":1,')
