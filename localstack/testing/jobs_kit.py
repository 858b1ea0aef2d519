"""Requests, waiting and a stack of their own, which the tests of jobs and pipelines share."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config

from isthmus_stack.client import Stack
from isthmus_stack.testing import stacks
from isthmus_stack.testing.keys_kit import keys

ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tools/shell:1"
ENDED = ("Completed", "Failed", "Stopped", "Succeeded", "CompletedWithFailures")


def until(ask, seconds=60):
    """Call `ask` until its answer is true, and return that."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer


def alive(pid):
    """Return whether a process lives.

    It does also where its first thread has ended and another has not: until then it holds its files
    and locks.
    """
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ended or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):  # before it is opened, before it is read
        return False


class Aws:
    """Clients of one stack, and the waiting."""

    def __init__(self, url):
        self.stack = Stack(url)
        self.url = url
        self._made = {}

    def client(self, service):
        if service not in self._made:
            self._made[service] = boto3.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                **keys(self.url),
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._made[service]

    @property
    def sm(self):
        return self.client("sagemaker")

    @property
    def s3(self):
        return self.client("s3")

    def wait(self, describe, key, until=ENDED, seconds=120, **arguments):
        """Call a Describe operation until the status is a wanted one, and return the answer.

        Jobs are other processes.
        """
        deadline = time.monotonic() + seconds
        while True:
            description = describe(**arguments)
            if description[key] in until:
                return description
            assert time.monotonic() < deadline, description
            time.sleep(0.02)

    def training(self, name, **kw):
        return self.wait(
            self.sm.describe_training_job, "TrainingJobStatus", TrainingJobName=name, **kw
        )

    def processing(self, name, **kw):
        return self.wait(
            self.sm.describe_processing_job, "ProcessingJobStatus", ProcessingJobName=name, **kw
        )

    def execution(self, arn, **kw):
        return self.wait(
            self.sm.describe_pipeline_execution,
            "PipelineExecutionStatus",
            PipelineExecutionArn=arn,
            **kw,
        )

    def steps(self, arn):
        listed = self.sm.list_pipeline_execution_steps(PipelineExecutionArn=arn)[
            "PipelineExecutionSteps"
        ]
        return {step["StepName"]: step for step in listed}

    def keys(self, prefix):
        return [
            item["Key"]
            for item in self.s3.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
        ]

    def text(self, key):
        return self.s3.get_object(Bucket="bucket", Key=key)["Body"].read().decode()

    def lines(self, group):
        """Return the lines of a CloudWatch log group; none where there is no such group yet."""
        logs = self.client("logs")
        try:
            return [
                event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []


@contextmanager
def running(clock="real", **arguments):
    """Run a local AWS stack for the block, and yield clients of it."""
    with stacks.started(clock, **arguments) as process:
        yield Aws(process.url)


def channel(name, uri, **more):
    return {
        "ChannelName": name,
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}},
        **more,
    }


def arguments_of(script):
    """Return the ContainerArguments with which `sh -c` runs a script.

    SageMaker takes no line break and at most 256 characters in one: each line has its own.
    """
    lines = [line.strip() for line in script.strip().splitlines()]
    return lines if len(lines) == 1 else ['eval "$*"', "sh", *(f"{line};" for line in lines)]


def training_request(script, *, image=IMAGE, **more):
    """Return a CreateTrainingJob request for a shell script."""
    request = {
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["sh", "-c"],
            "ContainerArguments": arguments_of(script or "true"),
        },
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        **more,
    }
    if script is None:
        del (
            request["AlgorithmSpecification"]["ContainerEntrypoint"],
            request["AlgorithmSpecification"]["ContainerArguments"],
        )
    return request


def processing_request(script, *, output="s3://bucket/processed", **more):
    """Return a CreateProcessingJob request for a shell script with one output, `out`."""
    return {
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["sh", "-c"],
            "ContainerArguments": arguments_of(script),
        },
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            }
        },
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "out",
                    "S3Output": {
                        "S3Uri": output,
                        "LocalPath": "/opt/ml/processing/out",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        **more,
    }


def definition(*steps, parameters=()):
    return json.dumps(
        {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}
    )


def step(name, script="true", kind="Processing", **more):
    """Return a pipeline's Processing step (or Training step) that runs a shell script."""
    make = processing_request if kind == "Processing" else training_request
    own = {
        key: more.pop(key)
        for key in list(more)
        if key in ("output", "Environment", "HyperParameters", "InputDataConfig")
    }
    return {"Name": name, "Type": kind, "Arguments": make(script, **own), **more}
