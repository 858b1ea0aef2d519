"""The genuine sagemaker v3 SDK, in a process of its own, against the stack in another: one run,
several things seen of it.
"""

import io
import json
import tarfile
from pathlib import Path

import boto3
import pytest

from isthmus_stack.client import Stack
from isthmus_stack.testing import stacks
from isthmus_stack.testing.keys_kit import keys
from isthmus_stack.tests.aws.sagemaker.sdk.sdk_kit import seen_by

pytestmark = pytest.mark.slow

pytest.importorskip("importlib.metadata").version(
    "sagemaker"
)  # an import of the SDK itself takes four seconds
CLIENT = Path(__file__).with_name("sdk_v3_client.py")


@pytest.fixture(scope="module")
def stack():
    running = stacks.shared("real")
    Stack(running.url).reset()
    return running


@pytest.fixture(scope="module")
def seen(stack, tmp_path_factory):
    return seen_by(CLIENT, tmp_path_factory.mktemp("sdk"), stack, SAGEMAKER_VALIDATE_ROLE="false")


@pytest.fixture(scope="module")
def aws(stack):
    return lambda service: boto3.client(
        service, endpoint_url=stack.url, region_name="us-east-1", **keys(stack.url)
    )


def model_at(aws, uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return json.load(tar.extractfile("model.json"))


@pytest.mark.timeout(900)
def test_a_model_trainer_in_script_mode_trains_and_its_wait_returns(seen, aws):
    assert seen["script_mode"]["status"] == "Completed"
    assert model_at(aws, seen["script_mode"]["artifacts"]) == {"lr": 0.5, "rows": 3}


def test_a_tuner_names_the_best_of_its_training_jobs_and_its_analytics_shows_them_all(seen):
    values = {
        name: final
        for name, rate, final in seen["tuning"]["values"]
        if float(rate) == pytest.approx(final)
    }
    assert len(values) == 2
    assert max(values, key=values.get) == seen["tuning"]["best"]


def test_the_trainers_output_is_in_cloudwatch(seen, aws):
    events = aws("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=seen["script_mode"]["name"]
    )["events"]
    assert "validation loss=0.25;" in [event["message"] for event in events]


def test_a_session_finds_its_bucket_and_its_role_though_the_sdk_asks_sts_at_its_own_address(
    seen, aws
):
    bucket = "sagemaker-us-east-1-123456789012"
    role = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole"
    assert seen["session"] == {"bucket": bucket, "role": role, "fit": [role], "again": bucket}
    assert bucket in [found["Name"] for found in aws("s3").list_buckets()["Buckets"]]


def test_an_upsert_creates_once_and_updates_after(seen):
    assert (
        seen["pipeline"]["arns"]
        == ["arn:aws:sagemaker:us-east-1:123456789012:pipeline/sdk-pipeline"] * 2
    )


def test_a_pipeline_runs_to_the_branch_that_its_property_file_chooses(seen):
    run = seen["pipeline"]["runs"][0]
    assert run["status"] == "Succeeded"
    steps = {step["StepName"]: step for step in run["steps"]}
    assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(
        ["Train", "Evaluate", "Gate", "Publish"], "Succeeded"
    )
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "True"


def test_the_other_parameter_takes_the_other_branch_and_fails_with_its_words(seen):
    run = seen["pipeline"]["runs"][1]
    assert (run["status"], run["reason"]) == ("Failed", "auc below 0.5")
    steps = {step["StepName"]: step for step in run["steps"]}
    assert set(steps) == {"Train", "Evaluate", "Gate", "Refuse"}
    assert steps["Refuse"]["Metadata"]["Fail"]["ErrorMessage"] == "auc below 0.5"
    assert "PipelineExecutionComplete" in seen["pipeline"]["waiter"]


def test_the_second_execution_takes_the_training_from_the_cache(seen):
    first, second = (
        {step["StepName"]: step for step in run["steps"]} for run in seen["pipeline"]["runs"]
    )
    assert "CacheHitResult" not in first["Train"]
    assert second["Train"]["CacheHitResult"]["SourcePipelineExecutionArn"].startswith(
        "arn:aws:sagemaker:"
    )
    assert second["Train"]["Metadata"] == first["Train"]["Metadata"]
