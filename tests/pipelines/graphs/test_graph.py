"""A graph is right before anything is submitted, and its errors name the step and what there is
instead.
"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.pipelines.graphs.graph import (
    Artifact,
    Parameter,
    Pipeline,
    Step,
    Value,
    check,
    check_parameters,
    dependencies,
    fits,
    topological_order,
)
from isthmus.pipelines.port import Condition, Output

AUC = (Output(name="auc", type="float"),)
OTHER = Step(
    name="fit",
    command=("true",),
    outputs=(*AUC, Output(name="word", type="string")),
    artifacts=("model",),
)


def wrong(*steps, parameters=None):
    with pytest.raises(Invalid) as found:
        check(Pipeline(name="train", steps=steps, parameters=parameters or {}))
    return str(found.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": None}, "needs either a command or a function"),
        ({"function": "m:f"}, "needs either a command or a function"),
        ({"command": ()}, "its command is empty"),
        (
            {"command": None, "function": "module.f"},
            "'module.f' is not of the form package.module:function",
        ),
        ({"command": None, "function": ""}, "'' is not of the form package.module:function"),
        ({"name": "My-Step"}, "'My-Step' is no name"),
        ({"name": "a" * 29}, "at most 28"),
        ({"attempts": 0}, "attempts is 0"),
        ({"timeout": timedelta(0)}, "timeout is 0:00:00"),
        ({"needs": ("fti",)}, "it needs fti, which is no step (there is fit, step)"),
        (
            {"inputs": {"m": Artifact("fit", "modle")}},
            "input m: step fit has no artifact modle (it has model)",
        ),
        ({"inputs": {"m": "data/x.csv"}}, "input m: 'data/x.csv' is no URI"),
        (
            {"parameters": {"a": Value("fit", "acu")}},
            "parameter a: step fit has no output acu (it has auc, word)",
        ),
        (
            {"parameters": {"a": Parameter("C")}},
            "parameter a: C is no parameter of the pipeline (it has none)",
        ),
        (
            {"command": ("x", "{inputs.rows}")},
            "its command uses {inputs.rows}, but its inputs are none",
        ),
        ({"outputs": AUC, "artifacts": ("auc",)}, "auc is both an output and an artifact"),
        (
            {"when": Condition(step="fit", output="acu", op=">", value=0.5)},
            "step fit has no output acu (it has auc, word)",
        ),
        (
            {"when": Condition(step="fit", output="auc", op=">", value="high")},
            "compares fit.auc, a float, with 'high'",
        ),
        (
            {"when": Condition(step="fit", output="word", op="<", value="b")},
            "orders fit.word, a string, by <; only == is possible",
        ),
    ],
)
def test_a_mistake_is_named_with_its_step(fields, words):
    fields = {"name": "step", "command": ("true",)} | fields
    text = wrong(OTHER, Step(**fields))
    assert words in text
    assert fields["name"] in text


def test_a_condition_over_a_training_step_is_refused_for_all_targets():
    trained = Step(name="fit", kind="training", command=("true",), outputs=AUC)
    when = Condition(step="fit", output="auc", op=">", value=0.5)
    assert "a training step" in wrong(trained, Step(name="after", command=("true",), when=when))


def test_a_circle_is_shown():
    steps = [
        Step(name=name, command=("true",), needs=(need,))
        for name, need in (("a", "c"), ("b", "a"), ("c", "b"))
    ]
    assert "a -> c -> b -> a" in wrong(Step(name="free", command=("true",)), *steps)


def test_all_mistakes_come_at_once():
    text = wrong(Step(name="a", command=("true",), attempts=0), Step(name="a", command=()))
    assert text.startswith("pipeline train: 3 problems")


def test_braces_that_are_no_placeholder_stay_what_they_are():
    check(Pipeline(name="train", steps=(Step(name="a", command=("jq", '{"x": {y}}', "{values}")),)))


def test_parameters_are_checked_by_name_and_type():
    pipeline = Pipeline(
        name="train", steps=(OTHER,), parameters={"C": "float", "n": "int", "deep": "bool"}
    )
    check_parameters(pipeline, {"C": 1, "n": 2, "deep": True})
    with pytest.raises(Invalid) as found:
        check_parameters(pipeline, {"C": True, "n": 2.5, "depth": 1})
    for words in (
        "deep is missing (bool)",
        "depth is no parameter",
        "C is True, not a float",
        "n is 2.5, not an int",
    ):
        assert words in str(found.value)


def test_an_int_is_a_float_and_a_bool_is_neither():
    assert fits(1, "float")
    assert not fits(True, "int")
    assert not fits(True, "float")
    assert not fits(1, "bool")


@st.composite
def graphs(draw):
    """Steps in a random written order, each needing some of those before it in a hidden order."""
    count = draw(st.integers(1, 12))
    needs = [
        draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        for index in range(count)
    ]
    steps = [
        Step(name=f"s{i}", command=("true",), needs=tuple(f"s{need}" for need in sorted(needs[i])))
        for i in range(count)
    ]
    return Pipeline(name="any", steps=tuple(draw(st.permutations(steps))))


@given(graphs())
def test_every_graph_without_a_circle_is_ordered_once_and_after_its_needs(pipeline):
    order = [step.name for step in topological_order(pipeline)]
    assert sorted(order) == sorted(step.name for step in pipeline.steps)
    for step in pipeline.steps:
        assert all(order.index(need) < order.index(step.name) for need in dependencies(step))


@given(graphs(), st.data())
def test_closing_any_path_into_a_circle_is_found(pipeline, data):
    order = topological_order(pipeline)
    first, last = order[0], data.draw(st.sampled_from(order))
    closed = {first.name: (last.name,)} if first.name != last.name else {first.name: (first.name,)}
    between = {
        step.name: (first.name,)
        for step in order
        if step.name == last.name and step.name != first.name
    }
    steps = tuple(
        Step(
            name=step.name,
            command=("true",),
            needs=(*step.needs, *closed.get(step.name, ()), *between.get(step.name, ())),
        )
        for step in pipeline.steps
    )
    with pytest.raises(Invalid, match="wait for each other"):
        check(Pipeline(name="any", steps=steps))
