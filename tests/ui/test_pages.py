"""Every page is whole, says the same as data, and asks nothing of elsewhere."""

import re
from collections import Counter
from urllib.parse import urlencode

import pytest

from isthmus.errors import Unavailable
from isthmus.experiments.running.status import listing
from isthmus.experiments.simulation import clock
from isthmus.tests.experiments.shop import DAY, START, Shop
from isthmus.tests.pipelines.run_pages.test_report import Balanced
from isthmus.ui import server
from isthmus.ui.pages import HOME, PAGES
from isthmus.ui.pages.experiments import experiments, new_experiment

from .chromium import MISSING, PROGRAM, Chromium
from .conftest import Browser
from .drawn import drawn, judged, serving
from .whole import OPERATIONS, check_data, check_pictures, check_whole

NAMES = {"name": "blend_up"}
DRAFT = {
    "name": "bolder",
    "layer": "ranker",
    "share": "10",
    "hypothesis": "A bolder blend: clicked more.",
    "arms": "control: {}\ntreatment: {blend: 0.9}",
    "metric": "ctr",
    "guardrails": "bought may drop 5 %",
    "effect": "8",
    "days": "14",
    "rate": "log",
}
PATHS = [page.path.format(**NAMES) for page in PAGES if not page.path.startswith(OPERATIONS)]
PATHS += [
    f"/new?{urlencode(DRAFT)}",
    "/experiments/open_end",
    "/experiments/open_end?despite-split=yes",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_whole_and_fetches_only_from_its_host(browser, path):
    check_whole(browser, path)


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_there_as_data(browser, path):
    check_data(browser, path)


@pytest.mark.parametrize("path", PATHS)
def test_every_picture_has_its_table_and_every_mark_says_what_it_is(browser, path):
    check_pictures(browser, path)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_every_page_is_drawn_on_a_phone_and_on_a_desk_in_both_themes(shop, tmp_path):
    """Starts Chromium."""
    with Chromium(tmp_path) as chromium, serving(lambda: shop.project) as host:
        drawn(chromium, host, PATHS)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_axe_core_finds_nothing_on_any_page_in_either_theme(shop, tmp_path):
    """Starts Chromium."""
    with Chromium(tmp_path) as chromium, serving(lambda: shop.project) as host:
        judged(chromium, [f"{host}{path}" for path in PATHS])


def test_the_list_has_what_the_console_says_of_each_run_without_asking_the_log(
    browser, shop, monkeypatch
):
    with monkeypatch.context() as blind:
        blind.setattr(type(shop.project.target.warehouse), "query", None)
        lines = browser.get("/experiments.json").json()["experiments"]
    assert (
        [line["run"] for line in lines]
        == [line.run for line in listing(shop.project)]
        == ["blend_up.1", "open_end.1"]
    )
    assert [line["verdict"] for line in lines] == ["ship", "invalid: the split"]
    layer = browser.get("/experiments.json").json()["layers"][0]
    assert (layer["layer"], layer["free"]) == ("ranker", 0)
    assert [(holder["run"], holder["buckets"]) for holder in layer["holders"]] == [
        ("blend_up.1", [[0, 5999]]),
        ("open_end.1", [[6000, 9999]]),
    ]


def test_the_page_of_an_experiment_shows_the_newest_look_and_the_history(browser):
    text = browser.get("/experiments/blend_up").text
    for words in (
        "Differences",
        "Over time",
        "Days since the first exposure",
        "Segments",
        "Split",
        "What it is",
        "History",
    ):
        assert f"<h2>{words}</h2>" in text
    assert "<strong>Ship</strong>" in text


def test_each_arm_has_its_rate_and_its_lift_with_their_intervals(browser):
    text = browser.get("/experiments/blend_up").text
    table = re.search("<h2>Arms: ctr</h2>.*?<table>(.*?)</table>", text, re.DOTALL)[1]
    control, treatment = re.findall("<tr>(.*?)</tr>", table)[1:]
    effect = browser.get("/experiments/blend_up.json").json()["results"]["effects"][0]["relative"]
    lift = '{value:+.1f} %<br><span class="soft">{low:+.1f} .. {high:+.1f} %</span>'.format(
        **{end: 100 * effect[end] for end in ("value", "low", "high")}
    )
    assert "against control" in table
    assert lift in treatment
    assert lift not in control


def test_a_picture_of_effects_goes_as_far_as_they_do_and_no_further(browser):
    results = browser.get("/experiments/blend_up.json").json()["results"]
    bounds = [
        100 * effect["relative"][end]
        for effect in results["over_time"]
        for end in ("low", "high")
        if effect["relative"]
    ]
    picture = browser.get("/experiments/blend_up").text.partition("<h2>Over time</h2>")[2]
    ticks = [float(tick) for tick in re.findall('text-anchor="end">([-0-9.]+)</text>', picture)]
    ticks = ticks[: len(ticks) // 2]
    span = max(0, *bounds) - min(0, *bounds)
    assert 0 in ticks
    assert min(0, *bounds) - span / 5 <= min(ticks)
    assert max(ticks) <= max(0, *bounds) + span / 5


def test_a_phone_shows_the_verdict_without_scrolling(browser):
    head = re.findall("<th(?: [^>]*)?>(.*?)</th>", browser.get("/experiments").text)
    assert head[:2] == ["run", "verdict"]


def test_of_a_broken_split_the_page_shows_what_is_broken_and_no_figure_until_it_is_asked_to(
    browser,
):
    text = browser.get("/experiments/open_end").text
    assert "is not 50 : 50" in text
    assert "<h2>Split</h2>" in text
    assert "<h2>Differences</h2>" not in text
    despite = re.search('href="([^"]*)">Show the figures despite it', text)[1]
    assert "<h2>Differences</h2>" in browser.get(despite).text


def test_an_earlier_look_is_a_link_away(browser):
    text = browser.get("/experiments/blend_up").text
    links = re.findall(r'href="(/experiments/blend_up\.1\?look=[^"]*)"', text)
    untils = [
        browser.client.get(link.replace("?", ".json?")).json()["results"]["until"] for link in links
    ]
    assert untils == ["2026-11-04T20:00:00Z", "2026-11-07T20:00:00Z"]
    assert ["This is an earlier look" in browser.get(link).text for link in links] == [True, False]
    browser.get("/experiments/blend_up?look=20200101T000000000000", status=404)


@pytest.mark.parametrize("address", ["blend_up", "blend_up.1", "blend_up.1.json"])
def test_the_page_of_an_experiment_reads_each_stored_document_once(
    browser, shop, monkeypatch, address
):
    target, reads = shop.project.target, Counter()

    def counted(store, verb):
        real = getattr(store, verb)

        def call(key):
            reads[verb, key] += 1
            return real(key)

        monkeypatch.setattr(store, verb, call)

    counted(target.state, "get")
    counted(target.blobs, "get")
    counted(target.blobs, "list")
    browser.get(f"/experiments/{address}")
    assert {("get", "experiments/live"), ("get", "experiments/blend_up/runs/1")} <= reads.keys()
    assert {name: count for name, count in reads.items() if count > 1} == {}


def test_a_store_that_is_away_is_told(browser, shop, monkeypatch):
    def away(_key):
        raise Unavailable("the state store does not answer", remedy="look at the network")

    monkeypatch.setattr(shop.project.target.state, "get", away)
    text = browser.get("/experiments", status=503).text
    assert "the state store does not answer" in text
    assert "look at the network" in text
    Balanced(text)


def test_a_mistake_of_ours_is_told_without_its_inside(browser, monkeypatch, capsys):
    monkeypatch.setattr(experiments, "listing", lambda *_, **__: 1 / 0)
    text = browser.get("/experiments", status=500).text
    assert "a mistake in Isthmus: ZeroDivisionError" in text
    assert "division by zero" not in text
    assert "division by zero" in capsys.readouterr().err


def test_the_first_page_is_the_list(browser):
    assert browser.get("/", status=307).headers["location"] == HOME


def test_what_is_not_there_is_told_as_a_page_and_as_data(browser):
    assert (
        "project.yaml has no experiment nobody"
        in browser.get("/experiments/nobody", status=404).text
    )
    assert browser.get("/experiments/nobody.json", status=404).json()["error"]["kind"] == "NotFound"
    assert "there is no page /elsewhere" in browser.get("/elsewhere", status=404).text


def test_how_long_a_new_experiment_takes_is_asked_of_the_log_once_and_then_remembered(
    browser, shop, monkeypatch
):
    asked, query = [], type(shop.project.target.warehouse).query
    monkeypatch.setattr(
        type(shop.project.target.warehouse),
        "query",
        lambda *arguments: asked.append(1) or query(*arguments),
    )
    monkeypatch.setattr(new_experiment, "_of_log", {})
    days = []
    for share in ("10", "20", "40"):
        power = browser.get(f"/new.json?{urlencode(DRAFT | {'share': share})}").json()["power"]
        assert power["source"].endswith("units of ranker in the last 28 days")
        days.append(next(need["days"] for need in power["needs"] if need["effect"] == 0.08))
    assert len(asked) == 1
    assert days[0] > days[1] > days[2]


def test_pages_go_by_the_simulated_clock_of_a_target_that_has_one(tmp_path):
    shop = Shop(tmp_path)
    at = START + 40 * DAY
    clock.store(shop.project.target.blobs, clock.SimulatedTime(since=START, at=at))
    project = server.reread(tmp_path / "project.yaml", shop.project.target)
    assert project.now() == project.log_time() == at
    foot = Browser(project).get("/experiments").text.partition("<footer")[2]
    assert f"{at:%-d %B %Y, %H:%M} UTC, target local, simulated clock" in foot
