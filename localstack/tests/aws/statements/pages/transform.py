"""Batch transform."""

import json
from functools import cache

from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.tests.aws.statements.account import archive, refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

BATCH = guide("Batch transform for inference", "batch-transform")
JOINING = guide(
    "Associate prediction results with input records", "batch-transform-data-processing"
)
TROUBLE = guide("Troubleshooting batch transform", "batch-transform-errors")
CODE = guide("Custom inference code with batch transform", "your-algorithms-batch-code")
CREATE = reference("CreateTransformJob")
DOUBLING = "123456789012.dkr.ecr.us-east-1.amazonaws.com/batch:1"  # doubles every number of a line


@cache
def doubling(aws):
    data = aws.put("doubler/model.tar.gz", archive({"model.json": b"{}"}))
    return aws.model("from the model", image=DOUBLING, data=data)


def request(
    aws, name, *, kind="text/csv", split="Line", assemble="Line", accept="text/csv", **more
):
    return {
        "TransformJobName": name,
        "ModelName": doubling(aws),
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{name}/in/"}
            },
            "ContentType": kind,
            **({"SplitType": split} if split else {}),
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://bucket/{name}/out",
            "Accept": accept,
            **({"AssembleWith": assemble} if assemble else {}),
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **more,
    }


def transformed(aws, objects, **more):
    """The job's description, and the outputs by the names of their inputs."""
    name = aws.fresh("transform")
    for key, body in objects.items():
        aws.put(f"{name}/in/{key}", body)
    aws.sm.create_transform_job(**request(aws, name, **more))
    job = aws.wait(aws.sm.describe_transform_job, "TransformJobStatus", TransformJobName=name)
    keys = aws.keys(f"{name}/out/")
    return job, {key.removeprefix(f"{name}/out/"): aws.body(key).decode() for key in keys}


@promises("Each object of the input has its output: its name and .out.", BATCH)
def each_object_has_its_output(aws):
    _, outputs = transformed(aws, {"input1.csv": b"1,2\n", "deep/input2.csv": b"3\n"})
    assert outputs == {"input1.csv.out": "2.0,4.0\n", "deep/input2.csv.out": "6.0\n"}


@promises("Predictions are in the order of their records.", BATCH)
def the_order_is_kept(aws):
    rows = "".join(f"{number}\n" for number in range(40))
    job, outputs = transformed(
        aws, {"a.csv": rows.encode()}, BatchStrategy="SingleRecord", MaxConcurrentTransforms=4
    )
    assert job["TransformJobStatus"] == "Completed"
    assert [float(row) for row in outputs["a.csv.out"].split()] == [
        2.0 * number for number in range(40)
    ]


@promises("Without a SplitType a whole object is one request.", BATCH)
def an_object_is_one_request(aws):
    _, outputs = transformed(aws, {"a.csv": b"asked\nx\ny"}, split=None, assemble=None)
    assert json.loads(outputs["a.csv.out"])["lines"] == 3


@promises("With AssembleWith Line each record of the output has its line.", BATCH)
def records_have_their_lines(aws):
    _, outputs = transformed(aws, {"a.csv": b"1\n2\n"}, BatchStrategy="SingleRecord")
    assert outputs["a.csv.out"] == "2.0\n4.0\n"


@promises(
    "A job with one bad object is Failed; that object has no output, the others have.", TROUBLE
)
def a_bad_object_has_no_output(aws):
    job, outputs = transformed(aws, {"bad.csv": b"bad\n", "good.csv": b"1\n"})
    assert (job["TransformJobStatus"], sorted(outputs)) == ("Failed", ["good.csv.out"])
    assert job["FailureReason"]


@promises("A record that is larger than MaxPayloadInMB is an error.", TROUBLE)
def a_record_fits_its_payload(aws):
    job, outputs = transformed(aws, {"a.csv": b"1" * 1_200_000}, MaxPayloadInMB=1)
    assert (job["TransformJobStatus"], outputs) == ("Failed", {})


@promises("MaxConcurrentTransforms times MaxPayloadInMB is 100 MB at most.", CREATE)
def payloads_together_are_bounded(aws):
    wrong = request(aws, aws.fresh(), MaxConcurrentTransforms=51, MaxPayloadInMB=2)
    assert "ValidationException" in refusal(aws.sm.create_transform_job, **wrong)


@promises("BatchStrategy needs a SplitType.", CREATE)
def a_strategy_needs_its_split(aws):
    wrong = request(aws, aws.fresh(), split=None, assemble=None, BatchStrategy="MultiRecord")
    assert "ValidationException" in refusal(aws.sm.create_transform_job, **wrong)


@promises("ModelName is the name of a model that there is.", CREATE)
def a_model_exists(aws):
    wrong = {**request(aws, aws.fresh()), "ModelName": "nobodys"}
    assert refusal(aws.sm.create_transform_job, **wrong)


@promises(
    "SAGEMAKER_BATCH is true in the container, and the job's other settings are told as "
    "SAGEMAKER_ variables.",
    CODE,
)
def the_container_knows_its_job(aws):
    job, outputs = transformed(
        aws,
        {"a.csv": b"asked\n"},
        MaxPayloadInMB=2,
        MaxConcurrentTransforms=3,
        BatchStrategy="SingleRecord",
        Environment={"GREETING": "job"},
    )
    told = json.loads(outputs["a.csv.out"])
    assert job["TransformJobStatus"] == "Completed"
    assert (told["SAGEMAKER_BATCH"], told["SAGEMAKER_MAX_PAYLOAD_IN_MB"]) == ("true", "2")
    assert (told["SAGEMAKER_BATCH_STRATEGY"], told["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"]) == (
        "SINGLE_RECORD",
        "3",
    )
    assert told["GREETING"] == "job"


@promises("JoinSource Input puts a CSV record before its prediction.", JOINING)
def input_is_joined_in_csv(aws):
    _, outputs = transformed(aws, {"a.csv": b"1,2\n"}, DataProcessing={"JoinSource": "Input"})
    assert outputs["a.csv.out"].strip() == "1,2,2.0,4.0"


@promises(
    "InputFilter $[1:] leaves the first column out of what the model gets, OutputFilter "
    "$[0,-1] keeps it beside the prediction.",
    JOINING,
)
def filters_choose_columns(aws):
    filters = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    _, outputs = transformed(aws, {"a.csv": b"7,1,2\n"}, DataProcessing=filters)
    assert outputs["a.csv.out"].strip() == "7,4.0"


@promises("A joined JSON record has its prediction under SageMakerOutput.", JOINING)
def output_is_joined_in_json(aws):
    kind = "application/jsonlines"
    _, outputs = transformed(
        aws,
        {"a.jsonl": b'{"a": 1, "b": 2}\n'},
        kind=kind,
        accept=kind,
        DataProcessing={"JoinSource": "Input"},
    )
    assert json.loads(outputs["a.jsonl.out"]) == {"a": 1, "b": 2, "SageMakerOutput": {"sum": 3}}


@promises("A stopped job stores no output.", reference("StopTransformJob"))
def a_stopped_job_stores_nothing(aws):
    name = aws.fresh("transform")
    aws.put(f"{name}/in/a.csv", b"1\n")
    aws.put(f"{name}/in/b.csv", b"sleep\n")
    aws.sm.create_transform_job(**request(aws, name))
    until(lambda: "TransformStartTime" in aws.sm.describe_transform_job(TransformJobName=name))
    aws.sm.stop_transform_job(TransformJobName=name)
    assert (
        aws.wait(aws.sm.describe_transform_job, "TransformJobStatus", TransformJobName=name)[
            "TransformJobStatus"
        ]
        == "Stopped"
    )
    assert aws.keys(f"{name}/out/") == []
