"""Alarms: moto keeps them, the stack's clock evaluates them.

An alarm is looked at once in its period (once a minute at most): a state set by SetAlarmState lasts
until then. Composite alarms are not executed. Of alarm actions scaling policies are: when the state
becomes ALARM, and at each look while it is. On the instant clock an alarm is looked at as soon as
there is a datapoint, and the running period counts.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import msgspec

from ....core.home.declarations import ContextOf, after_restart, not_kept
from ....core.moto_internals import Alarm, cloudwatch_backends
from ....core.registry import AwsError, Context, handles
from .. import variant_metrics as variants
from ..datapoints import backend, series
from ..evaluation import COMPARE, MISSING, Missing, State, Verdict, evaluate
from ..statistics import floor, statistic
from .metrics import compute, try_out

_LOOK = 10.0  # seconds on the clock between two looks at what is due
_RANGE = 2  # periods that are read beyond those that decide, so that late datapoints are found


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that is in ALARM, and the latest datapoint of its metric."""

    alarm: str
    threshold: float
    below: bool  # what breaches is below the threshold
    moment: datetime | None
    value: float | None


Action = Callable[[Context, str, Firing], None]  # the action's ARN
_ACTIONS: dict[str, Action] = {}


def on_alarm(prefix: str, action: Action) -> None:
    """Register `action`, to be called for alarm actions whose ARN begins with `prefix`."""
    _ACTIONS[prefix] = action


@not_kept
class Evaluations:
    """The time at which each alarm is to be looked at next."""

    def __init__(self) -> None:
        self.next: dict[str, datetime] = {}
        self.ticking = False
        self.lock = threading.Lock()


@handles("cloudwatch", "PutMetricAlarm")
def put_metric_alarm(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer CloudWatch's API call PutMetricAlarm: create or change a metric alarm."""
    _check(params)
    if not ctx.moto_answers:
        try_out(params.get("Metrics") or [])
    name = params["AlarmName"]
    previous = backend(ctx).alarms.get(name)
    answer = ctx.forward()
    alarm = backend(ctx).alarms[name]
    if previous is not None:  # an alarm that is changed keeps its state until it is evaluated
        alarm.state_value, alarm.state_reason, alarm.history = (
            previous.state_value,
            previous.state_reason,
            previous.history,
        )
    elif not ctx.moto_answers:
        alarm.state_value = "INSUFFICIENT_DATA"
    _schedule(ctx.without_request(), alarm)
    return answer


@handles("cloudwatch", "SetAlarmState")
def set_alarm_state(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SetAlarmState: set an alarm's state, and run its actions."""
    answer = ctx.forward()
    alarm = backend(ctx).alarms.get(params["AlarmName"])
    if alarm is not None and alarm.state_value == "ALARM":
        _run_actions(ctx.without_request(), alarm)
    return answer


@handles("cloudwatch", "DescribeAlarms")
def describe_alarms(ctx: Context, _params: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeAlarms by moto, into which the stack has written the alarms' states."""
    return ctx.forward()


def states(ctx: Context) -> dict[str, str]:
    """Return the state of every alarm by its name, as DescribeAlarms shows it."""
    return {name: alarm.state_value for name, alarm in list(backend(ctx).alarms.items())}


@after_restart
def resume(context_of: ContextOf) -> None:
    """Evaluate every alarm again, at intervals, after a restart."""
    for account, regions in list(cloudwatch_backends.items()):
        for region in list(regions):
            ctx = context_of(account, region)
            for alarm in list(backend(ctx).alarms.values()):
                _schedule(ctx, alarm)


def _schedule(ctx: Context, alarm: Alarm) -> None:
    """Schedule the periodic evaluation of an alarm."""
    store = ctx.store(Evaluations)
    with store.lock:
        store.next[alarm.name] = ctx.clock.now() + timedelta(seconds=_evaluation_interval(alarm))
        if not store.ticking:
            store.ticking = True
            ctx.clock.call_every(_LOOK, lambda: _evaluate_due(ctx))


def _evaluate_due(ctx: Context) -> None:
    """Evaluate the alarms whose evaluation is due; on the instant clock, all of them."""
    store, now = ctx.store(Evaluations), ctx.clock.now()
    alarms = backend(ctx).alarms
    for name, due in list(store.next.items()):
        alarm = alarms.get(name)
        if alarm is None:
            store.next.pop(name, None)
        elif due <= now or ctx.clock.mode == "instant":
            if due <= now:
                store.next[name] = now + timedelta(seconds=_evaluation_interval(alarm))
            try:
                _evaluate(ctx, alarm, due=due <= now)
            except Exception:  # noqa: BLE001  one alarm's mistake must not stop the others
                sys.stderr.write(f"the alarm {name} cannot be evaluated\n")
                traceback.print_exc()


def _evaluate(ctx: Context, alarm: Alarm, *, due: bool) -> None:
    """Evaluate an alarm on its metric, set its state, and run its actions.

    Actions run when the state has changed, and while it is ALARM at each due evaluation (`due`).
    """
    changed = _set(ctx, alarm, _verdict(ctx, alarm, early=not due))
    if alarm.state_value == "ALARM" and (changed or due):
        _run_actions(ctx, alarm)


def _set(ctx: Context, alarm: Alarm, verdict: Verdict | None) -> bool:
    """Set an alarm's state in moto; return whether it has changed. None: it stays as it is."""
    if verdict is None or verdict.state == alarm.state_value:
        return False
    alarm.update_state(
        verdict.reason,
        json.dumps({"version": "1.0", "queryDate": ctx.clock.now().isoformat()}),
        verdict.state,
    )
    alarm.state_updated_timestamp = ctx.clock.now().replace(tzinfo=None)
    return True


def _run_actions(ctx: Context, alarm: Alarm) -> None:
    """Run the actions of an alarm that is in ALARM, such as scaling."""
    actions = [
        (arn, action)
        for arn in alarm.alarm_actions or ()
        for prefix, action in _ACTIONS.items()
        if arn.startswith(prefix)
    ]
    if not actions or not alarm.actions_enabled:
        return
    start, end, period = _window(ctx, alarm)
    moment, value = max(_read(ctx, alarm, period, start, end).items(), default=(None, None))
    below = str(alarm.comparison_operator).startswith("LessThan")
    firing = Firing(
        alarm=alarm.name, threshold=float(alarm.threshold), below=below, moment=moment, value=value
    )
    for arn, action in actions:
        action(ctx, arn, firing)


def _verdict(ctx: Context, alarm: Alarm, *, early: bool) -> Verdict | None:
    """Return the new state of an alarm by its metric's datapoints, or None: it stays.

    Without any datapoint it stays in an evaluation before the alarm is due (`early`), and with
    --moto-answers, where moto's state counts.
    """
    start, end, period = _window(ctx, alarm)
    decisive = int(alarm.evaluation_periods)
    datapoints = _read(ctx, alarm, period, start, end)
    if not datapoints and (early or ctx.moto_answers):
        return None
    points = [
        datapoints.get(start + timedelta(seconds=period * n))
        for n in range(round((end - start).total_seconds() / period))
    ]
    missing: Missing = alarm.treat_missing_data or "missing"  # type: ignore[assignment]  # checked when it was put
    previous: State = alarm.state_value  # type: ignore[assignment]  # moto's SetAlarmState checks it
    return evaluate(
        points,
        threshold=float(alarm.threshold),
        comparison=alarm.comparison_operator,
        decisive=decisive,
        needed=int(alarm.datapoints_to_alarm or decisive),
        missing=missing,
        previous=previous,
    )


def _window(ctx: Context, alarm: Alarm) -> tuple[datetime, datetime, int]:
    """Return the start, end and period in seconds of the datapoints that an alarm evaluates."""
    period = _period(alarm)
    end = floor(ctx.clock.now(), period) + (
        timedelta(seconds=period) if ctx.clock.mode == "instant" else timedelta()
    )
    count = int(alarm.evaluation_periods) + max(_RANGE, ceil(variants.delay(ctx) / period) + 1)
    return end - timedelta(seconds=period * count), end, period


def _read(
    ctx: Context, alarm: Alarm, period: int, start: datetime, end: datetime
) -> Mapping[datetime, float]:
    """Return the datapoints of an alarm's metric between two times, by time."""
    if alarm.metric_data_queries:
        queries = [_query(query) for query in alarm.metric_data_queries]
        query_id = next((q["Id"] for q in queries if q["ReturnData"]), queries[-1]["Id"])
        return compute(ctx, queries, start, end)[query_id]
    return series(
        ctx,
        namespace=alarm.namespace,
        name=alarm.metric_name,
        dimensions=[{"Name": d.name or "", "Value": d.value or ""} for d in alarm.dimensions],
        stat=alarm.statistic or alarm.extended_statistic or "Average",
        period=period,
        start=start,
        end=end,
        unit=alarm.unit,
    )


def _query(query: Any) -> dict[str, Any]:
    """Return a metric query of moto's in the form of GetMetricData."""
    shaped: dict[str, Any] = {"Id": query.id, "ReturnData": query.return_data is not False}
    if query.metric_stat is None:
        return {**shaped, "Expression": query.expression}
    stat = query.metric_stat
    metric = {
        "Namespace": stat.metric.namespace,
        "MetricName": stat.metric.metric_name,
        "Dimensions": [{"Name": d.name, "Value": d.value} for d in stat.metric.dimensions],
    }
    return {
        **shaped,
        "MetricStat": {
            "Metric": metric,
            "Period": int(stat.period),
            "Stat": stat.stat,
            "Unit": stat.unit,
        },
    }


def _period(alarm: Alarm) -> int:
    """Return an alarm's period in seconds."""
    if alarm.period:
        return int(alarm.period)
    return max(
        (int(q.metric_stat.period) for q in alarm.metric_data_queries if q.metric_stat), default=60
    )


def _evaluation_interval(alarm: Alarm) -> float:
    """Return the seconds between two evaluations of an alarm."""
    return float(min(_period(alarm), 60))


def _check(params: Mapping[str, Any]) -> None:
    """Raise an error for PutMetricAlarm parameters that CloudWatch refuses and moto accepts."""
    comparison, missing = params.get("ComparisonOperator"), params.get("TreatMissingData")
    if comparison not in COMPARE:
        raise AwsError(
            "ValidationError",
            f"The value {comparison} for parameter ComparisonOperator is not one of "
            f"{sorted(COMPARE)}.",
        )
    if missing is not None and missing not in MISSING:
        raise AwsError(
            "ValidationError",
            f"The value {missing} for parameter TreatMissingData is not one of {sorted(MISSING)}.",
        )
    needed, periods = params.get("DatapointsToAlarm"), params.get("EvaluationPeriods") or 1
    if needed is not None and not 1 <= needed <= periods:
        raise AwsError(
            "ValidationError",
            f"DatapointsToAlarm must be between 1 and EvaluationPeriods ({periods}), not {needed}.",
        )
    extended = params.get("ExtendedStatistic")
    if extended and statistic(extended) is None:
        raise AwsError(
            "InvalidParameterValue",
            f"The value {extended} for parameter ExtendedStatistic is not supported.",
        )
