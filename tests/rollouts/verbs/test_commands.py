"""`isthmus rollout ...`: texts, exit codes, --json, --dry-run."""

from functools import partial
from types import SimpleNamespace

import pytest

from isthmus.cli.console.console import Console
from isthmus.errors import LimitExceeded
from isthmus.rollouts import controller
from isthmus.rollouts.state import documents
from isthmus.rollouts.verbs import rollout

from ...cli.running import at_terminal, too_wide
from ...cli.running import isthmus as command


@pytest.fixture
def console(desk, monkeypatch):
    """`isthmus rollout ...` on the desk's project."""

    def opened(console):
        desk.project.target.calls.dry_run = console.dry_run
        return desk.project

    monkeypatch.setattr(Console, "open", opened)
    monkeypatch.setattr(type(desk.project), "__exit__", lambda *_: None)
    return partial(command, desk.project.folder, "rollout")


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
        assert too_wide(at_terminal(desk.project.folder, "rollout", *words)[1]) == []
    desk.drive(lambda state: state.phase == "waiting")
    for words in (("status", "ranker"), ("history", "ranker"), ("tick",), ("abort", "ranker")):
        assert too_wide(at_terminal(desk.project.folder, "rollout", *words)[1]) == []


def test_the_console_aborts_nothing_with_0_and_says_5_when_the_time_is_over_first_and_why(
    desk, console, monkeypatch
):
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
    assert (aborted.code, aborted.err.splitlines()[0]) == (
        5,
        "ranker   writing rollouts/ranker: the disk is full",
    )


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
        rollout.wishes.ask(
            desk.project.target.state, "ranker", "abort", who="ann", wished_at=desk.world.now()
        )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_its_result_as_json(desk, console, name):
    prepare(desk, name)
    assert console(*COMMANDS[name], "--json").json


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in ("status", "history", "rehearse")]
)
def test_a_dry_run_changes_nothing(desk, console, name):
    prepare(desk, name)
    before = {
        key: desk.project.target.state.get(key).value for key in desk.project.target.state.keys("")
    }
    serving = desk.serving()
    console(*COMMANDS[name], "--dry-run")
    assert {
        key: desk.project.target.state.get(key).value for key in desk.project.target.state.keys("")
    } == before
    assert desk.serving() == serving


@pytest.fixture
def aborted(desk, monkeypatch):
    """`isthmus ...` on the desk's project, whose rollout was aborted a moment ago."""
    monkeypatch.setattr(Console, "open", lambda _console: desk.project)
    monkeypatch.setattr(type(desk.project), "__exit__", lambda *_: None)
    desk.project.target.__dict__["inventory"] = SimpleNamespace(
        list=lambda _name: iter(()), delete=lambda _resource: None
    )
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    rollout.abort(desk.project, "ranker", because="odd answers")
    return partial(command, desk.project.folder)


REFUSED = (("traffic", "ranker", "challenger=20", "--yes"), ("destroy", "--yes"))


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words[0])
def test_what_an_aborted_rollout_still_keeps_is_refused_with_the_time_at_which_it_is_free(
    desk, aborted, words
):
    """The abort that was done is not advised again."""
    until = f"{desk.state.watch_until:%H:%M:%S} UTC"
    refused = aborted(*words, ok=False)
    assert (
        f"ranker's traffic belongs to rollout ro1 until {until}, in 6 min: it has ended, and "
        "looks whether" in refused.err
    )
    assert "abort" not in refused.err
    assert (
        "isthmus rollout run ranker waits until then, and gives it back; deploy, traffic and "
        "destroy do so with --wait" in refused.err
    )
    desk.sleep(500)
    refused = aborted(*words, ok=False)
    assert f"since {until} it may be given back, and nobody has looked" in refused.err
    assert "isthmus rollout run ranker gives it back" in refused.err


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words[0])
def test_who_waits_has_the_traffic_once_the_rollout_has_given_it_back(desk, aborted, words):
    until, progress = desk.state.watch_until, []
    desk.project.progress = lambda what, done, total: progress.append((what, done, total))
    aborted(*words, "--wait")
    assert desk.world.now() >= until
    assert desk.state.released
    waited = [
        (done, total)
        for what, done, total in progress
        if what == f"ranker: ro1 gives the traffic back at {until:%H:%M:%S} UTC; seconds"
    ]
    assert waited[0] == (0, 360)
    assert waited[-1] == (360, 360)


def test_who_stops_waiting_leaves_all_as_it_was(desk, aborted, monkeypatch):
    def stopped(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=stopped))
    before, serving = desk.state, desk.serving()
    stop = aborted("destroy", "--yes", "--wait", ok=False)
    assert stop.code != 0
    assert (
        f"Nothing was changed: ranker's traffic is ro1's until {before.watch_until:%H:%M:%S} "
        "UTC, as it was." in stop.err
    )
    assert (desk.state.released, desk.state.watch_until, desk.serving()) == (
        False,
        before.watch_until,
        serving,
    )
    assert not desk.state.lease.holder
