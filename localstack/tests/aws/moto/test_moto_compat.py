"""What moto did before, it still does: the same boto3 calls to moto's own server and to our stack
with moto's answers.

Ours may say more than moto; what moto says, ours says too. Moments and random ids are compared by
their kind only. Where moto crashes (its server answers 500), nobody can rely on what it says: ours
must not crash, and that is all.
"""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import datetime

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError
from botocore.response import StreamingBody

from isthmus_stack.aws.core.protocol.moto_operations import moto_has
from isthmus_stack.client import Stack
from isthmus_stack.core.http.ports import free_port
from isthmus_stack.testing import stacks
from isthmus_stack.tests.aws.moto.moto_scenarios import SCENARIOS

pytestmark = pytest.mark.slow

# (scenario, method, what differs in it = what ours says) -> why ours is not moto's. Anything else
# that differs is a failure, and so is a line here that no longer differs.
_PROFILE = (
    "moto invents a user profile of a domain that nobody made; the service names one only to a "
    "caller in Studio"
)
_EMPTY = (
    "moto answers an empty value for what was not given; the service leaves it out, and the "
    "sagemaker SDK refuses an empty structure"
)
_NOT_FOUND = "the service has a modelled exception for it, which clients catch; moto raises another"
_FORGOTTEN = "moto forgets the tags of its creation"
DECLARED: dict[tuple[str, str, str], str] = {
    ("models", "list_tags", r"Tags=.*team.*"): _FORGOTTEN,
    ("experiments and trials", "list_tags", r"Tags=.*team.*"): _FORGOTTEN,
    ("experiments and trials", "search", r"Results\[\]\.Experiment\.Tags=.*team.*"): _FORGOTTEN,
    ("experiments and trials", "search", r"Results=.*team.*"): _FORGOTTEN,
    ("endpoint configs", "list_tags", r"Tags=.*team.*"): _FORGOTTEN,
    ("endpoint configs", "describe_endpoint_config", r"DataCaptureConfig=\(nothing\)"): _EMPTY,
    ("endpoints", "describe_endpoint", r"DataCaptureConfig=\(nothing\)"): _EMPTY,
    ("endpoints", "search", r"Results\[\]\.Endpoint\.DataCaptureConfig=\(nothing\)"): _EMPTY,
    ("pipelines", "describe_pipeline", r"(CreatedBy|LastModifiedBy)=\(nothing\)"): _PROFILE,
    (
        "pipelines",
        "search",
        r"Results\[\]\.Pipeline\.(CreatedBy|LastModifiedBy)=\(nothing\)",
    ): _PROFILE,
    ("pipelines", "describe_pipeline", r"Error=ResourceNotFound"): _NOT_FOUND,
    ("pipelines", "update_pipeline", r"Error=ResourceNotFound"): _NOT_FOUND,
    ("pipelines", "delete_pipeline", r"Error=ResourceNotFound"): _NOT_FOUND,
    ("executions", "describe_pipeline", r"(CreatedBy|LastModifiedBy)=\(nothing\)"): _PROFILE,
    (
        "executions",
        "describe_pipeline_execution",
        r"(CreatedBy|LastModifiedBy)=\(nothing\)",
    ): _PROFILE,
    (
        "executions",
        "describe_pipeline_execution",
        r"(PipelineExperimentConfig|FailureReason)=\(nothing\)",
    ): _EMPTY,
    (
        "executions",
        "list_pipeline_executions",
        r".*PipelineExecutionFailureReason=\(nothing\)",
    ): "moto answers the text 'None'",
    ("executions", "start_pipeline_execution", r"Error=ResourceNotFound"): _NOT_FOUND,
    ("executions", "describe_pipeline_execution", r"Error=ResourceNotFound"): _NOT_FOUND,
    ("executions", "list_pipeline_executions", r"Error=ResourceNotFound"): _NOT_FOUND,
    (
        "executions",
        "search",
        r"Results=.*shown.*",
    ): "moto's Search looks for executions where it never puts any",
    (
        "model packages",
        "describe_model_package",
        r"(CreatedBy|LastModifiedBy)\.\w+=\(nothing\)",
    ): _PROFILE,
    (
        "model packages",
        "search",
        r"Results\[\]\.ModelPackage\.(CreatedBy|LastModifiedBy)\.\w+=\(nothing\)",
    ): _PROFILE,
    (
        "feature groups",
        "describe_feature_group",
        r".*ResolvedOutputS3Uri=.*/123456789012/sagemaker/us-east-1/.*",
    ): (
        "moto leaves the folder sagemaker/ out of the path, where readers of the offline store look"
    ),
    (
        "feature groups",
        "search",
        r".*ResolvedOutputS3Uri=.*/123456789012/sagemaker/us-east-1/.*",
    ): "as above",
    ("feature groups", "describe_feature_group", r"FeatureGroupStatus=CreateFailed"): (
        "the offline store is a real one: without its bucket a group is not created, and the "
        "reason says so"
    ),
    (
        "tags",
        "add_tags",
        r"Tags=.*'Value': '2'.*",
    ): "moto keeps two values of one key; a tag that is set again takes the new value",
    ("tags", "list_tags", r"Tags=.*'Value': '2'.*"): "as above",
}

CRASH, LOST = "crash", "lost"
_IDS = (
    (re.compile(r"execution/[a-z0-9]{12}\b"), "execution/ID"),
    (re.compile(r"\b(d|cluster|i)[-/][a-z0-9]{8,17}\b"), r"\1-ID"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"(?<!\d)\d{10}(?!\d)"), "SECONDS"),
)


@pytest.fixture(scope="module")
def moto():
    """moto's server, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy()
    ) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/moto-api/data.json", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def ours():
    running = stacks.shared("instant", moto_answers=True)
    Stack(running.url).reset()
    return running.url


def _wait(url, process):
    deadline = time.monotonic() + 60
    while True:
        try:
            with _direct.open(url, timeout=120):
                return
        except (OSError, urllib.error.URLError):
            assert process.poll() is None, "moto's server ended"
            assert time.monotonic() < deadline, "moto's server did not start"
            time.sleep(0.05)


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def play(url, calls):
    """The answers to a scenario's calls, as they came."""
    clients, answers = {}, []
    for service, method, arguments in calls:
        if service not in clients:
            clients[service] = boto3.client(
                service,
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="offline",
                aws_secret_access_key="offline",
                config=Config(retries={"total_max_attempts": 1}),
            )
        answers.append(_answer(clients[service], method, arguments, answers))
    return answers


def _answer(client, method, arguments, answers):
    try:
        answer = getattr(client, method)(
            **{key: _filled(value, answers) for key, value in arguments.items()}
        )
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code = CRASH if status == 500 else error.response["Error"]["Code"]
        return {"Error": code, "Message": error.response["Error"]["Message"]}
    except ParamValidationError as error:  # the scenario is wrong
        raise AssertionError(f"{method}: {error}") from error
    except LookupError as error:
        return {"Error": LOST, "Message": f"nothing to refer to: {error}"}
    answer.pop("ResponseMetadata")
    return {
        key: value.read() if isinstance(value, StreamingBody) else value
        for key, value in answer.items()
    }


def _filled(value, answers):
    if not (isinstance(value, str) and value.startswith("@")):
        return value
    number, *path = value[1:].split(".")
    found = answers[int(number)]
    for part in path:
        found = found[int(part) if part.isdigit() else part]
    return found


def differences(theirs, mine, at=""):
    """Where `mine` does not say what `theirs` says."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for key, value in theirs.items():
            if key == "Message" and "Error" in theirs:
                continue  # errors are told apart by their code; the words are the service's
            below = f"{at}.{key}" if at else key
            if key not in mine:
                yield below, value, "(nothing)"
            else:
                yield from differences(value, mine[key], below)
        if "Error" in mine and "Error" not in theirs:
            yield "Error", "(nothing)", f"{mine['Error']}: {mine['Message']}"
    elif isinstance(theirs, list) and isinstance(mine, list):
        if len(theirs) != len(mine):
            yield at, theirs, mine
        else:
            for one, other in zip(theirs, mine, strict=True):
                yield from differences(one, other, f"{at}[]")
    elif _kind(theirs) != _kind(mine):
        yield at, theirs, mine


def _kind(value):
    if isinstance(value, datetime):
        return datetime
    if isinstance(value, str):
        for pattern, name in _IDS:
            value = pattern.sub(name, value)
    return value


def compared(scenario, moto, ours):
    """(method, where = what ours says) -> in words, for all that differs."""
    calls = SCENARIOS[scenario]
    _direct.open(
        urllib.request.Request(f"{moto}/moto-api/reset", method="POST"), timeout=120
    ).close()
    Stack(ours).reset()
    found = {}
    for number, (theirs, mine) in enumerate(zip(play(moto, calls), play(ours, calls), strict=True)):
        method = calls[number][1]
        assert mine.get("Error") != CRASH, (method, mine)
        for at, expected, seen in (
            () if theirs.get("Error") in (CRASH, LOST) else differences(theirs, mine)
        ):
            found[method, f"{at}={seen}"] = (
                f"call {number}, {method}, {at}: moto {expected!r}, ours {seen!r}"
            )
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_motos_answers_a_client_of_moto_sees_what_moto_says(scenario, moto, ours):
    found = compared(scenario, moto, ours)
    declared = [(method, pattern) for subject, method, pattern in DECLARED if subject == scenario]
    unexpected = [
        text for key, text in found.items() if not any(_matches(key, one) for one in declared)
    ]
    assert not unexpected, "\n".join(unexpected)
    assert [one for one in declared if not any(_matches(key, one) for key in found)] == [], (
        "no longer different"
    )


def _matches(found, declared):
    return found[0] == declared[0] and re.fullmatch(declared[1], found[1], re.DOTALL) is not None


def test_every_operation_that_moto_has_is_compared():
    called = {
        method.replace("_", "")
        for calls in SCENARIOS.values()
        for service, method, _ in calls
        if service == "sagemaker"
    }
    missing = {operation for operation in moto_has("sagemaker") if operation.lower() not in called}
    assert not missing


def test_no_scenario_is_a_list_of_refusals(moto):
    """A scenario whose calls moto refuses would compare nothing."""
    for scenario, calls in SCENARIOS.items():
        _direct.open(
            urllib.request.Request(f"{moto}/moto-api/reset", method="POST"), timeout=120
        ).close()
        answers = play(moto, calls)
        assert "Error" not in answers[0], (scenario, answers[0])
        assert sum("Error" in answer for answer in answers) <= len(answers) / 2, (scenario, answers)
