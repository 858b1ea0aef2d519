"""PipelineEngine: steps in order, branches at once, conditions, cancel, and nothing twice for one
run_id.
"""

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from isthmus.pipelines.graphs.graph import Pipeline, Step, check
from isthmus.pipelines.port import Condition, Output, PipelineRun
from isthmus.pipelines.runs.costs import cost_of, total
from isthmus.pipelines.runs.document import RunDocument, encode_run, open_run, run_uri
from isthmus.pipelines.runs.submission import pipeline_run
from isthmus.pipelines.runs.watch import cancel_after_failure
from isthmus.storage import wait

pytestmark = [pytest.mark.ports("pipelines", "blobs"), pytest.mark.slow]

ENDED = ("done", "failed", "cancelled")
SLEEP = "import time; time.sleep(1)"
COUNT = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + chr(10))"


def say(tmp_path, name, **more):
    """A step whose command leaves a line behind."""
    return Step(name=name, command=("{python}", "-c", COUNT, str(tmp_path / "said"), name), **more)


def said(tmp_path):
    file = tmp_path / "said"
    return file.read_text().split() if file.exists() else []


def write(target, tmp_path, *steps) -> PipelineRun:
    ordered = check(Pipeline(name="conf", steps=steps))
    document = RunDocument(
        run="r1",
        run_id=uuid.uuid4().hex,
        pipeline="conf",
        project_file=None,
        folder=str(tmp_path),
        profile=target.profile,
        version="1",
        retry_of=None,
        submitted=datetime.now(UTC),
        parameters={},
        steps=ordered,
        settled={},
    )
    target.blobs.put(run_uri(target.blobs.root, "r1"), encode_run(document))
    return pipeline_run(target.blobs, document)


def until(target, run, holds, seconds=120):
    return wait(
        lambda: target.pipelines.observe(run.run_id),
        holds,
        deadline=timedelta(seconds=seconds),
        every=timedelta(milliseconds=20),
    )


def finish(target, run):
    return until(target, run, lambda state: state.phase in ENDED)


def phases(state):
    return {step.name: step.phase for step in state.steps}


def test_steps_run_after_what_they_need(target, tmp_path):
    run = write(
        target,
        tmp_path,
        say(tmp_path, "last", needs=("middle",)),
        say(tmp_path, "first"),
        say(tmp_path, "middle", needs=("first",)),
    )
    target.pipelines.submit(run)
    state = finish(target, run)
    assert state.phase == "done"
    assert said(tmp_path) == ["first", "middle", "last"]
    assert all(step.started and step.ended and step.started <= step.ended for step in state.steps)


def test_submit_returns_before_the_work_is_done(target, tmp_path):
    gate = tmp_path / "gate"
    hold = (
        "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
    )
    run = write(target, tmp_path, Step(name="held", command=("{python}", "-c", hold, str(gate))))
    target.pipelines.submit(run)
    assert target.pipelines.observe(run.run_id).phase == "running"
    until(target, run, lambda state: phases(state)["held"] == "running")
    gate.touch()
    assert finish(target, run).phase == "done"


def test_branches_of_a_diamond_run_at_the_same_time(target, tmp_path):
    meet = (
        "import pathlib, sys, time\nmine, other = map(pathlib.Path, "
        "sys.argv[1:])\nmine.touch()\nend = time.monotonic() + 120\n"
        "while not other.exists():\n    assert time.monotonic() < end\n    time.sleep(0.01)"
    )
    left, right = str(tmp_path / "left"), str(tmp_path / "right")
    run = write(
        target,
        tmp_path,
        say(tmp_path, "top"),
        Step(name="left", command=("{python}", "-c", meet, left, right), needs=("top",)),
        Step(name="right", command=("{python}", "-c", meet, right, left), needs=("top",)),
        say(tmp_path, "bottom", needs=("left", "right")),
    )
    target.pipelines.submit(run)
    assert set(phases(finish(target, run)).values()) == {"done"}
    assert said(tmp_path) == ["top", "bottom"]


def test_a_condition_decides_and_what_needs_a_skipped_step_is_skipped(target, tmp_path):
    measure = Step(
        name="measure",
        command=(
            "{python}",
            "-c",
            "import sys; open(sys.argv[1], 'w').write('{\"auc\": 0.6}')",
            "{values}",
        ),
        outputs=(Output(name="auc", type="float"),),
    )

    def when(op, value):
        return Condition(step="measure", output="auc", op=op, value=value)

    run = write(
        target,
        tmp_path,
        measure,
        say(tmp_path, "good", when=when(">=", 0.6)),
        say(tmp_path, "bad", when=when("<", 0.6)),
        say(tmp_path, "after_bad", needs=("bad", "good")),
    )
    target.pipelines.submit(run)
    state = finish(target, run)
    assert state.phase == "done"
    assert phases(state) == {
        "measure": "done",
        "good": "done",
        "bad": "skipped",
        "after_bad": "skipped",
    }
    assert said(tmp_path) == ["good"]


def failing(target, tmp_path):
    """One step fails while another runs, which would end when it is let go."""
    hold = (
        "import pathlib, sys, time\nstarted, gate = map(pathlib.Path, "
        "sys.argv[1:])\nstarted.touch()\nend = time.monotonic() + 120\n"
        "while not gate.exists():\n    assert time.monotonic() < end\n    time.sleep(0.01)"
    )
    fail = (
        "import pathlib, sys, time\nend = time.monotonic() + 120\n"
        "while not pathlib.Path(sys.argv[1]).exists():\n    assert time.monotonic() < end\n  "
        "  time.sleep(0.01)\n"
        "print('no such column')\nsys.exit(3)"
    )
    started, gate = str(tmp_path / "started"), str(tmp_path / "gate")
    return write(
        target,
        tmp_path,
        say(tmp_path, "first"),
        Step(name="breaks", command=("{python}", "-c", fail, started), needs=("first",)),
        say(tmp_path, "after", needs=("breaks",)),
        Step(name="beside", command=("{python}", "-c", hold, started, gate), needs=("first",)),
        say(tmp_path, "later", needs=("beside",)),
    )


@pytest.mark.needs("pipelines.fail_fast")
def test_a_failed_step_fails_the_run_and_ends_what_runs_beside_it(target, tmp_path):
    run = failing(target, tmp_path)
    target.pipelines.submit(run)
    state = until(
        target, run, lambda state: cancel_after_failure(target, state) or state.phase in ENDED
    )
    assert state.phase == "failed"
    assert phases(state) == {
        "first": "done",
        "breaks": "failed",
        "after": "skipped",
        "beside": "cancelled",
        "later": "skipped",
    }
    failed = next(step for step in state.steps if step.name == "breaks")
    assert failed.reason == "exit 3: no such column"
    assert b"no such column" in target.blobs.get(failed.log)
    assert said(tmp_path) == ["first"]


@pytest.mark.needs("pipelines.fail_fast")
def test_where_nobody_watches_only_an_engine_that_fails_fast_itself_ends_what_runs_beside(
    target, tmp_path
):
    """What is emulated needs somebody who watches: the row says so."""
    run = failing(target, tmp_path)
    target.pipelines.submit(run)
    until(target, run, lambda state: phases(state)["breaks"] == "failed")
    if target.capabilities["pipelines.fail_fast"].level != "native":
        assert phases(target.pipelines.observe(run.run_id))["beside"] == "running"
        (tmp_path / "gate").touch()
    state = finish(target, run)
    assert state.phase == "failed"
    assert phases(state)["beside"] == (
        "cancelled" if target.capabilities["pipelines.fail_fast"].level == "native" else "done"
    )


def test_a_command_that_takes_too_long_is_ended_with_its_children(target, tmp_path):
    child = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; "
        "time.sleep(600)'])"
    )
    run = write(
        target,
        tmp_path,
        Step(name="slow", command=("{python}", "-c", child), timeout=timedelta(seconds=1)),
    )
    target.pipelines.submit(run)
    state = finish(target, run)
    assert state.phase == "failed"
    assert "did not end within 1 s" in state.steps[0].reason


def test_an_attempt_that_fails_is_tried_again(target, tmp_path):
    third = COUNT + "; sys.exit(len(open(sys.argv[1]).read().split()) < 3)"
    run = write(
        target,
        tmp_path,
        Step(
            name="flaky", command=("{python}", "-c", third, str(tmp_path / "said"), "x"), attempts=3
        ),
    )
    target.pipelines.submit(run)
    assert finish(target, run).phase == "done"
    assert said(tmp_path) == ["x", "x", "x"]


def test_the_same_run_again_changes_nothing(target, tmp_path):
    run = write(target, tmp_path, say(tmp_path, "once", cache=False))
    target.pipelines.submit(run)
    target.pipelines.submit(run)
    before = finish(target, run)
    target.pipelines.submit(run)
    assert target.pipelines.observe(run.run_id) == before
    assert said(tmp_path) == ["once"]


def test_submit_may_be_cut_and_repeated(target, tmp_path, cut):
    run = write(target, tmp_path, say(tmp_path, "once", cache=False))
    _ = target.pipelines
    with cut:
        target.pipelines.submit(run)
    target.pipelines.submit(run)
    assert finish(target, run).phase == "done"
    assert said(tmp_path) == ["once"]


def test_cancel_ends_what_runs_and_starts_nothing_more(target, tmp_path):
    started = tmp_path / "started"
    forever = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    run = write(
        target,
        tmp_path,
        Step(name="long", command=("{python}", "-c", forever, str(started))),
        say(tmp_path, "after", needs=("long",)),
    )
    target.pipelines.submit(run)
    wait(started.exists, bool, deadline=timedelta(seconds=120))
    target.pipelines.cancel(run.run_id)
    target.pipelines.cancel(run.run_id)
    state = finish(target, run)
    assert state.phase == "cancelled"
    assert phases(state) == {"long": "cancelled", "after": "cancelled"}
    target.pipelines.cancel(run.run_id)
    assert target.pipelines.observe(run.run_id) == state


def test_cancelling_may_be_cut_and_repeated(target, tmp_path, cut):
    run = write(
        target,
        tmp_path,
        Step(name="long", command=("{python}", "-c", "import time; time.sleep(600)")),
    )
    target.pipelines.submit(run)
    with cut:
        target.pipelines.cancel(run.run_id)
    target.pipelines.cancel(run.run_id)
    assert finish(target, run).phase == "cancelled"


def test_a_finished_or_unknown_run_is_cancelled_without_a_call(target, tmp_path):
    run = write(target, tmp_path, say(tmp_path, "only"))
    target.pipelines.submit(run)
    before = finish(target, run)
    target.calls.calls.clear()
    target.pipelines.cancel(run.run_id)
    target.pipelines.cancel("0" * 32)
    assert not [call for call in target.calls.calls if call.mutating]
    assert target.pipelines.observe(run.run_id) == before


def test_what_was_never_submitted_is_absent(target):
    assert target.pipelines.observe("0" * 32) is None


def test_a_spec_survives_its_wire(target, tmp_path):
    run = write(target, tmp_path, say(tmp_path, "only", timeout=timedelta(seconds=7), attempts=2))
    assert msgspec.json.decode(msgspec.json.encode(run), type=PipelineRun) == run
    assert run.steps[0].timeout == timedelta(seconds=7)


def test_a_run_costs_the_seconds_of_its_steps_that_ran_and_a_skipped_one_nothing(target, tmp_path):
    counts = Output(name="rows", type="int")
    code = "import json, sys; open(sys.argv[1], 'w').write(json.dumps({'rows': 3}))"
    count = Step(
        name="count", command=("{python}", "-c", code, "{values}"), outputs=(counts,), cache=False
    )
    many = Condition(step="count", output="rows", op=">", value=100)
    run = write(
        target,
        tmp_path,
        count,
        Step(name="fit", kind="training", command=("{python}", "-c", SLEEP), needs=("count",)),
        say(tmp_path, "late", when=many),
    )
    target.pipelines.submit(run)
    state = until(target, run, lambda state: state.phase in ENDED)
    cost = cost_of(target, open_run(target.blobs, "r1"), state)
    seconds = {step.step: step.seconds for step in cost.steps}
    assert set(seconds) == {"count", "fit"}
    steps = {step.name: step for step in state.steps}
    span = (steps["fit"].ended - steps["count"].started).total_seconds()
    assert 1 <= seconds["fit"] <= span + 1
    assert 0 < cost.seconds <= span + 2
    if not cost.billed:
        assert cost.usd == 0
    elif all(step.hourly is not None for step in cost.steps) and cost.fee is not None:
        assert cost.usd == total(cost.steps, cost.fee) > 0
    else:
        assert cost.usd is None
