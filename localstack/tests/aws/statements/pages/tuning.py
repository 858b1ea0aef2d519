"""Hyperparameter tuning."""

from functools import cache

from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.tests.aws.sagemaker.jobs.test_tuning import ECHO, tuning_request
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

HOW = guide(
    "Understand the hyperparameter tuning strategies available",
    "automatic-model-tuning-how-it-works",
)
RANGES = guide("Define hyperparameter ranges", "automatic-model-tuning-define-ranges")
METRICS = guide(
    "Define metrics and environment variables", "automatic-model-tuning-define-metrics-variables"
)
CREATE = reference("CreateHyperParameterTuningJob")
DESCRIBE = reference("DescribeHyperParameterTuningJob")
EARLY = guide("Stop training jobs early", "automatic-model-tuning-early-stopping")
WARM = guide("Run a warm start hyperparameter tuning job", "automatic-model-tuning-warm-start")
GRID = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["3", "1", "2"]}]}


def create(aws, script=ECHO, **more):
    name = aws.fresh("search")
    aws.sm.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **tuning_request(script, **more)
    )
    return name


def ended(aws, name):
    return aws.wait(
        aws.sm.describe_hyper_parameter_tuning_job,
        "HyperParameterTuningJobStatus",
        HyperParameterTuningJobName=name,
    )


def trials(aws, name, **more):
    return aws.sm.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, **more
    )["TrainingJobSummaries"]


@cache
def searched(aws):
    """A grid of three, that minimizes x: the job's description."""
    job = ended(aws, create(aws, ranges=GRID, jobs=3, config={"Strategy": "Grid"}))
    assert job["HyperParameterTuningJobStatus"] == "Completed", job
    return job


@promises("Grid search trains every combination of the categorical values once.", HOW)
def a_grid_is_tried_whole(aws):
    tried = [
        trial["TunedHyperParameters"]["x"]
        for trial in trials(aws, searched(aws)["HyperParameterTuningJobName"])
    ]
    assert sorted(tried) == ["1", "2", "3"]


@promises(
    "MaxNumberOfTrainingJobs of a grid may be left out; given, it is the number of combinations.",
    HOW,
)
def a_grid_has_its_number_of_jobs(aws):
    wrong = tuning_request(ranges=GRID, jobs=2, config={"Strategy": "Grid"})
    assert "ValidationException" in refusal(
        aws.sm.create_hyper_parameter_tuning_job, HyperParameterTuningJobName=aws.fresh(), **wrong
    )


@promises("A grid has categorical ranges only.", RANGES)
def a_grid_is_categorical(aws):
    wrong = tuning_request(config={"Strategy": "Grid"})
    assert "ValidationException" in refusal(
        aws.sm.create_hyper_parameter_tuning_job, HyperParameterTuningJobName=aws.fresh(), **wrong
    )


@promises("The best training job is the one with the best objective.", DESCRIBE)
def the_best_job_is_told(aws):
    best = searched(aws)["BestTrainingJob"]
    assert best["TunedHyperParameters"] == {"x": "1"}
    metric = best["FinalHyperParameterTuningJobObjectiveMetric"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 1.0)


@promises("The objective is read from the lines of the log with its regular expression.", METRICS)
def the_objective_is_read_from_lines(aws):
    values = [
        trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for trial in trials(
            aws, searched(aws)["HyperParameterTuningJobName"], SortBy="FinalObjectiveMetricValue"
        )
    ]
    assert values == [1.0, 2.0, 3.0]


@promises("_tuning_objective_metric is passed to each training job.", METRICS)
def the_objective_is_passed(aws):
    job = aws.sm.describe_training_job(
        TrainingJobName=searched(aws)["BestTrainingJob"]["TrainingJobName"]
    )
    assert job["HyperParameters"]["_tuning_objective_metric"] == "loss"


@promises("Static hyperparameters go to each training job as they are.", RANGES)
def static_hyperparameters_are_passed(aws):
    job = aws.sm.describe_training_job(
        TrainingJobName=searched(aws)["BestTrainingJob"]["TrainingJobName"]
    )
    static = searched(aws)["TrainingJobDefinition"]["StaticHyperParameters"]
    assert {key: job["HyperParameters"][key] for key in static} == static


@promises("A training job tells the tuning job that launched it.", reference("DescribeTrainingJob"))
def a_training_job_tells_its_tuning_job(aws):
    job = aws.sm.describe_training_job(
        TrainingJobName=searched(aws)["BestTrainingJob"]["TrainingJobName"]
    )
    assert job["TuningJobArn"] == searched(aws)["HyperParameterTuningJobArn"]


@promises(
    "TrainingJobStatusCounters and ObjectiveStatusCounters count its training jobs.", DESCRIBE
)
def jobs_are_counted(aws):
    assert searched(aws)["TrainingJobStatusCounters"]["Completed"] == 3
    assert searched(aws)["ObjectiveStatusCounters"]["Succeeded"] == 3


@promises(
    "Random values lie within their ranges, and at most MaxNumberOfTrainingJobs jobs are trained.",
    HOW,
)
def random_values_are_within_their_ranges(aws):
    name = create(aws, jobs=2)
    assert ended(aws, name)["HyperParameterTuningJobStatus"] == "Completed"
    values = [int(trial["TunedHyperParameters"]["x"]) for trial in trials(aws, name)]
    assert len(values) == 2
    assert all(1 <= value <= 1000 for value in values)


@promises("Logarithmic scaling is for ranges above 0.", RANGES)
def a_logarithmic_range_is_positive(aws):
    ranges = {
        "ContinuousParameterRanges": [
            {"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}
        ]
    }
    wrong = tuning_request(ranges=ranges)
    assert "ValidationException" in refusal(
        aws.sm.create_hyper_parameter_tuning_job, HyperParameterTuningJobName=aws.fresh(), **wrong
    )


@promises("Reverse logarithmic scaling is for continuous ranges within 0 <= x < 1.", RANGES)
def a_reverse_logarithmic_range_is_below_one(aws):
    for kind, most in (("ContinuousParameterRanges", "1"), ("IntegerParameterRanges", "10")):
        wrong = tuning_request(
            ranges={
                kind: [
                    {
                        "Name": "x",
                        "MinValue": "0",
                        "MaxValue": most,
                        "ScalingType": "ReverseLogarithmic",
                    }
                ]
            }
        )
        assert "ValidationException" in refusal(
            aws.sm.create_hyper_parameter_tuning_job,
            HyperParameterTuningJobName=aws.fresh(),
            **wrong,
        )


@promises(
    "StopHyperParameterTuningJob stops the job and every training job that it runs.",
    reference("StopHyperParameterTuningJob"),
)
def a_stop_stops_the_training_jobs(aws):
    name = create(aws, "sleep 600", jobs=2)
    until(lambda: trials(aws, name))
    aws.sm.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert ended(aws, name)["HyperParameterTuningJobStatus"] == "Stopped"
    assert {trial["TrainingJobStatus"] for trial in trials(aws, name)} == {"Stopped"}


@promises("A tuning job's name has 32 characters at most.", CREATE)
def a_name_has_32_characters(aws):
    assert "ValidationException" in refusal(
        aws.sm.create_hyper_parameter_tuning_job,
        HyperParameterTuningJobName="a" * 33,
        **tuning_request(),
    )


@promises(
    "TrainingJobEarlyStoppingType Auto stops training jobs that do not improve.",
    EARLY,
    differs="refused by name",
)
def jobs_are_stopped_early(aws):
    create(aws, config={"TrainingJobEarlyStoppingType": "Auto"})


@promises(
    "Hyperband gives more resources to configurations that do well.", HOW, differs="refused by name"
)
def hyperband_is_a_strategy(aws):
    create(aws, config={"Strategy": "Hyperband"})


@promises(
    "A warm start uses the training jobs of earlier tuning jobs.", WARM, differs="refused by name"
)
def a_tuning_job_starts_warm(aws):
    parent = {"HyperParameterTuningJobName": searched(aws)["HyperParameterTuningJobName"]}
    warm = {
        "ParentHyperParameterTuningJobs": [parent],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    create(aws, WarmStartConfig=warm)
