"""Runners and steps of the laptop that are forked from one process, which has imported what each
would (localstack/testing/fork_server.py).

Genuine ones are started by test_step.py, and by all that runs `isthmus` in a process of its own:
tests/faults/flow.py trains so.
"""

import contextlib
import importlib
import subprocess
from types import SimpleNamespace

from isthmus.adapters.local.pipelines import engine
from isthmus_stack.testing.fork_server import starter

RUNNER, STEP = "isthmus.adapters.local.pipelines.runner", "isthmus.pipelines.step"
USED = """duckdb numpy pandas pyarrow.compute pyarrow.csv pyarrow.json pyarrow.pandas_compat pyarrow.parquet sklearn.linear_model
sklearn.pipeline sklearn.compose sqlglot yaml isthmus.adapters.local.storage.blobs isthmus.adapters.local.pipelines.registry isthmus.adapters.local.storage.state
isthmus.adapters.local.warehouse.warehouse isthmus.adapters.targets isthmus.feature_store.offline.training_set isthmus.feature_store.sql.subset
isthmus.pipelines.training.steps isthmus.pipelines.evaluation.forward_evaluation isthmus.pipelines.evaluation.leak_alarm
isthmus.pipelines.models.predictor isthmus.pipelines.models.trainers isthmus.pipelines.run_pages.records
isthmus.pipelines.run_pages.report isthmus.pipelines.training.dataset isthmus.pipelines.training.registration isthmus.project.load"""


def install():
    """From now on the laptop's engine forks its runners in this process, and these their steps."""
    engine.subprocess = _subprocess()


def _subprocess():
    popen = starter("isthmus.tests.pipelines.runs.prepared_steps", {RUNNER, STEP})
    return SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL, PIPE=subprocess.PIPE)


def steps():
    runner, step = importlib.import_module(RUNNER), importlib.import_module(f"{STEP}.job")
    for name in USED.split():
        with contextlib.suppress(ImportError):  # not everybody has scikit-learn
            importlib.import_module(name)
    runner.subprocess = _subprocess()
    return {RUNNER: runner.main, STEP: step.main}
