"""A run that interleaves two variants, on a laptop whose models alone are made up: start, answers,
clicks, results, ship.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import msgspec
import pandas as pd
import pytest

import isthmus
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.gateway.smoke import SmokeResult
from isthmus.endpoints.port import Reply
from isthmus.errors import Invalid, NotFound, Refused
from isthmus.events.intake.ingest import ingest
from isthmus.experiments import experiment
from isthmus.experiments.experiment import power
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.measure.draft_audit import Drafts
from isthmus.experiments.results import page as results_page
from isthmus.experiments.results.comparison import results
from isthmus.experiments.running import start as starting
from isthmus.experiments.running.status import listing, status
from isthmus.pipelines.models.predictor import MANIFEST
from isthmus.tests.cli.running import isthmus as command
from isthmus.tests.endpoints import shop as stub

from ..shop import DAY, PROJECT, START, Shop

VISITORS, ITEMS = 400, list(range(1, 9))
DUEL = """
  order_duel: {interleave: [champion, challenger], metric: clicks, plan: {minimum_effect: 20%, days: 14}}
  by_ctr:     {interleave: [champion, challenger], metric: ctr, share: 10%}
"""
VARIANTS = (
    "{champion: {model: ranker@champion, traffic: 50}, challenger: {model: ranker@champion, "
    "traffic: 50}}"
)
TEXT = PROJECT.partition("experiments:")[0] + "experiments:" + DUEL
TEXT = TEXT.replace("{champion: {model: ranker@champion, traffic: 100}}", VARIANTS)
TEXT = TEXT.replace(
    "visitor_id: {type: string}}\n  click:", "exposure_id: {type: string}}\n  click:"
)


class Host(stub.Host):
    """The champion puts the worst items first, the challenger the best."""

    def invoke(self, _endpoint, instances, *, variant, request_id, parameters=()):  # noqa: ARG002  the port's
        sign = 1 if variant == "challenger" else -1
        return Reply(
            predictions=tuple(sign * float(at) for at in range(len(instances))),
            variant=variant or "champion",
            version=1,
        )


def liked(item, position, chance):
    return chance.random() < 0.1 * item / position


def hosted(project):
    """The only version, once a Host answers for it."""
    version = SimpleNamespace(
        uri=f"{project.target.blobs.root.rstrip('/')}/models/ranker/made", digest="made"
    )
    project.target.__dict__.update(
        registry=SimpleNamespace(get=lambda *_: version), endpoints=Host()
    )
    return version


@pytest.fixture(scope="module")
def duel(tmp_path_factory):
    """After two days: everybody came on the first, half of them on the second, too."""
    shop = Shop(tmp_path_factory.mktemp("duel"), TEXT)
    project, chance = shop.project, random.Random(4)
    with project, pytest.MonkeyPatch.context() as patch:
        patch.setattr(starting, "smoke_arm", lambda *_: SmokeResult(sent=20, answered=20))
        isthmus.apply(project)
        project.target.blobs.put(
            f"{hosted(project).uri}/{MANIFEST}", msgspec.json.encode(stub.MANIFEST)
        )
        shop.started = experiment.start(project, "order_duel")
        shop.clicks, impressions, clicks = Counter(), [], []
        for day, share in ((0, 1), (1, 2)):
            shop.now = START + day * DAY
            with Gateway(project, "ranker") as gateway:
                for number in range(0, VISITORS, share):
                    answer = gateway.rank(
                        {"visitor_id": f"v{number}", "item_id": ITEMS, "slots": 4}
                    )
                    for at, (item, exposure) in enumerate(
                        zip(answer.items, answer.exposures, strict=True)
                    ):
                        name = f"i{exposure}"
                        moment = {"event_timestamp": shop.now + timedelta(minutes=1)}
                        impressions.append(
                            {"event_id": name, **moment, "item_id": item, "exposure_id": exposure}
                        )
                        if liked(item, at + 1, chance):
                            clicks.append(
                                {
                                    "event_id": f"c{name}",
                                    **moment,
                                    "impression_id": name,
                                    "item_id": item,
                                }
                            )
                            shop.clicks[exposure] += 1
        ingest(project, event="impression", data=pd.DataFrame(impressions))
        ingest(project, event="click", data=pd.DataFrame(clicks))
        shop.now = START + 5 * DAY
        yield shop


@pytest.fixture
def own(duel, tmp_path):
    """A copy, for who ends its run and goes on: other tests see none of it."""
    own = duel.copied(tmp_path / "duel")
    hosted(own.project)
    with own.project:
        yield own


def direct(shop):
    """Wins by variant, click by click."""
    rows = shop.project.target.warehouse.query(
        "SELECT event_id, unit, credit FROM exposures", {}
    ).to_pylist()
    wins = Counter()
    for row in rows:
        if row["credit"] is not None:
            wins[json.loads(row["credit"])["order_duel.1"]] += shop.clicks[row["event_id"]]
    return wins


def test_a_start_tries_both_variants_and_takes_the_traffic(duel):
    assert list(duel.started.answers) == ["champion", "challenger"]
    assert (duel.started.weights, duel.started.owner_before) == ({"interleaved": 100.0}, "none")


def test_results_are_a_direct_count_and_the_better_order_is_preferred(duel):
    seen = results(duel.project, "order_duel")
    assert (seen.arms, seen.interleaved, seen.complete) == (
        ("champion", "challenger"),
        True,
        VISITORS,
    )
    assert {name: arm.y for name, arm in seen.metrics[0].arms.items()} == direct(duel)
    (effect,) = seen.effects
    wins = direct(duel)
    assert effect.absolute.value == pytest.approx(
        (wins["challenger"] - wins["champion"]) / VISITORS
    )
    assert effect.relative.value == pytest.approx(
        (wins["challenger"] - wins["champion"]) / wins.total()
    )
    assert 0 < effect.absolute.low < effect.absolute.value < effect.absolute.high
    assert (seen.headline, seen.look, effect.side) == ("prefers challenger", 1, "better")
    text = str(seen)
    assert "test it with arms" in text
    assert "wins a unit" in text
    again = results(duel.project, "order_duel")
    assert (again.look, again.effects) == (1, seen.effects), "the same units are no new look"
    assert [of.day for of in seen.over_time] == [
        "2026-11-02",
        "2026-11-03",
        "2026-11-04",
        "2026-11-05",
        "2026-11-06",
    ]


def test_an_earlier_look_counts_what_had_happened_by_then(duel):
    seen = results(duel.project, "order_duel", as_of=START + DAY - timedelta(hours=1))
    assert sum(arm.y for arm in seen.metrics[0].arms.values()) < direct(duel).total()


def test_the_console_shows_stored_results_the_run_and_its_page(duel):
    results(duel.project, "order_duel")
    told = command(duel.folder, "experiment", "results", "order_duel", "--last", "--json").json
    assert (told["interleaved"], told["conclusion"]["of"]) == (True, "challenger")
    standing = status(duel.project, "order_duel")
    assert standing.units == {"interleaved": VISITORS}
    assert f"  arms    interleaved 100 % ({VISITORS:,} units)   champion with challenger" in str(
        standing
    )
    line = next(line for line in listing(duel.project) if line.run == "order_duel.1")
    assert (line.units, line.verdict) == (VISITORS, "prefers challenger")
    page = results_page.report(duel.project, "order_duel").read_text()
    assert "challenger against champion" in page
    assert "interleaves" in page


@pytest.mark.parametrize("chunk", [97, 10_000])
def test_an_audit_finds_every_unit_in_the_one_arm_and_makes_every_draft_again(duel, chunk):
    judged = audit(duel.project, "order_duel", chunk=chunk)
    assert (judged.sound, judged.units, judged.lost) == (True, VISITORS, 0)
    assert judged.drafts == Drafts(drafted=VISITORS * 3 // 2)
    assert (
        "  drafts    600 made again of both orders and the coins (0 under rules of which the "
        "log says nothing, 0 drawn at random, 0 by one" in str(judged)
    )


def test_power_says_the_least_by_the_clicks_of_the_endpoints_units_as_if_each_counted(duel):
    seen = power(duel.project, "order_duel", days=30)
    assert seen.a_unit == duel.clicks.total() / VISITORS
    (own,) = [need for need in seen.needs if need.effect == 0.2]
    assert own.events == 197, "(1.96 + 0.84)^2 / 0.2^2"
    assert own.units == pytest.approx(197 / seen.a_unit, abs=1)
    assert (seen.days, seen.needs[0].days) == (
        30,
        2 + math.ceil(seen.needs[0].units / (VISITORS / 5)),
    ), "and the window of 2 days"
    said = power(duel.project, "order_duel", control=0.5, units_per_day=100)
    assert (said.needs[0].units, said.needs[0].days) == (
        2 * said.needs[0].events,
        2 + math.ceil(2 * said.needs[0].events / 100),
    )
    assert "events that count" in str(said)
    with pytest.raises(Invalid, match="clicks is 0 as --control says"):
        power(duel.project, "order_duel", control=0.0)


def test_power_is_refused_while_nobodys_window_is_over(duel, monkeypatch):
    monkeypatch.setattr(duel, "now", START + timedelta(hours=1))
    with pytest.raises(
        Invalid,
        match="clicks is 0 from 0 units of ranker in the last 28 days: nothing to plan with",
    ):
        power(duel.project, "order_duel")


def test_the_next_run_counts_nothing_of_the_one_before(own):
    with pytest.raises(Refused, match="makes one order of two: interleaved is neither of them"):
        experiment.stop(own.project, "order_duel", ship="interleaved", because="it won")
    with pytest.raises(NotFound) as missing:
        experiment.stop(own.project, "order_duel", ship="nobody", because="it won")
    assert missing.value.remedy == "it has champion, challenger"
    shipped = experiment.stop(own.project, "order_duel", ship="challenger", because="it won")
    assert shipped.parameters == {"variant": "challenger"}
    with Gateway(own.project, "ranker") as gateway:
        assert gateway.rank({"visitor_id": "v1", "item_id": ITEMS, "slots": 4}).items == (
            8,
            7,
            6,
            5,
        )
    experiment.stop(own.project, "order_duel", because="enough")
    experiment.start(own.project, "by_ctr")
    own.now += DAY
    with Gateway(own.project, "ranker") as gateway:
        for number in range(VISITORS):
            gateway.rank({"visitor_id": f"v{number}", "item_id": ITEMS, "slots": 4})
    own.now += timedelta(minutes=1)
    seen = results(own.project, "by_ctr")
    assert seen.inference == "always"
    assert 0 < seen.complete < VISITORS
    assert {arm.y for arm in seen.metrics[0].arms.values()} == {0}
    assert seen.headline == "keep running"
