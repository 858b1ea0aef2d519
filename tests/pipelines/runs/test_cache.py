"""What is found again and what is not, and which part of the key a miss is due to."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import NotFound
from isthmus.pipelines.graphs.graph import Artifact, Parameter, Step, Value
from isthmus.pipelines.port import Output
from isthmus.pipelines.runs.cache import key_of
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.runs.rerun_reasons import why_rerun
from isthmus.pipelines.runs.watch import artifact_uri, log, values
from isthmus.tests.pipelines.runs.traced import make, run, trace, tracing

pytestmark = pytest.mark.slow

SCORE = (Output(name="score", type="float"),)
WRITE = "import json; json.dump({'score': float(sys.argv[3])}, open(sys.argv[4], 'w'))"
KEEP = "pathlib.Path(sys.argv[3], 'model.txt').write_text('weights')"


@pytest.fixture
def project(tmp_path):
    made = make(tmp_path)
    yield made
    made.target.close()


def scored(project, name="fit", given=0.5, **fields):
    return tracing(
        project,
        name,
        WRITE,
        arguments=("{parameters.s}", "{values}"),
        parameters={"s": given},
        outputs=SCORE,
        **fields,
    )


def kept(project, name="fit", **fields):
    return tracing(
        project, name, KEEP, arguments=("{outputs.model}",), artifacts=("model",), **fields
    )


def changed(project, name, step=None):
    return [(change.step, change.part) for change in why_rerun(project, name, step)]


def test_a_finished_step_is_not_run_again_and_keeps_its_values(project):
    run(project, "r1", scored(project))
    state = run(project, "r2", scored(project))
    assert trace(project) == ["fit"]
    assert state.phase == "done"
    assert state.steps[0].reason == "cached from r1"
    assert values(project, "r2", "fit") == {"score": 0.5}
    assert why_rerun(project, "r2") == ()


def test_a_hit_of_a_hit_names_the_run_that_did_the_work(project):
    for name in ("r1", "r2", "r3"):
        state = run(project, name, kept(project))
    assert state.steps[0].reason == "cached from r1"
    assert artifact_uri(project, "r3", "fit", "model") == artifact_uri(
        project, "r1", "fit", "model"
    )
    assert log(project, "r3", "fit") == log(project, "r1", "fit")


def test_a_changed_parameter_runs_the_step_and_is_named_with_both_values(project):
    run(project, "r1", scored(project, given=0.5))
    run(project, "r2", scored(project, given=0.25))
    (change,) = why_rerun(project, "r2", "fit")
    assert (change.part, change.before, change.after) == ("parameters.s", "0.5", "0.25")


def test_the_first_run_of_a_step_has_nothing_to_be_compared_with(project):
    run(project, "r1", scored(project))
    assert why_rerun(project, "r1") == ()


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        (
            {"fingerprint": {"watermark": "1"}},
            {"fingerprint": {"watermark": "2"}},
            "fingerprint.watermark",
        ),
        ({}, {"fingerprint": {"revision": "3f2c1a9"}}, "fingerprint.revision"),
        ({}, {"arguments": ("more",)}, "command"),
        ({"artifacts": ()}, {"artifacts": ("model",)}, "outputs"),
    ],
)
def test_each_part_of_the_key_counts(project, before, after, part):
    run(project, "r1", tracing(project, "fit", **before))
    run(project, "r2", tracing(project, "fit", **after))
    assert trace(project) == ["fit", "fit"]
    assert part in [name for _, name in changed(project, "r2")]


def test_a_script_of_the_project_belongs_to_the_key(project):
    script = project.folder / "fit.py"
    step = Step(name="fit", command=("{python}", "fit.py"))
    script.write_text("print('one')")
    run(project, "r1", step)
    script.write_text("print('two')")
    run(project, "r2", step)
    assert changed(project, "r2") == [("fit", "source fit.py")]
    assert log(project, "r2", "fit") == "two\n"


def test_the_module_of_a_function_belongs_to_the_key(project):
    module = project.folder / "cached_trainer.py"
    step = Step(name="fit", function="cached_trainer:fit", outputs=SCORE)
    for name, score in (("r1", 0.1), ("r2", 0.2)):
        module.write_text(f"def fit(context):\n    context.set('score', {score})\n")
        os.utime(module, (0, 0))  # Python's bytecode files cannot tell the two apart
        assert run(project, name, step).phase == "done"
    assert changed(project, "r2") == [("fit", "source")]
    assert values(project, "r2", "fit") == {"score": 0.2}


def test_an_input_counts_by_its_content_and_not_by_its_place_or_time(project):
    data = project.folder / "rows.csv"
    moved = project.folder / "elsewhere.csv"

    def step(path):
        return tracing(project, "read", inputs={"rows": path.as_uri()})

    data.write_text("a,b\n")
    moved.write_text("a,b\n")
    run(project, "r1", step(data))
    run(project, "r2", step(moved))
    data.write_text("a,c\n")
    run(project, "r3", step(data))
    assert trace(project) == ["read", "read"]
    assert changed(project, "r3") == [("read", "inputs.rows")]


def test_an_equal_artifact_of_a_step_that_ran_again_lets_the_next_step_be_found(project):
    """The key has contents: a rebuilt but equal model does not repeat what reads it.

    Known only inside the step.
    """

    def steps(note):
        return kept(project, fingerprint={"note": note}), tracing(
            project, "use", inputs={"model": Artifact("fit", "model")}
        )

    run(project, "r1", *steps("one"))
    state = run(project, "r2", *steps("two"))
    assert trace(project) == ["fit", "use", "fit"]
    assert [step.phase for step in state.steps] == ["done", "done"]
    assert "run r1 has this result" in (project.folder / ".isthmus/runs/r2/use/log.txt").read_text()


def test_an_upstream_value_that_changed_is_named(project):
    def steps(score):
        return (
            scored(project, given=Parameter("s")),
            tracing(
                project,
                "use",
                parameters={"score": Value("fit", "score")},
                arguments=("{parameters.score}",),
            ),
        ), {"types": {"s": "float"}, "parameters": {"s": score}}

    for name, score in (("r1", 0.5), ("r2", 0.75)):
        graph, given = steps(score)
        run(project, name, *graph, **given)
    assert changed(project, "r2") == [("fit", "parameters.s"), ("use", "parameters.score")]


@pytest.mark.parametrize("harm", ["edit", "delete", "add", "remove_folder"])
def test_a_damaged_artifact_is_a_miss_and_says_so(project, harm):
    run(project, "r1", kept(project))
    folder = local_path(artifact_uri(project, "r1", "fit", "model"))
    file = folder / "model.txt"
    if harm == "edit":
        file.write_text("weighty")  # the same size
    elif harm == "add":
        (folder / "more.txt").touch()
    else:
        file.unlink()
        if harm == "remove_folder":
            folder.rmdir()
    run(project, "r2", kept(project))
    assert trace(project) == ["fit", "fit"]
    assert changed(project, "r2") == [("fit", "artifact model")]
    assert (
        local_path(artifact_uri(project, "r2", "fit", "model")).joinpath("model.txt").read_text()
        == "weights"
    )


def test_a_damaged_index_or_result_is_a_miss(project):
    run(project, "r1", scored(project))
    for number, pattern in enumerate(("cache/*/*/*.json", "runs/*/fit/step.json"), start=2):
        for file in (project.folder / ".isthmus").glob(pattern):
            file.write_bytes(b"{half")
        assert run(project, f"r{number}", scored(project)).phase == "done"
    assert trace(project) == ["fit"] * 3


def test_a_step_without_cache_runs_every_time(project):
    for name in ("r1", "r2"):
        run(project, name, tracing(project, "notify", cache=False))
    assert trace(project) == ["notify", "notify"]
    assert changed(project, "r2") == [("notify", "cache")]


def test_a_failed_step_is_not_found_and_its_key_is_explained(project):
    run(project, "r1", tracing(project, "fit", "sys.exit(1)"))
    run(project, "r2", tracing(project, "fit", "sys.exit(1)"))
    assert trace(project) == ["fit", "fit"]
    run(project, "r3", scored(project, given=0.5))
    run(
        project,
        "r4",
        tracing(
            project, "fit", WRITE, arguments=("x", "{values}"), parameters={"s": 0.5}, outputs=SCORE
        ),
    )
    assert changed(project, "r4") == [("fit", "command")]


def test_equal_steps_of_two_pipelines_are_not_mixed(project):
    run(project, "r1", tracing(project, "fit"), pipeline="one")
    run(project, "r2", tracing(project, "fit"), pipeline="two")
    assert trace(project) == ["fit", "fit"]


def test_an_unknown_run_or_step_is_not_found(project):
    run(project, "r1", scored(project))
    with pytest.raises(NotFound, match="no run r9"):
        why_rerun(project, "r9")
    with pytest.raises(NotFound, match=r"no step fti \(it has fit\)"):
        why_rerun(project, "r1", "fti")
    with pytest.raises(NotFound, match="no artifact model"):
        artifact_uri(project, "r1", "fit", "model")


parts = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=5)


@given(parts, parts)
def test_keys_are_equal_if_and_only_if_all_parts_are(one, other):
    assert (key_of(one) == key_of(other)) == (one == other)
    assert key_of(dict(reversed(one.items()))) == key_of(json.loads(json.dumps(one)))
