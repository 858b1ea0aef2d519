"""Pipelines of the AWS stack: made, run to their end, refused."""

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing.jobs_kit import ROLE, definition, step

OUT = {
    "Std:Join": {
        "On": "/",
        "Values": ["s3://bucket/runs", {"Get": "Execution.PipelineExecutionId"}, "metrics"],
    }
}
METRICS = [{"PropertyFileName": "metrics", "OutputName": "out", "FilePath": "metrics.json"}]


def create(aws, *steps, name="pipe", parameters=(), **more):
    return aws.sm.create_pipeline(
        PipelineName=name,
        PipelineDefinition=definition(*steps, parameters=parameters),
        RoleArn=ROLE,
        **more,
    )


def start(aws, name="pipe", parameters=None, **more):
    given = [{"Name": key, "Value": value} for key, value in (parameters or {}).items()]
    return aws.sm.start_pipeline_execution(PipelineName=name, PipelineParameters=given, **more)[
        "PipelineExecutionArn"
    ]


def run(aws, *steps, parameters=(), given=None):
    """Create and run to the end: (execution, steps by name)."""
    create(aws, *steps, parameters=parameters)
    arn = start(aws, parameters=given)
    return aws.execution(arn), aws.steps(arn)


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def evaluate(auc="0.7"):
    return step(
        "Evaluate",
        f'echo \'{{"model": [{{"auc": {auc}}}]}}\' > /opt/ml/processing/out/metrics.json',
        output=OUT,
        PropertyFiles=METRICS,
    )


def gate(condition, if_steps=(), else_steps=(), name="Gate"):
    return {
        "Name": name,
        "Type": "Condition",
        "Arguments": {
            "Conditions": [condition],
            "IfSteps": list(if_steps),
            "ElseSteps": list(else_steps),
        },
    }


def auc_at_least(value):
    left = {
        "Std:JsonGet": {
            "PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.metrics"},
            "Path": "model[0].auc",
        }
    }
    return {"Type": "GreaterThanOrEqualTo", "LeftValue": left, "RightValue": value}


def fail(name, message):
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}
