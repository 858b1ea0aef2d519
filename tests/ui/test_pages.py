"""Every page is whole, says the same as data, and asks nothing of elsewhere."""

from urllib.parse import urlencode

import pytest

from isthmus.experiments.standing import listed
from isthmus.ui.pages import HOME, PAGES, new_experiment

from .chromium import MISSING, PROGRAM, Chromium
from .drawn import drawn, serving
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
PATHS.append(f"/new?{urlencode(DRAFT)}")


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


def test_the_list_has_what_the_console_says_of_each_run_without_asking_the_log(browser, shop, monkeypatch):
    with monkeypatch.context() as blind:
        blind.setattr(type(shop.project.target.warehouse), "query", None)
        lines = browser.get("/experiments.json").json()["experiments"]
    assert [line["run"] for line in lines] == [line.run for line in listed(shop.project)] == ["blend_up.1", "open_end.1"]
    assert [line["verdict"] for line in lines] == ["ship", ""]
    layer = browser.get("/experiments.json").json()["layers"][0]
    assert (layer["layer"], layer["free"]) == ("ranker", 0)
    assert [(holder["run"], holder["buckets"]) for holder in layer["holders"]] == [
        ("blend_up.1", [[0, 5999]]),
        ("open_end.1", [[6000, 9999]]),
    ]


def test_the_page_of_an_experiment_shows_the_newest_look_and_the_history(browser):
    text = browser.get("/experiments/blend_up").text
    for words in ("Differences", "Over time", "Days since the first exposure", "Segments", "Split", "What it is", "History"):
        assert f"<h2>{words}</h2>" in text
    assert "<strong>Ship</strong>" in text
    assert "Nobody has looked at it yet" in browser.get("/experiments/open_end").text


def test_the_first_page_is_the_list(browser):
    assert browser.get("/", status=307).headers["location"] == HOME


def test_what_is_not_there_is_told_as_a_page_and_as_data(browser):
    assert "project.yaml has no experiment nobody" in browser.get("/experiments/nobody", status=404).text
    assert browser.get("/experiments/nobody.json", status=404).json()["error"]["kind"] == "NotFound"
    assert "there is no page /elsewhere" in browser.get("/elsewhere", status=404).text


def test_how_long_a_new_experiment_takes_is_asked_of_the_log_once_and_then_remembered(browser, shop, monkeypatch):
    asked, query = [], type(shop.project.target.warehouse).query
    monkeypatch.setattr(type(shop.project.target.warehouse), "query", lambda *arguments: asked.append(1) or query(*arguments))
    monkeypatch.setattr(new_experiment, "_of_log", {})
    days = []
    for share in ("10", "20", "40"):
        power = browser.get(f"/new.json?{urlencode(DRAFT | {'share': share})}").json()["power"]
        assert power["source"].endswith("units of ranker in the last 28 days")
        days.append(next(need["days"] for need in power["needs"] if need["effect"] == 0.08))
    assert len(asked) == 1
    assert days[0] > days[1] > days[2]
