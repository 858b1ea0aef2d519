"""What a pipeline's definition, its parameters and its steps' arguments are refused for; by boto3
from another process than the stack's.
"""

import json

import pytest

from isthmus_stack.testing.jobs_kit import ROLE, definition, step
from isthmus_stack.tests.aws.sagemaker.pipelines.pipelines_kit import (
    auc_at_least,
    create,
    gate,
    refusal,
    run,
    start,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def aws(job_clients):
    return job_clients


def get(path):
    return step("Uses", Environment={"X": {"Get": path}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "it is not JSON"),
        (json.dumps({"Version": "2021", "Steps": []}), "Version must be '2020-12-01'"),
        (definition(), "it has no Steps"),
        (definition({"Name": "A", "Type": "Magic", "Arguments": {}}), "unknown step Type 'Magic'"),
        (definition(step("A"), step("A")), "two steps named 'A'"),
        (definition(step("A", DependsOn=["B"])), "refers to the step 'B'"),
        (
            definition(step("A", DependsOn=["B"]), step("B", DependsOn=["A"])),
            "in a circle: A -> B -> A",
        ),
        (definition(get("Parameters.Nope")), "refers to the parameter 'Nope'"),
        (definition(get("Steps.Nope.Status")), "refers to the step 'Nope'"),
        (definition(get("Execution.Nope")), "Execution.Nope is not one of"),
        (definition(get("Nope.X")), "must begin with"),
        (definition(step("Evaluate"), gate(auc_at_least(1))), "declares no property file metrics"),
        (
            definition(
                step("A"), parameters=[{"Name": "P", "Type": "Integer", "DefaultValue": "x"}]
            ),
            "DefaultValue 'x' is not of type Integer",
        ),
        (
            definition(gate({"Type": "Not", "Expression": {"Type": "Equals"}})),
            "unknown property 'Expression'",
        ),
        (definition(gate({"Type": "Equals", "LeftValue": 1})), "needs RightValue"),
        (
            definition(step("A", CacheConfig={"Enabled": True, "ExpireAfter": "1 day"})),
            "must be an ISO 8601 duration",
        ),
    ],
)
def test_an_invalid_definition_is_refused_with_what_is_wrong(aws, text, words):
    for call in (aws.sm.create_pipeline, aws.sm.update_pipeline):
        if call == aws.sm.update_pipeline:
            create(aws, step("Fine"))
        code, message = refusal(call, PipelineName="pipe", PipelineDefinition=text, RoleArn=ROLE)
        assert code == "ValidationException"
        assert words in message


def test_parameters_are_checked_at_the_start(aws):
    create(aws, step("A"), parameters=[{"Name": "N", "Type": "Integer"}])
    assert "need a value: N" in refusal(aws.sm.start_pipeline_execution, PipelineName="pipe")[1]
    wrong = [{"Name": "N", "Value": "x"}]
    assert (
        "not of type Integer"
        in refusal(aws.sm.start_pipeline_execution, PipelineName="pipe", PipelineParameters=wrong)[
            1
        ]
    )
    unknown = [{"Name": "M", "Value": "1"}]
    assert (
        "no parameter named M"
        in refusal(
            aws.sm.start_pipeline_execution, PipelineName="pipe", PipelineParameters=unknown
        )[1]
    )


def test_arguments_that_the_api_would_refuse_fail_their_step_with_the_reason(aws):
    wrong = step("A")
    wrong["Arguments"]["Nonsense"] = 1
    _, steps = run(aws, wrong)
    assert "Nonsense" in steps["A"]["FailureReason"]


def test_a_missing_property_fails_the_step_that_reads_it(aws):
    _, steps = run(
        aws, step("First"), step("Second", Environment={"X": {"Get": "Steps.First.ExitMessage"}})
    )
    assert "'ExitMessage' is not there" in steps["Second"]["FailureReason"]


@pytest.mark.parametrize("kind", ["Lambda", "AutoML", "Callback"])
def test_a_step_of_a_kind_that_is_not_executed_fails_at_its_turn_by_its_name(aws, kind):
    first = step("First", "echo x > /opt/ml/processing/out/x")
    other = {"Name": "Other", "Type": kind, "Arguments": {}, "DependsOn": ["First"]}
    execution, steps = run(aws, first, other, step("Last", DependsOn=["Other"]))
    assert (execution["PipelineExecutionStatus"], set(steps)) == ("Failed", {"First", "Other"})
    assert (steps["First"]["StepStatus"], steps["Other"]["StepStatus"]) == ("Succeeded", "Failed")
    for reason in (steps["Other"]["FailureReason"], execution["FailureReason"]):
        assert f"does not execute steps of type {kind}" in reason
        assert "step 'Other'" in reason


def test_a_step_of_a_kind_that_is_not_executed_is_not_tried_again(aws):
    policy = [
        {
            "ExceptionType": ["Step.SERVICE_FAULT", "SageMaker.JOB_INTERNAL_ERROR"],
            "IntervalSeconds": 1,
            "MaxAttempts": 5,
        }
    ]
    _, steps = run(
        aws, {"Name": "Other", "Type": "Lambda", "Arguments": {}, "RetryPolicies": policy}
    )
    assert (steps["Other"]["StepStatus"], steps["Other"]["AttemptCount"]) == ("Failed", 1)


def test_a_step_that_the_service_would_refuse_fails_with_its_words(aws):
    too_long = step("A", Environment={"X": "x" * 257})
    execution, steps = run(aws, too_long)
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "Member must have length less than or equal to 256" in steps["A"]["FailureReason"]


def test_a_pipeline_with_running_executions_is_not_deleted(aws):
    create(aws, step("Long", "sleep 600"))
    arn = start(aws)
    assert refusal(aws.sm.delete_pipeline, PipelineName="pipe")[0] == "ConflictException"
    aws.sm.stop_pipeline_execution(PipelineExecutionArn=arn)
    aws.execution(arn)
    aws.sm.delete_pipeline(PipelineName="pipe")
    assert refusal(aws.sm.describe_pipeline, PipelineName="pipe")[0] == "ResourceNotFound"
    assert aws.sm.list_pipelines()["PipelineSummaries"] == []
