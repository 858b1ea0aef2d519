"""nox sessions: each makes its own environment with uv, as a user's would be."""

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["laptop", "check"]
SDKS = ("boto3", "botocore", "sagemaker", "awswrangler", "moto", "google.cloud.aiplatform_v1", "grpc", "kfp")


@nox.session(python=["3.11"])
def laptop(session):
    """The whole suite in an environment that has no cloud SDK: the laptop needs none."""
    testing = ("jsonschema", "openapi-spec-validator", "pytest-timeout", "pytest-xdist", "uv")
    session.install("-c", "constraints.txt", "-e", ".[conformance,demo]", *testing)  # a wheel lacks most of the tests
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
    session.run("pytest", "tests", *session.posargs)


@nox.session(python=["3.11"])
def check(session):
    """Formatting, linting and types."""
    session.install("-c", "constraints.txt", "-e", ".[check]")
    session.run(".ci/checks", external=True)
