"""A new experiment from a form: the loader judges it, the diff applies, and what it makes can be
started.
"""

import re
import resource
import subprocess
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

import isthmus
from isthmus.core.runtime.project import reopen
from isthmus.errors import IsthmusError
from isthmus.experiments.experiment import start
from isthmus.project.load import load
from isthmus.project.reading import yaml
from isthmus.tests.experiments.shop import PROJECT, Shop
from isthmus.ui.pages.experiments import draft, new_experiment

from .conftest import HOST, Browser

DRAFT = {
    "name": "bolder",
    "layer": "ranker",
    "share": "10",
    "hypothesis": 'A bolder blend: "more" <b>clicks</b>',
    "owner": "no",
    "arms": "control: {}\ntreatment: {blend: 0.9}",
    "weights": "control: 60\ntreatment: 40",
    "metric": "ctr",
    "also": "clicks",
    "guardrails": "bought may drop 5 %",
    "targeting": "platform: [web]",
    "effect": "8",
    "days": "10",
}


@pytest.fixture
def folder(tmp_path):
    with Shop(tmp_path, PROJECT.replace("share: 40%", "share: 30%")).project:
        pass
    return tmp_path


@pytest.fixture
def browser(folder):
    with isthmus.open(folder) as project:
        browser = Browser(project, write=True)
        browser.client.app._read = lambda: reopen(folder, project.target)
        yield browser


def at(**changed):
    return f"{new_experiment.PATH}?{urlencode(DRAFT | changed)}"


def as_data(browser, **changed):
    path, _, query = at(**changed).partition("?")
    return browser.get(f"{path}.json?{query}").json()


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout


def test_the_diff_applies_and_makes_the_experiment_that_was_filled_in(browser, folder):
    path, _, query = at().partition("?")
    response = browser.get(f"{path}.diff?{query}")
    assert response.headers["content-disposition"] == 'attachment; filename="new.diff"'
    git(folder, "init", "--quiet")
    (folder / "new.diff").write_text(response.text)
    git(folder, "apply", "new.diff")
    made = load(folder).spec.experiments["bolder"]
    assert (made.hypothesis, made.owner, made.metric) == (DRAFT["hypothesis"], "no", ("ctr",))
    assert [(arm.name, arm.parameters, arm.weight) for arm in made.arms] == [
        ("control", {}, 60),
        ("treatment", {"blend": 0.9}, 40),
    ]
    assert (made.share, made.plan.minimum_effect, made.plan.days) == (10, 8, 10)
    assert (str(made.guardrails[0]), made.targeting[0].among) == ("may drop 5 %", ("web",))


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"metric": "ctrr"}, "experiments.bolder.metric"),
        (
            {"arms": "control: {}\ntreatment: {blend: much}"},
            "experiments.bolder.arms.treatment.blend",
        ),
        ({"arms": "control: {"}, "experiments/bolder.yaml"),
        ({"share": "200"}, "experiments.bolder.share"),
        ({"layer": "nowhere"}, "experiments.bolder.layer"),
        ({"name": "blend_up"}, "experiments.blend_up: it is defined twice"),
        ({"name": "../x"}, "is not a name"),
        ({"effect": "0"}, "experiments.bolder.plan.minimum_effect"),
    ],
)
def test_what_the_loader_refuses_is_told_and_neither_downloaded_nor_written(
    browser, folder, changed, key
):
    data = as_data(browser, **changed)
    assert any(key in f"{problem['file']} {problem['message']}" for problem in data["problems"]), (
        data
    )
    assert data["power"] is None
    text = browser.get(at(**changed)).text
    assert "It cannot be committed as it is" in text
    assert '<form method="post"' not in text
    path, _, query = at(**changed).partition("?")
    browser.get(f"{path}.diff?{query}", status=400)
    token = {"token": sent_token(browser)}
    assert browser.client.post(
        new_experiment.PATH, data=DRAFT | changed | token, headers={"origin": HOST}
    ).status_code in (400, 409)
    assert not (folder / "experiments").exists()


def sent_token(browser):
    """Of a form of the page of a sound draft."""
    return browser.get(at()).text.partition('name="token" value="')[2].partition('"')[0]


def test_with_write_the_file_is_put_into_the_folder_and_the_page_says_that_it_is_not_committed(
    browser, folder
):
    git(folder, "init", "--quiet")
    git(folder, "add", "-A")
    git(
        folder,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "commit",
        "--quiet",
        "-m",
        "a",
    )
    response = browser.send(at(), new_experiment.PATH)
    assert (response.status_code, response.headers["location"]) == (303, "/experiments/bolder")
    assert (folder / "experiments" / "bolder.yaml").read_text() == draft.text(DRAFT)
    assert "experiments/bolder.yaml is not committed" in browser.get("/experiments/bolder").text
    again = browser.client.post(
        new_experiment.PATH,
        data=DRAFT | {"token": sent_token_of(browser)},
        headers={"origin": HOST},
    )
    assert (again.status_code, "it is defined twice" in again.text) == (409, True)
    git(folder, "add", "-A")
    git(
        folder,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "commit",
        "--quiet",
        "-m",
        "b",
    )
    assert "is not committed" not in browser.get("/experiments/bolder").text


def test_a_full_disk_is_told_and_leaves_no_half_of_a_file(folder):
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with isthmus.open(folder) as project:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))
        try:
            with pytest.raises(
                IsthmusError, match=r"experiments/bolder.yaml cannot be written: File too large"
            ):
                new_experiment.write(project, DRAFT)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert not (folder / "experiments" / "bolder.yaml").exists()


def sent_token_of(browser):
    return (
        browser.get("/experiments/bolder")
        .text.partition('name="token" value="')[2]
        .partition('"')[0]
    )


def test_the_free_share_is_told_and_an_empty_form_asks_nothing(browser):
    data = browser.get(f"{new_experiment.PATH}.json").json()
    assert (data["file"], data["layers"][0]["free"]) == ("", 100)
    assert "ranker, 100 % free" in browser.get(new_experiment.PATH).text


def test_files_that_are_wrong_meanwhile_are_told_with_their_places_and_mended_files_are_read_again(
    browser, folder
):
    sound = (folder / "project.yaml").read_text()
    (folder / "project.yaml").write_text(sound.replace("share: 60%", "share: lots"))
    text = browser.get("/experiments", status=409).text
    assert re.search(r"project.yaml:\d+</th>.*experiments.blend_up.share", text)
    (folder / "project.yaml").write_text(sound)
    browser.get("/experiments")


def test_a_share_that_the_layer_has_not_free_is_told_before_anybody_starts(browser, folder):
    with isthmus.open(folder) as project:
        isthmus.apply(project)
        start(project, "blend_up")
    assert as_data(browser)["too_few"] == ""
    assert (
        as_data(browser, share="50")["too_few"]
        == "Layer ranker has 40 % of its units free now, and 50 % are asked for"
    )


def test_how_long_it_takes_by_a_rate_that_is_said(browser):
    power = as_data(browser, control="20", units="1,000")["power"]
    assert (power["control"], power["days"]) == (0.2, 10)
    assert [need["effect"] for need in power["needs"]] == [0.05, 0.08, 0.1, 0.2, 0.5]
    assert all(need["days"] for need in power["needs"])
    for text in ("2O", "nan", "inf", "-1", "0"):
        assert as_data(browser, control=text)["no_power"].startswith(
            f"{text!r} is not the control's rate"
        )
        assert as_data(browser, control="20", units=text)["no_power"].startswith(
            f"{text!r} is not units a day"
        )
    assert "Say the control's rate" in as_data(browser)["no_power"]
    assert "has served no units yet" in as_data(browser, rate="log")["no_power"]


@given(st.text())
def test_words_are_written_so_that_they_are_read_as_they_were_typed(words):
    node, problems = yaml.read(draft.text({"hypothesis": words, "metric": "ctr"}), "x.yaml")
    assert problems == ()
    seen = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    assert yaml.plain(node) == ({"hypothesis": seen} if seen else {}) | {"metric": "ctr"}


def test_a_form_without_a_name_is_refused(browser):
    response = browser.client.post(
        new_experiment.PATH, data={"token": sent_token(browser)}, headers={"origin": HOST}
    )
    assert (response.status_code, "is not a name" in response.text) == (409, True)


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("bought may drop 2 %", "{metric: bought, max_drop: 2%}"),
        ("bought drop 2.5", "{metric: bought, max_drop: 2.5%}"),
        ("errors may rise by 10%", "{metric: errors, max_rise: 10%}"),
        ("{metric: bought, max_drop: 2%}", "{metric: bought, max_drop: 2%}"),
    ],
)
def test_a_guardrail_is_written_as_pages_say_it_or_as_the_file_has_it(line, written):
    assert f"\n  - {written}\n" in draft.text({"guardrails": line})
