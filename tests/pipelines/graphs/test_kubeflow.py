"""The one writer of Kubeflow's representation: the same graph, the same document; what kfp itself
takes; conditions that mean ours.
"""

import json
from importlib.util import find_spec

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from isthmus.pipelines.graphs.conditions import holds
from isthmus.pipelines.graphs.kubeflow import RUN_URI, Resources, Settings, document, task_name
from isthmus.pipelines.port import Condition, Output, PipelineRun, StepSpec
from isthmus_stack.gcp.services.aiplatform.pipelines.specification import expressions
from isthmus_stack.gcp.services.aiplatform.pipelines.specification import validation as reading

SETTINGS = Settings(
    name="shop-train",
    image="us-docker.pkg.dev/p/r/ranker:1",
    environment={"B": "2", "A": "1"},
    machines={"m": Resources(cpu=4, memory_gb=16)},
)


def written(*steps, run="r1", **more):
    uri = f"gs://bucket/shop/runs/{run}/run.json"
    return document(
        PipelineRun(run_id=run, pipeline="train", run_uri=uri, steps=steps), SETTINGS, **more
    )


def when(step="measure", output="auc", op=">=", value=0.5):
    return Condition(step=step, output=output, op=op, value=value)


MEASURE = StepSpec(
    name="measure",
    outputs=(Output(name="auc", type="float"), Output(name="name", type="string")),
    machine="m",
)


def test_a_step_is_one_container_with_the_command_that_it_has_everywhere():
    executor = written(MEASURE)["deploymentSpec"]["executors"]["exec-measure"]["container"]
    assert executor["command"] == ["python", "-m", "isthmus.pipelines.step"]
    outputs = [
        word
        for name in ("auc", "name")
        for word in ("--output", name, f"{{{{$.outputs.parameters['{name}'].output_file}}}}")
    ]
    assert executor["args"] == [
        "--run",
        "{{$.inputs.parameters['run_uri']}}",
        "--step",
        "measure",
        *outputs,
    ]
    assert executor["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert executor["resources"] == {
        "cpuLimit": 4,
        "memoryLimit": 16,
        "resourceCpuLimit": "4",
        "resourceMemoryLimit": "16G",
    }


def test_the_document_depends_on_the_graph_alone_and_leaves_caching_and_retries_to_us():
    steps = (MEASURE, StepSpec(name="after", needs=("measure",), attempts=3))
    assert written(*steps) == written(*steps, run="r2")
    for task in written(*steps)["root"]["dag"]["tasks"].values():
        assert task["cachingOptions"] == {"enableCache": False}
        assert "retryPolicy" not in task
    assert written(*steps, default_run=True)["root"]["inputDefinitions"]["parameters"][RUN_URI][
        "defaultValue"
    ].endswith("/r1/run.json")


kfp = pytest.mark.skipif(not find_spec("kfp"), reason="kfp is not installed: it judges nothing")


@kfp
def test_kfps_own_loader_takes_the_document():
    from kfp import components

    loaded = components.load_component_from_text(
        yaml.safe_dump(written(MEASURE, StepSpec(name="register_model", when=when())))
    )
    assert set(loaded.pipeline_spec.root.dag.tasks) == {"measure", "register-model"}
    assert set(loaded.component_spec.inputs) == {RUN_URI}


@kfp
def test_kfps_own_engine_sees_the_same_graph():
    from kfp import components
    from kfp.local import graph_utils

    steps = (
        MEASURE,
        StepSpec(name="good", when=when()),
        StepSpec(name="beside"),
        StepSpec(name="last", needs=("good", "beside")),
    )
    tasks = components.load_component_from_text(
        yaml.safe_dump(written(*steps))
    ).pipeline_spec.root.dag.tasks
    graph = {name: set(task.dependent_tasks) for name, task in tasks.items()}
    assert graph == {
        "measure": set(),
        "good": {"measure"},
        "beside": set(),
        "last": {"good", "beside", "measure"},
    }
    order = graph_utils.topological_sort_tasks(tasks)[::-1]
    assert all(
        order.index(before) < order.index(name) for name, needs in graph.items() for before in needs
    )


@kfp
def test_kfps_protobuf_takes_the_document_and_refuses_a_key_that_it_does_not_know():
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    text = json.dumps(written(MEASURE, StepSpec(name="last", when=when())))
    assert (
        json_format.Parse(text, pipeline_spec_pb2.PipelineSpec())
        .root.dag.tasks["last"]
        .trigger_policy.condition
    )
    unknown = json.loads(text)
    unknown["root"]["dag"]["tasks"]["last"]["when"] = {}
    with pytest.raises(json_format.ParseError, match="when"):
        json_format.Parse(json.dumps(unknown), pipeline_spec_pb2.PipelineSpec())


def test_a_step_has_the_conditions_of_what_it_needs():
    tasks = written(
        MEASURE,
        StepSpec(name="good", needs=("measure",), when=when()),
        StepSpec(name="next", needs=("good",), when=when(op="<", value=0.9)),
    )["root"]["dag"]["tasks"]
    first = "inputs.parameter_values['measure--auc'] >= 0.5"
    assert tasks["good"]["triggerPolicy"]["condition"] == first
    assert (
        tasks["next"]["triggerPolicy"]["condition"]
        == f"{first} && inputs.parameter_values['measure--auc'] < 0.9"
    )
    assert tasks["next"]["dependentTasks"] == ["good", "measure"]


VALUES = {
    "float": st.floats(-3, 3) | st.integers(-3, 3),
    "int": st.integers(-3, 3),
    "bool": st.booleans(),
    "string": st.text("a'\"\\ \n{é", max_size=4),
}


@given(st.data())
def test_a_condition_is_judged_as_ours_is(data):
    kind = data.draw(st.sampled_from(sorted(VALUES)))
    op = data.draw(
        st.sampled_from(["==", ">", ">=", "<", "<="] if kind in ("int", "float") else ["=="])
    )
    bound = data.draw(VALUES["float"] if kind == "int" else VALUES[kind])
    value = data.draw(VALUES[kind])
    producer = StepSpec(name="a", outputs=(Output(name="x", type=kind),))
    condition = when(step="a", output="x", op=op, value=bound)
    task = written(producer, StepSpec(name="b", when=condition))["root"]["dag"]["tasks"]["b"]
    judged = expressions.holds(
        task["triggerPolicy"]["condition"], {"parameter_values": {"a--x": value}}
    )
    assert judged is holds(condition, {"x": value})


@st.composite
def graphs(draw):
    steps = []
    for at in range(draw(st.integers(1, 7))):
        before = [step.name for step in steps]
        needs = draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else []
        condition = (
            when(step=draw(st.sampled_from(before)), output="x", value=draw(st.integers(0, 2)))
            if before and draw(st.booleans())
            else None
        )
        steps.append(
            StepSpec(
                name=f"s_{at}",
                needs=tuple(needs),
                when=condition,
                outputs=(Output(name="x", type="int"),),
            )
        )
    return tuple(steps), {step.name: draw(st.integers(0, 2)) for step in steps}


@given(graphs())
def test_every_step_is_a_task_and_runs_exactly_when_ours_would(graph):
    steps, values = graph
    pipeline = reading.read(written(*steps))
    ran = set()
    for step in steps:
        before = {*step.needs, *([step.when.step] if step.when else [])}
        if before <= ran and (step.when is None or holds(step.when, {"x": values[step.when.step]})):
            ran.add(step.name)
    judged = set()
    for step in steps:
        task = pipeline.root.dag.tasks[task_name(step.name)]
        assert {task_name(name) for name in step.needs} <= set(reading.upstream_tasks(task))
        inputs = {
            name: values[source.task_output_parameter.producer_task.replace("-", "_")]
            for name, source in task.inputs.parameters.items()
            if source.task_output_parameter
        }
        condition = task.trigger_policy.condition
        if not condition or expressions.holds(condition, {"parameter_values": inputs}):
            judged.add(step.name)
    assert judged == ran
