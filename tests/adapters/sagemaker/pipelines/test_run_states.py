"""SageMaker lists the steps that it started; what became of the others is said by the graph."""

from datetime import UTC, datetime

from isthmus.adapters.sagemaker.pipelines.definition import branch_name
from isthmus.adapters.sagemaker.pipelines.run_states import run_state
from isthmus.pipelines.graphs.conditions import all_conditions
from isthmus.pipelines.port import Condition, PipelineRun, StepSpec

NOW = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)
CONDITION = Condition(step="measure", output="auc", op=">=", value=0.6)
STEPS = (
    StepSpec(name="measure"),
    StepSpec(name="good", needs=("measure",), when=CONDITION),
    StepSpec(name="after", needs=("good",)),
    StepSpec(name="beside"),
)
RUN = PipelineRun(
    run_id="0" * 32, pipeline="p", run_uri="s3://b/shop/runs/r1/run.json", steps=STEPS
)
BRANCH = branch_name(all_conditions(STEPS)["good"])


def listed(name, status, **more):
    return {
        "StepName": name,
        "StepStatus": status,
        "StartTime": NOW,
        "EndTime": NOW,
        "Metadata": {},
        **more,
    }


def state(status, *started, why=lambda _step: None):
    return run_state(
        RUN,
        status,
        started,
        why=why,
        log=lambda step: f"log of {step}",
        url=lambda arn: f"page of {arn}",
    )


def phases(found):
    return {step.name: step.phase for step in found.steps}


def test_what_has_not_started_waits_while_the_run_goes_on():
    found = state("Executing", listed("measure", "Executing"))
    assert found.phase == "running"
    assert phases(found) == {
        "measure": "running",
        "good": "waiting",
        "after": "waiting",
        "beside": "waiting",
    }
    assert found.steps[0].ended is None


def test_a_false_condition_skips_its_steps_and_all_that_inherit_it():
    found = state("Succeeded", listed("measure", "Succeeded"), listed(BRANCH, "Succeeded", Metadata={"Condition": {"Outcome": "False"}}),
                  listed("beside", "Succeeded"))  # fmt: skip
    assert found.phase == "done"
    assert phases(found) == {
        "measure": "done",
        "good": "skipped",
        "after": "skipped",
        "beside": "done",
    }
    assert {step.name: step.reason for step in found.steps if step.phase == "skipped"} == {
        "good": "not measure.auc >= 0.6",
        "after": "it needs good, which was skipped",
    }


def test_a_condition_that_cannot_be_judged_fails_its_step():
    found = state(
        "Failed",
        listed("measure", "Succeeded"),
        listed(BRANCH, "Failed", FailureReason="no such path"),
    )
    assert phases(found)["good"] == "failed"
    assert "no such path" in found.steps[1].reason
    assert phases(found)["after"] == "skipped"


def test_the_steps_own_reason_comes_before_the_providers():
    failed = listed(
        "measure",
        "Failed",
        FailureReason="AlgorithmError: exit code 1",
        Metadata={"ProcessingJob": {"Arn": "arn:x"}},
    )
    assert state("Failed", failed).steps[0].reason == "AlgorithmError: exit code 1"
    found = state("Failed", failed, why=lambda step: f"{step}: no such column").steps[0]
    assert (found.reason, found.url, found.log) == (
        "measure: no such column",
        "page of arn:x",
        "log of measure",
    )


def test_a_cancelled_run_cancels_what_never_began():
    found = state("Stopped", listed("measure", "Stopped"))
    assert found.phase == "cancelled"
    assert set(phases(found).values()) == {"cancelled"}


def test_what_sagemaker_did_not_begin_after_a_failure_says_so():
    found = state("Failed", listed("measure", "Failed"))
    assert phases(found) == {
        "measure": "failed",
        "good": "skipped",
        "after": "skipped",
        "beside": "skipped",
    }
    assert found.steps[3].reason == "the run ended before it could begin"


def test_a_run_that_completed_with_failures_has_failed():
    assert state("CompletedWithFailures").phase == "failed"


def test_times_are_whole_milliseconds():
    assert state("Executing", listed("measure", "Succeeded")).steps[0].started.microsecond == 123000
