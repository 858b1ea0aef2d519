"""nox sessions: each makes its own environment with uv, as a user's would be."""

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["laptop", "check"]
SDKS = (
    "boto3",
    "botocore",
    "sagemaker",
    "awswrangler",
    "moto",
    "google.cloud.aiplatform_v1",
    "grpc",
    "kfp",
)


# What is installed is in the lock, by its digest.
LOCKED = (
    "--quiet",
    "--require-hashes",
    "--require-build-hashes",
    "--build-constraints",
    "requirements.lock",
)
CHECKOUT = (
    "--no-deps",
    "--no-build-isolation",
    "--editable",
    ".",
    "--editable",
    "./localstack",
)  # not a wheel: it lacks most of the tests


@nox.session(python=["3.11"])
def laptop(session):
    """The whole suite in an environment that has no cloud SDK: the laptop needs none."""
    wanted = ("--extra", "conformance", "--extra", "demo", "--group", "build", "--group", "laptop")
    session.install(
        *LOCKED, "--constraint", "requirements.lock", "--requirement", "pyproject.toml", *wanted
    )
    session.install(*CHECKOUT)
    session.run(
        "python",
        "-c",
        f"""
from importlib.util import find_spec
def there(name):
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False
found = [name for name in {SDKS!r} if there(name)]
assert not found, found
""",
    )
    session.run("pytest", *session.posargs)


@nox.session(python=["3.11"])
def check(session):
    """Formatting, linting and types."""
    session.run_install("uv", "pip", "sync", *LOCKED, "requirements.lock", external=True)
    session.install(*CHECKOUT)
    session.run(".ci/checks", external=True)
