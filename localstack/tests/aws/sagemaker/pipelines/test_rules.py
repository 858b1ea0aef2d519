"""The pure parts of pipelines: paths, conditions, the order of steps."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws.services.sagemaker.jobs.s3 import relative
from isthmus_stack.aws.services.sagemaker.pipelines.definition import paths
from isthmus_stack.aws.services.sagemaker.pipelines.definition.conditions import holds
from isthmus_stack.aws.services.sagemaker.pipelines.definition.document import duration, parse
from isthmus_stack.aws.services.sagemaker.pipelines.definition.expressions import (
    ExpressionError,
    Scope,
    resolve,
)
from isthmus_stack.aws.services.sagemaker.pipelines.definition.graph import cycle, readiness
from isthmus_stack.aws.services.sagemaker.pipelines.definition.references import reference
from isthmus_stack.aws.services.sagemaker.pipelines.execution.retries import Retries, StepFailed
from isthmus_stack.core.images import command_of
from isthmus_stack.testing.jobs_kit import definition, step

EDGES = st.dictionaries(
    st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"), max_size=3), max_size=6
)


def scope(**parameters):
    def nothing(*_):
        raise ExpressionError("nothing here")

    return Scope(
        parameters=parameters,
        execution=nothing,
        properties=nothing,
        property_file=nothing,
        blob=nothing,
    )


def reaches(edges, start):
    seen, waiting = set(), [start]
    while waiting:
        for following in edges.get(waiting.pop(), ()):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return seen


@given(EDGES)
def test_a_circle_is_found_exactly_when_a_step_reaches_itself(edges):
    circle = cycle(edges)
    assert bool(circle) == any(name in reaches(edges, name) for name in edges)
    if circle:
        assert circle[0] == circle[-1]
        assert all(later in edges[earlier] for earlier, later in pairwise(circle))


@given(
    EDGES,
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["Succeeded", "Failed", "Stopped"])),
)
def test_every_step_of_a_graph_without_circles_is_decided_once_all_before_it_have_ended(
    edges, endings
):
    if cycle(edges):
        return
    every = set(edges) | {name for before in edges.values() for name in before}
    states = {}
    for _ in range(len(every)):
        for name in every - set(states):
            verdict = readiness(
                [(before, "Completed") for before in edges.get(name, ())], None, states, {}
            )
            if verdict != "wait":
                states[name] = "never" if verdict == "never" else endings.get(name, "Succeeded")
    assert set(states) == every
    for name, state in states.items():
        ran = all(states[before] == "Succeeded" for before in edges.get(name, ()))
        assert (state != "never") == ran


def test_a_step_of_a_branch_runs_only_on_its_outcome():
    for outcome in (True, False):
        states, outcomes = {"Gate": "Succeeded"}, {"Gate": outcome}
        assert readiness([], ("Gate", True), states, outcomes) == ("run" if outcome else "never")
    assert readiness([], ("Gate", True), {"Gate": "Executing"}, {}) == "wait"
    assert readiness([], ("Gate", True), {"Gate": "Failed"}, {}) == "never"


KEYS = st.lists(
    st.one_of(st.integers(0, 3), st.text("abcdefgh_", min_size=1, max_size=6)),
    min_size=1,
    max_size=5,
)


@given(KEYS, st.booleans(), st.booleans())
def test_a_written_path_reads_back(keys, dotted, dollar):
    text = "$" if dollar else ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{key}" if dotted and not key[0].isdigit() else f"['{key}']"
    assert paths.parse(text) == tuple(keys)


def test_a_path_leads_through_lists_of_named_structures():
    value = {
        "Outputs": [
            {"OutputName": "a", "S3Output": {"S3Uri": "one"}},
            {"OutputName": "b", "S3Output": {"S3Uri": "two"}},
        ]
    }
    keys = paths.parse("Outputs['b'].S3Output.S3Uri")
    assert paths.read(value, keys, "p") == "two"
    with pytest.raises(paths.PathError, match="no item named 'c'"):
        paths.read(value, paths.parse("Outputs['c']"), "p")
    with pytest.raises(paths.PathError, match="index 2 is outside a list of 2"):
        paths.read(value, paths.parse("Outputs[2]"), "p")


def test_a_step_named_with_a_hyphen_is_referred_to():
    found = reference("Steps.my-step-1.FinalMetricDataList['auc'].Value")
    assert (found.name, found.path) == ("my-step-1", ("FinalMetricDataList", "auc", "Value"))


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
def test_comparisons_agree_with_arithmetic_also_for_numbers_in_strings(left, right, as_text):
    first = repr(left) if as_text else left
    for kind, expected in (
        ("Equals", left == right),
        ("GreaterThan", left > right),
        ("GreaterThanOrEqualTo", left >= right),
        ("LessThan", left < right),
        ("LessThanOrEqualTo", left <= right),
    ):
        condition = {"Type": kind, "LeftValue": {"Get": "Parameters.X"}, "RightValue": right}
        assert holds([condition], scope(X=first)) is expected
        assert holds([{"Type": "Not", "Condition": condition}], scope(X=first)) is not expected


def test_a_comparison_of_a_word_with_a_number_is_an_error_not_false():
    with pytest.raises(ExpressionError, match="cannot compare 'high' with 3"):
        holds([{"Type": "LessThan", "LeftValue": "high", "RightValue": 3}], scope())


def test_expressions_are_replaced_wherever_they_stand():
    value = {
        "a": [{"Std:Join": {"On": "-", "Values": ["x", {"Get": "Parameters.N"}, True]}}],
        "b": {"Get": "Parameters.N"},
        "c": None,
    }
    assert resolve(value, scope(N=7)) == {"a": ["x-7-true"], "b": 7, "c": None}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT30S", 30),
        ("P1D", 86400),
        ("P1Y2M3DT4H5M6S", 365 * 86400 + 63 * 86400 + 14706),
        ("P2W", 1209600),
        ("30d", 30 * 86400),  # sagemaker-mlops, tests/integ/workflow
        ("T30m", 1800),
    ],
)
def test_durations_are_read(text, seconds):
    assert duration(text, "here").total_seconds() == seconds


def test_a_definition_keeps_nested_steps_with_their_branch_and_data_dependencies():
    inner = step("Deep", Environment={"X": {"Get": "Steps.First.ProcessingJobName"}})
    gate = {
        "Name": "Gate",
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
            "ElseSteps": [inner],
        },
    }
    found = parse(definition(gate, step("First"))).steps
    assert found["Deep"].branch == ("Gate", False)
    assert [d.step for d in found["Deep"].depends] == ["First"]
    assert found["Gate"].depends == ()


def test_retries_grow_by_the_backoff_and_end_with_the_attempts():
    policy = {
        "ExceptionType": ["SageMaker.CAPACITY_ERROR"],
        "IntervalSeconds": 2,
        "BackoffRate": 3.0,
        "MaxAttempts": 2,
    }
    made = parse(definition(step("A", RetryPolicies=[policy]))).steps["A"]
    retries = Retries(made.retries, None)
    waits = [retries.wait(StepFailed("r", "SageMaker.CAPACITY_ERROR"), None) for _ in range(3)]
    assert waits == [2, 6, None]
    assert retries.wait(StepFailed("r", None), None) is None


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("isthmus", "123.dkr.ecr.us-east-1.amazonaws.com/isthmus:latest"),
        ("isthmus", "isthmus"),
        ("isthmus", "localhost:5000/team/isthmus@sha256:abc"),
        ("team/isthmus", "localhost:5000/team/isthmus:2"),
        ("localhost:5000/team/isthmus:2", "localhost:5000/team/isthmus:2"),
    ],
)
def test_an_image_is_known_by_its_uri_or_any_shorter_name(name, image):
    assert command_of({name: "run 'a b'"}, image) == ["run", "a b"]


def test_the_most_exact_name_of_an_image_wins():
    assert command_of({"isthmus": "any", "isthmus:2": "two"}, "host.com/isthmus:2") == ["two"]
    assert command_of({"isthmus": "any"}, "host.com/isthmus-other") is None


@pytest.mark.parametrize(
    ("key", "prefix", "place"),
    [
        ("data/a/b.csv", "data/", "a/b.csv"),
        ("data/a/b.csv", "data", "a/b.csv"),
        ("data/a/b.csv", "data/a/b.csv", "b.csv"),
        ("data/train.csv", "data/tr", "train.csv"),
        ("x.csv", "", "x.csv"),
    ],
)
def test_a_prefix_decides_where_an_object_lands(key, prefix, place):
    assert relative(key, prefix) == place


def test_a_definition_is_json_with_lists_where_lists_belong():
    with pytest.raises(ValueError, match="Steps must be a list"):
        parse(json.dumps({"Version": "2020-12-01", "Steps": {"Name": "A"}}))
