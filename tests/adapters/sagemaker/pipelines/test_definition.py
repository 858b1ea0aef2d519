"""The pipeline definition: the same graph, the same text; each step once; conditions that mean what
the local engine's mean.
"""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.sagemaker.pipelines.definition import (
    DefinitionSettings,
    branch_name,
    definition,
)
from isthmus.pipelines.graphs.conditions import all_conditions, holds
from isthmus.pipelines.port import Condition, Output, PipelineRun, StepSpec
from isthmus_stack.aws.services.sagemaker.pipelines.definition.document import parse

SETTINGS = DefinitionSettings(
    role="arn:aws:iam::123456789012:role/ranker",
    image="123456789012.dkr.ecr.us-east-1.amazonaws.com/ranker:1",
    root="s3://bucket/shop",
    machine="ml.m5.large",
    environment={"AWS_DEFAULT_REGION": "us-east-1"},
    tags=(("isthmus:project", "shop"),),
)


def made(*steps, settings=SETTINGS):
    return json.loads(
        definition(
            PipelineRun(
                run_id="0" * 32,
                pipeline="p",
                run_uri="s3://bucket/shop/runs/r1/run.json",
                steps=steps,
            ),
            settings,
        )
    )


def when(step="a", output="x", op=">=", value=0.5):
    return Condition(step=step, output=output, op=op, value=value)


def every(steps):
    """All steps of a definition, with the conditions of the branches that they are in."""
    for step in steps:
        if step["Type"] == "Condition":
            yield from ((inner, step) for inner in step["Arguments"]["IfSteps"])
        else:
            yield step, None


def test_a_task_is_a_processing_job_that_runs_the_one_command():
    (step,) = made(StepSpec(name="count", timeout=timedelta(minutes=10), attempts=2))["Steps"]
    assert (step["Name"], step["Type"]) == ("count", "Processing")
    assert step["Arguments"]["AppSpecification"] == {
        "ImageUri": SETTINGS.image,
        "ContainerEntrypoint": ["python", "-m", "isthmus.pipelines.step"],
        "ContainerArguments": ["--run", {"Get": "Parameters.RunUri"}, "--step", "count"],
    }
    assert step["Arguments"]["RoleArn"] == SETTINGS.role
    assert step["Arguments"]["StoppingCondition"]["MaxRuntimeInSeconds"] >= 20 * 60
    assert step["Arguments"]["Tags"] == [{"Key": "isthmus:project", "Value": "shop"}]


def test_a_training_step_is_a_training_job_on_the_machine_that_it_names():
    (step,) = made(StepSpec(name="fit", kind="training", machine="ml.c5.xlarge"))["Steps"]
    assert step["Type"] == "Training"
    assert step["Arguments"]["ResourceConfig"]["InstanceType"] == "ml.c5.xlarge"
    assert step["Arguments"]["AlgorithmSpecification"]["ContainerArguments"] == [
        "--run",
        {"Get": "Parameters.RunUri"},
        "--step",
        "fit",
    ]
    assert step["Arguments"]["OutputDataConfig"]["S3OutputPath"].startswith("s3://bucket/shop/")


def test_sagemakers_own_cache_is_off_and_the_text_depends_on_the_graph_alone():
    steps = (StepSpec(name="a"), StepSpec(name="b", needs=("a",)))
    one = PipelineRun(
        run_id="0" * 32, pipeline="p", run_uri="s3://bucket/shop/runs/r1/run.json", steps=steps
    )
    other = PipelineRun(
        run_id="1" * 32, pipeline="p", run_uri="s3://bucket/shop/runs/r2/run.json", steps=steps
    )
    assert definition(one, SETTINGS) == definition(other, SETTINGS)
    assert all(step["CacheConfig"] == {"Enabled": False} for step in made(*steps)["Steps"])


def test_only_what_a_condition_reads_has_a_property_file():
    steps = (
        StepSpec(name="a", outputs=(Output(name="x", type="float"),)),
        StepSpec(name="b", outputs=(Output(name="x", type="float"),)),
        StepSpec(name="c", needs=("a",), when=when()),
    )
    by_name = {step["Name"]: step for step, _ in every(made(*steps)["Steps"])}
    assert "PropertyFiles" in by_name["a"]
    assert "PropertyFiles" not in by_name["b"]
    arguments = by_name["a"]["Arguments"]
    (output,) = arguments["ProcessingOutputConfig"]["Outputs"]
    assert arguments["AppSpecification"]["ContainerArguments"][-2:] == [
        "--output-dir",
        output["S3Output"]["LocalPath"],
    ]
    assert by_name["a"]["PropertyFiles"][0]["OutputName"] == output["OutputName"]


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        ("==", "Equals"),
        (">", "GreaterThan"),
        (">=", "GreaterThanOrEqualTo"),
        ("<", "LessThan"),
        ("<=", "LessThanOrEqualTo"),
    ],
)
def test_an_operator_keeps_its_meaning(op, kind):
    steps = made(
        StepSpec(name="a"), StepSpec(name="c", needs=("a",), when=when(op=op, value=0.25))
    )["Steps"]
    (branch,) = [step for step in steps if step["Type"] == "Condition"]
    (found,) = branch["Arguments"]["Conditions"]
    assert (found["Type"], found["RightValue"]) == (kind, 0.25)
    assert found["LeftValue"]["Std:JsonGet"] == {
        "PropertyFile": {"Get": "Steps.a.PropertyFiles.values"},
        "Path": "x",
    }


def test_a_condition_is_never_inside_another_branch():
    """SageMaker refuses nested condition steps."""
    steps = (
        StepSpec(name="a"),
        StepSpec(name="b", needs=("a",), when=when()),
        StepSpec(name="c", needs=("b",), when=when(step="b", op="<")),
        StepSpec(name="d", needs=("c",)),
    )
    found = made(*steps)["Steps"]
    branches = {step["Name"]: step for step in found if step["Type"] == "Condition"}
    assert len(branches) == 2
    assert all(
        inner["Type"] != "Condition"
        for branch in branches.values()
        for inner in branch["Arguments"]["IfSteps"]
    )
    last = branches[branch_name(all_conditions(steps)["d"])]
    assert [inner["Name"] for inner in last["Arguments"]["IfSteps"]] == ["c", "d"]
    assert last["DependsOn"] == ["a", "b"]


@st.composite
def graphs(draw):
    """Steps in order; each may need earlier ones and may be conditional on one of them."""
    steps = []
    for at in range(draw(st.integers(1, 7))):
        before = [step.name for step in steps]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        condition = None
        if before and draw(st.booleans()):
            condition = when(
                step=draw(st.sampled_from(before)),
                op=draw(st.sampled_from([">", "<="])),
                value=draw(st.sampled_from([0, 1])),
            )
            needs = list(dict.fromkeys([*needs, condition.step]))
        steps.append(
            StepSpec(
                name=f"s{at}",
                needs=tuple(needs),
                when=condition,
                outputs=(Output(name="x", type="int"),),
            )
        )
    return tuple(steps), {step.name: draw(st.integers(0, 2)) for step in steps}


@given(graphs())
def test_every_step_is_there_once_and_the_definition_is_one_that_a_service_takes(graph):
    steps, _ = graph
    document = made(*steps)
    placed = list(every(document["Steps"]))
    assert sorted(step["Name"] for step, _ in placed) == sorted(step.name for step in steps)
    assert {step["Name"]: tuple(step.get("DependsOn", ())) for step, _ in placed} == {
        step.name: step.needs for step in steps
    }
    parsed = parse(json.dumps(document))
    assert {step.name for step in steps} <= set(parsed.steps)


@given(graphs())
def test_flat_branches_run_exactly_what_nested_conditions_would(graph):
    """Ours: a step runs when its condition holds and all that it needs ran.

    Flattened: when all inherited conditions hold.
    """
    steps, values = graph
    ran = set()
    for step in steps:
        if set(step.needs) <= ran and (
            step.when is None or holds(step.when, {"x": values[step.when.step]})
        ):
            ran.add(step.name)
    flat = {
        name
        for name, conditions in all_conditions(steps).items()
        if all(holds(c, {"x": values[c.step]}) for c in conditions)
    }
    assert flat == ran
