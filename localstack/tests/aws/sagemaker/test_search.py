"""Search finds what the stack itself keeps, by filters, in an order, in pages."""

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing import stacks
from isthmus_stack.testing.endpoints_kit import ROLE, Kit

DEFINITION = (
    '{"Version": "2020-12-01", "Steps": [{"Name": "no", "Type": "Fail", "Arguments": '
    '{"ErrorMessage": "no"}}]}'
)


@pytest.fixture(scope="module")
def process():
    return stacks.shared("manual")


@pytest.fixture
def kit(process):
    made = Kit(process.url)
    made.stack.reset()
    return made


@pytest.fixture
def pipelines(kit):
    """Three pipelines, ten seconds after each other; the first is changed last."""
    for name in ("one", "two", "three"):
        kit.sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinition=DEFINITION,
            RoleArn=ROLE,
            ClientRequestToken=name * 11,
            Tags=[{"Key": "length", "Value": str(len(name))}],
        )
        kit.stack.advance(10)
    kit.sagemaker.update_pipeline(PipelineName="one", PipelineDescription="changed")
    return kit


def found(kit, *filters, operator="And", **more):
    expression = (
        {"SearchExpression": {"Filters": list(filters), "Operator": operator}} if filters else {}
    )
    answer = kit.sagemaker.search(Resource="Pipeline", **expression, **more)
    return [result["Pipeline"]["PipelineName"] for result in answer["Results"]]


def where(name, operator, value=None):
    return {"Name": name, "Operator": operator, **({"Value": value} if value is not None else {})}


def test_what_changed_last_comes_first_unless_the_call_sorts(pipelines):
    assert found(pipelines) == ["one", "three", "two"]
    assert found(pipelines, SortBy="CreationTime", SortOrder="Ascending") == ["one", "two", "three"]
    assert found(pipelines, SortBy="PipelineName") == ["two", "three", "one"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([where("PipelineName", "Equals", "two")], {"two"}),
        ([where("PipelineName", "NotEquals", "two")], {"one", "three"}),
        ([where("PipelineName", "Contains", "t")], {"two", "three"}),
        ([where("PipelineName", "In", "one, two")], {"one", "two"}),
        ([where("Tags.length", "Equals", "3")], {"one", "two"}),
        ([where("Tags.length", "Equals", "3"), where("PipelineName", "Contains", "w")], {"two"}),
        ([where("PipelineDescription", "Exists")], {"one"}),
        ([where("PipelineDescription", "NotExists")], {"two", "three"}),
        ([where("Tags.nothing", "NotEquals", "3")], {"one", "two", "three"}),
    ],
)
def test_filters_choose(pipelines, filters, names):
    assert set(found(pipelines, *filters)) == names


def test_times_are_compared_as_times_and_or_takes_either(pipelines):
    second = pipelines.sagemaker.describe_pipeline(PipelineName="two")["CreationTime"].isoformat()
    assert set(found(pipelines, where("CreationTime", "GreaterThanOrEqualTo", second))) == {
        "two",
        "three",
    }
    assert set(found(pipelines, where("CreationTime", "LessThan", second))) == {"one"}
    assert set(
        found(
            pipelines,
            where("PipelineName", "Equals", "one"),
            where("PipelineName", "Equals", "three"),
            operator="Or",
        )
    ) == {
        "one",
        "three",
    }


def test_sub_expressions_are_taken_together_with_the_filters(pipelines):
    either = {
        "Operator": "Or",
        "Filters": [
            where("PipelineName", "Equals", "one"),
            where("PipelineName", "Equals", "three"),
        ],
    }
    answer = pipelines.sagemaker.search(
        Resource="Pipeline",
        SearchExpression={
            "Filters": [where("Tags.length", "Equals", "3")],
            "SubExpressions": [either],
        },
    )
    assert [result["Pipeline"]["PipelineName"] for result in answer["Results"]] == ["one"]


def test_pages_together_are_everything_once(pipelines):
    pages = pipelines.sagemaker.get_paginator("search").paginate(
        Resource="Pipeline", PaginationConfig={"PageSize": 1}
    )
    assert [result["Pipeline"]["PipelineName"] for page in pages for result in page["Results"]] == [
        "one",
        "three",
        "two",
    ]


def test_an_approval_is_found_and_a_deleted_package_is_not(kit):
    kit.sagemaker.create_model_package_group(ModelPackageGroupName="g")
    arns = [
        kit.sagemaker.create_model_package(ModelPackageGroupName="g")["ModelPackageArn"]
        for _ in range(2)
    ]
    kit.sagemaker.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")
    approved = {
        "Filters": [
            where("ModelApprovalStatus", "Equals", "Approved"),
            where("ModelPackageVersion", "GreaterThan", "1"),
        ]
    }

    def search():
        results = kit.sagemaker.search(Resource="ModelPackage", SearchExpression=approved)[
            "Results"
        ]
        return [result["ModelPackage"]["ModelPackageArn"] for result in results]

    assert search() == [arns[1]]
    kit.sagemaker.delete_model_package(ModelPackageName=arns[1])
    assert search() == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ({"Filters": [where("PipelineName", "Equals")]}, "needs a Value"),
        (
            {"Filters": [where("CreationTime", "LessThan", "yesterday evening")]},
            "cannot be compared",
        ),
        (
            {
                "NestedFilters": [
                    {
                        "NestedPropertyName": "InputDataConfig",
                        "Filters": [where("a", "Equals", "b")],
                    }
                ]
            },
            "NestedFilters",
        ),
    ],
)
def test_what_it_cannot_judge_is_refused(pipelines, expression, words):
    with pytest.raises(ClientError, match=words) as error:
        pipelines.sagemaker.search(Resource="Pipeline", SearchExpression=expression)
    assert error.value.response["Error"]["Code"] == "ValidationException"


def test_components_trials_and_experiments_are_found_by_their_tags_and_parents(kit):
    sagemaker, tag = kit.sagemaker, [{"Key": "team", "Value": "ranking"}]
    sagemaker.create_experiment(ExperimentName="exp", Tags=tag)
    sagemaker.create_trial(TrialName="trial", ExperimentName="exp", Tags=tag)
    for name in ("tagged", "later", "other"):
        sagemaker.create_trial_component(
            TrialComponentName=name, **({"Tags": tag} if name == "tagged" else {})
        )
    later = sagemaker.describe_trial_component(TrialComponentName="later")["TrialComponentArn"]
    sagemaker.add_tags(ResourceArn=later, Tags=tag)
    sagemaker.associate_trial_component(TrialComponentName="other", TrialName="trial")

    def names(resource, kind, *filters):
        results = sagemaker.search(Resource=resource, SearchExpression={"Filters": list(filters)})[
            "Results"
        ]
        return {result[kind][f"{kind}Name"] for result in results}

    by_tag = where("Tags.team", "Equals", "ranking")
    assert names("ExperimentTrialComponent", "TrialComponent", by_tag) == {"tagged", "later"}
    assert names("ExperimentTrial", "Trial", by_tag) == {"trial"}
    assert names("Experiment", "Experiment", by_tag) == {"exp"}
    assert names(
        "ExperimentTrialComponent", "TrialComponent", where("Parents.TrialName", "Equals", "trial")
    ) == {"other"}
    sagemaker.delete_trial_component(TrialComponentName="tagged")
    assert names("ExperimentTrialComponent", "TrialComponent", by_tag) == {"later"}
    with pytest.raises(ClientError, match="Unknown property name: TrialName"):
        names("ExperimentTrialComponent", "TrialComponent", where("TrialName", "Equals", "trial"))


def test_a_feature_is_found_by_its_group_and_its_parameters(kit):
    features = [{"FeatureName": name, "FeatureType": "String"} for name in ("item", "at")]
    kit.sagemaker.create_feature_group(
        FeatureGroupName="items",
        RecordIdentifierFeatureName="item",
        EventTimeFeatureName="at",
        FeatureDefinitions=features,
        OnlineStoreConfig={"EnableOnlineStore": True},
        RoleArn=ROLE,
    )
    parameters = [{"Key": "kind", "Value": "key"}, {"Key": "owner.team", "Value": "shop"}]
    kit.sagemaker.update_feature_metadata(
        FeatureGroupName="items", FeatureName="item", ParameterAdditions=parameters
    )

    def names(*filters):
        results = kit.sagemaker.search(
            Resource="FeatureMetadata", SearchExpression={"Filters": list(filters)}
        )["Results"]
        return [result["FeatureMetadata"]["FeatureName"] for result in results]

    assert sorted(names(where("FeatureGroupName", "Contains", "ite"))) == ["at", "item"]
    assert names(
        where("FeatureGroupName", "Equals", "items"), where("Parameters.kind", "Equals", "key")
    ) == ["item"]
    assert names(where("Parameters.owner.team", "Equals", "shop")) == ["item"]
    assert names(where("Parameters.kind", "Equals", "other")) == []
