"""Application Auto Scaling of endpoints: alarms change counts, and counts are processes.

By boto3 on the default clock.
"""

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from isthmus_stack.aws.services.autoscaling.operations.activities import Activity
from isthmus_stack.aws.services.autoscaling.operations.alarm_actions import adjusted_count, scale
from isthmus_stack.aws.services.autoscaling.records import Policy, Scaling, Target
from isthmus_stack.aws.services.cloudwatch.operations.alarms import Firing
from isthmus_stack.aws.services.sagemaker.endpoints.records import Endpoints
from isthmus_stack.minutes import Minute
from isthmus_stack.testing import endpoints_kit, stacks
from isthmus_stack.tests.aws.sagemaker.endpoints.test_asynchronous import OUTPUT

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RESOURCE = "endpoint/ranker/variant/red"


def step(adjustment, lower=None, upper=None):
    bounds = {"MetricIntervalLowerBound": lower, "MetricIntervalUpperBound": upper}
    return {
        "ScalingAdjustment": adjustment,
        **{key: value for key, value in bounds.items() if value is not None},
    }


@pytest.mark.parametrize(
    ("kind", "count", "adjustment", "least", "wanted"),
    [
        ("ExactCapacity", 5, 2, 0, 2),
        ("ChangeInCapacity", 5, -2, 0, 3),
        ("PercentChangeInCapacity", 10, 25, 0, 12),
        ("PercentChangeInCapacity", 3, 10, 0, 4),  # 0.3 is 1
        ("PercentChangeInCapacity", 3, -10, 0, 2),
        ("PercentChangeInCapacity", 10, -25, 0, 8),
        ("PercentChangeInCapacity", 4, 25, 2, 6),
    ],
)
def test_a_step_changes_a_count_by_its_type(kind, count, adjustment, least, wanted):
    assert (
        adjusted_count(
            {"AdjustmentType": kind, **({"MinAdjustmentMagnitude": least} if least else {})},
            count,
            adjustment,
        )
        == wanted
    )


class World:
    """A variant of `count` instances whose changes happen at once, at a moment that the test moves."""

    def __init__(self, count, *policies, least=1, most=10, suspended=None):
        self.variant = SimpleNamespace(name="red", count=count, desired_count=count)
        self.endpoint = SimpleNamespace(
            name="ranker",
            status="InService",
            changing=False,
            failure=None,
            modified=NOW,
            fleet=SimpleNamespace(variants={"red": self.variant}),
        )
        self.scaling, endpoints = Scaling(), Endpoints()
        endpoints.endpoints["ranker"] = self.endpoint
        self.scaling.targets[RESOURCE] = Target(
            resource=RESOURCE,
            endpoint="ranker",
            variant="red",
            arn="",
            created=NOW,
            least=least,
            most=most,
            suspended=suspended or {},
        )
        self.scaling.policies = {(RESOURCE, policy.name): policy for policy in policies}
        self.stores = {Scaling: self.scaling, Endpoints: endpoints}
        self.clock = SimpleNamespace(now=lambda: self.now)
        self.now = NOW

    def store(self, kind):
        return self.stores[kind]

    def client(self, _service):
        return self

    def update_endpoint_weights_and_capacities(self, **asked):
        (capacity,) = asked["DesiredWeightsAndCapacities"]
        self.variant.count = self.variant.desired_count = capacity["DesiredInstanceCount"]
        self.endpoint.modified = self.now

    def after(self, seconds, value, alarm="high", *, name="p", threshold=10.0):
        """The count once the alarm has fired with a datapoint of that moment."""
        self.now += timedelta(seconds=seconds)
        firing = Firing(
            alarm=alarm, threshold=threshold, below=alarm == "low", moment=self.now, value=value
        )
        scale(self, name, firing)
        return self.variant.desired_count


def policy(kind, *, name="p", **settings):
    return Policy(
        name=name,
        arn=name,
        resource=RESOURCE,
        kind=kind,
        settings=settings,
        alarms=("high", "low"),
        created=NOW,
    )


@pytest.fixture
def all_alarms(monkeypatch):
    monkeypatch.setattr(
        "isthmus_stack.aws.services.autoscaling.operations.alarm_actions.states",
        lambda _: {"high": "ALARM", "low": "ALARM"},
    )


def test_a_target_is_tracked_within_its_limits_and_cooldowns(all_alarms):
    world = World(
        2,
        policy("TargetTrackingScaling", TargetValue=10, ScaleOutCooldown=100, ScaleInCooldown=200),
        most=8,
    )
    assert world.after(0, 15) == 3
    assert world.after(50, 14) == 3  # it cools down: 14 x 2 is for 3, which are there
    assert world.after(10, 25) == 5  # a larger change is made
    assert world.after(101, 30) == 8
    assert world.after(0, 30) == 8  # the same datapoint
    assert world.after(101, 0, "low") == 1
    assert world.after(1, 90) == 8  # out is not held up by what came in
    assert world.after(100, 5, "low") == 8
    assert world.after(200, 5, "low") == 4
    assert [activity.status for activity in world.scaling.activities][:-1] == ["Successful"] * 5


def test_an_activity_tells_what_was_done_and_why(all_alarms):
    world = World(1, policy("TargetTrackingScaling", TargetValue=10))
    world.after(0, 20)
    (activity,) = world.scaling.activities
    assert isinstance(activity, Activity)
    assert (activity.before, activity.wanted, activity.cause) == (
        1,
        2,
        "monitor alarm high in state ALARM triggered policy p",
    )


def test_what_is_suspended_or_disabled_is_not_done(all_alarms):
    tracking = policy("TargetTrackingScaling", TargetValue=10, DisableScaleIn=True)
    assert World(5, tracking).after(0, 0, "low") == 5
    tracking = policy("TargetTrackingScaling", TargetValue=10)
    assert World(5, tracking, suspended={"DynamicScalingInSuspended": True}).after(0, 0, "low") == 5
    assert World(5, tracking, suspended={"DynamicScalingOutSuspended": True}).after(0, 20) == 5
    other = Policy(
        name="q",
        arn="q",
        resource=RESOURCE,
        kind="TargetTrackingScaling",
        settings={"TargetValue": 1},
        alarms=("h", "l"),
        created=NOW,
    )
    assert World(5, tracking, other).after(0, 0, "low") == 5  # the other one's low alarm is not on


def test_steps_are_chosen_by_how_far_the_threshold_is_crossed_and_cool_down():
    steps = [step(1, 0, 10), step(3, 10), step(-2, upper=0)]
    world = World(
        4,
        policy(
            "StepScaling", AdjustmentType="ChangeInCapacity", StepAdjustments=steps, Cooldown=60
        ),
    )
    assert world.after(0, 15) == 5
    assert world.after(30, 19.9) == 5
    assert world.after(1, 20) == 7  # three from four
    assert world.after(90, 25) == 10
    assert world.after(90, 5, "low") == 8
    assert world.after(30, 5, "low") == 8
    assert world.after(31, 5, "low") == 6


class Scaled(endpoints_kit.Kit):
    def __init__(self, url):
        super().__init__(url)
        self.scaling = self.client("application-autoscaling")

    @property
    def resource(self):
        return {
            "ServiceNamespace": "sagemaker",
            "ResourceId": RESOURCE,
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }

    def register(self, least=1, most=3, **more):
        return self.scaling.register_scalable_target(
            **self.resource, MinCapacity=least, MaxCapacity=most, **more
        )

    def put(self, kind, name="p", **configuration):
        return self.scaling.put_scaling_policy(
            PolicyName=name,
            PolicyType=kind,
            **{f"{kind}PolicyConfiguration": configuration},
            **self.resource,
        )

    def count(self):
        """Once it is in service."""
        variant = self.settled()["ProductionVariants"][0]
        return variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]

    def activities(self):
        found = self.scaling.describe_scaling_activities(
            ServiceNamespace="sagemaker", ResourceId=RESOURCE
        )["ScalingActivities"]
        return [
            (item["Description"], item["Cause"].split(" ")[0], item["StatusCode"]) for item in found
        ]

    def refused(self, call, *arguments, **more):
        with pytest.raises(ClientError) as caught:
            call(*arguments, **more)
        return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


INVOCATIONS = {
    "PredefinedMetricSpecification": {
        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
    }
}


@pytest.fixture(scope="module")
def process():
    return stacks.shared("instant")


@pytest.fixture
def kit(process):
    kit = Scaled(process.url)
    kit.stack.reset()
    kit.bucket()
    kit.model("red")
    return kit


def serve(kit, **more):
    kit.config("one", red=1, **more)
    kit.sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="one")
    assert kit.settled()["EndpointStatus"] == "InService"


@pytest.mark.slow
def test_traffic_starts_instances_and_its_end_ends_them(kit):
    serve(kit)
    kit.register()
    answer = kit.put("TargetTrackingScaling", TargetValue=10.0, **INVOCATIONS)
    assert [alarm["AlarmName"].rpartition("-Alarm")[0] for alarm in answer["Alarms"]] == [
        f"TargetTracking-{RESOURCE}"
    ] * 2
    assert answer["PolicyARN"].endswith(f":resource/sagemaker/{RESOURCE}:policyName/p")
    start = kit.stack.now().replace(second=0, microsecond=0)
    kit.stack.add_minutes(
        "ranker",
        [
            Minute(variant="red", start=start - timedelta(minutes=ago), requests=25)
            for ago in (3, 2, 1)
        ],
    )
    until(lambda: kit.count() == (3, 3))
    assert len({kit.invoke()[1]["pid"] for _ in range(60)}) == 3
    assert kit.activities() == [("Setting desired instance count to 3.", "monitor", "Successful")]
    kit.stack.advance(20 * 60)
    until(lambda: kit.count() == (1, 1))
    assert kit.activities()[0] == ("Setting desired instance count to 1.", "monitor", "Successful")
    assert len({kit.invoke()[1]["pid"] for _ in range(20)}) == 1


@pytest.mark.slow
def test_an_asynchronous_endpoint_comes_up_from_no_instances_by_a_step_and_goes_back_when_idle(kit):
    serve(kit, asynchronous={"OutputConfig": OUTPUT})
    kit.register(0, 2)
    backlog = {
        "MetricName": "ApproximateBacklogSizePerInstance",
        "Namespace": "AWS/SageMaker",
        "Statistic": "Average",
    }
    backlog["Dimensions"] = [{"Name": "EndpointName", "Value": "ranker"}]
    kit.put(
        "TargetTrackingScaling",
        "tracks",
        TargetValue=5.0,
        CustomizedMetricSpecification=backlog,
        ScaleInCooldown=60,
    )
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [step(1, 0)],
        "MetricAggregationType": "Average",
    }
    arn = kit.put("StepScaling", "wakes", **steps)["PolicyARN"]
    kit.stack.advance(17 * 60)
    until(lambda: kit.count() == (0, 0))
    kit.cloudwatch.put_metric_alarm(
        AlarmName="waits",
        MetricName="HasBacklogWithoutCapacity",
        Namespace="AWS/SageMaker",
        Dimensions=backlog["Dimensions"],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        Threshold=0.1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="missing",
        AlarmActions=[arn],
    )
    location = kit.runtime.invoke_endpoint_async(EndpointName="ranker", Body=b"{}")[
        "OutputLocation"
    ]
    bucket, _, key = location.removeprefix("s3://").partition("/")
    kit.s3.get_waiter("object_exists").wait(
        Bucket=bucket, Key=key, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )
    assert json.loads(kit.s3.get_object(Bucket=bucket, Key=key)["Body"].read())["model"] == "red"
    assert kit.count() == (1, 1)


@pytest.mark.slow
def test_a_target_is_registered_changed_told_and_forgotten(kit):
    serve(kit)
    arn = kit.register(2, 3, SuspendedState={"DynamicScalingInSuspended": True})[
        "ScalableTargetARN"
    ]
    assert kit.count() == (2, 2)
    assert kit.activities() == [("Setting desired instance count to 2.", "minimum", "Successful")]
    (told,) = kit.scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[RESOURCE]
    )["ScalableTargets"]
    assert (told["MinCapacity"], told["MaxCapacity"], told["ScalableTargetARN"]) == (2, 3, arn)
    assert told["SuspendedState"]["DynamicScalingInSuspended"] is True
    assert (
        kit.scaling.register_scalable_target(**kit.resource, MinCapacity=1, MaxCapacity=1)[
            "ScalableTargetARN"
        ]
        == arn
    )
    assert kit.count() == (1, 1)
    kit.put("TargetTrackingScaling", TargetValue=10.0, **INVOCATIONS)
    kit.put("TargetTrackingScaling", TargetValue=20.0, **INVOCATIONS)
    (told,) = kit.scaling.describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=RESOURCE
    )["ScalingPolicies"]
    assert told["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 20.0
    alarms = kit.cloudwatch.describe_alarms(
        AlarmNames=[alarm["AlarmName"] for alarm in told["Alarms"]]
    )["MetricAlarms"]
    assert sorted(
        (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Statistic"]) for alarm in alarms
    ) == [
        (18.0, 15, "Sum"),
        (20.0, 3, "Sum"),
    ]
    again = kit.refused(kit.put, "TargetTrackingScaling", "other", TargetValue=5.0, **INVOCATIONS)
    assert again == (
        "ValidationException",
        "Only one TargetTrackingScaling policy for a given metric specification is allowed.",
    )
    variant = {"VariantName": "red", "ModelName": "red", "InitialInstanceCount": 1}
    kit.sagemaker.create_endpoint_config(
        EndpointConfigName="larger",
        ProductionVariants=[{**variant, "InstanceType": "ml.m5.xlarge"}],
    )
    assert (
        "scalable target"
        in kit.refused(
            kit.sagemaker.update_endpoint, EndpointName="ranker", EndpointConfigName="larger"
        )[1]
    )
    kit.scaling.delete_scaling_policy(PolicyName="p", **kit.resource)
    assert kit.cloudwatch.describe_alarms()["MetricAlarms"] == []
    assert (
        kit.refused(kit.scaling.delete_scaling_policy, PolicyName="p", **kit.resource)[0]
        == "ObjectNotFoundException"
    )
    kit.scaling.deregister_scalable_target(**kit.resource)
    assert (
        kit.refused(kit.scaling.deregister_scalable_target, **kit.resource)[0]
        == "ObjectNotFoundException"
    )
    kit.register()
    kit.put("TargetTrackingScaling", TargetValue=10.0, **INVOCATIONS)
    kit.sagemaker.delete_endpoint(EndpointName="ranker")
    assert (
        kit.scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    )
    assert kit.cloudwatch.describe_alarms()["MetricAlarms"] == []


@pytest.mark.slow
def test_what_cannot_be_scaled_is_refused_by_name(kit):
    refused = kit.refused
    assert "Could not find endpoint" in refused(kit.register)[1]
    serve(kit)
    other = {**kit.resource, "MinCapacity": 1, "MaxCapacity": 2}
    register = kit.scaling.register_scalable_target
    assert (
        "not present"
        in refused(register, **{**other, "ResourceId": "endpoint/ranker/variant/blue"})[1]
    )
    assert (
        "Unsupported service namespace"
        in refused(register, **{**other, "ResourceId": "ranker/red"})[1]
    )
    assert (
        "alone"
        in refused(
            register,
            **{**other, "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount"},
        )[1]
    )
    assert "enum value set" in refused(register, **{**other, "ServiceNamespace": "nobody"})[1]
    assert "MinCapacity must be at least 1" in refused(kit.register, 0)[1]
    assert "MaxCapacity must be at least" in refused(kit.register, 3, 2)[1]
    assert "required" in refused(register, **kit.resource)[1]
    assert (
        refused(kit.put, "TargetTrackingScaling", TargetValue=10.0, **INVOCATIONS)[0]
        == "ObjectNotFoundException"
    )
    kit.register()
    assert "PredictiveScaling" in refused(kit.put, "PredictiveScaling", MetricSpecifications=[])[1]
    concurrent = {
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"
        }
    }
    assert (
        "not SageMakerVariantConcurrent"
        in refused(kit.put, "TargetTrackingScaling", TargetValue=1.0, **concurrent)[1]
    )
    assert (
        "must be a number"
        in refused(kit.put, "TargetTrackingScaling", TargetValue=float("nan"), **INVOCATIONS)[1]
    )
    unreadable = {
        "CustomizedMetricSpecification": {
            "Metrics": [{"Id": "e", "Expression": "((", "ReturnData": True}]
        }
    }
    assert (
        "Error in expression 'e'"
        in refused(kit.put, "TargetTrackingScaling", TargetValue=1.0, **unreadable)[1]
    )
    assert (
        kit.scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    )  # nothing of them is there
    assert (
        "gap"
        in refused(
            kit.put,
            "StepScaling",
            AdjustmentType="ChangeInCapacity",
            StepAdjustments=[step(1, 0, 1), step(2, 2)],
        )[1]
    )
    table = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/t",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }
    assert refused(kit.scaling.put_scaling_policy, PolicyName="p", **table)[0] == "NotImplemented"
    assert (
        refused(
            kit.scaling.put_scheduled_action,
            ScheduledActionName="a",
            Schedule="rate(1 hour)",
            **table,
        )[0]
        == "NotImplemented"
    )
