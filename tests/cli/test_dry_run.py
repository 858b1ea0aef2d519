"""`--dry-run`: nothing changes, and the command says what would."""

from datetime import timedelta

import click
import pytest

from isthmus.cli.main import COMMANDS, main
from isthmus.storage import wait
from isthmus.tests.cli.running import isthmus, tree

pytestmark = pytest.mark.slow

SERVED = {
    "traffic": (["traffic", "home", "champion=100"], "local   home   champion 100 -> 100"),
    "destroy": (["destroy"], "local   - endpoint home"),
    "train": (
        ["train", "models/history.yaml"],
        "local   train models/history.yaml   ranker.history   1 feature\n",
    ),
    "models promote": (
        ["models", "promote", "ranker@1", "--alias", "challenger"],
        "local   ranker@1   becomes challenger",
    ),
    "runs tag": (["runs", "tag", "r1", "first"], "local   run r1   tags first"),
    "runs note": (["runs", "note", "r1", "the first"], "local   run r1   note the first"),
}


def changing():
    for name in COMMANDS:
        found = main.get_command(click.Context(main), name)
        for child, command in (
            found.commands.items() if isinstance(found, click.Group) else [("", found)]
        ):
            if any(parameter.name == "dry_run" for parameter in command.params):
                yield f"{name} {child}".strip()


def test_every_command_that_changes_something_is_tried_here():
    here = {
        name for name in changing() if name.split()[0] not in ("rollout", "experiment", "stream")
    }  # tests/rollouts, tests/experiments, tests/lifecycle/streams
    elsewhere = {
        "import",
        "compile",
        "guard",
        "features extract",
        "predict",
        "tune",
        "models replay",
        "runs export",
    }  # tests/{adapters/sagemaker, adapters/vertex, experiments, lifecycle, pipelines}
    assert here - elsewhere == {*SERVED, "apply", "deploy", "ingest", "materialize", "runs cancel"}


@pytest.mark.parametrize("name", SERVED)
def test_nothing_changes_and_the_command_says_what_would(served, name):
    command, would = SERVED[name]
    before = tree(served)
    said = isthmus(served, *command, "--dry-run")
    assert said.out.startswith(would)
    assert said.out.splitlines()[-1].startswith("dry run: would call ")
    assert said.out.endswith("; nothing was changed\n")
    found = isthmus(served, *command, "--dry-run", "--json").json
    assert found["dry_run"].startswith("would call ")
    assert found["would"]
    assert tree(served) == before


def test_a_finished_run_has_nothing_to_cancel(served):
    before = tree(served)
    assert "done already" in isthmus(served, "runs", "cancel", "r1", "--dry-run").out
    assert tree(served) == before


def test_apply_shows_the_plan(new):
    isthmus(new, "plan")
    before = {name: digest for name, digest in tree(new).items() if not name.endswith("/lock")}
    said = isthmus(new, "apply", "--dry-run")
    assert "  + feature view   item_history                   apply\n" in said.out
    assert said.out.endswith(
        "dry run: would call warehouse.apply on impression_raw; nothing was changed\n"
    )
    assert {
        name: digest for name, digest in tree(new).items() if not name.endswith("/lock")
    } == before


def test_ingest_and_materialize_of_something_new(shop):
    with (shop / "data/impressions.csv").open("a") as file:
        last = (shop / "data/impressions.csv").read_text().splitlines()[-1].split(",")
        file.write(",".join(["new-1", *last[1:]]) + "\n")
    before = tree(shop)
    assert isthmus(shop, "ingest", "--dry-run").out.startswith("dry run: would call ")
    assert tree(shop) == before
    isthmus(shop, "ingest")
    before = tree(shop)
    said = isthmus(shop, "materialize", "--dry-run").out
    assert said.startswith("item_history   known up to 2026-01-08 00:00")
    assert tree(shop) == before


def test_deploy_says_what_it_would_start_and_sends_nothing_to_what_runs(served, shop):
    before = tree(served)
    assert (
        isthmus(served, "deploy", "home", "--dry-run").out
        == "local   home   champion ranker@1   nothing to do\n"
    )
    assert tree(served) == before, "no smoke test was sent, which the metrics would show"
    isthmus(shop, "train", "models/history.yaml")
    # a run is seen to be done before its runner, the last to do so, closes the laptop's database
    wait(
        (shop / ".isthmus/local.db-wal").exists,
        lambda is_open: not is_open,
        deadline=timedelta(minutes=2),
    )
    before = tree(shop)
    said = isthmus(shop, "deploy", "home", "--dry-run").out
    assert said.startswith("local   home   champion ranker@1\ndry run: would call ")
    assert tree(shop) == before


def test_with_nothing_to_do_it_says_so(shop):
    assert isthmus(shop, "apply", "--dry-run").out.startswith("local   nothing to do")


@pytest.mark.parametrize("data", ["more", "more/*.jsonl"])
def test_ingest_takes_a_folder_and_a_glob(shop, data):
    (shop / "more").mkdir()
    (shop / "more" / "clicks.jsonl").write_text("")
    assert "0 read" in isthmus(shop, "ingest", data, "--event", "click").out
