"""Two arms that a log assigned, from ingested events to a verdict, as the command line shows it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import isthmus
from isthmus.errors import Invalid, NotFound
from isthmus.events.intake.ingest import ingest
from isthmus.experiments.measure import log_cells as cells
from isthmus.experiments.results.comparison import results
from isthmus.experiments.results.log_document import log_document
from isthmus.experiments.results.log_results import analysis_of
from isthmus.experiments.statistics.ranges import as_range
from isthmus.experiments.statistics.ratio import compare
from isthmus.tests.cli.running import isthmus as command
from isthmus.ui.pages.experiments import experiment

START = datetime(2024, 1, 1, tzinfo=UTC)
PROJECT = """
name: arms
now: 2024-01-10T00:00:00Z
entities:
  item: {key: item_id, type: int}
events:
  view:
    attributes:
      item_id: {type: int}
      user_id: {type: string, required: false}
      layout:  {type: int}
  buy:
    attributes: {view_id: {type: string}, item_id: {type: int}}
  complaint:
    attributes: {view_id: {type: string}, item_id: {type: int}}
objectives:
  bought:    {rate: buy / view, within: 30m, unit: user_id}
  complains: {rate: complaint / view, within: 30m, goal: minimise}
experiments:
  by_person: {arm: view.layout, control: 1, treatment: 2, metric: bought, owner: us@example.com}
  by_row:    {arm: view.layout, control: 1, treatment: 2, metric: complains}
  guarded:
    arm: view.layout
    control: 1
    treatment: 2
    metric: bought
    weights: {control: 50, treatment: 50}
    guardrails: [{metric: complains, max_rise: 10%}]
    also: [complains]
  skewed:    {arm: view.layout, control: 1, treatment: 2, metric: bought, weights: {control: 90, treatment: 10}}
  nobody:    {arm: view.layout, control: 1, treatment: 9, metric: bought}
"""


def rows():
    """Users 0-399 see layout 1 and 400-799 layout 2, three times each; one sees both, one row has
    no user.
    """
    for user in range(800):
        for time in range(3):
            yield {
                "event_id": f"v{user}-{time}",
                "user_id": f"u{user}",
                "layout": 1 + user // 400,
                "hours": user % 150 + time,
            }
    yield {"event_id": "both-1", "user_id": "both", "layout": 1, "hours": 1}
    yield {"event_id": "both-2", "user_id": "both", "layout": 2, "hours": 2}
    yield {"event_id": "nobody", "user_id": None, "layout": 1, "hours": 3}


def bought(row):
    """Every tenth user of layout 1 buys all three times, every fourth of layout 2."""
    if row["user_id"] in ("both", None):
        return True
    user = int(row["user_id"][1:])
    return user % (10 if user < 400 else 4) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "profiles.yaml").write_text("default: local\ntargets:\n  local: {}\n")
    views = [
        row | {"item_id": 1, "event_timestamp": START + timedelta(hours=row.pop("hours"))}
        for row in rows()
    ]
    after = {
        "buy": [row for row in views if bought(row)],
        "complaint": [row for row in views if row["layout"] == 2][:400] + views[:50],
    }
    with isthmus.open(folder) as project:
        isthmus.apply(project)
        ingest(project, event="view", data=pd.DataFrame(views))
        for event, seen in after.items():
            outcomes = [
                {
                    "event_id": f"{event}-{row['event_id']}",
                    "view_id": row["event_id"],
                    "item_id": 1,
                    "event_timestamp": row["event_timestamp"],
                }
                for row in seen
            ]
            ingest(project, event=event, data=pd.DataFrame(outcomes))
    return folder


@pytest.fixture(scope="module")
def project(folder):
    with isthmus.open(folder) as project:
        yield project


def test_units_are_people_and_who_saw_both_arms_or_has_no_name_is_left_out(project):
    seen = results(project, "by_person")
    control, treatment = seen.deciding[0].arms["1"], seen.deciding[0].arms["2"]
    assert (control.units, control.d, control.y) == (400, 1200, 120)
    assert (treatment.units, treatment.d, treatment.y) == (400, 1200, 300)
    assert (control.yy, control.yd, control.dd) == (40 * 9, 40 * 9, 400 * 9)
    assert (seen.twice, seen.log.unnamed) == (1, 1)
    assert seen.conclusion.word == "better"


def test_its_page_in_the_browser_asks_the_log_only_when_it_is_told_to(project, monkeypatch):
    with monkeypatch.context() as blind:
        blind.setattr(type(project.target.warehouse), "query", None)
        quiet = experiment.page(project, {"name": "guarded"})
    asked = experiment.page(project, {"name": "guarded", "compare": "yes"})
    assert (quiet.data.results, asked.data.results) == (
        None,
        log_document(results(project, "guarded")),
    )
    assert "/experiments/guarded?compare=yes" in "".join(quiet.parts)
    assert any("<h2>Differences</h2>" in part for part in asked.parts)


def test_an_interval_of_people_is_as_wide_as_their_number_says(project):
    seen = results(project, "by_person")
    share = 0.1  # of people who buy; their rows add nothing
    margin = 1.96 * (share * (1 - share) / 399) ** 0.5
    assert seen.deciding[0].rates["1"].high - share == pytest.approx(margin, rel=1e-3)


def test_more_of_what_is_to_be_little_is_worse(project):
    seen = results(project, "by_row")
    assert (seen.log.unit, seen.deciding[0].arms["1"].by_row, seen.conclusion.word) == (
        None,
        True,
        "worse",
    )


def test_a_look_of_an_earlier_day_counts_what_was_known_then(project):
    early = results(project, "by_person", as_of=START + timedelta(hours=10))
    known = [
        row for row in rows() if row["hours"] + 0.5 <= 10 and row["user_id"] not in ("both", None)
    ]
    assert sum(arm.d for arm in early.deciding[0].arms.values()) == len(known)


def test_an_arm_that_nobody_is_in_is_an_error_that_names_those_there_are(project):
    with pytest.raises(Invalid, match="no view has layout = 9") as raised:
        results(project, "nobody")
    assert raised.value.remedy == "layout is 1 (1,202), 2 (1,201)"
    with pytest.raises(NotFound, match="no experiment by_persn"):
        results(project, "by_persn")


def test_the_console_shows_arms_difference_and_verdict(folder):
    shown = command(folder, "experiment", "results", "by_person").out.splitlines()
    assert shown[0] == "by_person   assigned by the site; unit: user_id"
    assert shown[1].split() == ["units", "views", "buys", "bought", "95", "%"]
    assert shown[2].split()[:5] == ["1", "400", "1,200", "120", "10.000"]
    assert shown[4].startswith("  difference   +15.000 points")
    assert shown[5] == (
        "  chance      99.5 % that 2 beats 1 (if true effects are normal around 0 with a "
        "standard deviation of 10 %; the verdict does not use it)"
    )
    assert shown[6:8] == ["  left out: 1 unit in both arms", "  left out: 1 row without user_id"]
    assert (
        shown[8] == "verdict   better. The whole interval is on the better side of no difference."
    )


def test_a_log_that_names_no_unit_has_no_chance_to_beat_the_control(project):
    """Rows of one person are alike: their variance as rows would promise too much."""
    seen = results(project, "by_row")
    assert (seen.log.unit, seen.effects[0].chance_to_beat) == (None, None)
    assert "chance" not in str(seen)


def test_a_broken_guardrail_makes_a_better_metric_worse(project):
    seen = results(project, "guarded")
    assert (seen.effects[1].judged, seen.conclusion.word) == ("broken", "worse")
    assert "Guardrail complains is broken." in seen.conclusion.why
    assert not seen.split.alarm


def test_a_split_that_is_not_the_planned_one_makes_everything_invalid(project):
    seen = results(project, "skewed")
    assert seen.conclusion.word == "invalid"
    assert "split 400 : 400 is not 90 : 10" in str(seen)


def test_the_look_of_each_day_is_what_a_question_asked_that_evening_would_have_answered(project):
    seen = results(project, "by_person")
    assert len(seen.over_time) == 7
    for look in seen.over_time:
        evening = datetime.fromisoformat(f"{look.day}T00:00:00+00:00") + timedelta(days=1)
        asked = cells.read(
            project,
            analysis_of(project, "by_person"),
            project.spec.objectives["bought"],
            evening + timedelta(minutes=30),
        )
        arms = asked.total(until=look.day)
        assert look.units == sum(arm.units for arm in arms.values())
        difference = compare(*arms.values(), "fixed")
        assert (look.absolute, look.relative) == (
            (as_range(difference.absolute), as_range(difference.relative))
            if difference
            else (None, None)
        )


def test_the_page_shows_metric_guardrail_and_days_and_fetches_nothing(folder):
    written = Path(command(folder, "experiment", "report", "guarded", "--json").json["page"])
    text = written.read_text()
    assert text.count("<figure") == 2
    assert all(
        shown in text
        for shown in (
            "Worse: bought",
            "guardrail, may rise 10 %: broken",
            "1 unit in both arms",
            "split 400 : 400 fits",
            "Chance: 99.5 % that 2 beats 1 (if true effects are normal",
        )
    )
    assert "http" not in text


def test_json_has_what_the_text_says(folder):
    metric = command(folder, "experiment", "results", "by_person", "--json").json["metric"]
    assert metric["arms"]["2"]["y"] == 300
    assert metric["chance_to_beat"]["probability"] == pytest.approx(0.995, abs=0.0005)
    assert metric["chance_to_beat"]["prior_sd"] == 0.1
    listed = command(folder, "experiment", "list", "--json").json
    assert (listed[0]["run"], listed[0]["state"], listed[0]["owner"]) == (
        "by_person",
        "analysis",
        "us@example.com",
    )
    sized = command(
        folder, "experiment", "power", "by_person", "--units", "1,000/day", "--days", "7", "--json"
    ).json
    assert (sized["control"], sized["days"], sized["needs"][0]["effect"]) == (0.1, 7, 0.05)
    assert sized["needs"][2]["days"] == -(-2 * sized["needs"][2]["units"] // 1000)


def test_units_that_are_no_number_are_refused(folder):
    refused = command(folder, "experiment", "power", "by_person", "--units", "many", ok=False)
    assert refused.code != 0
    assert "write 8000/day" in refused.err


def test_a_log_that_grows_is_looked_at_with_wider_intervals(folder, tmp_path):
    import shutil

    live = shutil.copytree(folder, tmp_path / "live")
    (live / "project.yaml").write_text(PROJECT.replace("now: 2024-01-10T00:00:00Z\n", ""))
    with isthmus.open(folder) as closed, isthmus.open(live) as growing:
        once, always = results(closed, "by_person"), results(growing, "by_person")
    assert (once.inference, always.inference) == ("fixed", "always")
    assert once.deciding[0].arms == always.deciding[0].arms
    assert always.effects[0].absolute.low < once.effects[0].absolute.low
    assert "at any look: the log grows" in str(always)
