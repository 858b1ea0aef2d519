"""`isthmus rollout ...`: texts, exit codes, --json, --dry-run."""

from functools import partial

import pytest

from isthmus.cli.console import Console
from isthmus.errors import LimitExceeded
from isthmus.rollouts import controller, documents, rollout

from ..cli.running import at_terminal, too_wide
from ..cli.running import isthmus as command
from .desk import EXAMPLE


@pytest.fixture
def console(desk, monkeypatch):
    """`isthmus rollout ...` on the desk's project."""

    def opened(console):
        desk.project.target.calls.dry_run = console.dry_run
        return desk.project

    monkeypatch.setattr(Console, "open", opened)
    monkeypatch.setattr(type(desk.project), "__exit__", lambda *_: None)
    return partial(command, EXAMPLE.parent, "rollout")


def test_the_console_starts_shows_and_tells_by_its_exit_code_how_it_ended(desk, console):
    begun = console("start", "ranker", "--no-controller")
    assert "Nobody drives it yet: isthmus rollout tick" in begun.out
    desk.drive(lambda state: state.phase == "waiting")
    assert console("wait", "ranker", ok=False).code == 4
    assert console("status", "ranker", "--json").json["state"]["phase"] == "waiting"
    assert "aborted" in console("abort", "ranker", "--because", "no").out.lower()
    assert console("wait", "ranker", ok=False).code == 3
    assert "abort" in console("history", "ranker").out
    assert console("history", "ranker", "--json").json[0]["what"] == "started"


@pytest.mark.usefixtures("console")
def test_the_console_fits_a_terminal_of_80_columns(desk, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for words in (("start", "ranker", "--dry-run"), ("start", "ranker", "--no-controller")):
        assert too_wide(at_terminal(EXAMPLE.parent, "rollout", *words)[1]) == []
    desk.drive(lambda state: state.phase == "waiting")
    for words in (("status", "ranker"), ("history", "ranker"), ("tick",), ("abort", "ranker")):
        assert too_wide(at_terminal(EXAMPLE.parent, "rollout", *words)[1]) == []


def test_the_console_aborts_nothing_with_0_and_says_5_when_the_time_is_over_first_and_why(desk, console, monkeypatch):
    assert "nothing to abort" in console("abort", "ranker").out
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    desk.world.fleet.variants["champion"].phase = "updating"  # it cannot take its traffic back yet
    looks = iter([LimitExceeded("writing rollouts/ranker: the disk is full")])

    def look(*place, **how):
        for error in looks:
            raise error
        return controller_look(*place, **how)

    controller_look = controller.look
    monkeypatch.setattr(controller, "look", look)
    aborted = console("abort", "ranker", "--timeout", "1s", ok=False)
    assert (aborted.code, aborted.err.splitlines()[0]) == (5, "ranker   writing rollouts/ranker: the disk is full")


def test_the_log_of_a_driver_tells_each_phase_and_each_problem_once(desk, console):
    prepare(desk, "run")
    told = console("run", "ranker").err.splitlines()
    assert any("aborting" in line for line in told)
    assert len(told) == len(set(told))


def test_a_dry_run_shows_the_plan_and_writes_nothing(desk, console):
    assert "10 % -> 25 %" in console("start", "ranker", "--dry-run").out
    assert documents.read(desk.project.target.state, "ranker") is None


SCENARIO = ("--scenario", "scenarios/errors.yaml")
COMMANDS = {
    "start": ("start", "ranker", "--no-controller"),
    "status": ("status", "ranker"),
    "pause": ("pause", "ranker"),
    "resume": ("resume", "ranker"),
    "promote": ("promote", "ranker"),
    "abort": ("abort", "ranker"),
    "history": ("history", "ranker"),
    "rehearse": ("rehearse", "ranker", *SCENARIO),
    "run": ("run", "ranker"),
    "tick": ("tick",),
}


def prepare(desk, name):
    """A rollout of which a command can be asked."""
    if name != "start":
        rollout.start(desk.project, "ranker")
    if name in ("promote", "run"):
        desk.drive(lambda state: state.phase == "waiting")
    if name == "resume":
        rollout.pause(desk.project, "ranker")
    if name == "run":  # which goes on until nothing is left to do
        rollout.wishes.ask(desk.project.target.state, "ranker", "abort", who="ann", at=desk.world.now())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_its_result_as_json(desk, console, name):
    prepare(desk, name)
    assert console(*COMMANDS[name], "--json").json


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("status", "history", "rehearse")])
def test_a_dry_run_changes_nothing(desk, console, name):
    prepare(desk, name)
    before = {key: desk.project.target.state.get(key).value for key in desk.project.target.state.keys("")}
    serving = desk.serving()
    console(*COMMANDS[name], "--dry-run")
    assert {key: desk.project.target.state.get(key).value for key in desk.project.target.state.keys("")} == before
    assert desk.serving() == serving
