"""The billed seconds of a run's jobs are SageMaker's own."""

import sys

import pytest

from isthmus.adapters.sagemaker.pipelines.billing import billed_seconds
from isthmus.pipelines.graphs.graph import Step
from isthmus.pipelines.runs.costs import cost_of
from isthmus.pipelines.runs.document import open_run
from isthmus.tests.adapters.sagemaker.pipelines.test_pipelines import finish, write

pytestmark = pytest.mark.slow

NOTHING = (sys.executable, "-c", "pass")


@pytest.fixture
def ended(target, tmp_path):
    """A run that has ended, of a processing and of a training job, with its state."""
    rows = Step(name="rows", command=NOTHING, cache=False)
    fit = Step(name="fit", kind="training", command=NOTHING, needs=("rows",), cache=False)
    run = write(target, tmp_path, rows, fit)
    target.pipelines.submit(run)
    return run, finish(target, run)


def test_a_training_job_says_its_billable_time_and_a_processing_job_its_begin_and_end(
    target, ended
):
    run, _ = ended
    client = target.native.client("sagemaker")
    (job,) = client.list_training_jobs()["TrainingJobSummaries"]
    training = client.describe_training_job(TrainingJobName=job["TrainingJobName"])
    (job,) = client.list_processing_jobs()["ProcessingJobSummaries"]
    processing = client.describe_processing_job(ProcessingJobName=job["ProcessingJobName"])
    lasted = processing["ProcessingEndTime"] - processing["ProcessingStartTime"]
    assert billed_seconds(target, run.run_id) == {
        "fit": training["BillableTimeInSeconds"],
        "rows": lasted.total_seconds(),
    }
    assert billed_seconds(target, "0" * 32) == {}


def test_a_job_that_may_not_be_looked_at_counts_from_its_steps_begin_to_its_end(
    target, stack, ended
):
    run, state = ended
    for operation in ("DescribeTrainingJob", "DescribeProcessingJob"):
        stack.fault(
            kind="error",
            service="sagemaker",
            operation=operation,
            code="AccessDeniedException",
            status=400,
            times=None,
        )
    assert billed_seconds(target, run.run_id) == {}
    cost = cost_of(target, open_run(target.blobs, "r1"), state)
    steps = {step.name: step for step in state.steps}
    assert {step.step: step.seconds for step in cost.steps} == {
        name: (step.ended - step.started).total_seconds() for name, step in steps.items()
    }
