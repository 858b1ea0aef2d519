"""Batch transform: a model's own server is asked about every object, by boto3 from another process
than the stack's.
"""

import gzip
import json
from types import SimpleNamespace

import pytest

from isthmus_stack.aws.services.sagemaker.transform.batches import (
    BadRecord,
    assemble,
    batches,
    filters,
    lines,
    select,
)
from isthmus_stack.aws.services.sagemaker.transform.requests import Asker
from isthmus_stack.testing import stacks
from isthmus_stack.testing.endpoints_kit import Kit
from isthmus_stack.testing.jobs_kit import ROLE, Aws, definition, until
from isthmus_stack.tests.aws.sagemaker.jobs.test_jobs import refusal

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/batch:1"


def test_a_packed_object_that_is_damaged_is_told_as_the_callers_mistake(tmp_path):
    packed = bytearray(gzip.compress(b"7,1,2\n" * 1_000))
    packed[15:17] = b"\xff\xff"
    (tmp_path / "rows.csv.gz").write_bytes(packed)
    server = SimpleNamespace(connections=SimpleNamespace(port=1))
    asker = Asker(
        None, server, SimpleNamespace(timeout=1, unpacked=True), SimpleNamespace(write=str)
    )
    assert asker.transform_object(tmp_path / "rows.csv.gz", tmp_path, tmp_path).startswith(
        "ClientError: rows.csv.gz: "
    )


def test_records_fill_a_request_as_far_as_it_goes():
    records = lines(b"aa\r\nbb\n\ncc")
    assert records == [b"aa", b"bb", b"cc"]
    assert list(batches(records, 6, several=True)) == [[b"aa", b"bb"], [b"cc"]]
    assert list(batches(records, 6, several=False)) == [[b"aa"], [b"bb"], [b"cc"]]
    assert list(batches(records, None, several=True)) == [records]
    with pytest.raises(BadRecord, match="a record has 2 bytes"):
        list(batches(records, 1, several=True))


def test_answers_are_put_together_as_they_are_or_line_by_line():
    assert assemble([b"a", b"b\n"], by_line=False) == b"ab\n"
    assert assemble([b"a", b"b\n"], by_line=True) == b"a\nb\n"


ROW = {"id": 7, "features": [1, 2, 3], "deep": {"a": 1, "b": 2}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", ROW),
        ("$.id", 7),
        ("$['id']", 7),
        ("$['id','features']", {"id": 7, "features": [1, 2, 3]}),
        ("$.features[0]", 1),
        ("$.features[-1]", 3),
        ("$.features[0,2]", [1, 3]),
        ("$.features[1:]", [2, 3]),
        ("$.features[:-1]", [1, 2]),
        ("$.deep.*", [1, 2]),
        ("$.deep['b']", 2),
    ],
)
def test_a_path_selects_as_the_guides_table_says(path, value):
    assert select(ROW, path) == value


@pytest.mark.parametrize("path", ["id", "$..id", "$.features[?(@>1)]", "$.features[0", "$['id',0]"])
def test_a_path_with_another_operator_is_refused(path):
    with pytest.raises(BadRecord, match="does not take"):
        select(ROW, path)


@pytest.mark.parametrize("path", ["$.nobody", "$.features[9]", "$.id[0]", "$.id[0:2]"])
def test_a_path_that_leads_to_nothing_is_a_bad_record(path):
    with pytest.raises(BadRecord, match="is not in a record"):
        select(ROW, path)


def test_filters_choose_what_the_model_gets_and_what_is_stored_beside_its_answer():
    of = filters(
        {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}, "text/csv"
    )
    assert of.model_input(b'7,"a,b",2') == b'"a,b",2'
    assert of.answered(b"7,1,2", b"0.5") == b"7,0.5"
    of = filters({"JoinSource": "Input"}, "application/jsonlines")
    assert json.loads(of.answered(b'{"id": 1}', b"[2]")) == {"id": 1, "SageMakerOutput": [2]}
    assert json.loads(of.answered(b"[1]", b"[2]")) == {
        "SageMakerInput": [1],
        "SageMakerOutput": [2],
    }
    with pytest.raises(BadRecord, match="no JSON"):
        of.answered(b"{", b"[2]")
    with pytest.raises(BadRecord, match="content type is image/png"):
        filters({"JoinSource": "Input"}, "image/png")


class Batch(Aws):
    """Jobs over s3://models/in/, with their results."""

    def given(self, **objects):
        for name, content in objects.items():
            self.s3.put_object(Bucket="models", Key=f"in/{name.replace('__', '/')}", Body=content)

    def ask(self, name="job", *, kind="text/csv", split="Line", **more):
        source = {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/in/"}},
            "SplitType": split,
        }
        request = {
            "TransformJobName": name,
            "ModelName": "doubler",
            "TransformInput": {
                **source,
                **({"ContentType": kind} if kind else {}),
                **more.pop("TransformInput", {}),
            },
            "TransformOutput": {
                "S3OutputPath": f"s3://models/out/{name}",
                "AssembleWith": "Line",
                **more.pop("TransformOutput", {}),
            },
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        }
        self.sm.create_transform_job(**request)
        return request

    def transformed(self, name="job", **more):
        self.ask(name, **more)
        return self.ended(name)

    def ended(self, name="job"):
        return self.wait(
            self.sm.describe_transform_job, "TransformJobStatus", TransformJobName=name
        )

    def out(self, name="job"):
        listed = self.s3.list_objects_v2(Bucket="models", Prefix=f"out/{name}/").get("Contents", [])
        keys = [item["Key"] for item in listed]
        read = {
            key: self.s3.get_object(Bucket="models", Key=key)["Body"].read().decode()
            for key in keys
        }
        return {key.removeprefix(f"out/{name}/"): text for key, text in read.items()}


@pytest.fixture(scope="module")
def process():
    return Batch(stacks.shared("real").url)


@pytest.fixture
def aws(process):
    process.stack.reset()
    kit = Kit(process.url)
    kit.bucket()
    kit.model("doubler", image=IMAGE)
    return process


@pytest.mark.slow
def test_every_object_of_the_input_is_answered_by_the_model_into_an_object_of_its_name(aws):
    aws.given(**{"a.csv": b"1,2\n3,4\n", "sub__b.csv": b"5\n"})
    request = aws.ask(BatchStrategy="SingleRecord", MaxConcurrentTransforms=4)
    job = aws.ended()
    assert job["TransformJobStatus"] == "Completed"
    assert {
        key: job[key] for key in ("ModelName", "TransformInput", "TransformOutput", "BatchStrategy")
    } == {
        key: request[key]
        for key in ("ModelName", "TransformInput", "TransformOutput", "BatchStrategy")
    }
    assert job["CreationTime"] <= job["TransformStartTime"] <= job["TransformEndTime"]
    assert aws.out() == {"a.csv.out": "2.0,4.0\n6.0,8.0\n", "sub/b.csv.out": "10.0\n"}
    [listed] = aws.sm.list_transform_jobs(StatusEquals="Completed")["TransformJobSummaries"]
    assert (listed["TransformJobName"], listed["TransformJobArn"]) == (
        "job",
        job["TransformJobArn"],
    )


@pytest.mark.slow
def test_filters_join_answers_to_their_records_and_a_packed_object_is_unpacked(aws):
    aws.given(**{"rows.csv.gz": gzip.compress(b"7,1,2\n8,3,4\n")})
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-2,-1]"}
    job = aws.transformed(TransformInput={"CompressionType": "Gzip"}, DataProcessing=processing)
    assert job["TransformJobStatus"] == "Completed", job
    assert aws.out() == {"rows.csv.gz.out": "7,2.0,4.0\n8,6.0,8.0\n"}


@pytest.mark.slow
def test_a_container_is_told_of_the_job_and_may_say_how_it_wants_to_be_asked(aws):
    Kit(aws.url).model(
        "doubler-2",
        image=IMAGE,
        execution_parameters={"BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1},
    )
    aws.given(a=b"asked\nasked\n")
    aws.transformed("whole", kind=None, Environment={"GREETING": "hello"}, MaxPayloadInMB=2)
    [told] = map(json.loads, aws.out("whole")["a.out"].splitlines())
    assert told == {
        "type": None,
        "lines": 2,
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2",
        "GREETING": "hello",
    }
    aws.transformed("single", kind=None, ModelName="doubler-2")
    assert [json.loads(line)["lines"] for line in aws.out("single")["a.out"].splitlines()] == [1, 1]


@pytest.mark.slow
def test_of_a_bad_object_nothing_is_stored_the_others_are_and_the_job_has_failed_with_the_reason(
    aws,
):
    aws.given(**{"a.csv": b"1\n", "b.csv": b"2\nbad\n", "c.csv": b"once\n"})
    job = aws.transformed(
        BatchStrategy="SingleRecord", ModelClientConfig={"InvocationsMaxRetries": 1}
    )
    assert job["TransformJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        "ClientError: Bad HTTP status received from algorithm: 400: bad row"
    )
    assert aws.out() == {"a.csv.out": "2.0\n"}
    log = aws.lines("/aws/sagemaker/TransformJobs")
    assert any(line.startswith("b.csv: ClientError: Bad HTTP status") for line in log)
    assert any(
        line.startswith("c.csv: AlgorithmError") for line in log
    )  # 503, tried again, then no number


@pytest.mark.slow
def test_a_stopped_job_stores_nothing(aws):
    aws.given(**{"a.csv": b"1\n", "b.csv": b"sleep\n"})
    aws.ask()
    until(lambda: "TransformStartTime" in aws.sm.describe_transform_job(TransformJobName="job"))
    aws.sm.stop_transform_job(TransformJobName="job")
    assert aws.ended()["TransformJobStatus"] == "Stopped"
    assert aws.out() == {}


@pytest.mark.slow
def test_what_cannot_be_transformed_is_refused_before_a_job_is_there(aws):
    wrong = [
        ({"ModelName": "nobody"}, "Could not find model"),
        ({"split": "RecordIO"}, "not RecordIO"),
        ({"split": "None", "BatchStrategy": "MultiRecord"}, "needs a SplitType"),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "must not exceed 100 MB"),
        ({"DataProcessing": {"InputFilter": "$..x"}}, "does not take"),
        (
            {"DataCaptureConfig": {"DestinationS3Uri": "s3://models/x"}},
            "leave DataCaptureConfig out",
        ),
        (
            {"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2}},
            "do not support InstanceCount 2",
        ),
    ]
    for more, words in wrong:
        code, message = refusal(aws.ask, **more)
        assert (code, words in message) == ("ValidationException", True), message
    assert aws.sm.list_transform_jobs()["TransformJobSummaries"] == []


@pytest.mark.slow
def test_a_job_without_input_or_with_an_unmapped_image_fails_with_the_reason(aws):
    assert "No S3 objects found" in aws.transformed("empty")["FailureReason"]
    Kit(aws.url).model("nobodys", image="nobodys:1")
    assert (
        "no command is mapped to 'nobodys:1'"
        in aws.transformed("unmapped", ModelName="nobodys")["FailureReason"]
    )


@pytest.mark.slow
def test_a_step_of_a_pipeline_transforms_with_the_model_of_the_step_before(aws):
    aws.given(**{"a.csv": b"1\n"})
    model = aws.sm.describe_model(ModelName="doubler")["PrimaryContainer"]
    request = {
        "ModelName": {"Get": "Steps.Make.ModelName"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/in/"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://models/out/step"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    steps = (
        {
            "Name": "Make",
            "Type": "Model",
            "Arguments": {
                "PrimaryContainer": {key: model[key] for key in ("Image", "ModelDataUrl")}
            },
        },
        {"Name": "Batch", "Type": "Transform", "Arguments": request},
    )
    aws.sm.create_pipeline(PipelineName="p", PipelineDefinition=definition(*steps), RoleArn=ROLE)
    arn = aws.sm.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Succeeded", aws.steps(arn)
    assert (
        aws.steps(arn)["Batch"]["Metadata"]["TransformJob"]["Arn"]
        .split("/")[-1]
        .startswith("pipelines-")
    )
    assert aws.out("step") == {"a.csv.out": "2.0"}
