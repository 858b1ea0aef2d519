"""Endpoints by boto3, on a clock that the tests move; the stack is another process."""

import io
import json
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing import endpoints_kit, stacks
from isthmus_stack.testing.jobs_kit import alive, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def process():
    return stacks.shared("manual")


@pytest.fixture
def kit(process):
    kit = endpoints_kit.Kit(process.url)
    kit.stack.reset()
    return kit


def refusal(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def test_an_endpoint_is_created_on_the_clock_and_answers_from_its_model(kit):
    kit.bucket()
    kit.model("red", environment={"GREETING": "hello"})
    kit.config("one", red=1, count=2)
    made = kit.sagemaker.create_endpoint(
        EndpointName="ranker", EndpointConfigName="one", Tags=[{"Key": "k", "Value": "v"}]
    )
    described = kit.describe()
    assert described["EndpointStatus"] == "Creating"
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "one"
    assert (
        refusal(kit.runtime.invoke_endpoint, EndpointName="ranker", Body=b"")["Error"]["Code"]
        == "ValidationError"
    )
    kit.stack.advance(60)
    described = kit.describe()
    assert described["EndpointStatus"] == "InService"
    assert "PendingDeploymentSummary" not in described
    (variant,) = described["ProductionVariants"]
    assert (
        variant["CurrentWeight"],
        variant["DesiredWeight"],
        variant["CurrentInstanceCount"],
    ) == (1.0, 1.0, 2)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == endpoints_kit.IMAGE
    name, seen = kit.invoke(b"12345", ContentType="text/csv")
    assert (name, seen["model"], seen["bytes"], seen["type"], seen["env"]) == (
        "red",
        "red",
        5,
        "text/csv",
        "hello",
    )
    assert kit.sagemaker.list_tags(ResourceArn=made["EndpointArn"])["Tags"] == [
        {"Key": "k", "Value": "v"}
    ]


def test_a_model_may_be_an_uncompressed_prefix(kit):
    kit.bucket()
    kit.s3.put_object(Bucket="models", Key="plain/model.json", Body=b'{"name": "plain"}')
    source = {
        "S3DataSource": {
            "S3Uri": "s3://models/plain/",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
    }
    container = {"Image": endpoints_kit.IMAGE, "ModelDataSource": source}
    kit.sagemaker.create_model(
        ModelName="plain", PrimaryContainer=container, ExecutionRoleArn=endpoints_kit.ROLE
    )
    kit.config("one", plain=1)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    kit.stack.advance(60)
    assert kit.invoke()[1]["model"] == "plain"


def test_requests_are_split_by_weight_and_a_variant_at_zero_is_reached_by_name(kit):
    kit.endpoint(red=9, blue=1, idle=0)
    assert kit.weights() == {"red": (9.0, 9.0), "blue": (1.0, 1.0), "idle": (0.0, 0.0)}
    calls = 2000
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda _: kit.invoke()[0], range(calls)))
    red, blue = names.count("red"), names.count("blue")
    assert red + blue == calls
    chi_square = (red - calls * 0.9) ** 2 / (calls * 0.9) + (blue - calls * 0.1) ** 2 / (
        calls * 0.1
    )
    assert chi_square < 19.5  # 1 degree of freedom: one false alarm in 100,000 runs
    assert kit.invoke(TargetVariant="idle")[0] == "idle"


def test_accept_attributes_and_inference_id_pass_through(kit):
    kit.endpoint(red=1)
    answer = kit.runtime.invoke_endpoint(
        EndpointName="ranker",
        Body=b"{}",
        ContentType="application/json",
        Accept="text/plain",
        CustomAttributes="trace=1",
        InferenceId="i1",
    )
    assert answer["ContentType"] == "text/plain"
    assert answer["CustomAttributes"] == "trace=1;seen"


def test_a_container_error_is_a_model_error_with_what_it_said(kit):
    kit.endpoint(red=1)
    for status, side in ((400, "client"), (503, "server")):
        said = refusal(
            kit.runtime.invoke_endpoint, EndpointName="ranker", Body=b"status %d" % status
        )
        assert said["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert said["Error"]["Code"] == "ModelError"
        assert said["OriginalStatusCode"] == status
        assert json.loads(said["OriginalMessage"])["model"] == "red"
        assert said["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/ranker")
        assert (
            f"Received {side} error ({status}) from primary with message"
            in said["Error"]["Message"]
        )


def test_a_container_that_dies_fails_one_call_and_is_started_again(kit):
    kit.endpoint(red=1)
    assert (
        refusal(kit.runtime.invoke_endpoint, EndpointName="ranker", Body=b"die")[
            "OriginalStatusCode"
        ]
        == 0
    )
    deadline = time.monotonic() + 60
    while not answers(kit):
        assert time.monotonic() < deadline, "the container did not come back"


def answers(kit):
    try:
        return kit.invoke()[0] == "red"
    except kit.runtime.exceptions.ModelError:
        return False


def test_what_is_missing_or_too_large_is_a_validation_error_in_sagemakers_words(kit):
    said = refusal(kit.runtime.invoke_endpoint, EndpointName="nobody", Body=b"")
    assert said["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 123456789012 not found.",
    }
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 400
    kit.endpoint(red=1)
    assert (
        refusal(kit.runtime.invoke_endpoint, EndpointName="ranker", Body=b"", TargetVariant="x")[
            "Error"
        ]["Code"]
        == "ValidationError"
    )
    said = refusal(kit.runtime.invoke_endpoint, EndpointName="ranker", Body=b"x" * 6_291_457)
    assert "less than or equal to 6291456" in said["Error"]["Message"]
    assert kit.invoke(b"x" * 6_291_456)[1]["bytes"] == 6_291_456


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"image": "elsewhere/other:1"}, "no command is mapped to 'elsewhere/other:1'"),
        ({"dies": True}, "exited with code 3"),
    ],
)
def test_an_endpoint_that_cannot_start_is_failed_with_the_reason(kit, model, words):
    kit.bucket()
    kit.model("red", **model)
    kit.config("one", red=1)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    kit.stack.advance(60)
    described = kit.describe()
    assert described["EndpointStatus"] == "Failed"
    assert words in described["FailureReason"]
    kit.config("two", red=1)
    assert (
        "can only be deleted"
        in refusal(kit.sagemaker.update_endpoint, EndpointName="ranker", EndpointConfigName="two")[
            "Error"
        ]["Message"]
    )
    kit.sagemaker.delete_endpoint(EndpointName="ranker")
    kit.stack.advance(60)
    assert kit.sagemaker.list_endpoints()["Endpoints"] == []


def test_an_archive_with_a_link_and_a_key_that_leaves_the_folder_fail_the_endpoint(kit):
    kit.bucket()
    kit.model("red")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        link = tarfile.TarInfo("model.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    kit.s3.put_object(Bucket="models", Key="red/model.tar.gz", Body=data.getvalue())
    kit.s3.put_object(Bucket="models", Key="plain/../../../../outside-of-the-model", Body=b"x")
    source = {
        "S3DataSource": {
            "S3Uri": "s3://models/plain/",
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
    }
    container = {"Image": endpoints_kit.IMAGE, "ModelDataSource": source}
    kit.sagemaker.create_model(
        ModelName="plain", PrimaryContainer=container, ExecutionRoleArn=endpoints_kit.ROLE
    )
    kit.config("one", red=1)
    kit.config("two", plain=1)
    for name, config in (("archived", "one"), ("prefixed", "two")):
        kit.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    kit.stack.advance(60)
    assert 'from URL "s3://models/red/model.tar.gz"' in kit.describe("archived")["FailureReason"]
    assert "link" in kit.describe("archived")["FailureReason"]
    assert "'..'" in kit.describe("prefixed")["FailureReason"]


def test_an_archive_that_is_not_there_fails_with_its_uri(kit):
    kit.bucket()
    kit.model("red")
    kit.s3.delete_object(Bucket="models", Key="red/model.tar.gz")
    kit.config("one", red=1)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    kit.stack.advance(60)
    assert "s3://models/red/model.tar.gz" in kit.describe()["FailureReason"]


def test_configurations_are_checked_kept_and_listed(kit):
    kit.bucket()
    kit.model("red")
    kit.model("blue")
    kit.config("full", red=1, capture=None, shadow={"blue": 0.5})
    said = kit.sagemaker.describe_endpoint_config(EndpointConfigName="full")
    assert said["ShadowProductionVariants"][0]["InitialVariantWeight"] == 0.5
    variant = {
        "VariantName": "red",
        "ModelName": "red",
        "InstanceType": "ml.m6g.large",
        "InitialInstanceCount": 1,
    }

    def refused(production, name="other", **more):
        answer = refusal(
            kit.sagemaker.create_endpoint_config,
            EndpointConfigName=name,
            ProductionVariants=production,
            **more,
        )
        assert answer["Error"]["Code"] == "ValidationException"
        return answer["Error"]["Message"]

    assert "already existing" in refused([variant], name="full")
    assert "unique" in refused([variant, variant])
    assert "length less than or equal to 10" in refused(
        [{**variant, "VariantName": f"v{n}"} for n in range(11)]
    )
    assert 'Could not find model "arn:aws:sagemaker' in refused([{**variant, "ModelName": "none"}])
    assert "regular expression" in refused([{**variant, "VariantName": "bad_name"}])
    assert "regular expression" in refused([variant], name="-bad")
    assert "exactly one production variant" in refused(
        [variant, {**variant, "VariantName": "b"}],
        ShadowProductionVariants=[{**variant, "VariantName": "c"}],
    )
    kit.sagemaker.create_endpoint_config(EndpointConfigName="second", ProductionVariants=[variant])
    assert [
        c["EndpointConfigName"]
        for c in kit.sagemaker.list_endpoint_configs(SortBy="Name", SortOrder="Ascending")[
            "EndpointConfigs"
        ]
    ] == ["full", "second"]
    kit.sagemaker.delete_endpoint_config(EndpointConfigName="full")
    assert (
        "Could not find endpoint configuration"
        in refusal(kit.sagemaker.describe_endpoint_config, EndpointConfigName="full")["Error"][
            "Message"
        ]
    )


def test_each_instance_is_a_process_and_a_new_count_starts_and_ends_some(kit):
    kit.endpoint(red=1)
    pids, counts = [], (3, 1, 9)
    for count in counts:
        kit.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="ranker",
            DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredInstanceCount": count}],
        )
        kit.stack.advance(60)
        assert kit.describe()["ProductionVariants"][0]["CurrentInstanceCount"] == count
        pids.append({kit.invoke()[1]["pid"] for _ in range(60)})
    assert [len(of) for of in pids] == [3, 1, 4]  # four at most, which stand for all
    assert pids[1] < pids[0]
    assert pids[1] < pids[2]


def test_instances_that_do_not_come_up_take_a_new_count_back(kit):
    kit.endpoint(red=1)
    kit.s3.delete_object(Bucket="models", Key="red/model.tar.gz")
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[
            {"VariantName": "red", "DesiredWeight": 5, "DesiredInstanceCount": 2}
        ],
    )
    kit.stack.advance(60)
    described = kit.describe()
    assert described["EndpointStatus"] == "InService"
    assert "s3://models/red/model.tar.gz" in described["FailureReason"]
    (variant,) = described["ProductionVariants"]
    assert (
        variant["CurrentInstanceCount"],
        variant["DesiredInstanceCount"],
        variant["CurrentWeight"],
    ) == (1, 1, 1.0)
    assert kit.invoke()[1]["model"] == "red"


def test_a_change_of_weights_is_updating_until_the_clock_says_so_and_keeps_the_counts(kit):
    kit.endpoint(red=1, blue=0)
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[
            {"VariantName": "red", "DesiredWeight": 0},
            {"VariantName": "blue", "DesiredWeight": 3},
        ],
    )
    assert kit.status() == "Updating"
    assert kit.weights() == {"red": (1.0, 0.0), "blue": (0.0, 3.0)}
    again = refusal(
        kit.sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredWeight": 1}],
    )
    assert again["Error"]["Code"] == "ValidationException"
    assert "Cannot update in-progress endpoint" in again["Error"]["Message"]
    assert (
        "in-progress"
        in refusal(kit.sagemaker.delete_endpoint, EndpointName="ranker")["Error"]["Message"]
    )
    assert kit.invoke()[0] == "red"
    kit.stack.advance(60)
    assert kit.status() == "InService"
    assert kit.weights() == {"red": (0.0, 0.0), "blue": (3.0, 3.0)}
    assert {v["CurrentInstanceCount"] for v in kit.describe()["ProductionVariants"]} == {1}
    assert {kit.invoke()[0] for _ in range(20)} == {"blue"}
    said = refusal(
        kit.sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[{"VariantName": "green", "DesiredWeight": 1}],
    )
    assert '"green" is/are not present' in said["Error"]["Message"]
    twice = refusal(
        kit.sagemaker.update_endpoint_weights_and_capacities,
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[
            {"VariantName": "red", "DesiredWeight": weight} for weight in (1, 2)
        ],
    )
    assert (twice["Error"]["Code"], '"red"' in twice["Error"]["Message"]) == (
        "ValidationException",
        True,
    )
    assert kit.weights() == {"red": (0.0, 0.0), "blue": (3.0, 3.0)}


def test_no_call_fails_while_four_threads_call_and_weights_and_fleets_change(kit):
    kit.endpoint(red=1, blue=1)
    stop, failures, answered = threading.Event(), [], []

    def caller():
        while not stop.is_set():
            try:
                answered.append(kit.invoke(b"sleep 0.002"))
            except Exception as error:  # noqa: BLE001  whatever it is, it is the failure that the test looks for
                failures.append(error)

    threads = [threading.Thread(target=caller) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for weight in (9, 0, 4):
            kit.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName="ranker",
                DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredWeight": weight}],
            )
            kit.stack.advance(60)
        kit.config("ranker-2", red=1, blue=1)
        kit.sagemaker.update_endpoint(EndpointName="ranker", EndpointConfigName="ranker-2")
        kit.stack.advance(120)
        assert kit.describe()["EndpointConfigName"] == "ranker-2"
        last = max(len(answered), 80)
        until(lambda: failures or len(answered) > last + 20)  # some calls after the last change
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_deleting_takes_its_time_and_ends_the_processes(kit):
    kit.endpoint(red=1)
    pid = kit.invoke()[1]["pid"]
    kit.sagemaker.delete_endpoint(EndpointName="ranker")
    assert kit.status() == "Deleting"
    assert (
        refusal(kit.runtime.invoke_endpoint, EndpointName="ranker", Body=b"")["Error"]["Code"]
        == "ValidationError"
    )
    kit.stack.advance(60)
    assert (
        "Could not find endpoint"
        in refusal(kit.sagemaker.describe_endpoint, EndpointName="ranker")["Error"]["Message"]
    )
    gone(pid)


def test_a_reset_ends_the_processes(kit):
    kit.endpoint(red=1)
    pid = kit.invoke()[1]["pid"]
    kit.stack.reset()
    gone(pid)


def test_the_model_servers_die_with_a_stack_that_is_killed():
    running = stacks.started("instant")
    try:
        kit = endpoints_kit.Kit(running.url)
        kit.bucket()
        kit.model("red")
        kit.config("one", red=1)
        kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
        kit.settled()
        pid = kit.invoke()[1]["pid"]
        running._process.kill()
        gone(pid)
    finally:
        running.stop()


def gone(pid):
    deadline = time.monotonic() + 60
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)
