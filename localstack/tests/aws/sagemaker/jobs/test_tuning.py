"""Hyperparameter tuning jobs: real training jobs, by boto3 from another process than the stack's."""

import re

import pytest

from isthmus_stack.testing import stacks
from isthmus_stack.testing.jobs_kit import ROLE, Aws, definition, until
from isthmus_stack.tests.aws.sagemaker.jobs.test_jobs import refusal

pytestmark = pytest.mark.slow

REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
ECHO = 'echo "loss=$SM_HP_X;"'
RANGES = {
    "IntegerParameterRanges": [
        {"Name": "x", "MinValue": "1", "MaxValue": "1000", "ScalingType": "Logarithmic"}
    ]
}
ARN = "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/"


def tuning_request(
    script=ECHO,
    *,
    jobs=3,
    at_once=2,
    ranges=None,
    aim="Minimize",
    image="tuned:1",
    config=None,
    training=None,
    **more,
):
    """A tuning job whose image runs what the static hyperparameter `script` says."""
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": aim, "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": at_once},
            "ParameterRanges": ranges or RANGES,
            "RandomSeed": 1,
            **(config or {}),
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"script": script},
            "AlgorithmSpecification": {
                "TrainingImage": f"{REPOSITORY}/{image}",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **(training or {}),
        },
        **more,
    }


class Tuning(Aws):
    def ask(self, name="search", **arguments):
        self.sm.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, **tuning_request(**arguments)
        )

    def described(self, name="search"):
        return self.sm.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    def tuned(self, name="search", **arguments):
        self.ask(name, **arguments)
        return self.ended(name)

    def ended(self, name="search"):
        describe = self.sm.describe_hyper_parameter_tuning_job
        return self.wait(
            describe, "HyperParameterTuningJobStatus", HyperParameterTuningJobName=name
        )

    def trials(self, name="search", **arguments):
        listed = self.sm.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name, **arguments
        )
        return listed["TrainingJobSummaries"]


@pytest.fixture(scope="module")
def process():
    return Tuning(stacks.shared("real").url)


@pytest.fixture
def aws(process):
    process.stack.reset()
    process.s3.create_bucket(Bucket="bucket")
    return process


def values(trials):
    return [int(trial["TunedHyperParameters"]["x"]) for trial in trials]


def test_a_tuning_job_trains_with_what_it_tries_and_names_the_best(aws):
    job = aws.tuned(jobs=4, Tags=[{"Key": "team", "Value": "ranking"}])
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    assert (
        job["TrainingJobStatusCounters"]["Completed"]
        == job["ObjectiveStatusCounters"]["Succeeded"]
        == 4
    )
    trials = aws.trials(SortBy="FinalObjectiveMetricValue", SortOrder="Ascending")
    assert values(trials) == sorted(values(trials))
    assert values(trials) == [
        int(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]) for trial in trials
    ]
    assert values(aws.trials(SortBy="FinalObjectiveMetricValue", SortOrder="Descending")) == sorted(
        values(trials), reverse=True
    )
    best = job["BestTrainingJob"]
    assert (best["TrainingJobName"], best["ObjectiveStatus"]) == (
        trials[0]["TrainingJobName"],
        "Succeeded",
    )
    assert re.fullmatch(r"search-00[1-4]-[0-9a-f]{8}", best["TrainingJobName"])
    assert [trial["TrainingJobName"][:10] for trial in aws.trials(SortBy="Name")] == [
        f"search-00{number}" for number in (1, 2, 3, 4)
    ]
    trained = aws.training(best["TrainingJobName"])
    assert trained["TuningJobArn"] == job["HyperParameterTuningJobArn"] == f"{ARN}search"
    assert trained["HyperParameters"] == {
        **best["TunedHyperParameters"],
        "script": ECHO,
        "_tuning_objective_metric": "loss",
    }
    assert trained["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://bucket/") in aws.keys(
        "out/"
    )
    assert aws.sm.list_tags(ResourceArn=best["TrainingJobArn"])["Tags"] == [
        {"Key": "team", "Value": "ranking"}
    ]
    [listed] = aws.sm.list_hyper_parameter_tuning_jobs(StatusEquals="Completed")[
        "HyperParameterTuningJobSummaries"
    ]
    assert (
        listed["HyperParameterTuningJobName"],
        listed["Strategy"],
        listed["ResourceLimits"]["MaxNumberOfTrainingJobs"],
    ) == (
        *("search", "Random"),
        4,
    )
    [result] = aws.sm.search(Resource="HyperParameterTuningJob")["Results"]
    assert result["HyperParameterTuningJob"]["HyperParameterTuningJobArn"] == f"{ARN}search"


def test_a_grid_tries_every_combination_and_the_greatest_value_is_the_best_to_maximize(aws):
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["3", "9", "5"]}]}
    request = tuning_request(ranges=ranges, aim="Maximize", at_once=3, config={"Strategy": "Grid"})
    del request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    aws.sm.create_hyper_parameter_tuning_job(HyperParameterTuningJobName="search", **request)
    assert aws.ended()["BestTrainingJob"]["TunedHyperParameters"] == {"x": "9"}
    assert sorted(values(aws.trials())) == [3, 5, 9]


def test_as_many_training_jobs_run_at_once_as_is_asked_for_and_a_stop_stops_them(aws):
    aws.ask(script="sleep 600", jobs=5, at_once=2)
    until(lambda: [trial for trial in aws.trials() if "TrainingStartTime" in trial][1:])
    job = aws.described()
    assert (
        job["HyperParameterTuningJobStatus"],
        job["TrainingJobStatusCounters"]["InProgress"],
    ) == ("InProgress", 2)
    assert "BestTrainingJob" not in job
    assert (
        refusal(aws.sm.delete_hyper_parameter_tuning_job, HyperParameterTuningJobName="search")[0]
        == "ResourceInUse"
    )
    aws.sm.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="search")
    job = aws.ended()
    assert job["HyperParameterTuningJobStatus"] == "Stopped"
    assert (
        job["TrainingJobStatusCounters"]["Stopped"] == len(aws.trials(StatusEquals="Stopped")) == 2
    )
    aws.sm.delete_hyper_parameter_tuning_job(HyperParameterTuningJobName="search")
    assert refusal(aws.described)[0] == "ResourceNotFound"
    assert len(aws.sm.list_training_jobs()["TrainingJobSummaries"]) == 2


def test_the_failures_of_some_are_counted_and_of_all_are_the_tuning_jobs(aws):
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["1", "2"]}]}
    aws.ask(
        "some",
        script=f'test "$SM_HP_X" = 2 && {ECHO}',
        jobs=2,
        ranges=ranges,
        config={"Strategy": "Grid"},
    )
    aws.ask("all", script="exit 3", jobs=2)
    aws.ask("silent", script="echo nothing", jobs=1)
    some = aws.ended("some")
    assert some["HyperParameterTuningJobStatus"] == "Completed"
    counted = [
        some["TrainingJobStatusCounters"][name] for name in ("Completed", "NonRetryableError")
    ]
    assert (
        counted,
        some["ObjectiveStatusCounters"]["Failed"],
        some["BestTrainingJob"]["TunedHyperParameters"],
    ) == ([1, 1], 1, {"x": "2"})
    assert len(aws.trials("some", SortBy="FinalObjectiveMetricValue")) == 1
    whole = aws.ended("all")
    assert (whole["HyperParameterTuningJobStatus"], "BestTrainingJob" in whole) == ("Failed", False)
    assert whole["FailureReason"].startswith("All training jobs failed.")
    assert {trial["FailureReason"] for trial in aws.trials("all")} == {
        "AlgorithmError: , exit code: 3"
    }
    assert aws.ended("silent")["FailureReason"].startswith(
        "No objective metrics found after running 1 training jobs."
    )


def test_what_is_not_done_is_refused_by_name_before_a_job_is_there(aws):
    nothing = {"MetricDefinitions": [], "TrainingImage": "tuned:1", "TrainingInputMode": "File"}
    parent = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "a"}],
        "WarmStartType": "TransferLearning",
    }
    wrong = [
        ({"config": {"Strategy": "Hyperband"}}, "the strategy Hyperband"),
        ({"config": {"TrainingJobEarlyStoppingType": "Auto"}}, "early stopping"),
        (
            {"config": {"TuningJobCompletionCriteria": {"TargetObjectiveMetricValue": 1.0}}},
            "TuningJobCompletionCriteria",
        ),
        ({"config": {"Strategy": "Grid"}}, "CategoricalParameterRanges only"),
        ({"WarmStartConfig": parent}, "WarmStartConfig"),
        ({"Autotune": {"Mode": "Enabled"}}, "Autotune"),
        (
            {"TrainingJobDefinitions": [tuning_request()["TrainingJobDefinition"]]},
            "TrainingJobDefinitions",
        ),
        (
            {"training": {"AlgorithmSpecification": nothing}},
            "Provide a metric in the metric definitions",
        ),
        ({"training": {"StaticHyperParameters": {"x": "1"}}}, "or is static: x"),
    ]
    for more, words in wrong:
        code, message = refusal(aws.ask, **more)
        assert (code, words in message) == ("ValidationException", True), message
    assert aws.sm.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"] == []


def test_a_step_of_a_pipeline_tunes_and_the_next_one_reads_the_best_training_job(aws):
    image = f"{REPOSITORY}/tuned:1"
    data = {
        "Std:Join": {
            "On": "/",
            "Values": [
                "s3://bucket/out",
                {"Get": "Steps.Tune.BestTrainingJob.TrainingJobName"},
                "output",
            ],
        }
    }
    top = {"Get": "Steps.Tune.TrainingJobSummaries[0].TrainingJobName"}
    model = {
        "PrimaryContainer": {"Image": image, "ModelDataUrl": data, "Environment": {"TOP": top}}
    }
    cached = {"Enabled": True, "ExpireAfter": "P1D"}
    steps = (
        {
            "Name": "Tune",
            "Type": "Tuning",
            "Arguments": tuning_request(jobs=2, at_once=1),
            "CacheConfig": cached,
        },
        {"Name": "Make", "Type": "Model", "Arguments": model},
    )
    aws.sm.create_pipeline(PipelineName="p", PipelineDefinition=definition(*steps), RoleArn=ROLE)
    first = aws.sm.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    assert aws.execution(first)["PipelineExecutionStatus"] == "Succeeded", aws.steps(first)
    tuned = aws.steps(first)["Tune"]["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    best = aws.described(tuned)["BestTrainingJob"]["TrainingJobName"]
    made = aws.sm.describe_model(
        ModelName=aws.steps(first)["Make"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
    )["PrimaryContainer"]
    assert (made["ModelDataUrl"], made["Environment"]["TOP"]) == (
        f"s3://bucket/out/{best}/output",
        best,
    )
    again = aws.sm.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    aws.execution(again)
    assert aws.steps(again)["Tune"]["CacheHitResult"]["SourcePipelineExecutionArn"] == first
    assert len(aws.sm.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]) == 1
