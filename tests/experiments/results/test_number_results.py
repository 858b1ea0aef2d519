"""Two arms of a log that differ in how long people stay: read, compared and told as an amount."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import isthmus
from isthmus.errors import Invalid
from isthmus.events.intake.ingest import ingest
from isthmus.experiments.results.comparison import results
from isthmus.experiments.statistics.ranges import as_range
from isthmus.experiments.statistics.ratio import compare
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.tests.cli.running import isthmus as command
from isthmus.ui.pages.experiments import experiment

START = datetime(2024, 1, 1, tzinfo=UTC)
PROJECT = """
name: stays
now: 2024-01-10T00:00:00Z
entities:
  item: {key: item_id, type: int}
events:
  view:
    attributes: {item_id: {type: int}, user_id: {type: string}, layout: {type: int}}
  stay:
    attributes: {view_id: {type: string}, seconds: {type: float, min: 0}}
  grant:
    attributes: {view_id: {type: string}, amount: {type: int}}
objectives:
  dwell:   {rate: sum stay.seconds / view, within: 30m, at_most: 600, unit: user_id}
  granted: {rate: sum grant.amount / view, within: 30m}
experiments:
  longer:  {arm: view.layout, control: 1, treatment: 2, metric: dwell}
  equal:   {arm: view.layout, control: 1, treatment: 2, metric: granted}
  few:     {arm: view.layout, control: 3, treatment: 4, metric: dwell}
"""


def stays(user, time):
    """The seconds of one view's stays: two of them together may pass the cap."""
    if user % 3 == 0:
        return [400.0, 350.0] if user % 9 == 0 else [12.5]
    return [8.25 + time] if user < 400 else [90.5 + time, 30.0]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stays")
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "profiles.yaml").write_text("default: local\ntargets:\n  local: {}\n")
    views = [
        {
            "event_id": f"v{user}-{time}",
            "user_id": f"u{user}",
            "layout": 1 + user // 400 if user < 800 else 3 + user % 2,
            "item_id": 1,
            "event_timestamp": START + timedelta(hours=user % 150 + time),
        }
        for user in range(840)
        for time in range(2 + user % 2)
    ]
    after = [
        {
            "event_id": f"s{view['event_id']}-{number}",
            "view_id": view["event_id"],
            "seconds": seconds,
            "event_timestamp": view["event_timestamp"] + timedelta(minutes=number),
        }
        for view in views
        for number, seconds in enumerate(stays(*map(int, view["event_id"][1:].split("-"))))
    ]
    granted = [
        {
            "event_id": f"g{view['event_id']}",
            "view_id": view["event_id"],
            "amount": 10**9,
            "event_timestamp": view["event_timestamp"],
        }
        for view in views
    ]
    with isthmus.open(folder) as project:
        isthmus.apply(project)
        for event, rows in (("view", views), ("stay", after), ("grant", granted)):
            ingest(project, event=event, data=pd.DataFrame(rows))
        yield project


def by_hand(users):
    """The sums over users of their capped rows."""
    of_users = [
        [min(sum(stays(user, time)), 600) for time in range(2 + user % 2)] for user in users
    ]
    return UnitSums(
        units=len(of_users),
        y=sum(map(sum, of_users)),
        d=sum(map(len, of_users)),
        yy=sum(sum(rows) ** 2 for rows in of_users),
        yd=sum(sum(rows) * len(rows) for rows in of_users),
        dd=sum(len(rows) ** 2 for rows in of_users),
    )


def test_capped_rows_are_added_and_divided_by_exposures(project):
    seen = results(project, "longer")
    control, treatment = seen.deciding[0].arms["1"], seen.deciding[0].arms["2"]
    assert control == by_hand(range(400))
    assert treatment == by_hand(range(400, 800))
    assert control.of_amounts
    difference = compare(control, treatment, "fixed")
    assert seen.effects[0].relative == as_range(difference.relative)
    assert seen.conclusion.word == "better"


def test_the_console_and_the_page_tell_an_amount_and_no_percentage(project):
    folder, seen = project.description.folder, results(project, "longer")
    rate, interval = by_hand(range(400)).rate, seen.deciding[0].rates["1"]
    difference = seen.effects[0].absolute
    text = command(folder, "experiment", "results", "longer").out
    assert f"{rate:.2f}   {interval.low:.2f} .. {interval.high:.2f}\n" in text
    moved = f"{difference.value:+.4g}   {difference.low:+.4g} .. {difference.high:+.4g}"
    assert f"difference   {moved}      relative" in text
    assert f"control {rate:.2f}" in command(folder, "experiment", "power", "longer").out
    page = str(experiment.page(project, {"name": "longer", "compare": "yes"}).parts)
    assert moved in page
    for told in (text, page):
        assert "points" not in told.replace("polyline", "").replace(' points="', "")


def test_few_units_are_not_compared_and_the_reason_names_the_amount(project):
    seen = results(project, "few")
    assert seen.effects[0].relative is None
    assert "Below 100 units or 10 that carry dwell an arm" in seen.conclusion.why


def test_amounts_without_a_spread_are_refused_as_their_variance_has_no_digits(project):
    with pytest.raises(Invalid, match="granted: its values lie too close together"):
        results(project, "equal")
