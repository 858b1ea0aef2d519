"""Search, and experiments."""

from functools import cache

from isthmus_stack.testing.jobs_kit import ROLE
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

SEARCH = reference("Search")
FILTER = reference("Filter")
EXPERIMENTS = guide("Amazon SageMaker Experiments", "experiments")


def search(aws, resource, *filters, **more):
    expression = {"SearchExpression": {"Filters": list(filters), **more}}
    return aws.sm.search(Resource=resource, **expression)["Results"]


def named(key, value, operator="Equals"):
    return {"Name": key, "Operator": operator, "Value": value}


@cache
def groups(aws):
    """The prefix of three tagged groups of the registry."""
    prefix = aws.fresh("search")
    for name, team in (("a", "ranking"), ("b", "search"), ("c", "ranking")):
        aws.sm.create_model_package_group(
            ModelPackageGroupName=f"{prefix}-{name}", Tags=[{"Key": "team", "Value": team}]
        )
    return prefix


def names(results):
    return [result["ModelPackageGroup"]["ModelPackageGroupName"] for result in results]


@promises("Filters are all to hold.", FILTER)
def filters_are_all_to_hold(aws):
    prefix = groups(aws)
    results = search(
        aws,
        "ModelPackageGroup",
        named("ModelPackageGroupName", prefix, "Contains"),
        named("Tags.team", "search"),
    )
    assert names(results) == [f"{prefix}-b"]


@promises("Operator Or lets one filter be enough.", reference("SearchExpression"))
def one_filter_may_be_enough(aws):
    prefix = groups(aws)
    either = [
        named("ModelPackageGroupName", f"{prefix}-a"),
        named("ModelPackageGroupName", f"{prefix}-b"),
    ]
    assert sorted(names(search(aws, "ModelPackageGroup", *either, Operator="Or"))) == [
        f"{prefix}-a",
        f"{prefix}-b",
    ]


@promises(
    "Results are sorted by the last change, the latest first, unless SortBy says otherwise.", SEARCH
)
def the_latest_comes_first(aws):
    assert aws.trained["TrainingJobName"] == "trained"
    later = aws.train("true")["TrainingJobName"]
    results = [
        result["TrainingJob"]["TrainingJobName"]
        for result in aws.sm.search(Resource="TrainingJob", MaxResults=100)["Results"]
    ]
    assert results.index(later) < results.index("trained")


@promises("In takes values between commas.", FILTER)
def in_takes_several_values(aws):
    prefix = groups(aws)
    results = search(
        aws, "ModelPackageGroup", named("ModelPackageGroupName", f"{prefix}-a,{prefix}-c", "In")
    )
    assert sorted(names(results)) == [f"{prefix}-a", f"{prefix}-c"]


@promises("NextToken goes on where MaxResults ended an answer.", SEARCH)
def results_come_in_pages(aws):
    prefix = groups(aws)
    expression = {"Filters": [named("ModelPackageGroupName", prefix, "Contains")]}
    first = aws.sm.search(Resource="ModelPackageGroup", SearchExpression=expression, MaxResults=2)
    second = aws.sm.search(
        Resource="ModelPackageGroup",
        SearchExpression=expression,
        MaxResults=2,
        NextToken=first["NextToken"],
    )
    assert (len(first["Results"]), len(second["Results"])) == (2, 1)


@promises("Training jobs are found by their hyperparameters, as numbers.", FILTER)
def jobs_are_found_by_hyperparameters(aws):
    assert aws.trained["HyperParameters"] == {"depth": "3"}
    results = search(aws, "TrainingJob", named("HyperParameters.depth", "2", "GreaterThan"))
    assert [result["TrainingJob"]["TrainingJobName"] for result in results] == ["trained"]


@cache
def tracked(aws):
    """An experiment with one trial and one component."""
    name = aws.fresh("experiment")
    aws.sm.create_experiment(ExperimentName=name)
    aws.sm.create_trial(TrialName=f"{name}-t", ExperimentName=name)
    aws.sm.create_trial_component(
        TrialComponentName=f"{name}-c",
        Parameters={"depth": {"NumberValue": 3}},
        Tags=[{"Key": "experiment", "Value": name}],
    )
    aws.sm.associate_trial_component(TrialName=f"{name}-t", TrialComponentName=f"{name}-c")
    return name


@promises(
    "A trial belongs to an experiment, and its components are associated with it.", EXPERIMENTS
)
def components_belong_to_trials(aws):
    name = tracked(aws)
    trials = aws.sm.list_trials(ExperimentName=name)["TrialSummaries"]
    assert [trial["TrialName"] for trial in trials] == [f"{name}-t"]
    components = aws.sm.list_trial_components(TrialName=f"{name}-t")["TrialComponentSummaries"]
    assert [component["TrialComponentName"] for component in components] == [f"{name}-c"]


@promises("A component keeps its parameters.", reference("CreateTrialComponent"))
def parameters_are_kept(aws):
    told = aws.sm.describe_trial_component(TrialComponentName=f"{tracked(aws)}-c")
    assert told["Parameters"] == {"depth": {"NumberValue": 3.0}}


@promises(
    "The name of an experiment is unique in its account and region.",
    reference("CreateExperiment"),
    differs="moto makes it again",
)
def experiment_names_are_unique(aws):
    assert refusal(aws.sm.create_experiment, ExperimentName=tracked(aws))


@promises(
    "A trial with components is not deleted.", reference("DeleteTrial"), differs="moto deletes it"
)
def a_trial_is_deleted_empty(aws):
    name = aws.fresh("experiment")
    aws.sm.create_experiment(ExperimentName=name)
    aws.sm.create_trial(TrialName=name, ExperimentName=name)
    aws.sm.create_trial_component(TrialComponentName=name)
    aws.sm.associate_trial_component(TrialName=name, TrialComponentName=name)
    assert refusal(aws.sm.delete_trial, TrialName=name)


@promises("Trial components are found by their tags.", SEARCH)
def components_are_found_by_tag(aws):
    results = search(aws, "ExperimentTrialComponent", named("Tags.experiment", tracked(aws)))
    assert [result["TrialComponent"]["TrialComponentName"] for result in results] == [
        f"{tracked(aws)}-c"
    ]


@promises(
    "A job with an ExperimentConfig is a component of its trial.",
    reference("ExperimentConfig"),
    differs="stored and told again; no component is made of it",
)
def a_job_becomes_a_component(aws):
    name = tracked(aws)
    aws.train("true", ExperimentConfig={"ExperimentName": name, "TrialName": f"{name}-t"})
    assert len(aws.sm.list_trial_components(TrialName=f"{name}-t")["TrialComponentSummaries"]) == 2


@promises("A model's creation names an execution role.", reference("CreateModel"))
def a_role_is_kept(aws):
    told = aws.sm.describe_model(ModelName=aws.blue)
    assert told["ExecutionRoleArn"] == ROLE
