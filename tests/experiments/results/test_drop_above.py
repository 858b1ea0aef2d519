"""Robots that `drop_above` leaves out of a run's and a log's rates, from events to the page."""

from datetime import timedelta

import pandas as pd
import pytest

import isthmus
from isthmus.events.intake.ingest import ingest
from isthmus.experiments.measure.power import power
from isthmus.experiments.results.comparison import results
from isthmus.experiments.results.log_document import log_document
from isthmus.experiments.results.page import html
from isthmus.tests.cli.running import isthmus as command

from ..shop import DAY, PROJECT, START, Shop
from .test_results import PROJECT as LOG
from .test_results import START as LOG_START
from .test_results import ingested, rows

LIMIT = 50
MIDNIGHT = START.replace(hour=0)
RUN = PROJECT.replace(
    "metric: ctr\n    guardrails", f"drop_above: {LIMIT}\n    metric: ctr\n    guardrails"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop in which two visitors of the control and one of the treatment are robots, who came on
    the first day: each has 40 impressions more a day, and clicks none.
    """
    shop = Shop(tmp_path_factory.mktemp("shop"), RUN).filled()
    robots = [*came(shop, "control")[:2], *came(shop, "treatment")[:1]]
    impressions = [
        {
            "event_id": f"robot-{robot['number']}-{number}",
            "event_timestamp": robot["came"] + DAY * (number // 40) + timedelta(minutes=number),
            "visitor_id": f"v{robot['number']}",
            "item_id": 1,
        }
        for robot in robots
        for number in range(120)
    ]
    with shop.project:
        ingest(shop.project, event="impression", data=pd.DataFrame(impressions))
        shop.robots = {robot["number"] for robot in robots}
        yield shop


def came(shop, arm):
    """Visitors of an arm of blend_up who came on its first day."""
    return [
        v
        for v in shop.log
        if (v["run"], v["arm"], v["came"].date()) == ("blend_up.1", arm, START.date())
    ]


def ctr(seen):
    return next(of for of in seen.metrics if of.metric.name == "ctr").arms


def test_a_robot_stays_left_out_at_every_later_look(shop):
    by_day = [
        [
            sums.dropped
            for sums in ctr(results(shop.project, "blend_up", as_of=MIDNIGHT + day * DAY)).values()
        ]
        for day in range(1, 7)
    ]
    # windows are of two days: nobody is complete after the first
    assert by_day == [[0, 0], *[[2, 1]] * 5]


def people(shop, arm, until, *, robots=True):
    """Visitors of an arm of blend_up whose window is over."""
    return [
        v
        for v in shop.log
        if (v["run"], v["arm"]) == ("blend_up.1", arm)
        and v["came"].replace(hour=0, minute=0) + 2 * DAY <= until
        and (robots or v["number"] not in shop.robots)
    ]


def counts(visitors, event, until):
    """By visitor, the number of events."""
    return [sum(row["event_timestamp"] < until for row in v[event]) for v in visitors]


def test_who_is_not_left_out_is_counted_as_if_no_robot_had_come(shop):
    until = MIDNIGHT + 5 * DAY
    for arm, sums in ctr(results(shop.project, "blend_up", as_of=until)).items():
        kept = people(shop, arm, until, robots=False)
        shown, clicked = counts(kept, "impression", until), counts(kept, "click", until)
        assert sums.units == len(people(shop, arm, until))
        assert (sums.d, sums.y) == (sum(shown), sum(clicked))
        assert (sums.dd, sums.yy) == (sum(n * n for n in shown), sum(n * n for n in clicked))


def test_other_metrics_and_the_split_count_robots(shop):
    seen = results(shop.project, "blend_up")
    for metric in seen.metrics:
        assert (metric.metric.name == "ctr") == any(sums.dropped for sums in metric.arms.values())
    assert seen.complete + seen.open == sum(v["run"] == "blend_up.1" for v in shop.log)


def test_text_and_page_say_how_many_of_each_arm_are_left_out_and_what_is_not_made(shop):
    seen = results(shop.project, "blend_up")
    line = "units with more than 50 impressions: 2 of control, 1 of treatment (ctr)"
    assert f"  left out    {line}" in str(seen).splitlines()
    assert f"Left out: {line}" in html(seen, [])
    assert (seen.drop_above, seen.trends) == (LIMIT, ())
    for shown in (str(seen), html(seen, [])):
        assert "days are not compared where units are left out by drop_above" in shown


def test_segments_leave_them_out_too(shop):
    until = MIDNIGHT + 5 * DAY
    (by_platform,) = (
        of
        for of in results(shop.project, "blend_up", as_of=until).segments
        if of.attribute == "platform"
    )
    for odd, platform in enumerate(("ios", "web")):
        rates = []
        for arm in ("control", "treatment"):
            kept = [v for v in people(shop, arm, until, robots=False) if v["number"] % 2 == odd]
            rates.append(sum(counts(kept, "click", until)) / sum(counts(kept, "impression", until)))
        assert by_platform.effects[platform].value == pytest.approx(rates[1] / rates[0] - 1)


def test_a_plan_reads_the_past_without_them(shop):
    with_limit = power(shop.project, "blend_up")
    without = power(shop.project, "open_end")
    assert with_limit.control > without.control


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The log of test_results.py, in which one person more of each arm sees 30 views."""
    folder = tmp_path_factory.mktemp("log")
    robots = [
        {"event_id": f"r{layout}-{n}", "user_id": f"u{1000 * layout}", "layout": layout, "hours": n}
        for layout, seen in ((1, 30), (2, 21))
        for n in range(seen)
    ]
    text = LOG.replace("owner: us@example.com", "drop_above: 20")
    return ingested(folder, text, [*rows(), *robots])


def test_a_logs_robots_are_left_out_from_the_row_on_that_is_too_many(folder):
    with isthmus.open(folder) as project:
        early = results(project, "by_person", as_of=LOG_START + timedelta(hours=20))
        late = results(project, "by_person")
    assert [sums.dropped for sums in early.deciding[0].arms.values()] == [0, 0]
    control, treatment = late.deciding[0].arms.values()
    assert (control.units, control.d, control.y, control.dropped) == (401, 1200, 120, 1)
    assert (treatment.units, treatment.d, treatment.y, treatment.dropped) == (401, 1200, 300, 1)
    assert (control.yy, control.yd, control.dd) == (40 * 9, 40 * 9, 400 * 9)


def test_a_logs_robots_are_counted_on_the_console_and_in_the_document(folder):
    shown = command(folder, "experiment", "results", "by_person").out.splitlines()
    assert "  left out: units with more than 20 views: 1 of 1, 1 of 2 (bought)" in shown
    with isthmus.open(folder) as project:
        document = log_document(results(project, "by_person"))
    assert document.drop_above == 20
    assert [arm.dropped for arm in document.metric.arms.values()] == [1, 1]
