"""Pipelines, by boto3 from another process than the stack's."""

import json
from itertools import pairwise

import pytest

from isthmus_stack.testing.jobs_kit import ROLE, channel, definition, running, step
from isthmus_stack.tests.aws.sagemaker.pipelines.pipelines_kit import (
    auc_at_least,
    create,
    evaluate,
    fail,
    gate,
    refusal,
    run,
    start,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def aws(job_clients):
    return job_clients


FLOOR = {"Name": "Floor", "Type": "Float", "DefaultValue": 0.5}


def test_a_condition_on_a_property_file_chooses_the_branch_and_the_other_is_not_listed(aws):
    _, steps = run(
        aws,
        gate(auc_at_least({"Get": "Parameters.Floor"}), [step("Yes")], [step("No")]),
        evaluate(),
        parameters=[FLOOR],
    )
    assert {name: found["StepStatus"] for name, found in steps.items()} == dict.fromkeys(
        ("Evaluate", "Gate", "Yes"), "Succeeded"
    )
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "True"


def test_a_parameter_given_at_the_start_replaces_its_default(aws):
    execution, steps = run(
        aws,
        evaluate(),
        gate(
            auc_at_least({"Get": "Parameters.Floor"}),
            [step("Yes")],
            [
                fail(
                    "No",
                    {"Std:Join": {"On": " ", "Values": ["below", {"Get": "Parameters.Floor"}]}},
                )
            ],
        ),
        parameters=[FLOOR],
        given={"Floor": "0.9"},
    )
    assert (execution["PipelineExecutionStatus"], execution["FailureReason"]) == (
        "Failed",
        "below 0.9",
    )
    assert steps["No"]["Metadata"]["Fail"]["ErrorMessage"] == "below 0.9"
    listed = aws.sm.list_pipeline_parameters_for_execution(
        PipelineExecutionArn=execution["PipelineExecutionArn"]
    )
    assert listed["PipelineParameters"] == [{"Name": "Floor", "Value": "0.9"}]


def test_conditions_nest_and_combine(aws):
    inner = gate(
        {"Type": "In", "QueryValue": {"Get": "Parameters.Mode"}, "Values": ["fast", "slow"]},
        [step("Deep")],
        [step("Shallow")],
        name="Inner",
    )
    either = {
        "Type": "Or",
        "Conditions": [
            {"Type": "Equals", "LeftValue": 1, "RightValue": 2},
            {"Type": "LessThan", "LeftValue": "3", "RightValue": 20},
        ],
    }
    outer = gate(
        {"Type": "Not", "Condition": {"Type": "Not", "Condition": either}},
        [inner],
        [step("Else")],
        name="Outer",
    )
    _, steps = run(
        aws, outer, parameters=[{"Name": "Mode", "Type": "String", "DefaultValue": "slow"}]
    )
    assert set(steps) == {"Outer", "Inner", "Deep"}


def test_a_steps_properties_flow_into_the_next(aws):
    first = step("First", "echo 42 > /opt/ml/processing/out/answer", output="s3://bucket/first")
    uri = {"Get": "Steps.First.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    training = step(
        "Train",
        "echo auc=$(cat /opt/ml/input/data/train/answer)",
        kind="Training",
        InputDataConfig=[channel("train", uri)],
    )
    training["Arguments"]["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "auc", "Regex": "auc=(.*)"}
    ]
    condition = {
        "Type": "Equals",
        "LeftValue": {"Get": "Steps.Train.FinalMetricDataList['auc'].Value"},
        "RightValue": 42,
    }
    execution, steps = run(aws, training, first, gate(condition, [step("Yes")]))
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    assert "Yes" in steps
    assert (
        steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2].startswith("pipelines-")
    )


def test_branches_run_at_the_same_time(aws):
    meet = (
        "touch {folder}/$ME; for i in $(seq 6000); do test -e {folder}/$OTHER && exit 0; sleep "
        "0.02; done; exit 1"
    )
    folder = aws.sm.meta.endpoint_url.rpartition(":")[2]
    script = f"mkdir -p /tmp/meet-{folder}; " + meet.format(folder=f"/tmp/meet-{folder}")
    execution, steps = run(
        aws,
        step("Left", script, Environment={"ME": "left", "OTHER": "right"}),
        step("Right", script, Environment={"ME": "right", "OTHER": "left"}),
        step("After", f"rm -r /tmp/meet-{folder}", DependsOn=["Left", "Right"]),
    )
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    assert steps["After"]["StartTime"] >= max(steps["Left"]["EndTime"], steps["Right"]["EndTime"])


def test_no_more_steps_run_at_once_than_the_configuration_allows(aws):
    create(
        aws,
        *(step(name, "sleep 0.1") for name in ("A", "B", "C")),
        ParallelismConfiguration={"MaxParallelExecutionSteps": 1},
    )
    arn = start(aws)
    aws.execution(arn)
    spans = sorted((found["StartTime"], found["EndTime"]) for found in aws.steps(arn).values())
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_a_failed_step_fails_the_execution_and_what_depends_on_it_never_starts(aws):
    execution, steps = run(aws, step("Bad", "exit 7"), step("Next", DependsOn=["Bad"]))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert execution["FailureReason"] == "Step failure: One or multiple steps failed."
    assert steps["Bad"]["FailureReason"] == "ClientError: AlgorithmError: , exit code: 7"
    assert "Next" not in steps


def test_a_step_may_wait_for_a_failure(aws):
    execution, steps = run(
        aws,
        step("Bad", "exit 1"),
        step("Notify", DependsOn=[{"Step": "Bad", "Trigger": "Failed"}]),
        step("Always", DependsOn=[{"Step": "Notify", "Trigger": "Any"}]),
        step("Unwanted", DependsOn=["Bad"]),
    )
    assert execution["PipelineExecutionStatus"] == "CompletedWithFailures"
    assert set(steps) == {"Bad", "Notify", "Always"}


def cached(name="Prepare", script="date +%N > /opt/ml/processing/out/x", **more):
    return step(name, script, CacheConfig={"Enabled": True, "ExpireAfter": "PT1H"}, **more)


def test_the_same_arguments_hit_the_cache_until_it_expires(aws):
    create(aws, cached())
    first, second = start(aws), None
    aws.execution(first)
    second = start(aws)
    aws.execution(second)
    assert "CacheHitResult" not in aws.steps(first)["Prepare"]
    assert aws.steps(second)["Prepare"]["CacheHitResult"] == {"SourcePipelineExecutionArn": first}
    assert aws.steps(second)["Prepare"]["Metadata"] == aws.steps(first)["Prepare"]["Metadata"]
    aws.stack.advance(3601)
    third = start(aws)
    aws.execution(third)
    assert "CacheHitResult" not in aws.steps(third)["Prepare"]


def test_other_arguments_or_a_failure_miss_the_cache(aws):
    word = {"Name": "Word", "Type": "String", "DefaultValue": "a"}
    create(
        aws,
        cached(script="exit $CODE", Environment={"CODE": {"Get": "Parameters.Word"}}),
        parameters=[word],
    )
    for given in ("1", "1", "0"):
        arn = start(aws, parameters={"Word": given})
        aws.execution(arn)
        assert "CacheHitResult" not in aws.steps(arn)["Prepare"]


def test_throttling_is_tried_again_and_counted(aws):
    aws.stack.fault(kind="throttle", service="sagemaker", operation="CreateProcessingJob", times=2)
    policy = {
        "ExceptionType": ["Step.THROTTLING"],
        "IntervalSeconds": 0.01,
        "BackoffRate": 1.0,
        "MaxAttempts": 3,
    }
    execution, steps = run(aws, step("Work", RetryPolicies=[policy]))
    assert execution["PipelineExecutionStatus"] == "Succeeded"
    assert steps["Work"]["AttemptCount"] == 3


def test_a_jobs_internal_error_is_tried_again_on_the_movable_clock_only_by_its_policy(aws):
    aws.stack.fault(kind="error", service="sagemaker", operation="ProcessingJob", times=2)
    policy = {
        "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"],
        "IntervalSeconds": 3600,
        "MaxAttempts": 1,
    }
    create(aws, step("Work", RetryPolicies=[policy]), step("Other", DependsOn=["Work"]))
    arn = start(aws)
    aws.wait(
        lambda: {
            "failed": len(
                aws.sm.list_processing_jobs(StatusEquals="Failed")["ProcessingJobSummaries"]
            )
        },
        "failed",
        until=(1,),
    )
    assert (
        aws.sm.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        == "Executing"
    )
    advance_until(aws, arn)
    assert aws.steps(arn)["Work"]["AttemptCount"] == 2
    assert aws.steps(arn)["Work"]["FailureReason"].startswith("ClientError: InternalServerError")


def advance_until(aws, arn):
    """Move the clock again and again: when the step begins to wait for it is its own thread's
    business.
    """

    def describe():
        aws.stack.advance(3600)
        return aws.sm.describe_pipeline_execution(PipelineExecutionArn=arn)

    aws.wait(describe, "PipelineExecutionStatus")


def test_a_command_that_fails_is_not_tried_again(aws):
    policy = {
        "ExceptionType": ["Step.SERVICE_FAULT", "SageMaker.JOB_INTERNAL_ERROR"],
        "IntervalSeconds": 0.01,
        "MaxAttempts": 5,
    }
    _, steps = run(aws, step("Bad", "exit 1", RetryPolicies=[policy]))
    assert steps["Bad"]["AttemptCount"] == 1


def test_a_stopped_execution_stops_its_jobs_and_starts_nothing_more(aws):
    create(aws, step("Long", "sleep 600"), step("Next", DependsOn=["Long"]))
    arn = start(aws)
    aws.wait(
        lambda: {
            "n": len(
                aws.sm.list_processing_jobs(StatusEquals="InProgress")["ProcessingJobSummaries"]
            )
        },
        "n",
        until=(1,),
    )
    aws.sm.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert aws.execution(arn, until=("Stopped",))
    assert {name: found["StepStatus"] for name, found in aws.steps(arn).items()} == {
        "Long": "Stopped"
    }
    assert (
        refusal(aws.sm.stop_pipeline_execution, PipelineExecutionArn=arn)[0] == "ConflictException"
    )


def test_a_retry_keeps_what_succeeded_and_runs_the_rest_again(aws):
    key = "s3://bucket/gate"
    late = step("Late", "test -s /opt/ml/processing/in/ready", DependsOn=["Early"])
    source = {
        "S3Uri": key,
        "LocalPath": "/opt/ml/processing/in",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    late["Arguments"]["ProcessingInputs"] = [{"InputName": "in", "S3Input": source}]
    create(aws, step("Early"), late, step("Last", DependsOn=["Late"]))
    arn = start(aws)
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Failed"
    before = aws.steps(arn)
    assert set(before) == {"Early", "Late"}
    aws.s3.put_object(Bucket="bucket", Key="gate/ready", Body=b"yes")
    assert aws.sm.retry_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionArn"] == arn
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    after = aws.steps(arn)
    assert after["Early"] == before["Early"]
    assert after["Last"]["StepStatus"] == "Succeeded"
    assert (
        refusal(aws.sm.retry_pipeline_execution, PipelineExecutionArn=arn)[0] == "ConflictException"
    )


def test_an_update_makes_a_version_and_a_start_may_pin_an_older_one(aws):
    create(aws, step("Old"))
    updated = aws.sm.update_pipeline(
        PipelineName="pipe", PipelineDefinition=definition(step("New"))
    )
    assert updated["PipelineVersionId"] == 2
    assert (
        json.loads(
            aws.sm.describe_pipeline(PipelineName="pipe", PipelineVersionId=1)["PipelineDefinition"]
        )["Steps"][0]["Name"]
        == "Old"
    )
    pinned, latest = start(aws, PipelineVersionId=1), start(aws)
    assert aws.execution(pinned)["PipelineVersionId"] == 1
    aws.execution(latest)
    assert (set(aws.steps(pinned)), set(aws.steps(latest))) == ({"Old"}, {"New"})
    listed = aws.sm.list_pipeline_versions(PipelineName="pipe")["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in listed] == [2, 1]
    assert (
        refusal(aws.sm.start_pipeline_execution, PipelineName="pipe", PipelineVersionId=3)[0]
        == "ResourceNotFound"
    )
    shown = aws.sm.describe_pipeline_definition_for_execution(PipelineExecutionArn=pinned)[
        "PipelineDefinition"
    ]
    assert json.loads(shown)["Steps"][0]["Name"] == "Old"


def test_a_token_makes_creating_and_starting_happen_once(aws):
    token = "t" * 32
    assert create(aws, step("A"), ClientRequestToken=token) == {
        **create(aws, step("A"), ClientRequestToken=token),
        "ResponseMetadata": ANY,
    }
    first = start(aws, ClientRequestToken="u" * 32)
    assert start(aws, ClientRequestToken="u" * 32) == first
    assert start(aws, ClientRequestToken="v" * 32) != first
    assert (
        len(aws.sm.list_pipeline_executions(PipelineName="pipe")["PipelineExecutionSummaries"]) == 2
    )
    assert refusal(create, aws=aws)[0] == "ValidationException"


class Anything:
    def __eq__(self, other):
        return True

    __hash__ = None


ANY = Anything()


def test_a_model_is_created_and_registered_in_its_group(aws):
    training = step("Train", "echo x > /opt/ml/model/m", kind="Training")
    artifacts = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    model = {
        "Name": "Create",
        "Type": "Model",
        "Arguments": {
            "PrimaryContainer": {"Image": "i", "ModelDataUrl": artifacts},
            "ExecutionRoleArn": ROLE,
        },
    }
    containers = [
        {
            "Image": "i",
            "ModelDataUrl": artifacts,
            "ModelDataETag": {"Get": "Steps.Create.ModelName"},
        }
    ]
    package = {
        "ModelPackageGroupName": "group",
        "InferenceSpecification": {"Containers": containers},
    }
    execution, steps = run(
        aws, training, model, {"Name": "Register", "Type": "RegisterModel", "Arguments": package}
    )
    assert execution["PipelineExecutionStatus"] == "Succeeded", steps
    name = steps["Create"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    url = aws.sm.describe_model(ModelName=name)["PrimaryContainer"]["ModelDataUrl"]
    found = aws.sm.describe_model_package(
        ModelPackageName=steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert found["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == url
    assert found["InferenceSpecification"]["Containers"][0]["ModelDataETag"] == name
    assert (found["ModelPackageVersion"], found["ModelApprovalStatus"]) == (
        1,
        "PendingManualApproval",
    )


def test_with_motos_answers_placeholders_are_accepted_and_succeed_at_once():
    with running(clock="instant", moto_answers=True) as aws:
        for name, text in (
            ("placeholder", "some definition"),
            ("unmapped", definition(step("A")).replace("shell", "nobody")),
        ):
            aws.sm.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
            arn = aws.sm.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
            assert (
                aws.sm.describe_pipeline_execution(PipelineExecutionArn=arn)[
                    "PipelineExecutionStatus"
                ]
                == "Succeeded"
            )
