"""A run that the gateway's hash assigned, from its log to a verdict: figures against a direct
count, looks, stored results, the console.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from isthmus.errors import Invalid, NotFound, Refused
from isthmus.experiments.experiment import power, stop
from isthmus.experiments.measure import run_cells
from isthmus.experiments.results import looks as recorded_looks
from isthmus.experiments.results import page as results_page
from isthmus.experiments.results import text as results_text
from isthmus.experiments.results.comparison import results
from isthmus.tests.cli.running import isthmus as command

from ..shop import DAY, DAYS, START, Shop, version

MIDNIGHT = START.replace(hour=0)
EVENING = timedelta(hours=20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("shop")).filled()
    with shop.project:
        yield shop


@pytest.fixture
def own(shop, tmp_path):
    """A copy, for who looks at its runs or stops them: other tests see none of it."""
    own = shop.copied(tmp_path / "shop")
    with own.project:
        yield own


@pytest.fixture
def at(own):
    """Moves the clock of `own`: `at(3)` is the evening of the third day after the first."""

    def move(day):
        own.now = MIDNIGHT + day * DAY + EVENING

    return move


def complete(shop, run, arm, until, window):
    return [
        v
        for v in shop.log
        if (v["run"], v["arm"]) == (run, arm)
        and v["came"].replace(hour=0, minute=0) + window <= until
    ]


def direct(shop, run, arm, until, window):
    """Units whose window is over, their impressions whose outcome is known, and the clicks on
    these, one by one.
    """
    units = complete(shop, run, arm, until, window)
    shown = {
        row["event_id"]
        for v in units
        for row in v["impression"]
        if row["event_timestamp"] + timedelta(minutes=30) <= until
    }
    return (
        len(units),
        len(shown),
        sum(row["impression_id"] in shown for v in units for row in v["click"]),
    )


def metric(seen, name):
    return next(of for of in seen.metrics if of.metric.name == name)


def effect(seen, name):
    return next(of for of in seen.effects if of.metric == name)


@pytest.mark.parametrize("day", [2, 4, DAYS])
def test_the_arms_are_what_a_direct_count_says(shop, day):
    until = MIDNIGHT + day * DAY + EVENING
    seen = results(shop.project, "blend_up", as_of=until)
    for arm in seen.arms:
        ctr, revenue = metric(seen, "ctr").arms[arm], metric(seen, "revenue").arms[arm]
        units = complete(shop, "blend_up.1", arm, until, 2 * DAY)
        assert (ctr.units, ctr.d, ctr.y) == direct(shop, "blend_up.1", arm, until, 2 * DAY)
        assert (revenue.units, revenue.y) == (
            len(units),
            pytest.approx(sum(row["amount"] for v in units for row in v["purchase"])),
        )
    assert seen.complete + seen.open == sum(
        v["run"] == "blend_up.1" and v["came"] < until for v in shop.log
    )
    came = Counter(
        (("ios", "web")[v["number"] % 2], v["arm"])
        for v in shop.log
        if v["run"] == "blend_up.1" and v["came"] < until
    )
    assert {
        (value, arm): n
        for value, arms in seen.split_by_segment["platform"].items()
        for arm, n in arms.items()
    } == came


def test_a_run_without_windows_counts_everyone_and_its_interval_holds_at_every_look(shop):
    until = MIDNIGHT + 6 * DAY
    seen = results(shop.project, "open_end", as_of=until, despite_split=True)
    assert (seen.inference, seen.window, seen.open, seen.conclusion.word) == (
        "always",
        None,
        0,
        "invalid",
    )
    ctr = metric(seen, "ctr").arms["control"]
    assert (ctr.units, ctr.d, ctr.y) == direct(shop, "open_end.1", "control", until, timedelta())
    of = effect(seen, "ctr")
    assert of.relative.low < of.once.low < of.once.high < of.relative.high


def test_the_chance_to_beat_the_control_stands_beside_the_interval_of_what_decides(shop):
    seen = results(shop.project, "blend_up", as_of=MIDNIGHT + 4 * DAY + EVENING)
    chance = effect(seen, "ctr").chance_to_beat
    assert 0.999 < chance.probability < 1
    (line,) = (line for line in str(seen).splitlines() if line.startswith("  chance"))
    assert "more than 99.9 % that treatment beats control (if true effects are normal" in line
    assert [e.metric for e in seen.effects if e.chance_to_beat] == ["ctr"]


def test_nothing_is_shown_of_a_broken_split_unless_it_is_asked_for(own):
    with pytest.raises(NotFound, match="nobody has looked"):
        results(own.project, "open_end", last=True)
    for last in (False, True):  # it is stored and stays out of sight
        with pytest.raises(Refused, match=r"no results yet: split \d+ : \d+ is not 50 : 50"):
            results(own.project, "open_end", last=last)
    assert results(own.project, "open_end", last=True, despite_split=True).split.alarm
    assert recorded_looks.read(own.project.target.state, "open_end.1").looks == ()


def test_each_new_look_is_recorded_and_spends_of_the_plan_and_the_same_data_are_no_new_look(
    own, at
):
    state = own.project.target.state
    before = results(own.project, "blend_up", as_of=MIDNIGHT + DAY)
    assert recorded_looks.read(state, "blend_up.1").looks == ()
    assert (before.look, before.complete, effect(before, "ctr").relative) == (1, 0, None)
    at(2)
    first = results(own.project, "blend_up")
    again = results(own.project, "blend_up")
    assert [look.units for look in recorded_looks.read(state, "blend_up.1").looks] == [
        first.complete
    ]
    assert (first.look, first.planned) == (again.look, again.planned) == (1, again.planned)
    assert 0 < first.share < 1
    assert effect(first, "ctr").relative.low < effect(first, "ctr").once.low
    at(4)
    second = results(own.project, "blend_up")
    assert (second.look, second.planned, second.share > 1) == (2, first.planned, True)
    assert second.headline == "ship"
    at(DAYS)
    later = results(own.project, "blend_up")
    assert (later.closed, later.complete, later.look, later.effects) == (
        second.until,
        second.complete,
        2,
        second.effects,
    )
    past = results(own.project, "blend_up", as_of=MIDNIGHT + 2 * DAY + EVENING)
    assert (past.closed, past.look, past.effects, past.conclusion) == (
        None,
        1,
        first.effects,
        first.conclusion,
    )
    assert results(own.project, "blend_up", last=True) == later
    assert (
        command(own.folder, "experiment", "results", "blend_up.1", "--last", "--json").json[
            "planned"
        ]
        == first.planned
    )
    assert (
        "% of the planned units"
        in command(own.folder, "experiment", "results", "blend_up", "--last").out
    )


def test_the_page_of_a_day_is_the_look_of_that_evening(shop):
    seen = results(shop.project, "open_end", as_of=MIDNIGHT + 6 * DAY, despite_split=True)
    for look in seen.over_time:
        midnight = (
            datetime.fromisoformat(f"{look.day}T00:00:00+00:00") + DAY
        )  # nobody is shown anything in the half hour before it
        evening = results(shop.project, "open_end", as_of=midnight, despite_split=True)
        assert look.relative == effect(evening, "ctr").relative


def test_what_the_endpoints_monitors_say_of_each_arm_is_told_and_decides_nothing(shop):
    """Everybody was shown the one item: no arm is more concentrated than the other."""
    seen = results(shop.project, "blend_up", as_of=MIDNIGHT + 2 * DAY)
    (figure,) = seen.monitors
    assert (figure.figure, {arm: of.value for arm, of in figure.arms.items()}) == (
        "concentration",
        {"control": 0, "treatment": 0},
    )
    assert "\n  monitors    concentration +0.00 (+0.00 .. +0.00) in treatment\n" in str(seen)


def test_a_moment_that_has_not_come_is_refused(shop):
    for name in ("blend_up", "open_end"):
        with pytest.raises(Invalid, match="2026-12-24 00:00 has not come yet"):
            results(shop.project, name, as_of=datetime(2026, 12, 24, tzinfo=UTC))


def test_segments_are_told_and_add_up_to_the_whole(shop):
    seen = results(shop.project, "blend_up", as_of=MIDNIGHT + DAYS * DAY)
    of = seen.segments[0]
    assert (of.attribute, of.metric, of.arm, set(of.effects)) == (
        "platform",
        "ctr",
        "treatment",
        {"ios", "web"},
    )
    values = sorted(value.value for value in of.effects.values())
    assert values[0] < effect(seen, "ctr").relative.value < values[1]


def test_a_unit_counts_for_the_version_that_first_answered_it_since_it_is_in_the_run(shop):
    seen = results(shop.project, "blend_up", as_of=MIDNIGHT + DAYS * DAY)
    of = seen.segments[1]
    assert (of.attribute, of.arm, set(of.effects)) == (
        "model_version",
        "treatment",
        {"ranker@1", "ranker@2"},
    )
    for name, relative in of.effects.items():
        control, treatment = (by_version(shop, arm, name, seen.until) for arm in seen.arms)
        assert relative.value == pytest.approx(treatment / control - 1)


def by_version(shop, arm, name, until):
    units = [
        v for v in complete(shop, "blend_up.1", arm, until, 2 * DAY) if version(v["came"]) == name
    ]
    shown = {
        row["event_id"]
        for v in units
        for row in v["impression"]
        if row["event_timestamp"] + timedelta(minutes=30) <= until
    }
    return sum(row["impression_id"] in shown for v in units for row in v["click"]) / len(shown)


@pytest.mark.parametrize(("name", "asked"), [("blend_up", True), ("open_end", False)])
def test_the_split_is_told_by_model_version_also_where_results_are_not(shop, name, asked):
    seen = results(shop.project, name, as_of=MIDNIGHT + DAYS * DAY, despite_split=True)
    came = Counter(
        (version(v["came"]), v["arm"])
        for v in shop.log
        if v["run"] == seen.run and v["came"] < seen.until
    )
    assert {
        (of, arm): n
        for of, arms in seen.split_by_segment["model_version"].items()
        for arm, n in arms.items()
        if n
    } == came
    assert any(of.attribute == "model_version" for of in seen.segments) is asked
    assert "model_version" in results_page.split_section(seen)


def test_who_never_ran_has_no_results_and_a_log_of_ones_own_no_last_look(shop):
    with pytest.raises(NotFound, match="no experiment blend"):
        results(shop.project, "blend")
    with pytest.raises(NotFound, match="never ran"):
        results(shop.project, "blend_up.7")
    with pytest.raises(Invalid, match="another one"):
        results(shop.project, "blend_up", last=True, as_of=START)
    with pytest.raises(Invalid, match=r"no unit of blend_up\.1 was assigned"):
        results(shop.project, "blend_up", as_of=START)


def test_the_page_shows_what_was_looked_at_last_and_fetches_nothing(own, at):
    at(4)
    seen = results(own.project, "blend_up")
    text = Path(
        command(own.folder, "experiment", "report", "blend_up", "--json").json["page"]
    ).read_text()
    assert text.count("<figure") == 4
    titles = (
        "Arms: ctr",
        "Differences",
        "Over time",
        "Days since the first exposure",
        "Segments",
        "Monitors",
        "Split",
        "What it is",
        "History",
    )
    assert all(f"<h2>{title}</h2>" in text for title in titles)
    assert all(
        shown in text
        for shown in (
            seen.headline.capitalize(),
            "bought (guardrail)",
            "platform ios",
            seen.over_time[1].day,
            "started",
        )
    )
    assert "http" not in text
    assert command(own.folder, "experiment", "list", "--json").json[0]["verdict"] == seen.headline


def test_a_plan_rests_on_what_the_endpoints_units_did_in_the_last_weeks(shop):
    sized = power(shop.project, "open_end", days=7)
    shown, clicks = (sum(len(v[event]) for v in shop.log) for event in ("impression", "click"))
    assert (sized.control, sized.source) == (
        clicks / shown,
        f"from {len(shop.log):,} units of ranker in the last 28 days",
    )
    a_day = int(len(shop.log) / 9 * 0.4)  # nine days since the first one came, 40 % of the layer
    need = sized.needs[0]
    assert need.days == -(-2 * need.units // a_day)
    units = [{"y": len(v["click"]), "d": len(v["impression"])} for v in shop.log]
    spread = (
        sum((unit["y"] - sized.control * unit["d"]) ** 2 for unit in units)
        / (len(units) - 1)
        / (shown / len(units)) ** 2
    )
    assert need.units == pytest.approx(
        2.8016**2 * 2.05 * spread / (0.05 * sized.control) ** 2, rel=0.01
    )


def test_before_anybody_came_a_plan_needs_a_rate_that_is_said(shop):
    sized = command(
        shop.folder,
        "experiment",
        "power",
        "blend_up",
        "--control",
        "0.4%",
        "--units",
        "8000/day",
        "--json",
    ).json
    assert [need["effect"] for need in sized["needs"]] == [0.05, 0.1, 0.2, 0.5]
    assert sized["needs"][2]["units"] == pytest.approx(107_000, rel=0.02)
    with pytest.raises(Invalid, match="ranker has served no units yet: nothing to plan with"):
        run_cells.read_endpoint(shop.project, "ranker", shop.project.spec.metrics["ctr"], START)
    with pytest.raises(Invalid, match="leaves nothing to compare"):
        power(shop.project, "blend_up", control=1.5)


def test_after_a_stop_nothing_counts_and_a_look_at_the_time_before_does_not_know_of_it(own, at):
    at(3)
    end = own.now
    stop(own.project, "open_end", because="the client is broken")
    at(DAYS)
    seen = results(own.project, "open_end", despite_split=True)
    assert (seen.stopped, seen.until) == (end, end + timedelta(seconds=10))
    assert metric(seen, "ctr").arms["control"].units == len(
        complete(own, "open_end.1", "control", end, timedelta())
    )
    before = results(own.project, "open_end", as_of=end - DAY, despite_split=True)
    assert (before.stopped, before.until) == (None, end - DAY)


def test_a_run_that_outlasts_its_plan_is_not_on_a_day_of_it(shop):
    shown = results(shop.project, "blend_up", as_of=MIDNIGHT + 2 * DAY)
    days = [
        results_text.head_parts(msgspec.structs.replace(shown, day=day, days=planned))[0]
        for day, planned in ((9, 9), (11, 9), (11, None))
    ]
    assert days == ["day 9 of 9", "day 11 (the plan had 9)", "day 11"]
