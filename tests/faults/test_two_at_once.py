"""Two commands at once on one project: the second is told who holds it, and changes nothing."""

import re

import pytest

from isthmus.tests.cli.running import isthmus, start, tree

pytestmark = [pytest.mark.soak, pytest.mark.slow]

HOLD = """
import sys, isthmus
with isthmus.open("project.yaml") as project, project.lock("ingest"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(shop):
    import subprocess
    import sys

    child = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        cwd=shop,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.communicate()


@pytest.mark.parametrize(
    "command",
    [
        ["apply"],
        ["ingest"],
        ["materialize"],
        ["train", "models/history.yaml"],
        ["destroy", "--yes"],
        ["deploy", "home"],
    ],
)
def test_the_second_is_refused_with_the_holders_name(shop, holder, command):
    before = {name: digest for name, digest in tree(shop).items() if not name.endswith("lock")}
    said = isthmus(shop, *command, ok=False)
    assert said.code == 1
    first, second = said.err.splitlines()
    assert re.fullmatch(
        rf"error  another command holds this project: isthmus ingest \(process {holder.pid}, "
        r"since .+\)",
        first,
    )
    assert second == "       wait for it to end, or stop it, and run this again"
    assert {
        name: digest for name, digest in tree(shop).items() if not name.endswith("lock")
    } == before


@pytest.mark.parametrize(
    "command",
    [
        ["plan"],
        ["status"],
        ["validate"],
        ["features", "get", "item_history", "1"],
        ["runs", "list"],
    ],
)
def test_reading_goes_on_meanwhile(shop, holder, command):
    isthmus(shop, *command)


def test_a_holder_that_was_killed_holds_nothing(shop, holder):
    holder.kill()
    holder.wait(timeout=120)
    isthmus(shop, "ingest")


def test_of_two_that_start_together_each_ends_well_or_is_refused(shop):
    children = [start(shop, "ingest") for _ in range(3)]
    ends = [(child.communicate(timeout=120), child.returncode)[1] for child in children]
    assert set(ends) <= {0, 1}
    assert 0 in ends
    assert isthmus(shop, "ingest", "--json").json[0]["already_there"] == 420
