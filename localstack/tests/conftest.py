"""One stack process for all of this folder's tests, reset before each; the genuine SDK in this one.

Without a cloud's packages the tests of its stack are not collected.
"""

from importlib.util import find_spec

import pytest

from isthmus_stack.client import Stack
from isthmus_stack.run import start_aws

collect_ignore = []
collect_ignore_glob = []
if not (find_spec("boto3") and find_spec("awswrangler") and find_spec("moto")):
    collect_ignore_glob += ["*"]
if not (find_spec("grpc") and find_spec("cryptography") and find_spec("google")):
    collect_ignore += ["gcp"]

EXAMPLES = "isthmus_stack.tests.aws.example_handlers"


@pytest.fixture(scope="session")
def example_process():
    with start_aws(handlers=[EXAMPLES]) as running:
        yield running


@pytest.fixture
def example_stack(example_process):
    stack = Stack(example_process.url)
    stack.reset()
    return stack


@pytest.fixture
def aws(example_stack):
    """aws("s3"): a client of the example stack; `attempts` with retries."""
    import boto3
    from botocore.config import Config

    from isthmus_stack.testing.keys_kit import keys

    def client(service, *, attempts=1, account=None, region="us-east-1"):
        return boto3.client(
            service,
            endpoint_url=example_stack.url,
            region_name=region,
            **keys(example_stack.url, account),
            config=Config(
                retries={"total_max_attempts": attempts, "mode": "standard"},
                max_pool_connections=30,
            ),
        )

    return client


@pytest.fixture(scope="session")
def job_process():
    from isthmus_stack.testing import stacks
    from isthmus_stack.testing.jobs_kit import Aws

    return Aws(stacks.shared("real").url)


@pytest.fixture
def job_clients(job_process):
    """The clients of a stack on the real clock, with a bucket and nothing else."""
    job_process.stack.reset()
    job_process.s3.create_bucket(Bucket="bucket")
    return job_process
