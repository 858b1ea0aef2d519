"""The page of the rollouts: where each stands, what its guardrails see, and what comes next."""

import re

import pytest

from isthmus.rollouts.verbs import rollout
from isthmus.tests.rollouts.desk import Desk

from .conftest import Browser
from .whole import check_data, check_whole

PATH = "/rollouts"


@pytest.fixture
def desk(monkeypatch, tmp_path):
    return Desk(monkeypatch, tmp_path)


@pytest.fixture
def browser(desk):
    return Browser(desk.project)


def rows(browser):
    """Name -> text, of the page's table."""
    text = browser.get(PATH).text
    return {
        name: re.sub("<[^>]*>", "", cell)
        for name, cell in re.findall(
            '<tr><th[^>]*>(.*?)</th><td class="words">(.*?)</td></tr>', text
        )
    }


def test_an_endpoint_without_a_rollout_has_the_command_that_starts_it(browser):
    check_whole(browser, PATH)
    check_data(browser, PATH)
    text = browser.get(PATH).text
    assert "There was none" in text
    assert "<code>isthmus rollout start ranker</code>" in text


def test_every_command_of_a_page_is_for_the_pages_target(desk):
    browser = Browser(desk.project, same=" --target vertex --offline")
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    desk.sleep(3600)
    assert "NOBODY HAS LOOKED FOR 1h" in browser.get(PATH).text
    for path in (
        PATH,
        "/endpoints",
        "/endpoints/ranker",
        "/endpoints/ranker/rollout",
        "/events/click",
    ):
        commands = re.findall("isthmus [a-z]+ [^<`]*", browser.get(path).text)
        assert commands or path == "/endpoints", path
        assert {command for command in commands if "--target vertex" not in command} == set(), path


def test_a_rollout_has_its_step_weights_guardrails_and_what_comes_next(browser, desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking" and state.checks)
    check_whole(browser, PATH)
    shown = rows(browser)
    assert shown["step"] == "1 of 3 (25 %)"
    assert shown["weights"] == "champion 75 %, challenger 25 %"
    assert {guardrail.name for guardrail in desk.state.plan.guardrails} <= set(shown)
    assert shown["next"].startswith("next step 50 % at ")
    text = browser.get(PATH).text
    assert "<code>isthmus rollout pause ranker</code>" in text
    assert "<code>isthmus rollout abort ranker</code>" in text


def test_a_paused_rollout_without_data_says_when_the_traffic_goes_back(browser, desk):
    desk.world.traffic.per_minute = 0
    rollout.start(desk.project, "ranker")
    state = desk.drive(lambda state: state.phase == "baking")
    rollout.pause(desk.project, "ranker")
    back = state.bake_until + state.plan.on_no_data.hold
    says = f"without more data the traffic goes back at {back:%H:%M} UTC"
    assert says in str(rollout.status(desk.project, "ranker"))
    assert rows(browser)["next"] == says
    assert "<code>isthmus rollout resume ranker</code>" in browser.get(PATH).text
    ended = desk.drive(lambda state: state.phase == "ended")
    assert ended.cause == "no data"
    assert rows(browser)["state"] == "aborted"
