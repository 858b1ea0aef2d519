"""Argo: reviewed text, Argo's own schema, and what an interpreter of Argo's reference makes of the
document.
"""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines.graphs.argo import document
from isthmus.pipelines.graphs.conditions import holds
from isthmus.pipelines.graphs.kubeflow import Resources, Settings, task_name
from isthmus.pipelines.port import Condition, Output, PipelineRun, StepSpec
from isthmus.tests.pipelines.graphs.argo_interpreter import Workflow

GOLDEN = Path(__file__).parent / "argo.yaml"
SETTINGS = Settings(
    name="shop-train",
    image="registry/ranker:1",
    environment={"A": "1"},
    machines={"m": Resources(cpu=4, memory_gb=16)},
)
CONDITION = Condition(step="measure", output="auc", op=">=", value=0.6)
STEPS = (
    StepSpec(
        name="measure",
        outputs=(Output(name="auc", type="float"), Output(name="label", type="string")),
        machine="m",
        attempts=2,
    ),
    StepSpec(
        name="register_model", needs=("measure",), when=CONDITION, timeout=timedelta(minutes=5)
    ),
    StepSpec(name="report", needs=("register_model",)),
)


def written(*steps):
    return document(
        PipelineRun(
            run_id="0" * 32, pipeline="train", run_uri="gs://b/shop/runs/r1/run.json", steps=steps
        ),
        SETTINGS,
    )


def execute(workflow_document, values=None, phases=()):
    """`values`: step -> its outputs; `phases`: what pods end in, by step, one after another; then
    Succeeded.
    """
    left = {step: list(ends) for step, ends in dict(phases).items()}

    def pod(_template, args):
        step = args[args.index("--step") + 1]
        assert args[:2] == ["--run", "gs://b/shop/runs/r1/run.json"]
        phase = left[step].pop(0) if left.get(step) else "Succeeded"
        files = (
            {
                args[at + 2]: values[step][args[at + 1]]
                for at, word in enumerate(args)
                if word == "--output"
            }
            if values
            else {}
        )
        texts = {
            path: v if isinstance(v, str) else msgspec.json.encode(v).decode()
            for path, v in files.items()
        }
        return phase, texts if phase == "Succeeded" else {}

    workflow = Workflow(workflow_document, pod)
    return workflow, workflow.run()


def test_the_text_is_the_one_that_was_reviewed():
    assert yaml.safe_dump(written(*STEPS), sort_keys=False, width=140) == GOLDEN.read_text()


def test_argos_own_schema_loses_nothing_of_it():
    models = pytest.importorskip(
        "hera.workflows.models", reason="hera is not installed: Argo's schema judges nothing"
    )
    whole = written(*STEPS)
    assert (
        models.Workflow.model_validate(whole).model_dump(
            by_alias=True, exclude_unset=True, mode="json"
        )
        == whole
    )


def test_a_step_runs_when_its_condition_holds_and_what_needs_a_skipped_one_does_not_run():
    good = execute(written(*STEPS), {"measure": {"auc": 0.6, "label": "x"}})[1]
    assert good == {"measure": "Succeeded", "register-model": "Succeeded", "report": "Succeeded"}
    bad = execute(written(*STEPS), {"measure": {"auc": 0.59, "label": "x"}})[1]
    assert bad == {"measure": "Succeeded", "register-model": "Skipped", "report": "Omitted"}


def test_a_lost_pod_is_started_again_and_a_command_that_failed_is_not():
    steps = (StepSpec(name="a"), StepSpec(name="b", needs=("a",)), StepSpec(name="c"))
    workflow, phases = execute(written(*steps), phases={"a": ["Error", "Error"], "c": ["Failed"]})
    assert phases == {"a": "Succeeded", "b": "Succeeded", "c": "Failed"}
    assert [workflow.order.count(name) for name in ("a", "c")] == [3, 1]
    assert execute(written(*steps), phases={"a": ["Failed"]})[1]["b"] == "Omitted"


def test_names_are_kubernetes_and_deadlines_cover_every_attempt():
    templates = {template["name"]: template for template in written(*STEPS)["spec"]["templates"]}
    assert set(templates) == {"run", "step-measure", "step-register-model", "step-report"}
    assert templates["step-measure"]["activeDeadlineSeconds"] >= 2 * 3600


TEXTS = ("x", "it's", 'a "quote"', "{{=1}}", "é\n")


@pytest.mark.parametrize("wanted", TEXTS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_value_cannot_leave_its_condition(text, wanted):
    label = Condition(step="a", output="x", op="==", value=wanted)
    steps = (
        StepSpec(name="a", outputs=(Output(name="x", type="string"),)),
        StepSpec(name="b", when=label),
    )
    assert execute(written(*steps), {"a": {"x": text}})[1]["b"] == (
        "Succeeded" if text == wanted else "Skipped"
    )


@st.composite
def graphs(draw):
    steps = []
    for at in range(draw(st.integers(1, 7))):
        before = [step.name for step in steps]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        condition = None
        if before and draw(st.booleans()):
            op = draw(st.sampled_from(["==", ">", "<="]))
            condition = Condition(
                step=draw(st.sampled_from(before)), output="x", op=op, value=draw(st.integers(0, 2))
            )
        steps.append(
            StepSpec(
                name=f"s_{at}",
                needs=tuple(needs),
                when=condition,
                outputs=(Output(name="x", type="int"),),
            )
        )
    return tuple(steps), {step.name: {"x": draw(st.integers(0, 2))} for step in steps}


@given(graphs())
def test_argo_runs_exactly_what_our_engine_runs(graph):
    steps, values = graph
    ran = []
    for step in steps:
        before = {*step.needs, *([step.when.step] if step.when else [])}
        if before <= set(ran) and (step.when is None or holds(step.when, values[step.when.step])):
            ran.append(step.name)
    workflow, phases = execute(written(*steps), values)
    assert {name for name, phase in phases.items() if phase == "Succeeded"} == set(
        map(task_name, ran)
    )
    for step in steps:
        for name in step.needs:
            if step.name in ran:
                assert workflow.order.index(task_name(name)) < workflow.order.index(
                    task_name(step.name)
                )
