"""Fork the stacks of the tests from a process that has imported and read what each would.

See testing/fork_server.py. The genuine start is judged by test_stack_end.py, and by all that starts `isthmus` or a stack apart.
"""

import contextlib
import importlib
import os
import subprocess
from types import SimpleNamespace

from isthmus_stack.core import launch
from isthmus_stack.testing.fork_server import Forked

MOTO = (
    "athena",
    "dynamodb",
    "firehose",
    "glue",
    "iam",
    "kinesis",
    "logs",
    "s3",
    "sagemaker",
    "sts",
)  # what most tests come to ask
OURS = ("cloudwatch", "sagemaker-featurestore-runtime", "sagemaker-runtime")
FIRST_ASKED = (
    "duckdb",
    "pandas",
    "pyarrow.csv",
    "pyarrow.parquet",
)  # what a stack imports when a query first comes


def install():
    """Make `run.start` fork the stacks of this process from prepared ones, from now on."""
    launch.subprocess = SimpleNamespace(
        Popen=popen, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired
    )


def popen(command, **options):
    command = [word for word in command if word != "-P"]
    cloud = command[2].rpartition(".")[2]
    return Forked(f"isthmus_stack.testing.prepared_{cloud}", command, **options)


def aws():
    return _loaded("aws", _import_aws)


def gcp():
    return _loaded("gcp", _import_gcp)


def _loaded(cloud, load):
    """The module -> what is run for it.

    A stack ends without waiting for its threads: see `leave`.
    """
    from isthmus_stack.core.process import leave

    main = importlib.import_module(f"isthmus_stack.{cloud}.__main__").main
    load()
    for name in FIRST_ASKED:
        importlib.import_module(name)
    return {f"isthmus_stack.{cloud}": lambda arguments: leave(main(arguments))}


def _import_aws():
    from moto.backends import get_backend
    from moto.core.base_backend import AccountSpecificBackend
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    from isthmus_stack.aws import front, handler_modules  # noqa: F401  a stack finds it imported
    from isthmus_stack.aws.core import in_process
    from isthmus_stack.aws.core.home import keeper  # noqa: F401  likewise
    from isthmus_stack.aws.core.protocol import http, patterns  # noqa: F401  likewise

    handler_modules.load()
    for service in MOTO:
        get_backend(service)
    for service in (*MOTO, *OURS):  # megabytes of JSON each
        for protocol in get_service_router(service)._service_model.protocols:
            with contextlib.suppress(NotFound):  # moto answers others
                get_service_router(service)._get_router(protocol)
        in_process._service_model(service)
    clients = in_process.Clients(None)
    for service in MOTO:
        clients.get(service, "123456789012", "us-east-1")
    patterns._ranges()
    AccountSpecificBackend.get_session().get_available_regions("sagemaker")


def _import_gcp():
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = (
        "system"  # as the stack itself says, before it imports Arrow
    )
    from isthmus_stack.gcp.composition import CATALOG
    from isthmus_stack.gcp.core.rpc import late_packages
    from isthmus_stack.gcp.core.server import front, listeners  # noqa: F401  likewise

    late_packages.install(api.module for api in CATALOG.apis if api.module)
    late_packages.install = lambda _packages: None
    importlib.import_module("isthmus_stack.gcp.googlesql.analyzer")
    CATALOG.load_all()
