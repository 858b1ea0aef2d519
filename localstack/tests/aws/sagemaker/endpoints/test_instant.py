"""Endpoints on the default clock: the provider's delays are zero, a model server takes the time
that it takes, and nothing is made up.
"""

import json
import urllib.request

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.testing import endpoints_kit, stacks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def process():
    return stacks.shared("instant")


@pytest.fixture
def kit(process):
    kit = endpoints_kit.Kit(process.url)
    kit.stack.reset()
    kit.bucket()
    return kit


def create(kit, config="one"):
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName=config)


def test_an_endpoint_is_in_service_once_its_model_servers_are_and_changes_at_once_after_that(kit):
    kit.model("red")
    kit.model("blue")
    kit.config("one", red=1, blue=1)
    create(kit)
    assert kit.settled()["EndpointStatus"] == "InService"
    assert kit.invoke(TargetVariant="blue")[1]["model"] == "blue"
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredWeight": 0}],
    )
    assert kit.weights()["red"] == (0.0, 0.0)
    kit.config("two", red=1)
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 3000,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
    }
    with pytest.raises(ClientError, match="variants of the old one"):
        kit.sagemaker.update_endpoint(
            EndpointName="ranker",
            EndpointConfigName="two",
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )
    kit.sagemaker.update_endpoint(EndpointName="ranker", EndpointConfigName="two")
    updated = kit.settled()
    assert (updated["EndpointStatus"], updated["EndpointConfigName"]) == ("InService", "two")
    kit.sagemaker.delete_endpoint(EndpointName="ranker")
    assert kit.sagemaker.list_endpoints()["Endpoints"] == []


def test_metrics_are_seen_at_once(kit):
    kit.model("red")
    kit.config("one", red=1)
    create(kit)
    kit.settled()
    kit.invoke()
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations"}
    metric["Dimensions"] = [
        {"Name": "EndpointName", "Value": "ranker"},
        {"Name": "VariantName", "Value": "red"},
    ]
    now = kit.stack.now()
    (found,) = kit.cloudwatch.get_metric_data(
        MetricDataQueries=[
            {"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
        ],
        StartTime=now.timestamp() - 300,
        EndTime=now.timestamp() + 60,
    )["MetricDataResults"]
    assert (found["StatusCode"], found["Values"]) == ("Complete", [1.0])


def test_an_endpoint_is_creating_while_its_container_is_not_healthy(kit):
    kit.model("red", ill=True)
    kit.config("one", red=1)
    create(kit)
    assert kit.status() == "Creating"
    with pytest.raises(ClientError, match="Endpoint ranker of account 123456789012 not found"):
        kit.invoke()


def test_an_endpoint_whose_image_nobody_mapped_fails_with_the_reason(kit):
    kit.model("red", image="somebody/else:1")
    kit.config("one", red=1)
    create(kit)
    described = kit.settled()
    assert described["EndpointStatus"] == "Failed"
    assert "no command is mapped to 'somebody/else:1'" in described["FailureReason"]


def test_an_endpoint_whose_container_ends_fails_with_its_exit_code(kit):
    kit.model("red", dies=True)
    kit.config("one", red=1)
    create(kit)
    described = kit.settled()
    assert described["EndpointStatus"] == "Failed"
    assert "exited with code 3" in described["FailureReason"]


def test_invoking_what_nobody_made_is_a_validation_error(kit):
    with pytest.raises(ClientError) as caught:
        kit.runtime.invoke_endpoint(EndpointName="nobody", Body=b"x")
    assert caught.value.response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 123456789012 not found.",
    }


def test_names_are_unique(kit):
    kit.model("red")
    with pytest.raises(ClientError, match="already existing model"):
        kit.model("red")
    kit.config("one", red=1)
    with pytest.raises(ClientError, match="already existing endpoint configuration"):
        kit.config("one", red=1)
    create(kit)
    kit.settled()
    with pytest.raises(ClientError, match="already existing endpoint"):
        create(kit)


def test_a_list_has_ten_entries_unless_it_asks_for_more(kit):
    kit.model("red")
    for number in range(11):
        kit.config(f"c{number}", red=1)
    assert len(kit.sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 10
    assert len(kit.sagemaker.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]) == 11


def test_an_update_that_does_not_end_within_its_limit_goes_back(kit):
    kit.model("red")
    kit.model("late", ill=True)
    kit.config("one", red=1)
    kit.config("two", red_late=1)
    create(kit)
    kit.settled()
    routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    kit.sagemaker.update_endpoint(
        EndpointName="ranker",
        EndpointConfigName="two",
        DeploymentConfig={
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "MaximumExecutionTimeoutInSeconds": 600,
            }
        },
    )
    assert kit.status() == "Updating"
    kit.stack.advance(601)
    described = kit.settled()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "one")
    assert "MaximumExecutionTimeoutInSeconds" in described["FailureReason"]
    assert kit.invoke()[1]["model"] == "red"


def put_alarm(kit, name, metric):
    kit.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="shop",
        MetricName=metric,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
    )


def test_alarms_are_evaluated_and_one_without_data_has_too_little(kit):
    put_alarm(kit, "quiet", "nothing")
    put_alarm(kit, "loud", "price")
    kit.cloudwatch.put_metric_data(
        Namespace="shop", MetricData=[{"MetricName": "price", "Value": 50}]
    )
    kit.stack.advance(1)
    states = {
        a["AlarmName"]: a["StateValue"] for a in kit.cloudwatch.describe_alarms()["MetricAlarms"]
    }
    assert states == {"quiet": "INSUFFICIENT_DATA", "loud": "ALARM"}


def test_a_state_that_was_set_stays_until_the_alarm_without_data_is_due(kit):
    put_alarm(kit, "quiet", "nothing")
    kit.cloudwatch.set_alarm_state(AlarmName="quiet", StateValue="ALARM", StateReason="a drill")
    kit.stack.advance(30)
    assert kit.cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "ALARM"
    kit.stack.advance(40)
    assert kit.cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "INSUFFICIENT_DATA"


@pytest.fixture(scope="module")
def process_as_moto():
    return stacks.shared("instant", moto_answers=True)


@pytest.fixture
def as_moto(process_as_moto):
    """The same, with --moto-answers."""
    kit = endpoints_kit.Kit(process_as_moto.url)
    kit.stack.reset()
    kit.bucket()
    return kit


def test_with_motos_answers_an_unmapped_image_is_in_service_and_answers_from_motos_queue(as_moto):
    kit = as_moto
    kit.model("red", image="somebody/else:1")
    kit.config("one", red=1)
    create(kit)
    assert kit.status() == "InService"
    results = {
        "results": [
            {
                "Body": "first",
                "ContentType": "text/xml",
                "InvokedProductionVariant": "prod",
                "CustomAttributes": "mine",
            }
        ]
    }
    queue = urllib.request.Request(
        f"{kit.url}/moto-api/static/sagemaker/endpoint-results",
        json.dumps(results).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(queue) as answer:
        assert answer.status == 201
    answer = kit.runtime.invoke_endpoint(EndpointName="ranker", Body=b"x")
    assert (answer["Body"].read(), answer["ContentType"], answer["InvokedProductionVariant"]) == (
        b"first",
        "text/xml",
        "prod",
    )
    assert kit.runtime.invoke_endpoint(EndpointName="ranker", Body=b"y")["Body"].read() == b"body"


def test_with_motos_answers_an_endpoint_that_nobody_made_answers_and_a_quiet_alarm_is_ok(as_moto):
    answer = as_moto.runtime.invoke_endpoint(EndpointName="nobody", Body=b"x")
    assert (answer["Body"].read(), answer["InvokedProductionVariant"]) == (
        b"body",
        "invoked_production_variant",
    )
    put_alarm(as_moto, "quiet", "nothing")
    as_moto.stack.advance(1)
    assert as_moto.cloudwatch.describe_alarms()["MetricAlarms"][0]["StateValue"] == "OK"
