"""A test set up, started and stopped in Chromium, as a person does it: with and without script."""

import subprocess
from functools import partial

import pytest

import isthmus
from isthmus.core.runtime.project import reopen
from isthmus.experiments.experiment import history
from isthmus.project.load import load
from isthmus.tests.experiments.shop import PROJECT, Shop

from .chromium import MISSING, PROGRAM, Chromium
from .drawn import TOLD, serving
from .test_pages import DRAFT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason=MISSING)]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.fixture
def opened(tmp_path):
    """A project in a repository, with half of its layer free."""
    with Shop(
        tmp_path, PROJECT.replace("share: 60%", "share: 50%").replace("share: 40%", "share: 50%")
    ).project:
        pass
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    with isthmus.open(tmp_path) as project:
        isthmus.apply(project)
        yield project


def git(folder, *arguments):
    subprocess.run(
        [
            "git",
            "-C",
            str(folder),
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            *arguments,
        ],
        check=True,
    )


def commit(folder):
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "a")


def fill(chromium, fields):
    """As a person types: each change is told to the page."""
    for name, value in fields.items():
        chromium.ask(
            f"{{ const field = document.querySelector('main [name={name}]'); field.value = "
            f"{value!r};"
            " field.dispatchEvent(new Event('input', {bubbles: true})); }"
        )


def press(chromium, text):
    chromium.follow(
        "[...document.querySelectorAll('button')].find(button => button.textContent === "
        f"{text!r}).click()"
    )


def section(chromium, title):
    return chromium.ask(
        "[...document.querySelectorAll('h2')].find(head => head.textContent === "
        f"{title!r}).parentElement.innerText"
    )


def test_the_keyboard_skips_the_navigation_and_sees_where_it_is(chromium, opened):
    with serving(lambda: opened) as host:
        chromium.looks(width=1280, theme="light")
        chromium.go(f"{host}/new")
        chromium.key("Tab", 9)
        focus = "document.activeElement"
        assert chromium.ask(
            f"[{focus}.className, {focus}.getBoundingClientRect().left >= 0, "
            f"getComputedStyle({focus}).outlineStyle]"
        ) == [
            "skip",
            True,
            "solid",
        ]
        chromium.key("Enter", 13)
        chromium.key("Tab", 9)
        assert chromium.ask(f"{focus}.name") == "name"


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_test_is_set_up_by_a_form_committed_started_ramped_and_stopped(
    chromium, opened, script, monkeypatch
):
    """With script what the loader says comes as one types, without by a button; the rest is the
    same.
    """
    monkeypatch.setenv("ISTHMUS_USER", "ann")
    folder = opened.folder
    chromium.call("Emulation.setScriptExecutionDisabled", value=not script)
    chromium.looks(width=1280, theme="light")
    since = len(chromium.events)
    with serving(partial(reopen, folder, opened.target), write=True) as host:
        chromium.go(f"{host}/new")
        fill(chromium, DRAFT | {"rate": "", "control": "20", "units": "1000", "metric": "ctrr"})
        wrong = "experiments.bolder.metric"
        if script:
            chromium.until(f"document.getElementById('answer').innerText.includes({wrong!r})")
        else:
            press(chromium, "Check it")
            assert wrong in chromium.ask("document.body.innerText")
        fill(chromium, {"metric": "ctr"})
        if script:
            chromium.until("!!document.querySelector('[data-copy]')")
            assert "+8 %" in section(chromium, "How long it takes")
        press(chromium, "Check it")
        assert "new file mode" in section(chromium, "The change to commit")
        press(chromium, "Write experiments/bolder.yaml")
        assert "experiments/bolder.yaml is not committed" in chromium.ask("document.body.innerText")
        assert load(folder).spec.experiments["bolder"].hypothesis == DRAFT["hypothesis"]
        commit(folder)
        press(chromium, "Start a run")
        fill(chromium, {"share": "25"})
        chromium.ask(
            "document.querySelector('form[action$=ramp] [name=because]').value = 'it holds'"
        )
        press(chromium, "Change the share")
        chromium.ask(
            "document.querySelector('form[action$=stop] [name=because]').value = 'seen enough'"
        )
        press(chromium, "Stop the run")
        shown = section(chromium, "History")
    assert [change.what for change in history(opened, "bolder")] == ["started", "ramped", "stopped"]
    for words in ("ann", "started", "10.00 %", "25.00 %", "it holds", "stopped", "seen enough"):
        assert words in shown
    assert [parameters for name, parameters in chromium.events[since:] if name in TOLD] == []
    chromium.call("Emulation.setScriptExecutionDisabled", value=False)
