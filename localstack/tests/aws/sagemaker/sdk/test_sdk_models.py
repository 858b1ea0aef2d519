"""The genuine sagemaker v3 SDK's registry and endpoints, in a process of its own, against the
stack: one run, several things seen.
"""

from importlib.util import find_spec
from pathlib import Path

import pytest

from isthmus_stack.testing import endpoints_kit, stacks
from isthmus_stack.tests.aws.sagemaker.sdk.sdk_kit import seen_by

pytestmark = pytest.mark.slow

if find_spec("sagemaker") is None:
    pytest.skip("the sagemaker SDK is not installed", allow_module_level=True)
CLIENT = Path(__file__).with_name("sdk_models_client.py")
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@pytest.fixture(scope="module")
def stack():
    with stacks.started("real", env={"ISTHMUS_STACK_ENDPOINT_SECONDS": "3"}) as running:
        yield running


@pytest.fixture(scope="module")
def seen(stack, tmp_path_factory):
    kit = endpoints_kit.Kit(stack.url)
    kit.bucket()
    for name in ("first", "second"):
        kit.model(name)  # puts the data into S3; the SDK makes the models
        kit.sagemaker.delete_model(ModelName=name)
    kit.s3.put_object(Bucket="models", Key="in/rows.csv", Body=b"1\n2\n")
    return seen_by(CLIENT, tmp_path_factory.mktemp("sdk"), stack)


@pytest.mark.timeout(900)
def test_a_group_and_its_versions_are_made_and_read(seen):
    registry = seen["registry"]
    assert registry["group"] == [f"{ARN}model-package-group/rankers", "Completed", "all of them"]
    assert registry["groups"] == ["rankers"]
    assert registry["versions"] == [1, 2]
    assert registry["data"] == "s3://models/first/model.tar.gz"
    assert sorted(registry["listed"]) == [
        f"{ARN}model-package/rankers/{number}" for number in (1, 2)
    ]


def test_an_approval_changes_what_it_names_and_is_found_by_the_filter(seen):
    status, description, metadata = seen["registry"]["approved"]
    assert (status, description, metadata) == ("Approved", "good", {"auc": "0.7", "by": "me"})
    assert seen["registry"]["chosen"] == [f"{ARN}model-package/rankers/1"]


def test_models_and_configurations_are_listed(seen):
    assert seen["serving"]["model"] == [f"{ARN}model/first", f"{ARN}model-package/rankers/1"]
    assert seen["serving"]["models"] == ["first", "second"]
    assert seen["serving"]["configs"] == ["first-config", "second-config"]
    assert seen["serving"]["variants"] == ["first"]


def test_the_sdks_wait_ends_when_the_endpoint_is_in_service_and_the_model_answers(seen):
    assert (seen["serving"]["at first"], seen["serving"]["in service"]) == ("Creating", "InService")
    variant, kind, attributes, said = seen["serving"]["invoked"]
    assert (variant, kind, attributes) == ("main", "application/json", "trace=1;seen")
    assert said == {
        "model": "first",
        "env": "hello",
        "type": "application/json",
    }  # the package's data, the model's environment


def test_a_new_capacity_is_there_after_the_wait(seen):
    assert seen["serving"]["capacity"] == 2


def test_an_update_to_another_configuration_serves_the_other_model(seen):
    assert seen["serving"]["updating"] == "Updating"
    assert seen["serving"]["updated"] == ["second-config", "second"]
    assert seen["serving"]["listed"] == [["ranker", "InService"]]


def test_the_sdks_transformer_waits_for_the_models_answers(seen):
    assert seen["serving"]["transformed"] == ["second", "second"]


def test_an_asynchronous_endpoint_answers_into_s3(seen):
    assert seen["serving"]["asynchronous"] == ["second", "text/csv", 4, True]


def test_a_deleted_endpoint_is_gone_for_descriptions_and_for_invocations(seen):
    assert seen["serving"]["after"] == "ValidationException"
    assert seen["serving"]["invoked after"] == "ValidationError"
    assert seen["serving"]["left"] == [[], [], []]


def test_a_group_goes_after_its_versions_only(seen):
    assert seen["removal"] == {"too early": "ConflictException", "left": []}
