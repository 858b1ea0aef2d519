"""The instant clock, the default of `--offline` and of the fixture: time may be instant, results
are not made up.
"""

import urllib.request

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

from isthmus_stack.aws.core.protocol import moto_operations
from isthmus_stack.testing import stacks
from isthmus_stack.testing.jobs_kit import (
    ROLE,
    Aws,
    definition,
    processing_request,
    step,
    training_request,
)
from isthmus_stack.testing.keys_kit import control

NOBODYS = "683313688378.dkr.ecr.us-east-1.amazonaws.com/nobodys:1"


@pytest.fixture(scope="module")
def process():
    return Aws(stacks.shared("instant").url)


@pytest.fixture
def aws(process):
    process.stack.reset()
    process.s3.create_bucket(Bucket="bucket")
    return process


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_job_whose_entrypoint_exits_3_has_failed_with_that_code(aws):
    aws.sm.create_training_job(TrainingJobName="job", **training_request("exit 3", image=NOBODYS))
    job = aws.training("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert "exit code: 3" in job["FailureReason"]
    assert "ModelArtifacts" not in job
    aws.sm.create_processing_job(ProcessingJobName="job", **processing_request("exit 3"))
    job = aws.processing("job")
    assert job["ProcessingJobStatus"] == "Failed"
    assert "exit code: 3" in job["FailureReason"]


def test_a_job_whose_image_nobody_mapped_and_that_has_no_entrypoint_fails_with_the_reason(aws):
    aws.sm.create_training_job(TrainingJobName="job", **training_request(None, image=NOBODYS))
    job = aws.training("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert f"no command is mapped to '{NOBODYS}'" in job["FailureReason"]
    request = processing_request("true")
    request["AppSpecification"] = {"ImageUri": NOBODYS}
    aws.sm.create_processing_job(ProcessingJobName="job", **request)
    job = aws.processing("job")
    assert job["ProcessingJobStatus"] == "Failed"
    assert f"no command is mapped to '{NOBODYS}'" in job["FailureReason"]


def test_a_job_is_in_progress_until_its_process_ends(aws):
    aws.sm.create_training_job(
        TrainingJobName="job",
        **training_request("until [ -e $SM_MODEL_DIR/../go ]; do sleep 0.05; done"),
    )
    aws.wait(
        aws.sm.describe_training_job, "SecondaryStatus", until=("Training",), TrainingJobName="job"
    )
    assert aws.sm.describe_training_job(TrainingJobName="job")["TrainingJobStatus"] == "InProgress"
    aws.sm.stop_training_job(TrainingJobName="job")
    assert aws.training("job")["TrainingJobStatus"] == "Stopped"


def test_a_jobs_limit_counts_the_time_that_passes(aws):
    request = training_request("sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 1})
    aws.sm.create_training_job(TrainingJobName="job", **request)
    job = aws.training("job")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds() >= 1


def test_the_artifacts_of_a_completed_job_are_in_s3(aws):
    aws.sm.create_training_job(
        TrainingJobName="job", **training_request("echo x > /opt/ml/model/m")
    )
    uri = aws.training("job")["ModelArtifacts"]["S3ModelArtifacts"]
    assert aws.keys("out/") == [uri.removeprefix("s3://bucket/")]


def test_a_job_whose_artifacts_cannot_be_stored_has_failed_and_names_none(aws):
    request = training_request("true", OutputDataConfig={"S3OutputPath": "s3://nobodys/out"})
    aws.sm.create_training_job(TrainingJobName="job", **request)
    job = aws.training("job")
    assert job["TrainingJobStatus"] == "Failed"
    assert "NoSuchBucket" in job["FailureReason"]
    assert "ModelArtifacts" not in job


def test_names_are_not_given_twice(aws):
    aws.sm.create_training_job(TrainingJobName="job", **training_request("true"))
    aws.training("job")
    assert (
        refusal(aws.sm.create_training_job, TrainingJobName="job", **training_request("true"))[0]
        == "ResourceInUse"
    )
    model = {"ModelName": "m", "PrimaryContainer": {"Image": NOBODYS}, "ExecutionRoleArn": ROLE}
    aws.sm.create_model(**model)
    assert "already existing model" in refusal(aws.sm.create_model, **model)[1]
    aws.sm.create_model_package_group(ModelPackageGroupName="g")
    assert (
        "already exists" in refusal(aws.sm.create_model_package_group, ModelPackageGroupName="g")[1]
    )


def test_search_shows_what_was_changed_last_first(aws):
    for name in ("one", "two", "three"):
        aws.sm.create_training_job(TrainingJobName=name, **training_request("true"))
        aws.training(name)
    found = aws.sm.search(Resource="TrainingJob")["Results"]
    assert [row["TrainingJob"]["TrainingJobName"] for row in found] == ["three", "two", "one"]


def test_a_definition_that_is_not_json_is_refused(aws):
    code, message = refusal(
        aws.sm.create_pipeline, PipelineName="p", PipelineDefinition="some definition", RoleArn=ROLE
    )
    assert (code, "it is not JSON" in message) == ("ValidationException", True)
    assert aws.sm.list_pipelines()["PipelineSummaries"] == []


def test_a_step_that_is_not_executed_fails_its_execution_by_its_name_and_kind(aws):
    other = {"Name": "Tune", "Type": "AutoML", "Arguments": {}}
    aws.sm.create_pipeline(PipelineName="p", PipelineDefinition=definition(other), RoleArn=ROLE)
    arn = aws.sm.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    execution = aws.execution(arn)
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "steps of type AutoML" in execution["FailureReason"]
    assert "step 'Tune'" in execution["FailureReason"]
    assert aws.steps(arn)["Tune"]["StepStatus"] == "Failed"


def test_an_execution_whose_image_nobody_mapped_fails(aws):
    unmapped = step("A", kind="Training")
    unmapped["Arguments"] = training_request(None, image=NOBODYS)
    aws.sm.create_pipeline(PipelineName="p", PipelineDefinition=definition(unmapped), RoleArn=ROLE)
    arn = aws.sm.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Failed"
    assert "no command is mapped" in aws.steps(arn)["A"]["FailureReason"]


def test_motos_reset_forgets_what_we_keep_too(aws):
    aws.sm.create_training_job(TrainingJobName="job", **training_request("sleep 600"))
    aws.sm.create_pipeline(PipelineName="p", PipelineDefinition=definition(step("A")), RoleArn=ROLE)
    aws.sm.create_model(ModelName="m", PrimaryContainer={"Image": NOBODYS}, ExecutionRoleArn=ROLE)
    aws.stack.fault(kind="error", operation="ListModels", times=1)
    request = urllib.request.Request(
        f"{aws.url}/moto-api/reset", method="POST", headers=control(aws.url)
    )
    with urllib.request.urlopen(request) as answer:
        assert (answer.status, answer.read()) == (200, b'{"status": "ok"}')
    assert aws.stack.calls() == ()
    assert aws.s3.list_buckets()["Buckets"] == []
    assert aws.sm.list_training_jobs()["TrainingJobSummaries"] == []
    assert aws.sm.list_pipelines()["PipelineSummaries"] == []
    assert aws.sm.list_models()["Models"] == []


MADE_UP = {
    ("glue", "start_job_run"): {"JobName": "copy"},
    ("lambda", "invoke"): {"FunctionName": "tick"},
    ("stepfunctions", "start_execution"): {
        "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:nightly"
    },
    ("bedrock-runtime", "invoke_model"): {"modelId": "anthropic.claude", "body": b"{}"},
    ("timestream-query", "query"): {"QueryString": "SELECT 1"},
    ("comprehend", "detect_sentiment"): {"Text": "good", "LanguageCode": "en"},
    ("ec2", "run_instances"): {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1},
}


@pytest.mark.parametrize(("service", "method"), MADE_UP)
def test_what_nobody_does_is_refused_by_its_name_before_moto_claims_it(aws, service, method):
    client = aws.client(service)
    code, words = refusal(getattr(client, method), **MADE_UP[service, method])
    assert code == "NotImplemented"
    assert words.startswith(
        f"the AWS stack does not execute {service}:{client.meta.method_to_api_mapping[method]} yet"
    )


def test_what_is_refused_are_operations_that_there_are():
    for service, operations in moto_operations.MADE_UP.items():
        assert operations <= set(get_session().get_service_model(service).operation_names), service
