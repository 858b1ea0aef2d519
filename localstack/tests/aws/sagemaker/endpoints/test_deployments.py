"""UpdateEndpoint: canary, linear, rolling, and the ways back; on a clock that the tests move."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws.services.sagemaker.endpoints.plan import plan
from isthmus_stack.serving.weights import choice, shares, two_fleets
from isthmus_stack.testing import endpoints_kit, stacks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def process():
    return stacks.shared("manual")


@pytest.fixture
def kit(process):
    kit = endpoints_kit.Kit(process.url)
    kit.stack.reset()
    return kit


def routed(kind, wait=120, **more):
    return {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **more}}


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def update(kit, name="ranker-2", **more):
    return kit.sagemaker.update_endpoint(EndpointName="ranker", EndpointConfigName=name, **more)


def updating(kit, policy, alarms=(), **variants):
    """A second configuration on its way to `ranker`, its servers up and its first stage begun."""
    for name in variants:
        kit.model(name.partition("_")[2] or name)
    kit.config("ranker-2", **variants)
    rollback = (
        {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": a} for a in alarms]}}
        if alarms
        else {}
    )
    update(kit, DeploymentConfig={**policy, **rollback})
    assert kit.status() == "Updating"
    kit.stack.advance(60)


def models(kit, calls=400):
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(lambda _: kit.invoke()[1]["model"], range(calls)))


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    return caught.value.response["Error"]["Message"]


def test_all_at_once_replaces_the_fleet_and_shows_what_is_pending(kit):
    kit.endpoint(red=1)
    kit.model("blue")
    kit.config("ranker-2", blue=1)
    update(kit)
    described = kit.describe()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == (
        "Updating",
        "ranker-1",
    )
    pending = described["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "ranker-2"
    assert pending["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Creating"
    assert kit.invoke()[1]["model"] == "red"
    kit.stack.advance(60)
    described = kit.describe()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == (
        "InService",
        "ranker-2",
    )
    assert kit.invoke()[1]["model"] == "blue"
    assert "PendingDeploymentSummary" not in described


def test_a_canary_takes_its_share_then_all(kit):
    kit.endpoint(a_red=1)
    updating(
        kit,
        {
            "BlueGreenUpdatePolicy": {
                **routed("CANARY", CanarySize=percent(25)),
                "TerminationWaitInSeconds": 300,
            }
        },
        a_blue=1,
    )
    pending = kit.describe()["PendingDeploymentSummary"]
    assert pending["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Baking"
    seen = models(kit)
    assert 60 <= seen["blue"] <= 145  # 100 expected of 400; 5 sigma are 43
    kit.stack.advance(120)
    assert models(kit, 40) == {"blue": 40}
    kit.stack.advance(120)
    assert kit.status() == "Updating"  # the old fleet waits for its termination
    kit.stack.advance(300)
    assert (kit.status(), kit.describe()["EndpointConfigName"]) == ("InService", "ranker-2")
    assert "BlueGreenUpdatePolicy" in kit.describe()["LastDeploymentConfig"]


def test_linear_steps_rise_one_by_one(kit):
    kit.endpoint(a_red=1)
    updating(kit, {"BlueGreenUpdatePolicy": routed("LINEAR", LinearStepSize=percent(50))}, a_blue=1)
    assert 140 <= models(kit)["blue"] <= 260
    kit.stack.advance(120)
    assert models(kit, 40) == {"blue": 40}
    kit.stack.advance(120)
    assert kit.describe()["EndpointConfigName"] == "ranker-2"


def test_a_rolling_update_shifts_batch_by_batch(kit):
    kit.endpoint(a_red=1)
    updating(
        kit,
        {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 60}},
        a_blue=1,
    )
    assert 140 <= models(kit)["blue"] <= 260
    kit.stack.advance(120)
    assert (kit.status(), kit.invoke()[1]["model"]) == ("InService", "blue")


def alarm(kit, name="errors"):
    kit.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Dimensions=[
            {"Name": "EndpointName", "Value": "ranker"},
            {"Name": "VariantName", "Value": "a"},
        ],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=5,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )


def test_an_alarm_while_baking_takes_everything_back(kit):
    kit.endpoint(a_red=1)
    alarm(kit)
    updating(
        kit,
        {"BlueGreenUpdatePolicy": routed("CANARY", wait=600, CanarySize=percent(50))},
        alarms=["errors"],
        a_blue=1,
    )
    for _ in range(20):
        with pytest.raises(kit.runtime.exceptions.ModelError):
            kit.invoke(b"status 500")
    waited = 0
    while kit.status() == "Updating":
        kit.stack.advance(30)
        waited += 30
        assert waited <= 240, "a minute, its delay, and the alarm's next look are over"
    assert kit.status() == "RollingBack"
    assert (
        kit.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"][0]["StateValue"]
        == "ALARM"
    )
    kit.stack.advance(60)
    described = kit.describe()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == (
        "InService",
        "ranker-1",
    )
    assert "FailureReason" not in described
    assert models(kit, 40) == {"red": 40}


def test_an_alarm_set_by_hand_rolls_back_within_seconds(kit):
    kit.endpoint(a_red=1)
    alarm(kit)
    updating(
        kit, {"BlueGreenUpdatePolicy": routed("ALL_AT_ONCE", wait=600)}, alarms=["errors"], a_blue=1
    )
    assert kit.invoke()[1]["model"] == "blue"
    kit.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="a drill")
    kit.stack.advance(10)
    assert kit.status() == "RollingBack"
    assert kit.invoke()[1]["model"] == "red"
    kit.stack.advance(60)
    assert (kit.status(), kit.describe()["EndpointConfigName"]) == ("InService", "ranker-1")


def test_a_new_fleet_that_does_not_start_leaves_the_old_one_with_the_reason(kit):
    kit.endpoint(a_red=1)
    kit.model("broken", dies=True)
    kit.config("ranker-2", a_broken=1)
    update(kit)
    kit.stack.advance(120)
    described = kit.describe()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == (
        "InService",
        "ranker-1",
    )
    assert "ping health check" in described["FailureReason"]
    assert kit.invoke()[1]["model"] == "red"


@pytest.mark.parametrize("operation", ["UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"])
def test_a_silent_rollback_ends_in_service_without_a_word(kit, operation):
    kit.endpoint(a_red=1, b_blue=0)
    kit.stack.fault(kind="silent-rollback", service="sagemaker", operation=operation)
    if operation == "UpdateEndpoint":
        kit.config("ranker-2", a_red=5, b_blue=5)
        update(kit)
    else:
        kit.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="ranker",
            DesiredWeightsAndCapacities=[{"VariantName": "b", "DesiredWeight": 1}],
        )
    assert kit.status() == "Updating"
    kit.stack.advance(120)
    described = kit.describe()
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == (
        "InService",
        "ranker-1",
    )
    assert kit.weights() == {"a": (1.0, 1.0), "b": (0.0, 0.0)}
    assert "FailureReason" not in described


def test_a_change_may_be_seen_late(kit):
    kit.endpoint(a_red=1, b_red=0)
    kit.stack.fault(
        kind="eventual-consistency",
        service="sagemaker",
        operation="UpdateEndpointWeightsAndCapacities",
        seconds=30,
    )
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[{"VariantName": "b", "DesiredWeight": 1}],
    )
    assert (kit.status(), kit.weights()["b"]) == ("InService", (0.0, 0.0))
    kit.stack.advance(30)
    assert (kit.status(), kit.weights()["b"]) == ("Updating", (0.0, 1.0))


def test_properties_are_retained_when_asked_and_excluded_ones_are_not(kit):
    kit.endpoint(a_red=1, b_blue=0)
    kit.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="ranker",
        DesiredWeightsAndCapacities=[
            {"VariantName": "b", "DesiredWeight": 3, "DesiredInstanceCount": 5}
        ],
    )
    kit.stack.advance(60)
    kit.model("new")
    kit.config("ranker-2", a_red=7, b_blue=7, c_new=0)
    update(kit, RetainAllVariantProperties=True)
    kit.stack.advance(60)
    assert kit.weights() == {"a": (1.0, 1.0), "b": (3.0, 3.0), "c": (0.0, 0.0)}
    assert [v["CurrentInstanceCount"] for v in kit.describe()["ProductionVariants"]] == [1, 5, 1]
    kit.config("ranker-3", a_red=7, b_blue=7)
    update(
        kit,
        "ranker-3",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    kit.stack.advance(60)
    assert kit.weights() == {"a": (7.0, 7.0), "b": (7.0, 7.0)}
    assert [v["CurrentInstanceCount"] for v in kit.describe()["ProductionVariants"]] == [1, 5]


def test_a_deployment_config_is_retained_when_asked(kit):
    kit.endpoint(a_red=1)
    updating(
        kit, {"BlueGreenUpdatePolicy": routed("CANARY", wait=60, CanarySize=percent(50))}, a_blue=1
    )
    kit.stack.advance(120)
    kit.config("ranker-3", a_red=1)
    update(kit, "ranker-3", RetainDeploymentConfig=True)
    kit.stack.advance(60)
    assert 10 <= models(kit, 100)["red"] <= 90
    kit.stack.advance(120)
    assert kit.describe()["EndpointConfigName"] == "ranker-3"


def test_an_update_is_refused_while_one_runs_or_when_its_deployment_does_not_fit(kit):
    kit.endpoint(a_red=1, b_red=1)
    kit.config("ranker-2", a_red=1)
    assert "needs a new one" in refused(update, kit=kit, name="ranker-1")
    canary = {"BlueGreenUpdatePolicy": routed("CANARY", CanarySize=percent(10))}
    assert "must have the variants of the old one" in refused(
        update, kit=kit, DeploymentConfig=canary
    )
    kit.config("ranker-3", a_red=2, b_red=1)
    rolling = {"RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 0}}
    assert "Rolling deployment is not supported" in refused(
        update, kit=kit, name="ranker-3", DeploymentConfig=rolling
    )
    missing = {
        "BlueGreenUpdatePolicy": routed("ALL_AT_ONCE"),
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "none"}]},
    }
    assert "Could not find CloudWatch alarm(s) none" in refused(
        update, kit=kit, name="ranker-3", DeploymentConfig=missing
    )
    update(kit, "ranker-3")
    assert "Cannot update in-progress endpoint" in refused(update, kit=kit, name="ranker-2")
    assert kit.status() == "Updating"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"BlueGreenUpdatePolicy": routed("CANARY")}, "CanarySize is required"),
        (
            {"BlueGreenUpdatePolicy": routed("CANARY", CanarySize=percent(60))},
            "between 1 and 50 percent",
        ),
        (
            {"BlueGreenUpdatePolicy": routed("LINEAR", LinearStepSize=percent(5))},
            "between 10 and 50 percent",
        ),
        (
            {"BlueGreenUpdatePolicy": routed("ALL_AT_ONCE", CanarySize=percent(5))},
            "only be specified with traffic routing type CANARY",
        ),
        ({"BlueGreenUpdatePolicy": routed("ALL_AT_ONCE", wait=3601)}, "between 0 and 3600"),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": percent(4), "WaitIntervalInSeconds": 0}},
            "between 5 and 50 percent",
        ),
        (
            {
                "BlueGreenUpdatePolicy": {
                    **routed("ALL_AT_ONCE", wait=700),
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
            "must be larger",
        ),
    ],
)
def test_a_deployment_config_that_sagemaker_refuses_is_refused(config, words):
    from isthmus_stack.aws.core.registry import AwsError

    with pytest.raises(AwsError, match=words.replace("(", r"\(")):
        plan(config, 4)


@given(st.integers(10, 50), st.floats(0, 300))
def test_linear_stages_rise_to_everything(step, wait):
    stages = plan(
        {"BlueGreenUpdatePolicy": routed("LINEAR", wait=wait, LinearStepSize=percent(step))}, 4
    ).stages
    made = [stage.share for stage in stages]
    assert made == sorted(set(made))
    assert made[-1] == 1.0
    assert made[0] == pytest.approx(step / 100)


WEIGHTS = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    st.floats(0, 1e6) | st.just(0.0),
    min_size=1,
    max_size=10,
)


@given(WEIGHTS, WEIGHTS, st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_traffic_adds_up_and_a_weight_of_zero_is_never_picked(live, green, share, point):
    if not sum(live.values()) > 1e-9 or not sum(green.values()) > 1e-9:
        return
    chances = two_fleets(live, green, share)
    assert sum(chances.values()) == pytest.approx(1)
    side, name = choice(chances.items()).pick(point)
    assert (green if side else live)[name] > 0
    assert shares(live) == pytest.approx({n: w / sum(live.values()) for n, w in live.items()})
