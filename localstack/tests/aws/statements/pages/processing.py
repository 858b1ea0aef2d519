"""Processing jobs."""

import json
from functools import cache

from isthmus_stack.testing.jobs_kit import processing_request, until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

OWN = guide("Build your own processing container", "build-your-own-processing-container")
LOGS = guide("Log groups and streams", "logging-cloudwatch")
CREATE = reference("CreateProcessingJob")
OUTPUT = reference("ProcessingS3Output")
LOG = "/aws/sagemaker/ProcessingJobs"


def processed(aws, script, **more):
    """The description of a processing job that has ended; its output is below processed/."""
    name = aws.fresh("processing")
    aws.sm.create_processing_job(
        ProcessingJobName=name, **processing_request(script, output=f"s3://bucket/{name}", **more)
    )
    return aws.processing(name)


def source(uri, path="/opt/ml/processing/in", **more):
    return {
        "InputName": "in",
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": path,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            **more,
        },
    }


@cache
def inspected(aws):
    """A job that stores what it found in its container."""
    aws.put("raw/a.csv", b"1\n")
    script = """
        cp -r /opt/ml/config /opt/ml/processing/in /opt/ml/processing/out/
        env > /opt/ml/processing/out/environment
        echo 42 rows > /opt/ml/output/message
        echo a line
    """
    job = processed(
        aws,
        script,
        ProcessingInputs=[source("s3://bucket/raw/")],
        Environment={"GREETING": "hello"},
    )
    assert job["ProcessingJobStatus"] == "Completed", job
    return job


def stored(aws, name):
    return aws.body(f"{inspected(aws)['ProcessingJobName']}/{name}").decode()


@promises(
    "A processing job is Completed when its command ends with exit code 0, and Failed otherwise.",
    OWN,
)
def the_exit_code_decides(aws):
    assert inspected(aws)["ProcessingJobStatus"] == "Completed"
    assert processed(aws, "exit 3")["ProcessingJobStatus"] == "Failed"


@promises("Inputs are files below their LocalPath.", OWN)
def inputs_are_files(aws):
    assert stored(aws, "in/a.csv") == "1\n"


@promises("Outputs are uploaded to their S3 addresses at the end of the job.", OUTPUT)
def outputs_are_uploaded(aws):
    assert "GREETING=hello" in stored(aws, "environment")


@promises("LocalPath begins with /opt/ml/processing.", OWN)
def paths_are_below_processing(aws):
    request = processing_request(
        "true", ProcessingInputs=[source("s3://bucket/raw/", path="/opt/ml/elsewhere")]
    )
    assert "ValidationException" in refusal(
        aws.sm.create_processing_job, ProcessingJobName=aws.fresh(), **request
    )


@promises("The request is in /opt/ml/config/processingjobconfig.json.", OWN)
def the_request_is_a_file(aws):
    told = json.loads(stored(aws, "config/processingjobconfig.json"))
    assert (told["ProcessingJobName"], told["Environment"]) == (
        inspected(aws)["ProcessingJobName"],
        {"GREETING": "hello"},
    )
    assert told["ProcessingInputs"][0]["S3Input"]["S3Uri"] == "s3://bucket/raw/"


@promises("The hosts are in /opt/ml/config/resourceconfig.json.", OWN)
def the_hosts_are_a_file(aws):
    told = json.loads(stored(aws, "config/resourceconfig.json"))
    assert (told["current_host"], told["hosts"]) == ("algo-1", ["algo-1"])


@promises("ExitMessage is the first 1 KB of /opt/ml/output/message, in every terminal status.", OWN)
def the_message_is_told(aws):
    assert inspected(aws)["ExitMessage"] == "42 rows\n"
    failed = processed(aws, "printf 'z%.0s' $(seq 1500) > /opt/ml/output/message; exit 1")
    assert failed["ExitMessage"] == "z" * 1024


@promises("A message that is not UTF-8 fails the job.", OWN)
def a_message_is_utf_8(aws):
    assert (
        processed(aws, r"printf '\377\376' > /opt/ml/output/message")["ProcessingJobStatus"]
        == "Failed"
    )


@promises("Symbolic links are not followed when outputs are uploaded.", OWN)
def links_are_not_uploaded(aws):
    job = processed(
        aws, "ln -s /etc/hostname /opt/ml/processing/out/link; echo 1 > /opt/ml/processing/out/file"
    )
    assert [key.rpartition("/")[2] for key in aws.keys(job["ProcessingJobName"] + "/")] == ["file"]


@promises("The lines of the container are in /aws/sagemaker/ProcessingJobs.", LOGS)
def lines_are_logged(aws):
    assert inspected(aws)["ProcessingJobStatus"] == "Completed"
    assert "a line" in aws.lines(LOG)


@promises("StopProcessingJob makes a job Stopping, then Stopped.", reference("StopProcessingJob"))
def a_job_is_stopped(aws):
    name = aws.fresh("processing")
    aws.sm.create_processing_job(
        ProcessingJobName=name, **processing_request(f"echo {name}; sleep 600")
    )
    until(lambda: name in aws.lines(LOG))
    aws.sm.stop_processing_job(ProcessingJobName=name)
    assert aws.sm.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] in (
        "Stopping",
        "Stopped",
    )
    assert aws.processing(name)["ProcessingJobStatus"] == "Stopped"


@promises("The name of a processing job is unique in its account and region.", CREATE)
def names_are_unique(aws):
    name = inspected(aws)["ProcessingJobName"]
    assert "ResourceInUse" in refusal(
        aws.sm.create_processing_job, ProcessingJobName=name, **processing_request("true")
    )


@promises(
    "With S3UploadMode Continuous an output is uploaded while the job runs.",
    OUTPUT,
    differs="uploaded at the job's end, as with EndOfJob: a reader sees it later, and whole",
)
def output_is_uploaded_continuously(aws):
    name = aws.fresh("processing")
    request = processing_request(
        f"echo 1 > /opt/ml/processing/out/part; echo {name}; sleep 600",
        output=f"s3://bucket/{name}",
    )
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3UploadMode"] = "Continuous"
    aws.sm.create_processing_job(ProcessingJobName=name, **request)
    until(lambda: name in aws.lines(LOG))
    try:
        assert aws.keys(f"{name}/") == [f"{name}/part"]
    finally:
        aws.sm.stop_processing_job(ProcessingJobName=name)
