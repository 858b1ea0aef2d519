"""Compile once, on a fresh clone, what each of the tests' workers would: 30 s of CPU apiece, as they import the same at the same time."""

import subprocess
import sys
from pathlib import Path

# What is large among what the tests import; one process imports a line.
LARGE = (
    """google.cloud.aiplatform_v1 google.cloud.resourcemanager_v3 google.cloud.monitoring_v3 google.cloud.firestore google.cloud.pubsub_v1
    kfp.compiler""",
    """pandas scipy.stats sklearn.linear_model google.cloud.bigquery google.cloud.logging_v2 google.cloud.firestore_admin_v1
    google.cloud.storage sqlglot boto3 awswrangler moto.s3.models moto.sagemaker.models moto.glue.models moto.dynamodb.models
    isthmus.localstack.aws.handler_modules openapi_spec_validator hypothesis.strategies""",
)
_IMPORT = """
import contextlib, importlib, sys
for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):  # not everybody has the clouds' packages
        importlib.import_module(name)
"""


def compile_once(folder):
    """Where `folder`, PYTHONPYCACHEPREFIX, holds nothing yet."""
    if Path(folder, sys.prefix.lstrip("/")).exists():
        return
    processes = [subprocess.Popen([sys.executable, "-c", _IMPORT, *line.split()]) for line in LARGE]
    for process in processes:
        process.wait()
