"""Recording calls without what is nobody else's business, and asking them again."""

import io
import json
from datetime import UTC, datetime

import boto3
import pytest

from isthmus_stack.aws.recorded import form
from isthmus_stack.aws.recorded.compare import _without_polling, compare, is_in_progress, kind
from isthmus_stack.aws.recorded.form import About, Call
from isthmus_stack.aws.recorded.recorder import Recorder
from isthmus_stack.aws.recorded.scrub import Scrubber
from isthmus_stack.client import Stack
from isthmus_stack.testing import stacks
from isthmus_stack.testing.keys_kit import keys

NAMES = {"secret-bucket": "example-bucket", "999988887777": "123456789012"}


@pytest.fixture
def url():
    url = stacks.shared("instant").url
    Stack(url).reset()
    return url


def session(url):
    return boto3.Session(region_name="us-east-1", **keys(url))


def recorded(url, folder, use):
    """The calls that `use` made with a client of each service it asked for."""
    own = session(url)
    recorder = Recorder(own, folder, names=NAMES, version="test")
    recorder.begin()
    use(lambda service: own.client(service, endpoint_url=url))
    return form.read(folder)


def used(client):
    s3, glue = client("s3"), client("glue")
    s3.create_bucket(Bucket="secret-bucket")
    tag = s3.put_object(
        Bucket="secret-bucket", Key="a/b.txt", Body=io.BytesIO(b"in secret-bucket of 999988887777")
    )["ETag"]
    with pytest.raises(s3.exceptions.ClientError):
        s3.put_object(Bucket="secret-bucket", Key="a/b.txt", Body=b"x", IfMatch='"other"')
    s3.put_object(Bucket="secret-bucket", Key="a/b.txt", Body=b"\xff\x00", IfMatch=tag)
    assert s3.get_object(Bucket="secret-bucket", Key="a/b.txt")["Body"].read() == b"\xff\x00"
    glue.create_database(DatabaseInput={"Name": "shop"})
    assert glue.get_database(Name="shop")["Database"]["Name"] == "shop"


def test_what_was_recorded_is_asked_again_and_answered_alike(url, tmp_path):
    about, calls = recorded(url, tmp_path / "kept", used)
    assert [(call.operation, call.status, call.error) for call in calls] == [
        ("CreateBucket", 200, None), ("PutObject", 200, None), ("PutObject", 412, "PreconditionFailed"), ("PutObject", 200, None),
        ("GetObject", 200, None), ("CreateDatabase", 200, None), ("GetDatabase", 200, None),
    ]  # fmt: skip
    Stack(url).reset()
    again = compare(calls, about, url)
    assert (again.compared, again.differences) == (7, ())


def test_a_tag_of_the_first_time_is_the_one_of_the_second(url, tmp_path):
    """The second PutObject names the ETag that the first one was answered with."""
    _, calls = recorded(url, tmp_path / "kept", used)
    assert calls[3].params["IfMatch"] == calls[1].answer["ETag"]
    assert calls[3].params["IfMatch"].startswith("text-")


# of a recorded GetDatabase, and where that is found; a name that no request has used is nobody's to
# compare
CHANGES = (
    (lambda call: call | {"error": "InternalError", "status": 500, "answer": {}}, "error"),
    (lambda call: call | {"status": 201}, "status"),
    (lambda call: call | {"answer": call["answer"] | {"More": 1}}, "More"),
    (
        lambda call: (
            call | {"answer": {"Database": call["answer"]["Database"] | {"Name": "other"}}}
        ),
        None,
    ),
    (
        lambda call: (
            call | {"answer": {"Database": call["answer"]["Database"] | {"Name": "example-bucket"}}}
        ),
        "Database.Name",
    ),
    (
        lambda call: (
            call | {"answer": {"Database": call["answer"]["Database"] | {"CreateTime": "text"}}}
        ),
        "Database.CreateTime",
    ),
    (
        lambda call: (
            call
            | {
                "answer": {
                    "Database": {k: v for k, v in call["answer"]["Database"].items() if k != "Name"}
                }
            }
        ),
        "Database.Name",
    ),
)


def test_planted_differences_are_found_where_they_are(url, tmp_path):
    about, _ = recorded(url, tmp_path / "kept", used)
    lines = (tmp_path / "kept" / form.CALLS).read_text().splitlines()
    last = json.loads(lines[-1])
    planted = [
        json.dumps(change(last) | {"number": 100 + index})
        for index, (change, _) in enumerate(CHANGES)
    ]
    (tmp_path / "kept" / form.CALLS).write_text("\n".join([*lines, *planted]))
    Stack(url).reset()
    differences = compare(form.read(tmp_path / "kept")[1], about, url).differences
    assert [(each.call, each.where) for each in differences] == [
        (100 + index, where) for index, (_, where) in enumerate(CHANGES) if where
    ]


def test_a_bucket_that_was_there_when_it_was_recorded_is_made_first(url, tmp_path):
    session(url).client("s3", endpoint_url=url).create_bucket(Bucket="secret-bucket")
    about, calls = recorded(
        url,
        tmp_path / "kept",
        lambda client: client("s3").put_object(Bucket="secret-bucket", Key="a", Body=b"a"),
    )
    Stack(url).reset()
    assert compare(calls, about, url).differences == ()


def test_no_name_key_account_person_or_id_of_an_account_is_kept(url, tmp_path):
    recorded(url, tmp_path / "kept", used)
    text = (tmp_path / "kept" / form.CALLS).read_text()
    assert "secret-bucket" not in text
    assert "999988887777" not in text
    assert json.loads(text.splitlines()[1])["params"]["Body"] == {
        "$text": "in example-bucket of 123456789012"
    }
    assert not [value for value in keys(url).values() if value in text]


def test_a_person_a_key_and_an_id_are_one_stand_in_each_wherever_they_come():
    scrubber = Scrubber(NAMES)
    person, other = (
        "arn:aws:iam::999988887777:user/jane",
        "arn:aws:sts::999988887777:assumed-role/Admin/jane@example.org",
    )
    masked = scrubber.text(f"{person} {other} {person}").split()
    assert masked[0] == masked[2] == "arn:aws:iam::123456789012:user/person-1"
    assert masked[1].startswith("arn:aws:sts::123456789012:assumed-role/person-")
    message = scrubber.message("jane@example.org has AKIAABCDEFGHIJKLMNOP in 111122223333")
    assert message == "person-5@example.com has KEY4 in 000000000003"
    one = scrubber.text("s3://x/6f1d1c1e-1111-4222-8333-444455556666.csv")
    assert one == scrubber.text(
        "s3://x/6F1D1C1E-1111-4222-8333-444455556666.csv".replace("F", "f").replace(
            "D1C1E", "d1c1e"
        )
    )
    assert scrubber.text(one) == one
    assert "wJalrXUtnFEMI" not in scrubber.message(
        "token wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYwJalrXUtnFEMI"
    )


def test_what_is_stored_stays_as_it_is_but_for_the_callers_names():
    """A digest elsewhere is that of its bytes."""
    text = (
        "role: arn:aws:iam::111122223333:role/theirs, 6f1d1c1e-1111-4222-8333-444455556666, "
        "secret-bucket"
    )
    assert Scrubber(NAMES).request_value({"Body": text.encode()}) == {
        "Body": {"$text": text.replace("secret-bucket", "example-bucket")}
    }


def test_of_an_answer_only_words_of_a_request_or_of_the_services_model_are_kept():
    s3 = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    shape = s3.meta.service_model.operation_model("ListObjectsV2").output_shape
    scrubber = Scrubber({})
    scrubber.request_value({"Prefix": "mine/"})
    kept = scrubber.answered(
        {
            "Prefix": "mine/",
            "Contents": [
                {
                    "Key": "theirs",
                    "Size": 3,
                    "StorageClass": "STANDARD",
                    "LastModified": datetime(2026, 1, 1, tzinfo=UTC),
                }
            ],
        },
        shape,
    )
    assert kept == {
        "Prefix": "mine/",
        "Contents": [
            {
                "Key": "text-1",
                "Size": 3,
                "StorageClass": "STANDARD",
                "LastModified": {"$time": "2026-01-01T00:00:00+00:00"},
            }
        ],
    }


def call(number, operation, answer, **params):
    return Call(
        number=number,
        service="sagemaker",
        operation=operation,
        params=params,
        status=200,
        answer=answer,
    )


def test_looks_at_what_is_on_its_way_are_left_out_but_for_the_last_before_a_change():
    creating, there = {"EndpointStatus": "Creating"}, {"EndpointStatus": "InService"}
    calls = [
        call(1, "DescribeEndpoint", creating, EndpointName="a"), call(2, "DescribeEndpoint", creating, EndpointName="a"),
        call(3, "DescribeEndpoint", there, EndpointName="a"), call(4, "DeleteEndpoint", {}, EndpointName="a"),
        call(5, "DescribeEndpoint", there, EndpointName="a"), call(6, "DescribeEndpoint", {"EndpointStatus": "Deleting"}, EndpointName="a"),
    ]  # fmt: skip
    assert [each.number for each in _without_polling(calls)] == [3, 4, 5, 6]
    assert [
        is_in_progress(answer)
        for answer in (creating, there, {"ModelApprovalStatus": "PendingManualApproval"})
    ] == [True, False, False]
    assert is_in_progress({"Steps": [{"StepStatus": "Executing"}]})


def test_a_recording_of_a_later_version_or_a_damaged_one_is_told(tmp_path):
    about = About(cloud="aws", region="us-east-1", recorded=datetime.now(UTC), isthmus="0.1.0")
    (tmp_path / form.ABOUT).write_bytes(
        json.dumps({**json.loads(form.msgspec.json.encode(about)), "schema": 2}).encode()
    )
    with pytest.raises(form.NewerRecording, match="format 2; this version reads 1"):
        form.read(tmp_path)
    (tmp_path / form.ABOUT).write_bytes(form.msgspec.json.encode(about))
    (tmp_path / form.CALLS).write_text('{"number": 1}\n')
    with pytest.raises(ValueError, match=r"calls\.jsonl:1 is damaged"):
        form.read(tmp_path)


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    (tmp_path / "notes").touch()
    with pytest.raises(FileExistsError):
        Recorder(boto3.Session(region_name="us-east-1"), tmp_path, names={}, version="0.1.0")


def test_kinds_are_those_of_boto3():
    kept = (
        {"$time": "2026-01-01"},
        {"$stream": True},
        {"$size": 3},
        {"a": 1},
        {},
        [],
        "a",
        1,
        1.5,
        True,
        None,
    )
    ours = (datetime.now(UTC), io.BytesIO(), b"abc", {"a": 1}, {}, [], "b", 2, 2.5, False, None)
    assert list(map(kind, kept)) == list(map(kind, ours))
