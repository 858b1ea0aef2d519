"""Training and processing jobs, by boto3 from another process than the stack's."""

import io
import json
import subprocess
import tarfile
from itertools import pairwise

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing.jobs_kit import (
    ROLE,
    channel,
    processing_request,
    running,
    training_request,
)

pytestmark = pytest.mark.slow

TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def aws(job_clients):
    return job_clients


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def train(aws, script, name="job", **more):
    aws.sm.create_training_job(TrainingJobName=name, **training_request(script, **more))
    return aws.training(name)


def process_job(aws, script, name="job", **more):
    aws.sm.create_processing_job(ProcessingJobName=name, **processing_request(script, **more))
    return aws.processing(name)


def archive(aws, uri):
    body = aws.s3.get_object(Bucket="bucket", Key=uri.removeprefix("s3://bucket/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return {
            member.name: tar.extractfile(member).read().decode()
            for member in tar.getmembers()
            if member.isfile()
        }


def test_a_training_job_finds_its_channels_and_configuration_in_opt_ml_and_leaves_its_model_in_s3(
    aws,
):
    aws.s3.put_object(Bucket="bucket", Key="data/a/1.csv", Body=b"1")
    aws.s3.put_object(Bucket="bucket", Key="data/2.csv", Body=b"2")
    script = """
        mkdir -p /opt/ml/model/deep /opt/ml/output/data
        cat /opt/ml/input/data/train/a/1.csv "$SM_CHANNEL_TRAIN/2.csv" > /opt/ml/model/deep/rows
        cp /opt/ml/input/config/*.json /opt/ml/model
        echo "$LEVEL $SM_HP_LR $TRAINING_JOB_NAME" > /opt/ml/model/environment
        echo extra > /opt/ml/output/data/extra
    """
    found = train(
        aws,
        script,
        HyperParameters={"lr": "0.1"},
        Environment={"LEVEL": "high"},
        InputDataConfig=[channel("train", "s3://bucket/data/", ContentType="text/csv")],
    )
    assert found["TrainingJobStatus"] == "Completed", found
    model = archive(aws, found["ModelArtifacts"]["S3ModelArtifacts"])
    assert model["deep/rows"] == "12"
    assert model["environment"] == "high 0.1 job\n"
    assert json.loads(model["hyperparameters.json"]) == {"lr": "0.1"}
    assert json.loads(model["inputdataconfig.json"])["train"]["ContentType"] == "text/csv"
    assert json.loads(model["resourceconfig.json"])["hosts"] == ["algo-1"]
    assert archive(aws, "s3://bucket/out/job/output/output.tar.gz") == {"extra": "extra\n"}


def test_a_job_passes_through_the_statuses_of_the_real_one_in_order(aws):
    found = train(aws, "true")
    moves = found["SecondaryStatusTransitions"]
    assert [move["Status"] for move in moves] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(before["EndTime"] == after["StartTime"] for before, after in pairwise(moves))
    assert found["CreationTime"] <= found["TrainingStartTime"] <= found["TrainingEndTime"]
    assert found["SecondaryStatus"] == "Completed"


def test_a_running_job_is_in_progress_and_tells_no_artifacts(aws):
    aws.sm.create_training_job(TrainingJobName="job", **training_request("sleep 600"))
    found = aws.wait(
        aws.sm.describe_training_job, "SecondaryStatus", until=("Training",), TrainingJobName="job"
    )
    assert found["TrainingJobStatus"] == "InProgress"
    assert "ModelArtifacts" not in found
    assert "TrainingEndTime" not in found


def test_the_last_value_of_each_metric_is_read_from_the_lines_and_published(aws):
    specification = training_request(
        "echo 'auc=0.5;'; printf 'auc=0.75; loss=1e-3;\\ttab:2;\\n'; echo 'auc=high;'"
    )
    specification["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "auc", "Regex": "auc=(.*?);"},
        {"Name": "loss", "Regex": "loss=([-0-9.e]+);"},
        {"Name": "tab", "Regex": "#011tab:(.*?);"},
        {"Name": "never", "Regex": "never=(.*)"},
    ]
    aws.sm.create_training_job(TrainingJobName="job", **specification)
    found = aws.training("job")
    assert {metric["MetricName"]: metric["Value"] for metric in found["FinalMetricDataList"]} == {
        "auc": 0.75,
        "loss": 0.001,
        "tab": 2.0,
    }
    listed = aws.client("cloudwatch").list_metrics(Namespace=TRAINING_LOGS)["Metrics"]
    assert {metric["MetricName"] for metric in listed} == {"auc", "loss", "tab"}


def test_both_outputs_of_a_job_are_in_its_log_stream(aws):
    train(aws, "echo one; echo two >&2; printf three")
    assert [line for line in aws.lines(TRAINING_LOGS) if not line.startswith("[local stack]")] == [
        "one",
        "two",
        "three",
    ]
    (stream,) = aws.client("logs").describe_log_streams(logGroupName=TRAINING_LOGS)["logStreams"]
    assert stream["logStreamName"].startswith("job/algo-1-")


def test_a_job_that_fails_tells_its_failure_file_and_exit_code(aws):
    found = train(aws, "echo 'no such column' > /opt/ml/output/failure; exit 3")
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Failed", "Failed")
    assert found["FailureReason"] == "AlgorithmError: no such column, exit code: 3"
    assert aws.keys("out/") == []


def test_a_job_killed_by_a_signal_has_the_shells_exit_code(aws):
    assert train(aws, "kill -9 $$")["FailureReason"].endswith("exit code: 137")


def test_an_empty_channel_fails_the_job_before_it_runs(aws):
    found = train(
        aws, "touch /tmp/never", InputDataConfig=[channel("train", "s3://bucket/nothing/")]
    )
    assert found["TrainingJobStatus"] == "Failed"
    assert 'No S3 objects found under S3 URL "s3://bucket/nothing/"' in found["FailureReason"]


def test_an_image_that_nobody_mapped_fails_with_what_to_do(aws):
    found = train(aws, None, image="123456789012.dkr.ecr.us-east-1.amazonaws.com/mystery:2")
    assert found["TrainingJobStatus"] == "Failed"
    assert "--image mystery=COMMAND" in found["FailureReason"]


def test_a_mapped_image_runs_its_command_with_the_word_train(aws):
    found = train(
        aws, None, image="123456789012.dkr.ecr.us-east-1.amazonaws.com/tools/trainer@sha256:00"
    )
    assert archive(aws, found["ModelArtifacts"]["S3ModelArtifacts"]) == {"m": "from-image\n"}
    assert "arguments: train" in aws.lines(TRAINING_LOGS)


def test_python_is_the_stacks_interpreter_and_the_sdk_in_a_job_talks_to_the_stack_as_its_role(aws):
    request = training_request(None)
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python", "-c"]
    who = "boto3.client('sts').get_caller_identity()['Arn'].encode()"
    code = (
        "import boto3; boto3.client('s3').put_object(Bucket='bucket', Key='from-inside', "
        f"Body={who})"
    )
    request["AlgorithmSpecification"]["ContainerArguments"] = [code]
    aws.sm.create_training_job(TrainingJobName="job", **request)
    assert aws.training("job")["TrainingJobStatus"] == "Completed"
    assert (
        aws.text("from-inside") == "arn:aws:sts::123456789012:assumed-role/SageMakerRole/SageMaker"
    )


def test_a_stopped_job_gets_time_to_save_its_model(aws):
    script = (
        "trap 'echo saved > /opt/ml/model/m; exit 0' TERM; echo ready; while true; do sleep "
        "0.05; done"
    )
    aws.sm.create_training_job(TrainingJobName="job", **training_request(script))
    aws.wait(
        aws.sm.describe_training_job, "SecondaryStatus", until=("Training",), TrainingJobName="job"
    )
    wait_for_line(aws, "ready")
    aws.sm.stop_training_job(TrainingJobName="job")
    found = aws.training("job", until=("Stopped",))
    assert "Stopping" in [move["Status"] for move in found["SecondaryStatusTransitions"]]
    assert archive(aws, found["ModelArtifacts"]["S3ModelArtifacts"]) == {"m": "saved\n"}
    code, message = refusal(aws.sm.stop_training_job, TrainingJobName="job")
    assert (code, "Stopped" in message) == ("ValidationException", True)


def wait_for_line(aws, line):
    aws.wait(lambda: {"there": line in aws.lines(TRAINING_LOGS)}, "there", until=(True,))


def test_a_job_that_exceeds_its_time_on_the_movable_clock_is_stopped(aws):
    aws.sm.create_training_job(
        TrainingJobName="job",
        **training_request("sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 3600}),
    )
    aws.wait(
        aws.sm.describe_training_job, "SecondaryStatus", until=("Training",), TrainingJobName="job"
    )
    aws.stack.advance(3601)
    found = aws.training("job")
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )


def test_a_name_is_used_once_and_the_wrong_ones_are_refused(aws):
    train(aws, "true")
    assert (
        refusal(aws.sm.create_training_job, TrainingJobName="job", **training_request("true"))[0]
        == "ResourceInUse"
    )
    assert (
        refusal(aws.sm.describe_training_job, TrainingJobName="other")[0] == "ValidationException"
    )
    request = training_request("true")
    request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "auc", "Regex": "auc=("}]
    assert (
        refusal(aws.sm.create_training_job, TrainingJobName="third", **request)[0]
        == "ValidationException"
    )


def test_jobs_are_listed_by_status_name_and_page(aws):
    for name in ("alpha", "beta", "gamma"):
        train(aws, "exit 1" if name == "beta" else "true", name=name)
    names = lambda **kw: [  # noqa: E731
        job["TrainingJobName"] for job in aws.sm.list_training_jobs(**kw)["TrainingJobSummaries"]
    ]
    assert names() == ["alpha", "beta", "gamma"]
    assert names(SortBy="Name", SortOrder="Descending") == ["gamma", "beta", "alpha"]
    assert names(StatusEquals="Failed") == ["beta"]
    assert names(NameContains="amm") == ["gamma"]
    assert refusal(aws.sm.list_training_jobs, StatusEquals="Sleeping")[0] == "ValidationException"
    assert refusal(aws.sm.list_training_jobs, MaxResults=101)[0] == "ValidationException"
    pages = aws.sm.get_paginator("list_training_jobs").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["TrainingJobSummaries"]) for page in pages] == [1, 1, 1]


def test_a_model_may_stay_uncompressed(aws):
    output = {"S3OutputPath": "s3://bucket/out", "CompressionType": "NONE"}
    found = train(aws, "mkdir /opt/ml/model/a; echo x > /opt/ml/model/a/b", OutputDataConfig=output)
    assert found["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/out/job/output/model/"
    assert aws.keys("out/") == ["out/job/output/model/a/b"]


def test_checkpoints_go_to_s3_and_come_back_to_the_next_job(aws):
    script = (
        "cat /opt/ml/checkpoints/step 2>/dev/null > /opt/ml/model/before; echo 7 > "
        "/opt/ml/checkpoints/step"
    )
    checkpoints = {"S3Uri": "s3://bucket/checkpoints"}
    train(aws, script, name="first", CheckpointConfig=checkpoints)
    found = train(aws, script, name="second", CheckpointConfig=checkpoints)
    assert archive(aws, found["ModelArtifacts"]["S3ModelArtifacts"]) == {"before": "7\n"}


def test_a_processing_job_reads_its_inputs_and_uploads_its_outputs(aws):
    aws.s3.put_object(Bucket="bucket", Key="raw/x.txt", Body=b"input")
    source = {
        "S3Uri": "s3://bucket/raw/x.txt",
        "LocalPath": "/opt/ml/processing/in",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    script = """
        cp /opt/ml/processing/in/x.txt /opt/ml/processing/out/copy.txt
        cp /opt/ml/config/processingjobconfig.json /opt/ml/processing/out/config.json
        echo "said $GREETING" > /opt/ml/output/message
    """
    found = process_job(
        aws,
        script,
        ProcessingInputs=[{"InputName": "in", "S3Input": source}],
        Environment={"GREETING": "hello"},
    )
    assert found["ProcessingJobStatus"] == "Completed", found
    assert found["ExitMessage"] == "said hello\n"
    assert aws.text("processed/copy.txt") == "input"
    assert json.loads(aws.text("processed/config.json"))["ProcessingJobName"] == "job"


def test_a_failed_processing_job_uploads_nothing(aws):
    found = process_job(aws, "echo x > /opt/ml/processing/out/x; exit 2")
    assert (found["ProcessingJobStatus"], found["FailureReason"]) == (
        "Failed",
        "AlgorithmError: , exit code: 2",
    )
    assert aws.keys("processed/") == []


def test_a_processing_job_can_be_stopped(aws):
    aws.sm.create_processing_job(ProcessingJobName="job", **processing_request("sleep 600"))
    started = lambda: {  # noqa: E731
        "started": "ProcessingStartTime" in aws.sm.describe_processing_job(ProcessingJobName="job")
    }
    aws.wait(started, "started", until=(True,))
    aws.sm.stop_processing_job(ProcessingJobName="job")
    assert aws.processing("job")["ProcessingJobStatus"] == "Stopped"
    listed = aws.sm.list_processing_jobs(StatusEquals="Stopped")["ProcessingJobSummaries"]
    assert [job["ProcessingJobName"] for job in listed] == ["job"]


def test_a_local_path_outside_of_opt_ml_processing_is_refused(aws):
    request = processing_request("true")
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"] = (
        "/opt/ml/processing-not"
    )
    assert (
        refusal(aws.sm.create_processing_job, ProcessingJobName="job", **request)[0]
        == "ValidationException"
    )


def test_keys_that_lead_out_of_the_jobs_folder_fail_the_job_before_anything_is_written(aws):
    aws.s3.put_object(Bucket="bucket", Key="data/../../../../../outside-of-the-job", Body=b"x")
    for inputs in ([channel("train", "s3://bucket/data/")], [channel("..", "s3://bucket/data/")]):
        found = train(
            aws, "true", name=f"job-{len(inputs[0]['ChannelName'])}", InputDataConfig=inputs
        )
        assert found["TrainingJobStatus"] == "Failed"
        assert found["FailureReason"].startswith("ClientError: ")
        assert "'..'" in found["FailureReason"]
    request = processing_request("true")
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"] = (
        "/opt/ml/processing/../../../up"
    )
    assert (
        refusal(aws.sm.create_processing_job, ProcessingJobName="job", **request)[0]
        == "ValidationException"
    )


def test_a_reset_ends_the_processes_of_job_clients(aws):
    marker = "4711.0815"
    aws.sm.create_training_job(
        TrainingJobName="job", **training_request(f"sleep {marker} & sleep {marker}")
    )
    alive = lambda: {  # noqa: E731
        "alive": subprocess.run(
            ["pgrep", "-f", f"^sleep {marker}"], check=False, capture_output=True
        ).returncode
        == 0
    }
    aws.wait(alive, "alive", until=(True,))
    aws.stack.reset()
    aws.wait(alive, "alive", until=(False,))
    assert aws.sm.list_training_jobs()["TrainingJobSummaries"] == []


def test_a_stack_that_ends_takes_its_jobs_with_it():
    marker = "4711.0816"
    with running() as aws:
        aws.s3.create_bucket(Bucket="bucket")
        aws.sm.create_training_job(TrainingJobName="job", **training_request(f"sleep {marker}"))
        alive = lambda: {  # noqa: E731
            "alive": subprocess.run(
                ["pgrep", "-f", f"sleep {marker}$"], check=False, capture_output=True
            ).returncode
            == 0
        }
        aws.wait(alive, "alive", until=(True,))
    aws.wait(alive, "alive", until=(False,))


def test_faults_of_the_service_end_a_job_with_its_own_words(aws):
    aws.stack.fault(kind="error", service="sagemaker", operation="TrainingJob")
    assert train(aws, "true", name="one")["FailureReason"].startswith("InternalServerError")
    assert train(aws, "true", name="two")["TrainingJobStatus"] == "Completed"
    aws.stack.fault(kind="throttle", service="sagemaker", operation="ProcessingJob")
    assert process_job(aws, "true")["FailureReason"].startswith("CapacityError")


def test_tags_are_replaced_by_key_and_found_by_the_tagging_api(aws):
    train(aws, "true", Tags=[{"Key": "project", "Value": "home"}])
    arn = aws.sm.describe_training_job(TrainingJobName="job")["TrainingJobArn"]
    aws.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "champion", "Value": "1"}])
    aws.sm.add_tags(ResourceArn=arn, Tags=[{"Key": "champion", "Value": "2"}])
    expected = [{"Key": "project", "Value": "home"}, {"Key": "champion", "Value": "2"}]
    assert aws.sm.list_tags(ResourceArn=arn)["Tags"] == expected
    tagging = aws.client("resourcegroupstaggingapi")
    found = lambda value: tagging.get_resources(TagFilters=[{"Key": "project", "Values": [value]}])[  # noqa: E731
        "ResourceTagMappingList"
    ]
    assert found("home") == [{"ResourceARN": arn, "Tags": expected}]
    assert found("other") == []
    aws.sm.delete_tags(ResourceArn=arn, TagKeys=["project"])
    assert found("home") == []


def test_without_a_mount_namespace_the_variables_and_the_log_say_where_things_are():
    with running(env={"ISTHMUS_STACK_NAMESPACE": "off"}) as aws:
        aws.s3.create_bucket(Bucket="bucket")
        script = "test ! -e /opt/ml && echo x > $SM_MODEL_DIR/m && cat $INSIDE"
        found = train(aws, script, Environment={"INSIDE": "/opt/ml/model/m"})
        assert archive(aws, found["ModelArtifacts"]["S3ModelArtifacts"]) == {"m": "x\n"}
        assert any("there is no /opt/ml" in line for line in aws.lines(TRAINING_LOGS))


def test_with_motos_answers_an_unmapped_image_is_completed_at_once():
    with running(clock="instant", moto_answers=True) as aws:
        aws.s3.create_bucket(Bucket="bucket")
        aws.sm.create_training_job(
            TrainingJobName="job", **training_request(None, image="anything")
        )
        assert (
            aws.sm.describe_training_job(TrainingJobName="job")["TrainingJobStatus"] == "Completed"
        )
        request = processing_request("true")
        request["AppSpecification"]["ImageUri"] = "anything"
        aws.sm.create_processing_job(ProcessingJobName="job", **request)
        assert (
            aws.sm.describe_processing_job(ProcessingJobName="job")["ProcessingJobStatus"]
            == "Completed"
        )
        for _ in range(2):  # moto replaces what has the same name
            aws.sm.create_training_job(
                TrainingJobName="again", **training_request(None, image="anything")
            )
            aws.sm.create_model(
                ModelName="model", PrimaryContainer={"Image": "anything"}, ExecutionRoleArn=ROLE
            )
        mapped = train(aws, "echo x > /opt/ml/model/m", name="mapped")
        assert archive(aws, mapped["ModelArtifacts"]["S3ModelArtifacts"]) == {"m": "x\n"}
