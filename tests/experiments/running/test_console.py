"""The life of an experiment at the console: text, --json, --dry-run."""

import json
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from isthmus.cli.console.console import Console
from isthmus.experiments import experiment
from isthmus.experiments.running import status as standing

from ...cli.running import at_terminal, too_wide
from ...cli.running import isthmus as command
from ..desk import AIMED, BLEND, Desk


@pytest.fixture
def desk(monkeypatch, tmp_path):
    desk = Desk(monkeypatch, tmp_path, AIMED, BLEND)

    @contextmanager
    def opened(console):
        desk.project.target.calls.dry_run = desk.calls.dry_run = console.dry_run
        yield desk.project

    monkeypatch.setattr(Console, "open", opened)
    return desk


VERBS = {
    "start": ["start", "ranker_v2"],
    "ramp": ["ramp", "ranker_v2", "40%"],
    "stop": ["stop", "ranker_v2", "--because", "it is over"],
    "ship": ["stop", "ranker_v2", "--ship", "treatment", "--because", "it is better"],
}
CLOSE = ["close", "ranker_v2"]
READS = (["status", "ranker_v2"], ["history", "ranker_v2"], ["history"], ["list"])


def at_console(folder, *words, **options):
    return command(folder, "experiment", *words, **options)


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_says_what_would_be_and_changes_nothing(desk, tmp_path, verb):
    if verb != "start":
        experiment.start(desk.project, "ranker_v2")
    before, tried = dict(desk.world.documents.values), len(desk.tried)
    shown = at_console(tmp_path, *VERBS[verb], "--dry-run")
    assert shown.out.splitlines()[0].split()[:3] == ["local", VERBS[verb][0], "ranker_v2"]
    assert shown.out.splitlines()[-1].startswith("dry run: would call state.put on experiments/")
    assert at_console(tmp_path, *VERBS[verb], "--dry-run", "--json").json["would"]
    assert (desk.world.documents.values, len(desk.tried)) == (before, tried)


def test_each_verb_says_as_json_what_its_text_says(desk, tmp_path):
    started = at_console(tmp_path, *VERBS["start"], "--json").json
    assert (started["run"], started["ranges"], started["config"], started["answers"]["treatment"]["answered"]) == (
        "ranker_v2.1", [[0, 1999]], 1, 20,
    )  # fmt: skip
    assert at_console(tmp_path, *VERBS["ramp"], "--json").json["after"] == "40"
    shipped = at_console(tmp_path, *VERBS["ship"], "--json").json
    assert (shipped["ships"], shipped["parameters"]) == ("treatment", {"variant": "challenger"})
    for words in READS:
        shown = at_console(tmp_path, *words, "--json")
        assert json.loads(shown.out)
        assert shown.err == ""
    status = at_console(tmp_path, "status", "ranker_v2", "--json").json
    assert (status["state"], status["ships"], status["last"]["because"]) == (
        "shipped",
        "treatment",
        "it is better",
    )


def test_what_is_read_fits_a_terminal_of_80_columns(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    experiment.start(desk.project, "ranker_v2")
    for words in (*READS, VERBS["ramp"]):
        assert too_wide(at_terminal(tmp_path, "experiment", *words)[1]) == []


def test_what_people_read_names_the_next_command(desk, tmp_path):
    started = at_console(tmp_path, *VERBS["start"]).out
    assert started.splitlines()[-1] == "next   isthmus experiment status ranker_v2"
    assert "ranker_v2.1   running since" in at_console(tmp_path, "status", "ranker_v2").out
    listed = at_console(tmp_path, "list").out
    assert listed.splitlines()[1].split()[:4] == ["ranker_v2.1", "home", "running", "20"]
    assert (
        at_console(tmp_path, *VERBS["ship"]).out.splitlines()[-1]
        == "next   isthmus experiment close ranker_v2"
    )
    assert '"it is better"' in at_console(tmp_path, "history").out


def test_a_close_says_what_it_would_do_and_what_it_did(desk, tmp_path):
    experiment.start(desk.project, "ranker_v2")
    experiment.stop(desk.project, "ranker_v2", because="the old one is better", ship="control")
    before = desk.world.fleet.shares()
    shown = at_console(tmp_path, *CLOSE, "--dry-run").out
    assert (
        shown
        == "local   close ranker_v2\ndry run: would call endpoints.shift on ranker; nothing was "
        "changed\n"
    )
    assert desk.world.fleet.shares() == before
    assert (
        at_console(tmp_path, *CLOSE).out.splitlines()[2]
        == "  champion has 100 % of ranker, read back"
    )
    assert at_console(tmp_path, *CLOSE, "--json").json["steps"][0].endswith("nothing is left to do")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stop", "ranker_v2"], "--because"),
        (["ramp", "ranker_v2", "many"], "'many' is not a percentage: write 40"),
    ],
)
def test_a_stop_without_a_reason_and_a_share_that_is_no_number_are_refused(
    desk, tmp_path, words, says
):
    refused = at_console(tmp_path, *words, ok=False)
    assert (refused.code, says in refused.err) == (64, True)


def test_a_stop_on_a_cloud_asks_and_takes_yes(desk, tmp_path):
    experiment.start(desk.project, "ranker_v2")
    target = desk.project.target
    desk.project.target.adapter = replace(target.adapter, remote=True)
    before = dict(desk.world.documents.values)
    refused = at_console(tmp_path, *VERBS["stop"], ok=False)
    assert "nothing was changed" in refused.err
    assert "--yes" in refused.err
    assert desk.world.documents.values == before
    at_console(tmp_path, *VERBS["stop"], "--yes")
    assert standing.status(desk.project, "ranker_v2").state == "stopped"


def test_an_unknown_name_has_a_remedy(desk, tmp_path):
    refused = at_console(tmp_path, "start", "ranker_v3", ok=False)
    assert "project.yaml has no experiment ranker_v3" in refused.err
    assert "did you mean ranker_v2?" in refused.err
