"""xdist's workers are forked from one process that has imported what is large among what tests
import (testing/fork_server.py).

By itself each would spend 20 s of CPU on it, and on a fresh clone compile it beside the others, 30
s. What pytest rewrites is not imported there: no test, no helper, no plugin.
"""

import contextlib
import importlib.util
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

from isthmus_stack.testing.fork_server import Forked

LARGE = """pandas scipy.stats sklearn.linear_model sklearn.pipeline duckdb pyarrow.parquet sqlglot jinja2 boto3 awswrangler moto.s3.models
moto.sagemaker.models moto.glue.models moto.dynamodb.models isthmus_stack.aws.handler_modules openapi_spec_validator ir_measures
hera.workflows opentelemetry.sdk.trace uvicorn google.cloud.bigquery google.cloud.logging_v2 google.cloud.firestore_admin_v1
google.cloud.storage"""
LARGEST = """google.cloud.aiplatform_v1 google.cloud.resourcemanager_v3 google.cloud.monitoring_v3 google.cloud.firestore
google.cloud.pubsub_v1 kfp.compiler"""
LEFT_OUT = (
    "__main__",
    "setup",
    "pytest_plugin",
    "gcp",
    "testing",
)  # gcp: a stack's process says itself how Google's packages are imported


def install(template=f"{__name__}:worker"):
    """From now on the workers that this process starts are forked."""
    from execnet import gateway_base, gateway_io

    def start(self, command, execmodel):
        self.popen = Forked(template, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        gateway_base.Popen2IO.__init__(
            self, self.popen.stdin, self.popen.stdout, execmodel=execmodel
        )

    gateway_io.Popen2IOMaster.__init__ = start


def worker(packages=()):
    """What is run in a worker, once the stacks and `packages` are imported."""
    with _compiled(LARGEST):
        _import(LARGE)
    _import(LARGEST)
    for package in (*packages, "isthmus_stack"):
        _import_all(package)
    return {"-c": _run}


@contextlib.contextmanager
def _compiled(names):
    """At the end these are, by a process beside this one, on a fresh clone: there nothing of pandas
    is kept yet.
    """
    code = f"from isthmus_stack.testing.workers import _import; _import({names!r})"
    pandas = importlib.util.find_spec("pandas")
    fresh = (
        pandas is not None and not Path(importlib.util.cache_from_source(pandas.origin)).exists()
    )
    process = subprocess.Popen([sys.executable, "-c", code]) if fresh else None
    yield
    if process:
        process.wait()


def _import(names):
    for name in names.split():
        with contextlib.suppress(ImportError):  # not everybody has the clouds' packages
            importlib.import_module(name)


def _import_all(package):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        if module.name.rpartition(".")[2] not in LEFT_OUT:
            with contextlib.suppress(ImportError):
                _import_all(module.name) if module.ispkg else importlib.import_module(module.name)


def _run(arguments):
    """`python -c` with execnet's line."""
    sys.argv[1:] = []
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    exec(arguments[0], vars(main))
