"""Simulated visitors come to a genuine gateway over HTTP, and what is logged is compared: the whole
chain against what is true.
"""

import sys
import threading
from datetime import UTC, datetime, timedelta
from math import sqrt

import pytest

import isthmus
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.decide import live_reader
from isthmus.endpoints.gateway.http.background import in_background
from isthmus.endpoints.gateway.http.sample import SampleFailed
from isthmus.errors import NotFound, Refused
from isthmus.experiments import experiment
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.simulation import clock
from isthmus.experiments.simulation.http_calls import HttpCalls
from isthmus.experiments.simulation.simulate import check_here, simulate
from isthmus.times import utc_milliseconds

from ...cli.running import isthmus as command
from ...conformance.toy_models import remove_endpoints
from ...endpoints import mini

pytestmark = pytest.mark.slow
NOW = datetime(2024, 1, 10, tzinfo=UTC)
DAY = timedelta(days=1)
SECTION = """
layers: {quiet: {endpoint: ranker}, split: {endpoint: ranker}, both: {endpoint: ranker}}
experiments:
  same:   {layer: quiet, arms: {control: {}, treatment: {}}, metric: ctr, plan: {minimum_effect: 30%}}
  broken: {layer: split, arms: {control: {}, treatment: {}}, metric: ctr}
  duel:   {layer: both, interleave: [champion, challenger], metric: ctr, plan: {minimum_effect: 30%}}
"""
WORLD = """\
experiment: same
days: 2
visitors: 150
sessions: 2
items: 4
candidates: 4
slots: 3
seed: 20261126
attributes: {segment_id: [a]}
events:
  impression: {}
  click: {of: impression, chance: 20%, after: 30s}
late: {share: 20%, by: 1d}
bots: {share: 5%, requests: 10}
"""
BROKEN = (
    WORLD.replace("experiment: same", "experiment: broken")
    + "broken: {arm: treatment, loses: 60%}\n"
)  # 150 : 60 is 338,154 : 1

DUEL = """\
experiment: duel
days: 1
visitors: 100
sessions: 2
candidates: 4
slots: 3
seed: 20261128
world: liking
events:
  impression: {}
  click: {of: impression, chance: likes, after: 30s}
"""
LIKING = """\
def visitors(random, count, prefix):
    return [{"visitor_id": f"{prefix}{number}", "segment_id": "a", "sessions": 1 + number % 2} for
      number in range(count)]


def items(random):
    return [{"item_id": number} for number in (1, 2, 3, 4)]


def likes(visitor, item, position):
    return item["item_id"] / 8
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = mini.filled(tmp_path_factory.mktemp("simulated"))
    description = folder / "project.yaml"
    unit = "      segment_id: {type: string}\n      visitor_id: {type: string, required: false}\n"
    unit += "      exposure_id: {type: string, required: false}\n"
    description.write_text(
        description.read_text().replace("      segment_id: {type: string}\n", unit) + SECTION
    )
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        isthmus.apply(project)
        (folder / "week.yaml").write_text(WORLD)
        (folder / "broken.yaml").write_text(BROKEN)
        (folder / "duel.yaml").write_text(DUEL)
        (folder / "liking.py").write_text(LIKING)
        with pytest.raises(NotFound, match="ranker is not up on local"):
            simulate(project, folder / "week.yaml")
        deploy(project, "ranker")
        yield project
        remove_endpoints(project.target)
    sys.modules.pop("mini_ranker", None)


@pytest.fixture(scope="module")
def week(project):
    with mini.opened(project.folder) as again:
        return simulate(again, project.folder / "week.yaml")


def rows(project, sql):
    return project.target.warehouse.query(sql, {}).to_pylist()


def test_what_was_sent_is_what_is_stored_and_each_arm_is_the_hashs(project, week):
    played = week.played
    assert (played.began, played.ended, played.failed, played.rejected, played.undelivered) == (
        NOW,
        NOW + 2 * DAY,
        {},
        {},
        0,
    )
    (stored,) = rows(
        project,
        "SELECT (SELECT count(*) FROM exposures) AS shown, (SELECT count(*) FROM rankings) AS "
        "answers, (SELECT count(*) FROM events_click WHERE event_id LIKE 'click-%') AS clicks, "
        "(SELECT count(*) FROM events_impression WHERE event_id LIKE 'impression-%') AS "
        "impressions, (SELECT count(DISTINCT unit) FROM exposures) AS units",
    )
    assert stored == {
        "shown": played.shown,
        "answers": played.requests,
        "clicks": played.sent["click"],
        "impressions": played.sent["impression"],
        "units": played.units + played.bots,
    }
    assert played.sent["impression"] + played.waiting >= played.shown > 0
    with mini.opened(project.folder) as again:
        seen = audit(clock.on_simulated_clock(again), "same")
    assert (seen.sound, seen.lost, seen.units) == (True, 0, played.units + played.bots)


def test_nobody_is_answered_before_it_is_known_what_runs_however_slow_the_store_is(
    project, week, monkeypatch
):
    """Its first answer comes only once somebody has asked whether it is known, and a request does
    not wait for it.
    """
    asked, look, problems = (
        threading.Event(),
        live_reader.LiveReader.look,
        live_reader.LiveReader.problems,
    )
    monkeypatch.setattr(live_reader, "FIRST", timedelta(0))
    monkeypatch.setattr(
        live_reader.LiveReader, "look", lambda reader: (asked.wait(60), look(reader))
    )
    monkeypatch.setattr(
        live_reader.LiveReader,
        "problems",
        property(lambda reader: (asked.set(), problems.fget(reader))[1]),
    )
    with (
        in_background(mini.opened(project.folder), "ranker", Nobody()) as gateway,
        HttpCalls(gateway.url) as calls,
    ):
        (reply,) = calls.post("/assign", [{"visitor_id": "early", "log": False}])
    assert week.results.run in reply.body["assignments"]


class Nobody:
    def sample(self, endpoint):
        raise SampleFailed(f"nobody visits {endpoint}")


def test_an_a_a_test_stays_quiet(week):
    seen = week.results
    assert seen.conclusion.word == "keep running"
    (effect,) = [effect for effect in seen.effects if effect.role == "decides"]
    assert effect.side == "open"
    (truth,) = week.truths
    assert (truth.true, truth.metric, truth.arm) == (0, "ctr", "treatment")
    counts = list(seen.split.counts.values())
    assert abs(counts[0] - sum(counts) / 2) < 4 * sqrt(sum(counts)) / 2


def test_bots_are_units_and_an_event_counts_on_the_day_on_which_it_happened(project, week):
    played, seen = week.played, week.results
    assert played.bots > 0
    assert seen.complete == played.units + played.bots, "nobody filters who does nothing"
    assert played.late > 0
    (ctr,) = [metric for metric in seen.metrics if metric.metric.name == "ctr"]
    assert sum(arm.d for arm in ctr.arms.values()) == played.sent["impression"], "late ones, too"
    (late,) = rows(
        project,
        "SELECT count(*) AS late, max(stored_timestamp) AS last FROM impression_raw WHERE "
        "event_id LIKE 'impression-%' AND date_trunc('hour', stored_timestamp) > "
        "date_trunc('hour', event_timestamp) + INTERVAL 1 HOUR",
    )
    assert late["late"] > 0
    assert utc_milliseconds(late["last"].replace(tzinfo=UTC)) <= played.ended


def test_a_second_simulation_goes_on_where_the_clock_stands(project, week):
    with mini.opened(project.folder) as again:
        on_clock = clock.on_simulated_clock(again)
        assert on_clock.now() == on_clock.log_time() == week.played.ended
        second = simulate(again, project.folder / "broken.yaml")
        assert (second.played.began, second.played.ended) == (
            week.played.ended,
            week.played.ended + 2 * DAY,
        )
        assert second.results.conclusion.word == "invalid", "three fifths of an arm are lost"
        assert second.results.split.alarm
        assert second.played.lost > 0
        with pytest.raises(Refused, match="Every figure would be biased"):
            experiment_results(clock.on_simulated_clock(again), "broken")
        assert clock.stored_time(again.target.blobs).effects == {"same.1": {}, "broken.1": {}}


def test_of_two_orders_that_are_opposite_people_prefer_the_one_whose_first_item_they_like(
    project, week
):
    """The champion begins with item 4, the challenger with item 1."""
    with mini.opened(project.folder) as again:
        seen = simulate(again, project.folder / "duel.yaml")
        judged = audit(clock.on_simulated_clock(again), "duel")
    assert (seen.played.failed, seen.played.rejected) == ({}, {})
    assert (seen.results.conclusion.word, seen.results.conclusion.of) == ("prefers", "champion")
    (truth,) = seen.truths
    assert (truth.true, truth.arm) == (None, "challenger"), (
        "it follows from what the items are, not from a number of the file"
    )
    assert truth.high < 0
    assert (judged.sound, judged.lost, judged.units) == (True, 0, seen.played.units)
    assert (
        judged.drafts.drafted + judged.drafts.explored,
        judged.drafts.ruled + judged.drafts.alone,
    ) == (seen.played.requests, 0)


def experiment_results(project, name):
    from isthmus.experiments.results.comparison import results

    return results(project, name)


def test_at_the_console_each_command_goes_by_the_simulated_clock_and_says_so(project, week):
    shown = command(project.folder, "experiment", "results", "same")
    assert shown.out.startswith("simulated clock 2024-01-1")
    assert "same.1   layer quiet" in shown.out
    dry = command(project.folder, "experiment", "simulate", "week.yaml", "--dry-run")
    assert dry.out.splitlines()[0].split() == ["local", "simulate", "week.yaml"]
    before = clock.stored_time(project.target.blobs)
    said = command(project.folder, "experiment", "simulate", "week.yaml", "--dry-run", "--json")
    assert said.json["would"] == {"simulate": "week.yaml"}
    assert clock.stored_time(project.target.blobs) == before


def test_in_python_each_verb_goes_by_the_simulated_clock_of_a_project_that_was_open_before(
    project, week
):
    """A notebook opens its project, simulates, and looks at the results."""
    shown = command(project.folder, "experiment", "results", "same", "--json").json
    seen = isthmus.experiment.results(project, "same")
    assert project.now() == NOW
    assert seen.as_of > NOW
    assert (seen.run, seen.until) == (shown["run"], datetime.fromisoformat(shown["until"]))
    assert seen.complete == shown["complete"] > 0
    assert isthmus.experiment.audit(project, "same").sound


def test_nobody_is_made_up_on_a_cloud(tmp_path):
    (tmp_path / "project.yaml").write_text("name: mini\n")
    keys = (
        "adapter: sagemaker, account: '123456789012', region: us-east-1, bucket: s3://b-bucket, "
        "role: arn:aws:iam::123456789012:role/r"
    )
    (tmp_path / "profiles.yaml").write_text(f"targets:\n  cloud: {{{keys}}}\n")
    with (
        isthmus.open(tmp_path / "project.yaml", target="cloud") as project,
        pytest.raises(Refused, match="made-up visitors") as refused,
    ):
        check_here(project)
    assert "--offline" in refused.value.remedy


def test_a_target_that_nobody_simulated_on_goes_by_its_own_clock(tmp_path):
    mini.write(tmp_path)
    with mini.opened(tmp_path) as project:
        assert clock.on_simulated_clock(project) is project
        assert experiment.history(project) == ()
