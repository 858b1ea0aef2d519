"""Submitting: nothing starts that is wrong, the same again changes nothing, and what need not run
is not handed over.
"""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import AlreadyExists, Invalid, NotFound
from isthmus.pipelines.graphs.graph import Parameter, Pipeline, Step, Value
from isthmus.pipelines.port import Condition, Output
from isthmus.pipelines.runs.document import decode_run, encode_run, open_run
from isthmus.pipelines.runs.submission import submit
from isthmus.pipelines.runs.watch import cancel, log, observe, values, watch
from isthmus.tests.pipelines.runs.traced import make, phases, run, trace, tracing

pytestmark = pytest.mark.slow

SCORE = (Output(name="score", type="float"),)
WRITE = "import json; json.dump({'score': float(sys.argv[3])}, open(sys.argv[4], 'w'))"


@pytest.fixture
def project(tmp_path):
    made = make(tmp_path)
    yield made
    made.target.close()


def scored(project, value=0.5):
    return tracing(
        project,
        "score",
        WRITE,
        arguments=("{parameters.s}", "{values}"),
        parameters={"s": value},
        outputs=SCORE,
    )


def above(limit):
    return Condition(step="score", output="score", op=">", value=limit)


def test_nothing_is_written_or_started_when_something_is_wrong(project):
    good = tracing(project, "fit")
    for graph, fields, error in (
        (Pipeline(name="p", steps=(good, tracing(project, "fit"))), {}, Invalid),
        (Pipeline(name="p", steps=(good,), parameters={"C": "float"}), {}, Invalid),
        (
            Pipeline(
                name="p",
                steps=(
                    tracing(project, "fit", inputs={"x": (project.folder / "absent").as_uri()}),
                ),
            ),
            {},
            NotFound,
        ),
        (Pipeline(name="p", steps=(Step(name="fit", function="no_such_module:fit"),)), {}, Invalid),
        (
            Pipeline(
                name="p", steps=(tracing(project, "fit", parameters={"x": {1, 2}.__iter__()}),)
            ),
            {},
            Invalid,
        ),
        (Pipeline(name="p", steps=(good,)), {"run": "../r1"}, Invalid),
    ):
        with pytest.raises(error):
            submit(project, graph, **({"run": "r1"} | fields))
    assert not [call for call in project.target.calls.calls if call.mutating]
    assert trace(project) == []


def test_the_same_submit_again_changes_nothing(project):
    graph = Pipeline(name="p", steps=(tracing(project, "fit", cache=False),))
    first = submit(project, graph, run="r1")
    assert submit(project, graph, run="r1") == first
    watch(project, first)
    assert submit(project, graph, run="r1") == first
    assert trace(project) == ["fit"]


def test_a_name_that_another_run_has_is_refused(project):
    run(project, "r1", tracing(project, "fit"))
    with pytest.raises(AlreadyExists, match="r1"):
        run(project, "r1", tracing(project, "other"))
    assert trace(project) == ["fit"]


def test_two_submits_at_once_run_once(project):
    graph = Pipeline(name="p", steps=(tracing(project, "fit", cache=False),))
    together = threading.Barrier(4)

    def one(_):
        other = make(project.folder)
        try:
            together.wait()
            return submit(other, graph, run="r1")
        finally:
            other.target.close()

    with ThreadPoolExecutor(4) as pool:
        (only,) = set(pool.map(lambda number: one(number).run_id, range(4)))
    state = watch(project, submit(project, graph, run="r1"))
    assert (state.run_id, state.phase) == (only, "done")
    assert trace(project) == ["fit"]


def test_a_run_of_hits_alone_needs_no_engine(project):
    run(project, "r1", scored(project), tracing(project, "use", needs=("score",)))
    project.target.calls.calls.clear()
    state = run(project, "r2", scored(project), tracing(project, "use", needs=("score",)))
    assert state.phase == "done"
    assert [step.reason for step in state.steps] == ["cached from r1", "cached from r1"]
    assert "pipelines.submit" not in [call.operation for call in project.target.calls.calls]
    assert observe(project, "r2") == state


def test_a_condition_over_a_hit_is_decided_at_submit(project):
    run(project, "r1", scored(project))
    state = run(
        project,
        "r2",
        scored(project),
        tracing(project, "good", when=above(0.4)),
        tracing(project, "bad", when=above(0.6)),
        tracing(project, "after_bad", needs=("bad",)),
    )
    assert phases(state) == {
        "score": "done",
        "good": "done",
        "bad": "skipped",
        "after_bad": "skipped",
    }
    reasons = {step.name: step.reason for step in state.steps}
    assert reasons["bad"] == "not score.score > 0.6"
    assert reasons["after_bad"] == "it needs bad, which was skipped"
    assert trace(project) == ["score", "good"]


def test_only_the_changed_branch_of_a_graph_runs(project):
    def graph(left):
        return (
            tracing(project, "top"),
            tracing(project, "left", needs=("top",), parameters={"x": left}),
            tracing(project, "right", needs=("top",)),
            tracing(project, "bottom", needs=("left", "right")),
        )

    run(project, "r1", *graph(1))
    before = len(trace(project))
    state = run(project, "r2", *graph(2))
    assert trace(project)[before:] == ["left"], (
        "bottom has no input of left: order alone is no reason to run again"
    )
    assert set(phases(state).values()) == {"done"}


def test_parameters_reach_commands_and_values_flow_on(project):
    use = Step(
        name="use",
        command=("echo", "{parameters.score}", "{parameters.name}", "{parameters.deep}"),
        parameters={
            "score": Value("score", "score"),
            "name": Parameter("name"),
            "deep": {"type": "value", "step": "score"},
        },
    )
    run(
        project,
        "r1",
        scored(project, Parameter("s")),
        use,
        types={"s": "float", "name": "string"},
        parameters={"s": 0.25, "name": "x y"},
    )
    assert values(project, "r1", "score") == {"score": 0.25}
    assert log(project, "r1", "use") == '0.25 x y {"type":"value","step":"score"}\n'


def test_a_retry_keeps_the_parameters_of_the_run_that_it_repeats(project):
    steps, types = (scored(project, Parameter("s")),), {"s": "float"}
    run(project, "r1", *steps, types=types, parameters={"s": 0.25})
    run(project, "r2", *steps, types=types, retry_of="r1")
    assert values(project, "r2", "score") == {"score": 0.25}
    assert open_run(project.target.blobs, "r2").retry_of == "r1"
    assert trace(project) == ["score"]


def test_run_json_gives_back_what_was_written(project):
    steps = (
        scored(project, Parameter("s")),
        tracing(project, "use", parameters={"v": Value("score", "score"), "l": [1, {"tag": None}]}),
    )
    run(project, "r1", *steps, types={"s": "float"}, parameters={"s": 1.0})
    document = open_run(project.target.blobs, "r1")
    assert decode_run(encode_run(document), "run.json") == document
    assert document.steps == steps


def test_ctrl_c_ends_the_watching_and_not_the_run(project):
    gate = project.folder / "gate"
    hold = "import time\nwhile not pathlib.Path(sys.argv[3]).exists(): time.sleep(0.01)"
    started = submit(
        project,
        Pipeline(name="p", steps=(tracing(project, "fit", hold, arguments=(str(gate),)),)),
        run="r1",
    )

    def interrupt(state):
        if phases(state)["fit"] == "running":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as found:
        watch(project, started, on_change=interrupt)
    assert found.value.__notes__ == ["run r1 goes on. Look again: isthmus runs show r1"]
    gate.touch()
    assert watch(project, started).phase == "done"


def test_a_cancelled_run_is_seen_as_such_by_its_watcher(project):
    started = submit(
        project,
        Pipeline(name="p", steps=(tracing(project, "fit", "import time; time.sleep(600)"),)),
        run="r1",
    )
    state = watch(
        project,
        started,
        on_change=lambda state: phases(state)["fit"] == "running" and cancel(project, "r1"),
    )
    assert (state.phase, phases(state)) == ("cancelled", {"fit": "cancelled"})


@st.composite
def needs(draw):
    count = draw(st.integers(1, 5))
    return [
        draw(st.sets(st.integers(0, index - 1), max_size=2)) if index else set()
        for index in range(count)
    ]


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(needs())
def test_any_graph_runs_each_step_once_and_after_what_it_needs(tmp_path_factory, graph):
    project = make(tmp_path_factory.mktemp("graph"))
    steps = [
        tracing(project, f"s{i}", needs=tuple(f"s{need}" for need in sorted(found)))
        for i, found in enumerate(graph)
    ]
    state = run(project, "r1", *reversed(steps))
    seen = trace(project)
    project.target.close()
    assert state.phase == "done"
    assert sorted(seen) == sorted(step.name for step in steps)
    assert all(seen.index(need) < seen.index(step.name) for step in steps for need in step.needs)
