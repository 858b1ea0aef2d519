"""Deployment guardrails: how an endpoint's update shifts traffic, and how it goes back."""

from functools import cache

from isthmus_stack.testing.jobs_kit import until
from isthmus_stack.tests.aws.statements.account import archive, refusal, variant
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

BLUE_GREEN = guide("Blue/Green deployments", "deployment-guardrails-blue-green")
ALL_AT_ONCE = guide(
    "Use all at once traffic shifting", "deployment-guardrails-blue-green-all-at-once"
)
CANARY = guide("Use canary traffic shifting", "deployment-guardrails-blue-green-canary")
LINEAR = guide("Use linear traffic shifting", "deployment-guardrails-blue-green-linear")
ROLLING = guide("Use rolling deployments", "deployment-guardrails-rolling")
ALARMS = guide("Auto-rollback configuration and monitoring", "deployment-guardrails-configuration")
ROUTING = reference("TrafficRoutingConfig")
POLICY = reference("BlueGreenUpdatePolicy")
UPDATE = reference("UpdateEndpoint")


def percent(value):
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def policy(kind, wait=120, **more):
    sizes = {key: more.pop(key) for key in list(more) if key.endswith("Size")}
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **sizes},
            **more,
        }
    }


@cache
def steady(aws):
    """An endpoint of two instances, and the configuration that nobody deploys to it."""
    return aws.endpoint(variant("main", aws.blue, count=2)), aws.config(
        variant("main", aws.green, count=2)
    )


def refused(aws, deployment):
    """What UpdateEndpoint says to a deployment; the endpoint stays as it is."""
    endpoint, config = steady(aws)
    assert (
        aws.described(endpoint)["EndpointStatus"] == "InService"
    )  # an endpoint that is Updating would refuse anything
    return refusal(
        aws.sm.update_endpoint,
        EndpointName=endpoint,
        EndpointConfigName=config,
        DeploymentConfig=deployment,
    )


def updating(aws, deployment=None, *, model=None, **more):
    """An endpoint of two blue instances on its way to green, whose servers are up and whose first
    stage has begun.
    """
    endpoint = aws.endpoint(variant("main", aws.blue, count=2))
    config = aws.config(variant("main", model or aws.green, count=2))
    options = {"DeploymentConfig": deployment} if deployment else {}
    aws.sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **options, **more)
    aws.stack.advance(60)
    return endpoint, config


def alarm(aws, state="OK"):
    name = aws.fresh("alarm")
    aws.cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="Shop",
        MetricName="Complaints",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="ignore",
    )
    aws.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
    return name


def with_alarm(deployment, name):
    return {**deployment, "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]}}


@promises("Without a policy an update shifts all traffic at once.", POLICY, clock="manual")
def an_update_shifts_all_at_once_by_default(aws):
    endpoint, config = updating(aws)
    assert aws.settled(endpoint)["EndpointConfigName"] == config
    assert aws.greetings(endpoint, 10) == {"green": 10}


@promises(
    "While an endpoint is updated the old fleet serves, and the new one is told as pending.",
    BLUE_GREEN,
    clock="manual",
)
def the_old_fleet_serves_while_the_new_one_starts(aws):
    endpoint = aws.endpoint(variant("main", aws.blue))
    config = aws.config(variant("main", aws.green))
    aws.sm.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert aws.greetings(endpoint, 10) == {"blue": 10}
    assert aws.described(endpoint)["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert aws.settled(endpoint)["EndpointConfigName"] == config


@promises(
    "A canary gets its share for a baking period; then all traffic shifts.", CANARY, clock="manual"
)
def a_canary_gets_its_share_first(aws):
    endpoint, _ = updating(aws, policy("CANARY", CanarySize=percent(50)))
    assert 24 <= aws.greetings(endpoint)["green"] <= 76  # 50 of 100; 5 sigma are 25
    aws.stack.advance(120)
    assert aws.greetings(endpoint, 10) == {"green": 10}


@promises(
    "After the last shift there is a final baking period before the update ends.",
    CANARY,
    clock="manual",
)
def there_is_a_final_baking_period(aws):
    endpoint, config = updating(aws, policy("CANARY", CanarySize=percent(50)))
    aws.stack.advance(120)
    assert aws.described(endpoint)["EndpointStatus"] == "Updating"
    aws.stack.advance(120)
    assert aws.settled(endpoint)["EndpointConfigName"] == config


@promises("A canary is at most half of the new fleet.", CANARY, clock="manual")
def a_canary_is_half_at_most(aws):
    assert "ValidationException" in refused(aws, policy("CANARY", CanarySize=percent(51)))


@promises("A linear step is 10 to 50 percent of the new fleet.", LINEAR, clock="manual")
def a_linear_step_has_its_bounds(aws):
    for value in (9, 51):
        assert "ValidationException" in refused(
            aws, policy("LINEAR", LinearStepSize=percent(value))
        )


@promises("Linear shifting moves one portion after each baking period.", LINEAR, clock="manual")
def linear_steps_follow_each_other(aws):
    endpoint, config = updating(aws, policy("LINEAR", LinearStepSize=percent(50)))
    assert 24 <= aws.greetings(endpoint)["green"] <= 76
    aws.stack.advance(120)
    assert aws.greetings(endpoint, 10) == {"green": 10}
    assert aws.settled(endpoint)["EndpointConfigName"] == config


@promises(
    "CanarySize belongs to CANARY and LinearStepSize to LINEAR: each is required there.",
    ROUTING,
    clock="manual",
)
def each_kind_needs_its_size(aws):
    assert "ValidationException" in refused(aws, policy("CANARY"))
    assert "ValidationException" in refused(aws, policy("LINEAR"))


@promises(
    "An alarm that goes off during a baking period rolls all traffic back to the old fleet.",
    ALARMS,
    clock="manual",
)
def an_alarm_rolls_back(aws):
    name = alarm(aws)
    endpoint, config = updating(aws, with_alarm(policy("CANARY", CanarySize=percent(50)), name))
    aws.cloudwatch.put_metric_data(
        Namespace="Shop",
        MetricData=[{"MetricName": "Complaints", "Value": 3, "Timestamp": aws.stack.now()}],
    )
    aws.stack.advance(119)
    described = aws.settled(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"] == config) == (
        "InService",
        False,
    )
    assert aws.greetings(endpoint, 10) == {"blue": 10}


@promises("Alarms that stay quiet let the update end.", ALARMS, clock="manual")
def a_quiet_alarm_lets_the_update_end(aws):
    endpoint, config = updating(
        aws, with_alarm(policy("CANARY", CanarySize=percent(50)), alarm(aws))
    )
    assert aws.settled(endpoint)["EndpointConfigName"] == config


@promises(
    "A new fleet that does not get healthy leaves the old one serving.", BLUE_GREEN, clock="manual"
)
def a_fleet_that_does_not_start_is_taken_back(aws):
    ill = aws.put(
        "ill-green/model.tar.gz", archive({"model.json": b'{"name": "ill", "dies": true}'})
    )
    endpoint, config = updating(aws, model=aws.model(data=ill))
    described = aws.settled(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"] == config) == (
        "InService",
        False,
    )
    assert aws.ask(endpoint)["Body"]["env"] == "blue"


@promises(
    "TerminationWaitInSeconds keeps the old fleet that long after the shift; the endpoint is "
    "Updating until then.",
    POLICY,
    clock="manual",
)
def the_old_fleet_waits_for_its_termination(aws):
    endpoint, _ = updating(aws, policy("ALL_AT_ONCE", wait=0, TerminationWaitInSeconds=600))
    assert aws.greetings(endpoint, 10) == {"green": 10}
    aws.stack.advance(590)
    assert aws.described(endpoint)["EndpointStatus"] == "Updating"
    aws.stack.advance(20)
    assert aws.settled(endpoint)["EndpointStatus"] == "InService"


@promises(
    "MaximumExecutionTimeoutInSeconds is larger than the waiting times together.",
    POLICY,
    clock="manual",
)
def the_time_limit_exceeds_the_waits(aws):
    short = policy(
        "CANARY",
        wait=600,
        CanarySize=percent(50),
        TerminationWaitInSeconds=600,
        MaximumExecutionTimeoutInSeconds=700,
    )
    assert "ValidationException" in refused(aws, short)


@promises("MaximumExecutionTimeoutInSeconds is 28,800 at most.", POLICY, clock="manual")
def the_time_limit_has_its_bound(aws):
    wrong = policy("ALL_AT_ONCE", MaximumExecutionTimeoutInSeconds=28_801)
    assert "ValidationException" in refused(aws, wrong)


@promises(
    "Only one update policy stands in a deployment configuration.",
    reference("DeploymentConfig"),
    clock="manual",
)
def there_is_one_policy(aws):
    both = {
        **policy("ALL_AT_ONCE"),
        "RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 60},
    }
    assert "ValidationException" in refused(aws, both)


@promises(
    "A rolling deployment moves to the new fleet in batches, each with a baking period.",
    ROLLING,
    clock="manual",
)
def a_rolling_update_moves_in_batches(aws):
    rolling = {
        "RollingUpdatePolicy": {"MaximumBatchSize": percent(50), "WaitIntervalInSeconds": 120}
    }
    endpoint, config = updating(aws, rolling)
    assert 24 <= aws.greetings(endpoint)["green"] <= 76
    assert aws.settled(endpoint)["EndpointConfigName"] == config


@promises(
    "A batch of a rolling deployment is 5 to 50 percent of the fleet.",
    reference("RollingUpdatePolicy"),
    clock="manual",
)
def a_batch_has_its_bounds(aws):
    for value in (4, 51):
        wrong = {
            "RollingUpdatePolicy": {"MaximumBatchSize": percent(value), "WaitIntervalInSeconds": 60}
        }
        assert "ValidationException" in refused(aws, wrong)


@promises(
    "RetainDeploymentConfig uses the deployment configuration that the endpoint has.",
    UPDATE,
    clock="manual",
)
def a_deployment_configuration_is_retained(aws):
    endpoint = aws.endpoint(
        variant("main", aws.blue, count=2), deployment=policy("CANARY", CanarySize=percent(50))
    )
    config = aws.config(variant("main", aws.green, count=2))
    aws.sm.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=config, RetainDeploymentConfig=True
    )
    aws.stack.advance(60)
    assert aws.described(endpoint)["EndpointStatus"] == "Updating"
    assert 24 <= aws.greetings(endpoint)["green"] <= 76


@promises(
    "The last deployment's configuration is told as LastDeploymentConfig.",
    reference("DescribeEndpoint"),
    clock="manual",
)
def the_last_deployment_is_told(aws):
    endpoint, _ = updating(aws, policy("ALL_AT_ONCE"))
    told = until(lambda: aws.settled(endpoint).get("LastDeploymentConfig"))
    assert told["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "ALL_AT_ONCE"
