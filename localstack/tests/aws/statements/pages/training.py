"""Training jobs."""

import json

from isthmus_stack.testing.jobs_kit import channel, training_request, until
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

INFORMATION = guide(
    "How Amazon SageMaker AI provides training information",
    "your-algorithms-training-algo-running-container",
)
OUTPUT = guide(
    "How Amazon SageMaker AI processes training output", "your-algorithms-training-algo-output"
)
SIGNALS = guide(
    "How Amazon SageMaker AI signals algorithm success and failure",
    "your-algorithms-training-signal-success-failure",
)
RUNS = guide(
    "How Amazon SageMaker AI runs your training image", "your-algorithms-training-algo-dockerfile"
)
METRICS = guide(
    "Define metrics and environment variables", "automatic-model-tuning-define-metrics-variables"
)
LOGS = guide("Log groups and streams", "logging-cloudwatch")
CREATE = reference("CreateTrainingJob")
DESCRIBE = reference("DescribeTrainingJob")


@promises("A training job whose process ends with exit code 0 is Completed.", SIGNALS)
def exit_code_0_is_completed(aws):
    assert aws.trained["TrainingJobStatus"] == "Completed"


@promises("A training job whose process ends with another exit code is Failed.", SIGNALS)
def another_exit_code_is_failed(aws):
    assert aws.train("exit 3")["TrainingJobStatus"] == "Failed"


@promises("The failure reason is the first 1,024 characters of /opt/ml/output/failure.", OUTPUT)
def the_reason_is_the_failure_file(aws):
    script = "printf 'y%.0s' $(seq 1500) > /opt/ml/output/failure; exit 1"
    reason = aws.train(script)["FailureReason"]
    assert "y" * 900 in reason
    assert len(reason) <= 1024


@promises("Hyperparameters are in /opt/ml/input/config/hyperparameters.json, as text.", INFORMATION)
def hyperparameters_are_a_file(aws):
    assert json.loads(aws.stored["input/config/hyperparameters.json"]) == {"depth": "3"}


@promises("TRAINING_JOB_NAME and TRAINING_JOB_ARN are set in the container.", INFORMATION)
def the_container_knows_its_job(aws):
    environment = aws.stored["environment"].decode()
    assert "TRAINING_JOB_NAME=trained" in environment
    assert f"TRAINING_JOB_ARN={aws.trained['TrainingJobArn']}" in environment


@promises("The variables of Environment are set in the container.", INFORMATION)
def the_environment_is_set(aws):
    assert "GREETING=hello" in aws.stored["environment"].decode()


@promises("Channels are described in /opt/ml/input/config/inputdataconfig.json.", INFORMATION)
def channels_are_described_in_a_file(aws):
    told = json.loads(aws.stored["input/config/inputdataconfig.json"])["train"]
    expected = {
        "TrainingInputMode": "File",
        "ContentType": "text/csv",
        "RecordWrapperType": "None",
        "S3DistributionType": "FullyReplicated",
    }
    assert told == expected


@promises(
    "In File mode the objects of a channel are files below /opt/ml/input/data/CHANNEL.", INFORMATION
)
def channels_are_folders(aws):
    data = {name: body for name, body in aws.stored.items() if name.startswith("input/data/")}
    assert data == {"input/data/train/a/one.csv": b"1,2\n", "input/data/train/two.csv": b"3,4\n"}


@promises("The hosts of the job are in /opt/ml/input/config/resourceconfig.json.", INFORMATION)
def the_hosts_are_a_file(aws):
    told = json.loads(aws.stored["input/config/resourceconfig.json"])
    assert (told["current_host"], told["hosts"]) == ("algo-1", ["algo-1"])


@promises(
    "/opt/ml/model becomes one compressed tar below S3OutputPath: JOB/output/model.tar.gz.", OUTPUT
)
def the_model_is_one_archive(aws):
    assert (
        aws.trained["ModelArtifacts"]["S3ModelArtifacts"]
        == "s3://bucket/out/trained/output/model.tar.gz"
    )
    assert "environment" in aws.stored


@promises("/opt/ml/output/data becomes output.tar.gz beside it.", OUTPUT)
def other_output_is_another_archive(aws):
    assert aws.trained["TrainingJobStatus"] == "Completed"
    assert aws.members("out/trained/output/output.tar.gz") == {"figures.txt": b"figures\n"}


@promises("An image without an entrypoint of the job's own is run with the argument train.", RUNS)
def an_image_is_told_to_train(aws):
    name = aws.fresh("job")
    aws.sm.create_training_job(
        TrainingJobName=name, **training_request(None, image="tools/trainer:1")
    )
    assert aws.training(name)["TrainingJobStatus"] == "Completed"
    assert "arguments: train" in aws.lines("/aws/sagemaker/TrainingJobs")


@promises("ContainerArguments alone replace that argument, and the image's entrypoint stays.", RUNS)
def arguments_alone_keep_the_entrypoint(aws):
    name = aws.fresh("job")
    request = training_request(None, image="tools/trainer:1")
    request["AlgorithmSpecification"]["ContainerArguments"] = ["--fast", "1"]
    aws.sm.create_training_job(TrainingJobName=name, **request)
    aws.training(name)
    assert "arguments: --fast 1" in aws.lines("/aws/sagemaker/TrainingJobs")


@promises(
    "The output of both streams is in /aws/sagemaker/TrainingJobs, in a stream JOB/algo-1-TIME.",
    LOGS,
)
def both_outputs_are_logged(aws):
    assert aws.trained["TrainingJobStatus"] == "Completed"
    streams = aws.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="trained/algo-1-"
    )["logStreams"]
    assert len(streams) == 1
    assert {"to-stderr", "loss=0.5;"} <= set(aws.lines("/aws/sagemaker/TrainingJobs"))


@promises(
    "Metrics are read from the log with a regular expression; FinalMetricDataList has the "
    "last of each.",
    DESCRIBE,
)
def the_last_metric_is_told(aws):
    assert [(m["MetricName"], m["Value"]) for m in aws.trained["FinalMetricDataList"]] == [
        ("loss", 0.25)
    ]


@promises(
    "SecondaryStatusTransitions tell Starting, Downloading, Training, Uploading, Completed.",
    DESCRIBE,
)
def transitions_are_told_in_order(aws):
    told = [transition["Status"] for transition in aws.trained["SecondaryStatusTransitions"]]
    wanted = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [status for status in told if status in wanted] == wanted


@promises(
    "TrainingTimeInSeconds and BillableTimeInSeconds are told of a job that has ended.", DESCRIBE
)
def times_are_told(aws):
    assert aws.trained["TrainingTimeInSeconds"] >= 0
    assert aws.trained["BillableTimeInSeconds"] >= 1


@promises(
    "StopTrainingJob sends SIGTERM; what the algorithm then saves is stored.",
    reference("StopTrainingJob"),
)
def a_stopped_job_saves_its_model(aws):
    name = aws.fresh("job")
    script = """
        trap 'echo saved > /opt/ml/model/m; exit 0' TERM
        echo ready
        while :; do sleep 0.02; done
    """
    aws.sm.create_training_job(TrainingJobName=name, **training_request(script))
    until(lambda: "ready" in aws.lines("/aws/sagemaker/TrainingJobs"))
    aws.sm.stop_training_job(TrainingJobName=name)
    job = aws.training(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert aws.members(f"out/{name}/output/model.tar.gz") == {"m": b"saved\n"}


@promises(
    "A job that exceeds MaxRuntimeInSeconds is stopped: MaxRuntimeExceeded.",
    reference("StoppingCondition"),
    clock="manual",
)
def a_job_that_exceeds_its_time_is_stopped(aws):
    name = aws.fresh("job")
    aws.sm.create_training_job(
        TrainingJobName=name,
        **training_request("sleep 600", StoppingCondition={"MaxRuntimeInSeconds": 60}),
    )
    aws.wait(
        aws.sm.describe_training_job, "SecondaryStatus", until=("Training",), TrainingJobName=name
    )
    aws.stack.advance(61)
    job = aws.training(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


@promises("The name of a training job is unique in its account and region.", CREATE)
def job_names_are_unique(aws):
    assert "ResourceInUse" in refusal(
        aws.sm.create_training_job,
        TrainingJobName=aws.trained["TrainingJobName"],
        **training_request("true"),
    )


@promises("A request has 100 hyperparameters at most.", CREATE)
def a_request_has_a_hundred_hyperparameters(aws):
    many = {f"p{number}": "1" for number in range(101)}
    assert "ValidationException" in refusal(
        aws.sm.create_training_job,
        TrainingJobName=aws.fresh(),
        **training_request("true", HyperParameters=many),
    )


@promises("A role is an ARN of IAM.", CREATE)
def a_role_is_an_arn(aws):
    request = {**training_request("true"), "RoleArn": "no-role-at-all-but-long-enough"}
    assert "ValidationException" in refusal(
        aws.sm.create_training_job, TrainingJobName=aws.fresh(), **request
    )


@promises("A channel whose prefix has no object fails the job, which then never trains.", CREATE)
def an_empty_channel_fails_the_job(aws):
    job = aws.train("true", InputDataConfig=[channel("train", "s3://bucket/nothing-here/")])
    assert job["TrainingJobStatus"] == "Failed"
    assert "Training" not in [
        transition["Status"] for transition in job["SecondaryStatusTransitions"]
    ]


@promises(
    "A ManifestFile lists the objects of a channel, each below the prefix that it begins with.",
    reference("S3DataSource"),
)
def a_manifest_lists_its_objects(aws):
    aws.put("listed/a.csv", b"a")
    aws.put("listed/b.csv", b"b")
    uri = aws.put(
        "list.manifest", json.dumps([{"prefix": "s3://bucket/listed/"}, "b.csv"]).encode()
    )
    source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": uri}}
    job = aws.train(
        "cp -r /opt/ml/input/data/train /opt/ml/model/",
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
    )
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert aws.members(f"out/{job['TrainingJobName']}/output/model.tar.gz") == {"train/b.csv": b"b"}


@promises(
    "In FastFile mode a channel is a folder that is read as in File mode.",
    guide("Setting up training jobs to access datasets", "model-access-training-data"),
)
def a_fast_file_channel_is_a_folder(aws):
    aws.put("fast/a.csv", b"a")
    fast = channel("train", "s3://bucket/fast/", InputMode="FastFile")
    job = aws.train("cat /opt/ml/input/data/train/a.csv > /opt/ml/model/m", InputDataConfig=[fast])
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]


@promises(
    "In Pipe mode a channel is a sequence of named pipes CHANNEL_0, CHANNEL_1.",
    INFORMATION,
    differs="refused by name",
)
def a_pipe_channel_is_a_named_pipe(aws):
    aws.put("piped/a.csv", b"a")
    piped = channel("train", "s3://bucket/piped/", InputMode="Pipe")
    assert (
        aws.train("cat /opt/ml/input/data/train_0 > /opt/ml/model/m", InputDataConfig=[piped])[
            "TrainingJobStatus"
        ]
        == "Completed"
    )


@promises(
    "Checkpoints are copied from the local path to S3, and back when a job restarts from them.",
    guide("Checkpoints", "model-checkpoints"),
)
def checkpoints_are_copied_both_ways(aws):
    config = {"S3Uri": "s3://bucket/checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    aws.train("echo 1 > /opt/ml/checkpoints/epoch", CheckpointConfig=config)
    assert aws.body("checkpoints/epoch") == b"1\n"
    job = aws.train("cp /opt/ml/checkpoints/epoch /opt/ml/model/", CheckpointConfig=config)
    assert aws.members(f"out/{job['TrainingJobName']}/output/model.tar.gz") == {"epoch": b"1\n"}


SPOT = guide("Managed Spot Training", "model-managed-spot-training")


@promises(
    "With EnableManagedSpotTraining, MaxWaitTimeInSeconds must be there and not below "
    "MaxRuntimeInSeconds.",
    SPOT,
)
def spot_training_needs_its_wait_time(aws):
    request = training_request("true", EnableManagedSpotTraining=True)
    assert "ValidationException" in refusal(
        aws.sm.create_training_job, TrainingJobName=aws.fresh(), **request
    )
    request["StoppingCondition"] = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 60}
    assert "ValidationException" in refusal(
        aws.sm.create_training_job, TrainingJobName=aws.fresh(), **request
    )


@promises(
    "A managed spot training job that nothing interrupts passes through the same statuses as "
    "another one.",
    SPOT,
)
def a_spot_job_runs(aws):
    condition = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600}
    job = aws.train("true", EnableManagedSpotTraining=True, StoppingCondition=condition)
    assert (job["TrainingJobStatus"], job["EnableManagedSpotTraining"]) == ("Completed", True)


@promises(
    "InstanceCount starts that many containers, which find each other by their hosts' names.",
    CREATE,
    differs="refused by name: one container a job",
)
def several_instances_start_several_containers(aws):
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    assert aws.train("true", ResourceConfig=resources)["TrainingJobStatus"] == "Completed"


@promises(
    "ListTrainingJobs filters by status and name, in ascending order of creation.",
    reference("ListTrainingJobs"),
)
def jobs_are_listed(aws):
    assert aws.trained["TrainingJobName"] == "trained"
    later = aws.train("true")["TrainingJobName"]
    listed = [
        job["TrainingJobName"]
        for job in aws.sm.list_training_jobs(StatusEquals="Completed")["TrainingJobSummaries"]
    ]
    assert listed.index("trained") < listed.index(later)
    assert [
        job["TrainingJobName"]
        for job in aws.sm.list_training_jobs(NameContains="rained")["TrainingJobSummaries"]
    ] == ["trained"]


@promises(
    "With MaxResults and StatusEquals that many jobs are taken first, and those with the "
    "status are shown of them.",
    reference("ListTrainingJobs"),
)
def a_page_is_taken_before_its_status(aws):
    prefix = aws.fresh("paged")
    for name, script in (("a", "exit 1"), ("b", "true")):
        aws.sm.create_training_job(TrainingJobName=f"{prefix}-{name}", **training_request(script))
        aws.training(f"{prefix}-{name}")
    asked = {"NameContains": prefix, "MaxResults": 1, "StatusEquals": "Completed", "SortBy": "Name"}
    first = aws.sm.list_training_jobs(**asked)
    second = aws.sm.list_training_jobs(**asked, NextToken=first["NextToken"])
    assert [job["TrainingJobName"] for job in first["TrainingJobSummaries"]] == []
    assert [job["TrainingJobName"] for job in second["TrainingJobSummaries"]] == [f"{prefix}-b"]
