"""Scheduled actions of Application Auto Scaling: when a schedule is due, and what it does.

By boto3 on the default clock.
"""
# ruff: noqa: F401, F811  fixtures are imported, and arguments have their names

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from isthmus_stack.aws.services.autoscaling import schedules
from isthmus_stack.tests.aws.autoscaling.test_autoscaling import (
    RESOURCE,
    kit,
    process,
    serve,
    until,
)

NOW = datetime(2026, 1, 1, 12, 30, 5, tzinfo=UTC)  # a Thursday
DUE = [
    ("at(2026-01-01T13:00:00)", "UTC", "2026-01-01T13:00:00+00:00"),
    ("at(2026-01-01T13:00:00)", "America/New_York", "2026-01-01T18:00:00+00:00"),
    ("at(2026-01-01T12:30:05)", "UTC", None),
    ("rate(1 hour)", "UTC", "2026-01-01T13:30:05+00:00"),
    ("rate(2 days)", "UTC", "2026-01-03T12:30:05+00:00"),
    ("cron(0 9 * * ? *)", "UTC", "2026-01-02T09:00:00+00:00"),
    ("cron(0 9 * * ? *)", "Asia/Tokyo", "2026-01-02T00:00:00+00:00"),
    ("cron(0/15 * * * ? *)", "UTC", "2026-01-01T12:45:00+00:00"),
    ("cron(30 6,18 ? * MON-FRI *)", "UTC", "2026-01-01T18:30:00+00:00"),
    ("cron(0 0 ? JUN,JUL 1 *)", "UTC", "2026-06-07T00:00:00+00:00"),
    ("cron(0 8 29 2 ? *)", "UTC", "2028-02-29T08:00:00+00:00"),
    ("cron(0 8 1 1 ? 2040)", "UTC", "2040-01-01T08:00:00+00:00"),
    ("cron(0 8 1 1 ? 2025)", "UTC", None),
    ("cron(0 8 30 2 ? *)", "UTC", None),
]


@pytest.mark.parametrize(("expression", "zone", "moment"), DUE)
def test_a_schedule_is_due_after_now_in_its_zone(expression, zone, moment):
    first = schedules.due(expression, ZoneInfo(zone), NOW)(NOW)
    assert (first and first.isoformat()) == moment


def test_a_rate_goes_on_from_its_start():
    due = schedules.due("rate(5 minutes)", ZoneInfo("UTC"), NOW - timedelta(minutes=7))
    assert due(NOW) == NOW + timedelta(minutes=3)
    assert due(NOW + timedelta(minutes=3)) == NOW + timedelta(minutes=8)
    assert schedules.due("rate(5 minutes)", ZoneInfo("UTC"), NOW + timedelta(days=1))(
        NOW
    ) == NOW + timedelta(days=1, minutes=5)


WRONG = """rate(0 hours)|rate(1 hours)|rate(2 hour)|at(tomorrow)|every day|cron(0 9 * * *)|cron(0 9 * * * *)
cron(0 9 ? * ? *)|cron(0 9 L * ? *)
cron(0 9 15W * ? *)|cron(0 9 ? * 6#3 *)|cron(60 9 * * ? *)|cron(0 9 * FOO ? *)|cron(0/0 9 * * ? *)|cron(? 9 * * ? *)"""


@pytest.mark.parametrize("expression", WRONG.replace("\n", "|").split("|"))
def test_what_is_no_schedule_is_refused(expression):
    with pytest.raises(ValueError, match=r".+"):
        schedules.due(expression, ZoneInfo("UTC"), NOW)


@pytest.mark.slow
def test_a_scheduled_action_changes_a_targets_numbers_and_a_count_beyond_them(kit):
    serve(kit)
    action = {"ScheduledActionName": "morning", **kit.resource}
    scheduled = {**action, "Schedule": "rate(1 hour)", "ScalableTargetAction": {"MinCapacity": 2}}
    assert (
        kit.refused(kit.scaling.put_scheduled_action, **scheduled)[0] == "ObjectNotFoundException"
    )
    kit.register(1, 3)
    refused = [
        ({"Schedule": "rate(1 hours)"}, "Invalid schedule"),
        ({"Timezone": "Nowhere/Else"}, "IANA"),
        ({"ScalableTargetAction": {"MinCapacity": 4}}, "MaxCapacity"),
        ({"ScalableTargetAction": {}}, "MinCapacity, MaxCapacity"),
    ]
    for wrong, words in refused:
        code, message = kit.refused(kit.scaling.put_scheduled_action, **{**scheduled, **wrong})
        assert (code, words in message) == ("ValidationException", True)
    kit.scaling.put_scheduled_action(**scheduled)
    (told,) = kit.scaling.describe_scheduled_actions(
        ServiceNamespace="sagemaker", ResourceId=RESOURCE
    )["ScheduledActions"]
    assert (told["Schedule"], told["ScalableTargetAction"]) == ("rate(1 hour)", {"MinCapacity": 2})
    assert told["ScheduledActionARN"].endswith(
        f":resource/sagemaker/{RESOURCE}:scheduledActionName/morning"
    )
    assert kit.count() == (1, 1)
    kit.stack.advance(3601)
    until(lambda: kit.count() == (2, 2))
    (target,) = kit.scaling.describe_scalable_targets(ServiceNamespace="sagemaker")[
        "ScalableTargets"
    ]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 3)
    assert kit.activities() == [("Setting desired instance count to 2.", "minimum", "Successful")]
    kit.scaling.put_scheduled_action(**action, ScalableTargetAction={"MinCapacity": 3})
    kit.scaling.register_scalable_target(
        **kit.resource, SuspendedState={"ScheduledScalingSuspended": True}
    )
    kit.stack.advance(3600)
    assert kit.count() == (2, 2)
    kit.scaling.delete_scheduled_action(**action)
    assert (
        kit.refused(kit.scaling.delete_scheduled_action, **action)[0] == "ObjectNotFoundException"
    )
    kit.scaling.put_scheduled_action(**scheduled)
    kit.scaling.deregister_scalable_target(**kit.resource)
    assert (
        kit.scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"]
        == []
    )
