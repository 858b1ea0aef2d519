"""Pipelines."""

import json
from functools import cache

from isthmus_stack.testing.jobs_kit import ROLE, channel, definition, step, until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

STEPS = guide("Add a step", "build-and-manage-steps")
PARAMETERS = guide("Pipeline parameters", "build-and-manage-parameters")
FILES = guide("Pass data between steps", "build-and-manage-propertyfile")
CACHING = guide("Caching pipeline steps", "pipelines-caching")
RETRIES = guide("Retry policies", "pipelines-retry-policy")
RUN = guide("Run a pipeline", "run-pipeline")
START = reference("StartPipelineExecution")
CREATE = reference("CreatePipeline")
HOUR = {"CacheConfig": {"Enabled": True, "ExpireAfter": "PT1H"}}
NOTHING = {
    "Name": "Stop",
    "Type": "Fail",
    "Arguments": {"ErrorMessage": "nothing more"},
}  # a step that starts no process


def create(aws, *steps, parameters=(), **more):
    name = aws.fresh("pipeline")
    aws.sm.create_pipeline(
        PipelineName=name,
        PipelineDefinition=definition(*steps, parameters=parameters),
        RoleArn=ROLE,
        **more,
    )
    return name


def start(aws, name, *, parameters=None, **more):
    values = [{"Name": key, "Value": value} for key, value in (parameters or {}).items()]
    return aws.sm.start_pipeline_execution(PipelineName=name, PipelineParameters=values, **more)[
        "PipelineExecutionArn"
    ]


def ran(aws, name, **more):
    """The execution that has ended, and its steps by name."""
    arn = start(aws, name, **more)
    return aws.execution(arn), aws.steps(arn)


def out(aws):
    return f"s3://bucket/{aws.fresh('steps')}"


def compare(left, right, kind="GreaterThanOrEqualTo"):
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def gate(condition, if_steps=(), else_steps=()):
    arguments = {
        "Conditions": [condition],
        "IfSteps": list(if_steps),
        "ElseSteps": list(else_steps),
    }
    return {"Name": "Gate", "Type": "Condition", "Arguments": arguments}


@cache
def measuring(aws):
    """A pipeline that measures and, if the measure reaches its parameter, trains."""
    files = [{"PropertyFileName": "metrics", "OutputName": "out", "FilePath": "metrics.json"}]
    script = "echo '{\"auc\": 0.7}' > /opt/ml/processing/out/metrics.json"
    measure = step("Measure", script, output=out(aws), PropertyFiles=files, **HOUR)
    auc = {
        "Std:JsonGet": {
            "PropertyFile": {"Get": "Steps.Measure.PropertyFiles.metrics"},
            "Path": "auc",
        }
    }
    data = {"Get": "Steps.Measure.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    copy = "cp /opt/ml/input/data/measured/metrics.json /opt/ml/model/"
    train = step(
        "Train", copy, kind="Training", InputDataConfig=[channel("measured", data)], **HOUR
    )
    least = {"Name": "least", "Type": "Float", "DefaultValue": 0.5}
    decide = gate(compare(auc, {"Get": "Parameters.least"}), [train], [NOTHING])
    return create(aws, measure, decide, parameters=[least])


@cache
def measured(aws):
    """Its first execution, and the steps by name."""
    execution, steps = ran(aws, measuring(aws))
    assert execution["PipelineExecutionStatus"] == "Succeeded", (execution, steps)
    return execution, steps


@promises("An execution runs its steps and has Succeeded when they have.", RUN)
def an_execution_succeeds(aws):
    _, steps = measured(aws)
    assert {name: item["StepStatus"] for name, item in steps.items()} == dict.fromkeys(
        ("Measure", "Gate", "Train"), "Succeeded"
    )


@promises("ListPipelineExecutionSteps names the job of each step.", RUN)
def steps_name_their_jobs(aws):
    _, steps = measured(aws)
    assert ":processing-job/pipelines-" in steps["Measure"]["Metadata"]["ProcessingJob"]["Arn"]
    assert ":training-job/pipelines-" in steps["Train"]["Metadata"]["TrainingJob"]["Arn"]
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "True"


@promises("JsonGet reads a value of a property file, which a condition compares.", FILES)
def a_property_file_decides(aws):
    execution, steps = ran(aws, measuring(aws), parameters={"least": "0.9"})
    assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == "False"
    assert ("Train" in steps, execution["PipelineExecutionStatus"]) == (False, "Failed")


@promises("A property of a step is the input of a later one, which waits for it.", STEPS)
def properties_order_steps(aws):
    _, steps = measured(aws)
    job = aws.sm.describe_training_job(
        TrainingJobName=steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    )
    stored = aws.members(job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/"))
    assert json.loads(stored["metrics.json"]) == {"auc": 0.7}
    assert steps["Measure"]["EndTime"] <= steps["Train"]["StartTime"]


@promises(
    "A step whose attributes are those of an earlier success within ExpireAfter takes its outputs.",
    CACHING,
)
def a_cached_step_does_not_run_again(aws):
    first, steps = measured(aws)
    _, again = ran(aws, measuring(aws))
    assert (
        again["Measure"]["CacheHitResult"]["SourcePipelineExecutionArn"]
        == first["PipelineExecutionArn"]
    )
    assert (
        again["Train"]["CacheHitResult"]["SourcePipelineExecutionArn"]
        == first["PipelineExecutionArn"]
    )
    assert again["Measure"]["StepStatus"] == steps["Measure"]["StepStatus"] == "Succeeded"


@promises("A step of another pipeline is never reused.", CACHING)
def caching_is_within_a_pipeline(aws):
    target = out(aws)
    for _ in range(2):
        _, steps = ran(aws, create(aws, step("A", output=target, **HOUR)))
        assert "CacheHitResult" not in steps["A"]


@promises("A failed step is never reused.", CACHING)
def failures_are_not_cached(aws):
    name = create(aws, step("A", "exit 1", output=out(aws), **HOUR))
    for _ in range(2):
        _, steps = ran(aws, name)
        assert (steps["A"]["StepStatus"], "CacheHitResult" in steps["A"]) == ("Failed", False)


@promises("Caching is off unless the step says CacheConfig.", CACHING)
def caching_is_off_by_default(aws):
    name = create(aws, step("A", output=out(aws)))
    for _ in range(2):
        assert "CacheHitResult" not in ran(aws, name)[1]["A"]


@promises(
    "A parameter has its default unless the start gives a value; a value of another type is "
    "refused.",
    PARAMETERS,
)
def a_parameter_has_its_type(aws):
    assert "ValidationException" in refusal(
        start, aws=aws, name=measuring(aws), parameters={"least": "much"}
    )


@promises("A parameter that the definition does not have is refused.", PARAMETERS)
def a_parameter_is_defined(aws):
    assert "ValidationException" in refusal(
        start, aws=aws, name=measuring(aws), parameters={"most": "1"}
    )


@promises("A default value is of its parameter's type.", PARAMETERS)
def a_default_has_its_type(aws):
    wrong = [{"Name": "depth", "Type": "Integer", "DefaultValue": "deep"}]
    assert "ValidationException" in refusal(create, aws=aws, parameters=wrong)


@promises("A Fail step ends the execution as Failed, with its message.", STEPS)
def a_fail_step_fails(aws):
    execution, steps = ran(aws, create(aws, NOTHING))
    assert execution["PipelineExecutionStatus"] == "Failed"
    assert "nothing more" in json.dumps(
        [execution.get("FailureReason"), steps["Stop"]], default=str
    )


@promises("Conditions compare, look into lists, and combine with Or and Not.", STEPS)
def conditions_combine(aws):
    inside = {"Type": "In", "QueryValue": "b", "Values": ["a", "b"]}
    either = {"Type": "Or", "Conditions": [compare(1, 2, "Equals"), inside]}
    for condition, outcome in ((either, "True"), ({"Type": "Not", "Condition": either}, "False")):
        _, steps = ran(aws, create(aws, gate(condition, [NOTHING])))
        assert steps["Gate"]["Metadata"]["Condition"]["Outcome"] == outcome


@promises(
    "A step that fails ends the execution as Failed; what depends on it does not start.", STEPS
)
def what_depends_on_a_failure_does_not_start(aws):
    execution, steps = ran(
        aws,
        create(
            aws, step("A", "exit 1", output=out(aws)), step("B", output=out(aws), DependsOn=["A"])
        ),
    )
    assert (execution["PipelineExecutionStatus"], list(steps)) == ("Failed", ["A"])


@promises("DependsOn names steps of the definition, without a circle.", STEPS)
def dependencies_are_steps(aws):
    for wrong in (
        [step("A", DependsOn=["B"])],
        [step("A", DependsOn=["B"]), step("B", DependsOn=["A"])],
    ):
        text = definition(*wrong)
        assert "ValidationException" in refusal(
            aws.sm.create_pipeline, PipelineName=aws.fresh(), PipelineDefinition=text, RoleArn=ROLE
        )


@promises("A definition is JSON.", CREATE)
def a_definition_is_json(aws):
    assert "ValidationException" in refusal(
        aws.sm.create_pipeline, PipelineName=aws.fresh(), PipelineDefinition="no", RoleArn=ROLE
    )


@promises("A definition may lie in S3.", CREATE)
def a_definition_lies_in_s3(aws):
    aws.put("pipelines/one.json", definition(NOTHING).encode())
    name = aws.fresh("pipeline")
    location = {"Bucket": "bucket", "ObjectKey": "pipelines/one.json"}
    aws.sm.create_pipeline(PipelineName=name, PipelineDefinitionS3Location=location, RoleArn=ROLE)
    assert (
        json.loads(aws.sm.describe_pipeline(PipelineName=name)["PipelineDefinition"])["Steps"][0][
            "Name"
        ]
        == "Stop"
    )


@promises("The same ClientRequestToken creates one pipeline and starts one execution.", START)
def tokens_make_once(aws):
    token = "t" * 32
    name = create(aws, NOTHING, ClientRequestToken=aws.fresh("t" * 32))
    first, second = (start(aws, name, ClientRequestToken=token) for _ in range(2))
    assert first == second
    assert (
        len(aws.sm.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]) == 1
    )


@promises(
    "The definition of an execution is the one that it was started with.",
    reference("DescribePipelineDefinitionForExecution"),
)
def an_execution_keeps_its_definition(aws):
    name = create(aws, NOTHING)
    arn = start(aws, name)
    aws.sm.update_pipeline(
        PipelineName=name, PipelineDefinition=definition({**NOTHING, "Name": "Other"})
    )
    told = aws.sm.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)[
        "PipelineDefinition"
    ]
    assert json.loads(told)["Steps"][0]["Name"] == "Stop"


@promises(
    "StopPipelineExecution stops the job that runs, and the execution is Stopped.",
    reference("StopPipelineExecution"),
)
def a_stop_stops_the_running_job(aws):
    arn = start(aws, create(aws, step("A", "sleep 600", output=out(aws))))
    until(lambda: "Metadata" in aws.steps(arn).get("A", {}))
    aws.sm.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="s" * 32)
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Stopped"
    assert aws.steps(arn)["A"]["StepStatus"] == "Stopped"


@promises(
    "RetryPipelineExecution runs what failed again and keeps what succeeded.",
    reference("RetryPipelineExecution"),
)
def a_retry_keeps_what_succeeded(aws):
    aws.put("switch/on", b"0")
    request = step("B", "grep 1 /opt/ml/processing/in/on", output=out(aws), DependsOn=["A"])
    request["Arguments"]["ProcessingInputs"] = [
        {
            "InputName": "in",
            "S3Input": {
                "S3Uri": "s3://bucket/switch/",
                "LocalPath": "/opt/ml/processing/in",
                "S3DataType": "S3Prefix",
            },
        }
    ]
    execution, before = ran(aws, create(aws, step("A", output=out(aws)), request))
    assert execution["PipelineExecutionStatus"] == "Failed"
    aws.put("switch/on", b"1")
    arn = execution["PipelineExecutionArn"]
    aws.sm.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="r" * 32)
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert aws.steps(arn)["A"]["Metadata"] == before["A"]["Metadata"]


@promises("A pipeline with a running execution is not deleted.", reference("DeletePipeline"))
def a_running_pipeline_is_not_deleted(aws):
    name = create(aws, step("A", "sleep 600", output=out(aws)))
    arn = start(aws, name)
    until(lambda: aws.steps(arn))
    assert "Conflict" in refusal(aws.sm.delete_pipeline, PipelineName=name)
    aws.sm.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="s" * 32)
    aws.execution(arn)
    aws.sm.delete_pipeline(PipelineName=name)
    assert "ResourceNotFound" in refusal(aws.sm.describe_pipeline, PipelineName=name)


@promises(
    "MaxAttempts of a retry policy is 20 at most, and stands without ExpireAfterMin.", RETRIES
)
def a_retry_policy_is_bounded(aws):
    for extra in ({"MaxAttempts": 21}, {"MaxAttempts": 2, "ExpireAfterMin": 5}):
        policy = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], **extra}
        text = definition(step("A", RetryPolicies=[policy]))
        assert "ValidationException" in refusal(
            aws.sm.create_pipeline, PipelineName=aws.fresh(), PipelineDefinition=text, RoleArn=ROLE
        )


@promises("Throttling is tried again without a policy.", RETRIES)
def throttling_is_tried_again(aws):
    name = create(aws, step("A", output=out(aws)))
    aws.stack.fault(kind="throttle", service="sagemaker", operation="CreateProcessingJob", times=1)
    try:
        execution, _ = ran(aws, name)
        assert aws.stack.faults() == ()
    finally:
        aws.stack.clear_faults()
    assert execution["PipelineExecutionStatus"] == "Succeeded"


@promises(
    "SelectiveExecutionConfig runs some steps and takes the rest from an earlier execution.",
    START,
    differs="refused by name",
)
def some_steps_are_executed(aws):
    first, _ = measured(aws)
    chosen = {
        "SourcePipelineExecutionArn": first["PipelineExecutionArn"],
        "SelectedSteps": [{"StepName": "Train"}],
    }
    _, steps = ran(aws, measuring(aws), SelectiveExecutionConfig=chosen)
    assert list(steps) == ["Train"]


@promises(
    "A Lambda step runs a function.",
    STEPS,
    differs="fails at its turn by name: nothing here runs functions",
)
def a_lambda_step_runs(aws):
    kind = {
        "Name": "L",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "Arguments": {},
    }
    assert ran(aws, create(aws, kind))[0]["PipelineExecutionStatus"] == "Succeeded"


@promises(
    "A Callback step waits for SendPipelineExecutionStepSuccess.",
    STEPS,
    differs="fails at its turn by name",
)
def a_callback_step_waits(aws):
    kind = {
        "Name": "C",
        "Type": "Callback",
        "SqsQueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/q",
        "Arguments": {},
    }
    arn = start(aws, create(aws, kind))
    assert until(lambda: aws.steps(arn).get("C"))["StepStatus"] == "Executing"
    assert aws.execution(arn)["PipelineExecutionStatus"] == "Executing"
