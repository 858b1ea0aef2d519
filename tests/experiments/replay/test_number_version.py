"""`models replay` of an objective that is a number, on a small shop of the laptop."""

from __future__ import annotations

import re
import sys
from random import Random

import msgspec
import pytest

from isthmus.endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from isthmus.events.intake.emit import emit
from isthmus.experiments.replay.step import replayed_from
from isthmus.experiments.replay.version import checked_question
from isthmus.tests.cli.running import isthmus as command

from ...endpoints import mini
from .test_version import (
    BOTH,
    EXPLORE,
    NOW,
    REQUEST,
    SLOTS,
    TEXT,
    TODAY,
    VISITORS,
    Predicting,
)
from .visits import shown_to

CAP = 60.0
STAY = """
  stay:
    owner: a@example.com
    attributes:
      impression_id: {type: string}
      seconds:       {type: float}
objectives:
  dwell: {rate: sum stay.seconds / impression, within: 30m, at_most: 60}
"""
DWELL = TEXT.replace("objectives:\n", STAY.lstrip("\n"), 1).replace(
    "    objective: ctr\n    unit", "    objective: dwell\n    unit"
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = mini.filled(tmp_path_factory.mktemp("dwell"), mini.FILES | {"project.yaml": DWELL})
    with mini.opened(folder) as project:
        for configuration in ("popular", "both"):
            mini.register(project, configuration)
        project.target.endpoints = Predicting()
        for stream in (EXPOSURES, RANKINGS):
            project.target.events.apply(stream)
        visited(project)
        yield project
    sys.modules.pop("mini_ranker", None)


def seconds(item, number):
    """How long somebody stays: with item 2 beyond the cap at times, with 3 and 4 not at all."""
    return {1: 5.0 + number % 7, 2: 30.0 + number % 50}.get(item, 0.0)


def visited(project):
    """Everybody stays with item 1 and 2, and longer with 2."""
    impressions = shown_to(project, REQUEST, visitors=VISITORS, at=NOW)
    stays = [
        {
            "event_id": f"s-{row['event_id']}-{half}",
            "event_timestamp": NOW,
            "impression_id": row["event_id"],
            "seconds": seconds(row["item_id"], number) / 2,
        }
        for number, row in enumerate(impressions)
        for half in range(2)
        if seconds(row["item_id"], number)
    ]
    emit(project, "impression", impressions)
    emit(project, "stay", stays)


def rows(project):
    """The log as SQL has it: what was shown where, and what it earned."""
    sql = (
        "SELECT entity_key, isthmus_shown.position, propensity, coalesce(outcome, 0) AS reward FROM "
        "exposures AS isthmus_shown LEFT JOIN dwell ON dwell.exposure_id = isthmus_shown.event_id "
        "WHERE isthmus_shown.event_timestamp >= $since"
    )
    return project.target.warehouse.query(sql, {"since": TODAY}).to_pylist()


def replayed(project, version, since=TODAY):
    question = checked_question(project, version, since=since)
    folder = project.folder / "made" / ["popular", "both"][question.version - 1]
    return replayed_from(project, question, folder, page=7)


def test_the_version_that_served_earns_the_capped_seconds_that_were_logged(project):
    same, log = replayed(project, "ranker@1"), rows(project)
    assert max(row["reward"] for row in log) == CAP
    assert same.replay.logged == pytest.approx(sum(row["reward"] for row in log) / len(log))
    assert same.replay.value == pytest.approx(same.replay.logged)
    assert (same.sums, same.at_most, same.objective) == ("stay.seconds", CAP, "dwell")
    at_cap = sum(row["reward"] == CAP for row in log)
    assert same.capped == pytest.approx(at_cap / len(log))
    assert at_cap > 0


def test_another_version_is_told_in_the_outcomes_own_unit_with_what_was_capped(project):
    other, log = replayed(project, "ranker@2"), rows(project)
    best, chance = 1 - EXPLORE + EXPLORE / 4, EXPLORE / 4
    weights = [
        (best if row["entity_key"] == str(BOTH[row["position"] - 1]) else chance)
        / row["propensity"]
        for row in log
    ]
    earned = sum(w * row["reward"] for w, row in zip(weights, log, strict=True))
    assert other.replay.value == pytest.approx(earned / len(log))
    assert other.replay.self_normalised.value == pytest.approx(earned / sum(weights))
    assert other.replay.difference.low > 0, "it puts on top what people stay with"
    assert other.replay.low < other.replay.value < other.replay.high
    lines = str(other).splitlines()
    assert "ranker served   dwell (stay.seconds) per place, explore 50 %" in lines[0]
    assert re.fullmatch(
        rf"  logged +\d+\.\d\d   {VISITORS} answers, {VISITORS * SLOTS} places, {VISITORS} units; "
        r"[\d.]+ % at the cap of 60",
        lines[1],
    )
    assert re.fullmatch(r"  doubly robust +\d+\.\d\d   \d+\.\d\d \.\. \d+\.\d\d", lines[4])
    assert "rows, 60 units drawn" in lines[6], "what the weights leave of the log is told"


def test_heavy_tails_are_warned_of_by_the_estimates_whose_intervals_they_make_too_narrow(
    project, monkeypatch
):
    """Seconds that grow as a Pareto of index 1 from row to row, and no cap."""
    drawn = Random(5)
    monkeypatch.setattr(
        "isthmus.experiments.replay.step.answers",
        lambda *args, **options: heavy(project, drawn, *args, **options),
    )
    uncapped = msgspec.structs.replace(project.spec.objectives["dwell"], at_most=None)
    monkeypatch.setitem(project.spec.objectives, "dwell", uncapped)
    other = replayed(project, "ranker@2")
    (warning,) = other.warnings
    assert warning.startswith(
        "too narrow may be the 95 % intervals of IPS, self-normalised, doubly robust, the "
        "difference against the log: a few rows decide"
    )
    assert str(other).splitlines()[-1] == f"  warning           {warning}"
    assert (other.capped, other.at_most) == (None, None)


def heavy(project, drawn, *args, **options):
    """The logged answers with other outcomes."""
    from isthmus.experiments.replay import logged_answers

    for page in logged_answers.answers(*args, **options):
        yield [
            msgspec.structs.replace(
                answer,
                places=[
                    msgspec.structs.replace(place, reward=drawn.paretovariate(1))
                    for place in answer.places
                ],
            )
            for answer in page
        ]


def test_a_log_of_which_nobody_stayed_gives_no_estimate(project, monkeypatch):
    monkeypatch.setitem(
        project.spec.objectives,
        "dwell",
        msgspec.structs.replace(project.spec.objectives["dwell"], at_most=0.0),
    )
    nothing = replayed(project, "ranker@2")
    assert (nothing.replay.value, nothing.replay.difference) == (None, None)
    assert "180 rows, none with stay.seconds other than 0: no estimate" in str(nothing)


@pytest.mark.slow
def test_the_command_replays_a_number_in_a_step_of_its_own(project):
    before = replayed(project, "ranker@2")
    since = ("--since", "2024-01-09T12:00:00")
    answer = command(project.folder, "models", "replay", "ranker@2", *since, "--json").json
    assert answer["replay"]["doubly_robust"]["value"] == pytest.approx(
        before.replay.doubly_robust.value
    )
    assert answer["sums"] == "stay.seconds"
    assert answer["capped"] == pytest.approx(before.capped)
    text = command(project.folder, "models", "replay", "ranker@2", *since).out
    assert text.rstrip() == str(before)
