"""The instant clock: what a client of plain moto did works still, and endpoints whose image runs here are real."""

import json
import urllib.request

import pytest
from botocore.exceptions import ClientError

from isthmus.localstack.run import start_aws
from isthmus.tests.localstack import endpoints_kit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with endpoints_kit.start(tmp_path_factory.mktemp("toy"), "instant") as running:
        yield running


@pytest.fixture
def kit(process):
    kit = endpoints_kit.Kit(process.url)
    kit.stack.reset()
    kit.bucket()
    return kit


def create(kit, config="one"):
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName=config)


def test_an_endpoint_whose_image_runs_here_is_in_service_when_it_is_created(kit):
    kit.model("red")
    kit.model("blue")
    kit.config("one", red=1, blue=1)
    create(kit)
    assert kit.status() == "InService"
    assert kit.invoke(TargetVariant="blue")[1]["model"] == "blue"
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker", DesiredWeightsAndCapacities=[{"VariantName": "red", "DesiredWeight": 0}]
    )
    assert kit.weights()["red"] == (0.0, 0.0)
    kit.config("two", red=1)
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 3000, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10}}
    with pytest.raises(ClientError, match="variants of the old one"):
        kit.sagemaker.update_endpoint(
            EndpointName="ranker",
            EndpointConfigName="two",
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )
    kit.sagemaker.update_endpoint(EndpointName="ranker", EndpointConfigName="two")
    assert (kit.status(), kit.describe()["EndpointConfigName"]) == ("InService", "two")
    kit.sagemaker.delete_endpoint(EndpointName="ranker")
    assert kit.sagemaker.list_endpoints()["Endpoints"] == []


def test_metrics_are_seen_at_once(kit):
    kit.model("red")
    kit.config("one", red=1)
    create(kit)
    kit.invoke()
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations"}
    metric["Dimensions"] = [{"Name": "EndpointName", "Value": "ranker"}, {"Name": "VariantName", "Value": "red"}]
    now = kit.stack.now()
    (found,) = kit.cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}],
        StartTime=now.timestamp() - 300,
        EndTime=now.timestamp() + 60,
    )["MetricDataResults"]
    assert (found["StatusCode"], found["Values"]) == ("Complete", [1.0])


def test_an_unmapped_image_is_in_service_and_answers_from_motos_queue(kit):
    kit.model("red", image="somebody/else:1")
    kit.config("one", red=1)
    create(kit)
    assert kit.status() == "InService"
    results = {"results": [{"Body": "first", "ContentType": "text/xml", "InvokedProductionVariant": "prod", "CustomAttributes": "mine"}]}
    queue = urllib.request.Request(
        f"{kit.url}/moto-api/static/sagemaker/endpoint-results", json.dumps(results).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(queue) as answer:
        assert answer.status == 201
    answer = kit.runtime.invoke_endpoint(EndpointName="ranker", Body=b"x")
    assert (answer["Body"].read(), answer["ContentType"], answer["InvokedProductionVariant"]) == (b"first", "text/xml", "prod")
    assert kit.runtime.invoke_endpoint(EndpointName="ranker", Body=b"y")["Body"].read() == b"body"


def test_without_any_image_moto_answers_for_endpoints_that_nobody_made(kit):
    with start_aws(clock="instant") as plain:
        answer = endpoints_kit.Kit(plain.url).runtime.invoke_endpoint(EndpointName="nobody", Body=b"x")
        assert (answer["Body"].read(), answer["InvokedProductionVariant"]) == (b"body", "invoked_production_variant")
    with pytest.raises(ClientError, match="Endpoint nobody of account 123456789012 not found"):
        kit.runtime.invoke_endpoint(EndpointName="nobody", Body=b"x")


def test_alarms_are_evaluated_and_one_without_data_stays_as_moto_makes_it(kit):
    def put(name, metric):
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

    put("quiet", "nothing")
    put("loud", "price")
    kit.cloudwatch.put_metric_data(Namespace="shop", MetricData=[{"MetricName": "price", "Value": 50}])
    kit.stack.advance(1)
    found = {a["AlarmName"]: a["StateValue"] for a in kit.cloudwatch.describe_alarms()["MetricAlarms"]}
    assert found == {"quiet": "OK", "loud": "ALARM"}
