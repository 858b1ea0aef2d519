"""The rules of the representation: what is refused, what a condition means, what a placeholder
becomes.
"""

import json
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.gcp.services.aiplatform.pipelines import engine
from isthmus_stack.gcp.services.aiplatform.pipelines.records import Outcome
from isthmus_stack.gcp.services.aiplatform.pipelines.specification import (
    expressions,
    placeholders,
    validation,
    values,
)
from isthmus_stack.gcp.services.aiplatform.pipelines.specification.expressions import BadExpression
from isthmus_stack.gcp.services.aiplatform.pipelines.specification.placeholders import (
    BadPlaceholder,
    RunPlaceholders,
)
from isthmus_stack.gcp.services.aiplatform.pipelines.specification.validation import BadSpec
from isthmus_stack.gcp.services.aiplatform.pipelines.specification.values import WrongType


def document(**changes):
    """Two container tasks, the second after the first."""
    container = {"image": "python:3.11", "command": ["true"]}
    base = {
        "pipelineInfo": {"name": "two"},
        "schemaVersion": "2.1.0",
        "components": {
            "comp-a": {
                "executorLabel": "exec-a",
                "outputDefinitions": {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}},
            },
            "comp-b": {
                "executorLabel": "exec-a",
                "inputDefinitions": {"parameters": {"n": {"parameterType": "NUMBER_INTEGER"}}},
            },
        },
        "deploymentSpec": {"executors": {"exec-a": {"container": container}}},
        "root": {
            "inputDefinitions": {
                "parameters": {
                    "k": {"parameterType": "NUMBER_INTEGER"},
                    "d": {"parameterType": "NUMBER_DOUBLE", "defaultValue": 1.0},
                }
            },
            "dag": {
                "tasks": {
                    "a": {"componentRef": {"name": "comp-a"}},
                    "b": {
                        "componentRef": {"name": "comp-b"},
                        "inputs": {
                            "parameters": {
                                "n": {
                                    "taskOutputParameter": {
                                        "producerTask": "a",
                                        "outputParameterKey": "n",
                                    }
                                }
                            }
                        },
                    },
                }
            },
        },
    }
    for path, value in changes.items():
        *before, last = path.split("__")
        place = base
        for key in before:
            place = place[key]
        place[last] = value
    return base


def test_a_task_waits_for_whose_output_it_takes_though_it_does_not_say_so():
    pipeline = validation.read(document())
    assert validation.upstream_tasks(pipeline.root.dag.tasks["b"]) == ("a",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schemaVersion": "3.0.0"}, "schema_version"),
        ({"pipelineInfo": {"name": "Not A Name"}}, "pipeline_info.name"),
        ({"root__dag__tasks": {}}, "no tasks"),
        ({"root__dag__tasks__a__componentRef": {"name": "comp-x"}}, "comp-x"),
        ({"root__dag__tasks__a__dependentTasks": ["b"]}, "cycle"),
        ({"root__dag__tasks__a__dependentTasks": ["c"]}, "'c'"),
        (
            {"components__comp-a": {"dag": {"tasks": {"a": {"componentRef": {"name": "comp-a"}}}}}},
            "within itself: comp-a -> comp-a",
        ),
        ({"root__dag__tasks__b__inputs": {}}, "required parameter n"),
        ({"root__dag__tasks__a__triggerPolicy": {"condition": "1 <"}}, "condition"),
        ({"root__dag__tasks__a__retries": 3}, "retries"),
        ({"deploymentSpec": {"executors": {}}}, "exec-a"),
    ],
)
def test_a_wrong_document_is_refused_by_what_is_wrong(changes, words):
    with pytest.raises(BadSpec, match="pipeline_spec") as refusal:
        validation.read(document(**changes))
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "k is missing"),
        ({"k": 1, "x": 2}, "no parameter x"),
        ({"k": "one"}, "k: 'one'"),
        ({"k": 1.5}, "k: 1.5"),
    ],
)
def test_parameters_are_refused_by_name(given, words):
    with pytest.raises(BadSpec, match=words):
        validation.parameters(validation.read(document()), given)


def test_a_parameter_has_its_type_and_its_default():
    given = validation.parameters(validation.read(document()), {"k": 3.0})
    assert given == {"k": 3, "d": 1.0}
    assert (type(given["k"]), type(given["d"])) == (int, float)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("inputs.parameter_values['s'] == 'x'", True),
        ("inputs.parameter_values['n'] > 2 && inputs.parameter_values['n'] <= 3", True),
        ("!(inputs.parameter_values['s'] == 'x') || inputs.parameter_values['b'] == true", False),
        ("int(inputs.parameter_values['digits']) + 1 == 8", True),
        ("inputs.parameter_values['n'] % 2 == 1 ? 'odd' == 'odd' : false", True),
        (
            "inputs.parameter_values['s'] in ['x', 'y'] && size(inputs.parameter_values['s']) == 1",
            True,
        ),
        ("inputs.parameter_values['n'] == '3'", False),
        ("-7 / 2 == -3 && -7 % 2 == -1", True),
    ],
)
def test_a_condition_means_what_it_means_in_cel(condition, holds):
    scope = {"parameter_values": {"s": "x", "n": 3, "b": False, "digits": "7"}}
    assert expressions.holds(condition, scope) is holds


@pytest.mark.parametrize(
    "condition",
    [
        "inputs.parameter_values['none'] == 1",
        "'a' < 1",
        "now()",
        "1",
        "1 +",
        "a b",
        "'x'.run()",
        "",
    ],
)
def test_a_condition_that_cannot_be_judged_is_not_false(condition):
    with pytest.raises(BadExpression):
        expressions.holds(condition, {"parameter_values": {}})


@given(
    st.recursive(
        st.booleans(),
        lambda inner: (
            st.tuples(st.sampled_from(["&&", "||"]), inner, inner) | st.tuples(st.just("!"), inner)
        ),
    )
)
def test_logic_nests_as_pythons_does(tree):
    def cel(node):
        if isinstance(node, bool):
            return str(node).lower()
        return (
            f"!({cel(node[1])})" if node[0] == "!" else f"({cel(node[1])} {node[0]} {cel(node[2])})"
        )

    def python(node):
        if isinstance(node, bool):
            return node
        if node[0] == "!":
            return not python(node[1])
        return (
            (python(node[1]) and python(node[2]))
            if node[0] == "&&"
            else (python(node[1]) or python(node[2]))
        )

    assert expressions.holds(cel(tree), {}) is python(tree)


EXECUTOR_INPUT = {
    "inputs": {
        "parameterValues": {"n": 3, "s": "x", "l": [1, "a"]},
        "artifacts": {
            "data": {"artifacts": [{"name": "7", "uri": "gs://b/data", "metadata": {"rows": 2}}]}
        },
    },
    "outputs": {
        "parameters": {"auc": {"outputFile": "/gcs/b/auc"}},
        "artifacts": {
            "model": {"artifacts": [{"name": "8", "uri": "gs://b/model", "metadata": {}}]}
        },
        "outputFile": "/gcs/b/executor_output.json",
    },
}


@pytest.mark.parametrize(
    ("word", "resolved"),
    [
        ("{{$.inputs.parameters['n']}}-{{$.inputs.parameters['s']}}", ["3-x"]),
        ("{{$.inputs.parameters['l']}}", ['[1, "a"]']),
        ("{{$.inputs.parameters['absent']}}", ["null"]),
        (
            "{{$.inputs.artifacts['data'].uri}} {{$.inputs.artifacts['data'].path}}",
            ["gs://b/data /gcs/b/data"],
        ),
        ("{{$.inputs.artifacts['data'].metadata['rows']}}", ["2"]),
        ("{{$.outputs.artifacts['model'].path}}", ["/gcs/b/model"]),
        ("{{$.outputs.parameters['auc'].output_file}}", ["/gcs/b/auc"]),
        ("{{$.outputs.output_file}}", ["/gcs/b/executor_output.json"]),
        ("{{$.pipeline_job_name}}", ["run-1"]),
        (
            (
                '{"Concat": ["a-", "{{$.inputs.parameters[\'s\']}}", {"IfPresent": {"InputName": '
                '"absent", "Then": "b"}}]}'
            ),
            ["a-x"],
        ),
        (
            (
                '{"IfPresent": {"InputName": "n", "Then": ["--n", '
                '"{{$.inputs.parameters[\'n\']}}"], "Else": ["--none"]}}'
            ),
            ["--n", "3"],
        ),
        ('{"IfPresent": {"InputName": "absent", "Then": ["--n"]}}', []),
        ("plain {{x}} $", ["plain {{x}} $"]),
    ],
)
def test_a_placeholder_becomes_its_value(word, resolved):
    assert (
        placeholders.resolve_command(
            [word], EXECUTOR_INPUT, RunPlaceholders(names={"pipeline_job_name": "run-1"})
        )
        == resolved
    )


def test_the_whole_input_is_one_json_object():
    (word,) = placeholders.resolve_command(["{{$}}"], EXECUTOR_INPUT, RunPlaceholders(names={}))
    assert json.loads(word) == EXECUTOR_INPUT


def test_a_placeholder_of_nothing_is_an_error():
    with pytest.raises(BadPlaceholder, match="nowhere"):
        placeholders.resolve("{{$.nowhere}}", EXECUTOR_INPUT, RunPlaceholders(names={}))


@pytest.mark.parametrize(
    ("value", "kind", "handed"),
    [
        ({"a": 1}, "STRING", '{"a": 1}'),
        (2, "STRING", "2"),
        ("x", "STRING", "x"),
        ("[1, 2]", "LIST", [1, 2]),
        ("3", "NUMBER_INTEGER", 3),
        (3.0, "NUMBER_INTEGER", 3),
        (3, "NUMBER_DOUBLE", 3.0),
        ("True", "BOOLEAN", True),
        (None, "LIST", None),
    ],
)
def test_a_value_that_a_task_hands_on_becomes_what_the_next_one_declares(value, kind, handed):
    result = values.coerced(value, kind)
    assert (result, type(result)) == (handed, type(handed))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("three", "NUMBER_INTEGER"),
        ([1], "STRUCT"),
        (True, "NUMBER_DOUBLE"),
        (1.5, "NUMBER_INTEGER"),
    ],
)
def test_what_cannot_become_that_is_an_error(value, kind):
    with pytest.raises(WrongType):
        values.coerced(value, kind)


def test_once_a_failure_can_be_seen_nothing_more_is_started_where_that_is_asked_for(monkeypatch):
    run, known = SimpleNamespace(failed=threading.Event()), []
    monkeypatch.setattr(engine.tasks, "finish", lambda *_: known.append(run.failed.is_set()))
    dag = engine._Dag(None, run, SimpleNamespace(dag=object()), None, (None, ()))
    for state in ("SUCCEEDED", "FAILED"):
        dag._run_guarded(None, lambda state=state: Outcome(state=state))
    assert known == [False, True]
