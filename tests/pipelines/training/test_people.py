"""A world whose truth is known, end to end: a model that knows only who likes everything has the
better AUC, and no ranking.
"""

import re
from datetime import timedelta

import numpy as np
import pytest

import isthmus as im
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.monitors.monitor import show as look
from isthmus.experiments.simulation.clock import on_simulated_clock
from isthmus.pipelines.evaluation.metrics import clusters
from isthmus.pipelines.run_pages import runs
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.comparison_page import comparison_page
from isthmus.pipelines.run_pages.figure_text import digits_of
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.runs.document import local_path
from isthmus.tests.cli.running import isthmus
from isthmus.tests.docs.shown import DOCS, block_of, masked, pattern
from isthmus.tests.pipelines.run_pages.test_report import Whole

pytestmark = pytest.mark.timeout(900)  # the first test makes the shop: half a minute of CPU


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("people") / "shop"


@pytest.fixture(scope="module")
def demo(folder):
    """What `isthmus demo --example shop` says; it makes the folder."""
    return isthmus(folder.parent, "demo", "--example", "shop", "--json").json


@pytest.fixture(scope="module")
def shop(demo, folder):
    with im.open(folder / "project.yaml") as project:
        yield project


@pytest.fixture(scope="module")
def dwell(shop):
    """The run of the model for seconds, after those of the demo."""
    return im.train(shop, "dwell")


def test_the_demo_tells_what_its_runs_and_its_rehearsal_show(demo, shop, folder):
    names = ("champion", "flatterer", "challenger")
    runs_there = [runs.get_run(shop, name) for name in ("r1", "r2", "r3")]
    assert [(demo[name]["version"], demo[name]["gate"], demo[name]["alias"]) for name in names] == [
        (run.version, run.gate, run.alias) for run in runs_there
    ]
    assert [(run.gate, run.alias) for run in runs_there] == [
        (None, "champion"),
        ("fail", None),
        ("pass", "challenger"),
    ]
    rollout = demo["rollout"]
    assert (rollout["end"], rollout["unexpected"], rollout["serving"]) == (
        "promoted",
        [],
        {"champion": 100.0},
    )
    assert list(rollout["steps"]) == ["25", "50", "100"]
    assert rollout["promoted_after"] < rollout["handed_after"], (
        "the roles go home after the promotion"
    )
    Whole((folder / rollout["page"]).read_text())


def test_the_demo_s_visitors_are_counted_in_the_arms_that_their_hash_says(demo, shop):
    visits, judged = (
        demo["tested"]["visits"],
        {name: audit(on_simulated_clock(shop), name) for name in ("order", "same")},
    )
    for name, compared in (
        ("order", demo["tested"]["experiment"]),
        ("same", demo["tested"]["alike"]),
    ):
        arms = compared["metrics"][0]["arms"]
        totals = [sum(arm[figure] for arm in arms.values()) for figure in ("units", "d", "y")]
        assert totals == [visits["units"], visits["shown"], visits["sent"]["click"]]
        assert (compared["twice"], compared["effects"][0]["relative"] is None) == (0, False)
        assert (
            judged[name].units,
            judged[name].differ,
            judged[name].outside,
            judged[name].lost,
        ) == (visits["units"], 0, 0, 0)
    assert (visits["failed"], visits["rejected"], visits["undelivered"]) == ({}, {}, 0)
    assert (demo["url"], shop.target.endpoints.observe("home")) == (None, None), (
        "the endpoint that it started is gone"
    )


def test_the_demo_s_monitors_see_its_simulated_days_with_clicks(demo, shop):
    alike, bias = (
        look(on_simulated_clock(shop), name) for name in ("countries_alike", "category_bias")
    )
    assert set(alike.by_group("mix")) == {"JP", "TW", "US"}
    assert alike.until == bias.until == on_simulated_clock(shop).now().date() - timedelta(days=1)
    assert 0 < bias.by_group("calibration")[""].count <= demo["tested"]["visits"]["sent"]["click"]


def test_the_gate_fails_a_model_that_is_better_by_auc_and_ranks_worse(shop):
    likes = runs.get_run(shop, "r2")
    assert likes.champion.difference.low > 0
    assert likes.champion.differences["ndcg@10"].high < 0
    assert (likes.gate, likes.alias) == ("fail", None)
    assert (
        likes.checks.verdict_of("auc_vs_champion"),
        likes.checks.verdict_of("ndcg@10_vs_champion"),
    ) == (
        "pass",
        "fail",
    )
    assert "by AUC alone it would pass" in str(likes)
    assert "it ranks worse (ndcg@10_vs_champion -" in str(likes)
    assert shop.target.registry.get("ranker", 2).approval == "rejected"


def test_one_score_for_a_whole_list_is_chance_within_it(shop):
    within = runs.get_run(shop, "r2").evaluation.metrics["group_auc"]
    assert 0.49 < within.low <= within.high < 0.51


def test_the_model_for_clicks_wins_clicks_and_loses_dwell_as_the_pages_say(shop, dwell):
    """Bait is clicked more than other items and left sooner: the world says so."""
    assert (dwell.name, dwell.gate) == ("r4", "pass")
    assert dwell.champion.other.deciding.high < 0 < dwell.champion.figures()["value@1"].low
    text = "\n".join(masked(line) for line in str(dwell).splitlines())
    page = block_of("your-data.md", "isthmus train models/dwell.yaml")
    assert re.fullmatch(pattern([*page, "..."]), f"{text}\n"), text
    (pair,) = compare(shop, "r1", "r4")
    first, second = (
        f"{side['value@1'].value:.1f}" for side in (pair.first_figures, pair.second_figures)
    )
    for written in (DOCS.parent / "README.md", DOCS / "your-data.md", DOCS / "ja" / "index.md"):
        assert re.search(rf"{second}.{{1,90}}\b{first}\b", written.read_text(), re.DOTALL), written


def test_the_page_of_your_data_shows_these_runs(shop):
    """What its commands would print:

    `train` of the likes, `runs compare` of the champion and the challenger.
    """
    said = {
        "isthmus train models/popularity.yaml models/likes.yaml": str(runs.get_run(shop, "r2")),
        "isthmus train models/both.yaml && isthmus runs compare r1 r3": "\n".join(
            map(str, compare(shop, "r1", "r3"))
        ),
    }
    for command, text in said.items():
        page = block_of("your-data.md", command)
        lines = [masked(line) for line in text.splitlines()]
        assert re.fullmatch(pattern(page), "".join(f"{line}\n" for line in lines)), text


def test_the_first_champion_has_nobody_to_beat(shop):
    first = runs.get_run(shop, "r1")
    assert (first.gate, first.alias) == (None, "champion")


def test_groups_without_both_outcomes_are_counted_and_left_out(shop):
    ranked = runs.get_run(shop, "r1").evaluation.ranked
    table = runs.predictions_of(shop.target.blobs, "r1")
    rates = (
        table.group_by("ranked_within").aggregate([("outcome", "mean")])["outcome_mean"].to_numpy()
    )
    assert ranked.groups == int(((rates > 0) & (rates < 1)).sum())
    assert ranked.left_out == len(rates) - ranked.groups > 0
    assert (ranked.within, ranked.item) == ("session_id", "item_id")


def test_units_are_people_and_groups_are_their_lists(shop):
    table = runs.predictions_of(shop.target.blobs, "r1")
    among = clusters(table)
    assert (
        among.units
        == runs.get_run(shop, "r1").evaluation.units
        == len(set(table["unit"].to_pylist()))
    )
    owners = {}
    for unit, group in zip(among.unit.tolist(), among.group.tolist(), strict=True):
        assert owners.setdefault(group, unit) == unit
    assert np.bincount(among.group).max() <= 20


def test_the_comparison_is_decided_by_the_ranking_and_says_that_auc_says_otherwise(shop):
    found = compare(shop, "r1", "r2")[0]
    assert (found.metric, found.verdict) == ("ndcg@10", "worse")
    assert "auc says otherwise" in str(found)
    assert compare(shop, "r2", "r1")[0].verdict == "better"


def test_the_pages_show_every_figure_and_whose_rows_they_are(shop):
    run = runs.get_run(shop, "r2")
    page = local_path(run_uri(shop.target.blobs, "r2")).read_text()
    for name, figure in (*run.evaluation.metrics.items(), *run.champion.differences.items()):
        assert f"{abs(figure.value):.{digits_of(name, figure)}f}" in page
    between = comparison_page(shop, compare(shop, "r1", "r2")).read_text()
    for text in (page, between):
        Whole(text)
        assert f"draw {run.evaluation.units} visitors" in text
