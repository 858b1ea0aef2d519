"""`isthmus stream` as processes on this machine, with a kind of consumer for tests."""

import json
import os
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

import isthmus
from isthmus.lifecycle.streams import consumers
from isthmus.storage import wait
from isthmus.tests.cli.running import create
from isthmus.tests.cli.running import isthmus as command
from isthmus.tests.events.consume.counting import expected
from isthmus.tests.lifecycle.streams.counted import kind, world

pytestmark = pytest.mark.slow
SOON = timedelta(minutes=2)
SAMPLE = 6  # kills of each kind in a quick run
EVERY = bool(os.environ.get("ISTHMUS_EVERY_STREAM_KILL"))


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The starter with the time of today, and nothing in it."""
    monkeypatch.setattr(consumers, "KINDS", [kind])
    folder = create(tmp_path / "shop")
    file = folder / "project.yaml"
    text = file.read_text()
    file.write_text("".join(line for line in text.splitlines(True) if not line.startswith("now:")))
    command(folder, "apply")
    return folder


class Sender:
    """Emits impressions of the last seconds, and remembers them."""

    def __init__(self, folder):
        self.folder, self.events, self.random = folder, [], random.Random(7)

    def send(self, count):
        now = datetime.now(UTC)
        rows = []
        for _ in range(count):
            moment = now - timedelta(milliseconds=self.random.randrange(3000))
            number = len(self.events) + len(rows)
            row = {"event_id": f"e{number}", "event_timestamp": moment, "item_id": number % 5}
            rows.append(row | {"position": 1})
        with isthmus.open(self.folder) as project:
            # some of them twice
            assert isthmus.emit(project, "impression", [*rows, *rows[: count // 3]]) == ()
        self.events += [("impression", row) for row in rows]

    def counts(self):
        return {key: n for key, n in expected(self.events).items() if key.count("/") == 1}


def process(folder, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "isthmus.tests.lifecycle.streams.counted", "stream", *arguments],
        cwd=folder,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def counts(folder):
    return {key: n for key, n in world(folder).items() if key.count("/") == 1}


def run_once(folder, **variables):
    child = process(folder, "run", "--for", "1s", "--json", **variables)
    out, err = child.communicate()
    return child.returncode, out, err


def _kills(shop, places):
    """Kill a run at each of these places one after the other, with new events before each."""
    sender = Sender(shop)
    sender.send(20)
    survivors = 0
    for place in places:
        code, _, err = run_once(shop, KILL_AT=place)
        assert code in (0, -signal.SIGKILL), err
        survivors += code == 0
        sender.send(5)
    code, out, err = run_once(shop)
    assert code == 0, err
    assert counts(shop) == sender.counts()
    (report,) = json.loads(out)["items"]
    assert report["figures"]["late"] == 0
    assert report["events"] == len(sender.events)
    return survivors


def test_killed_at_any_call_a_run_goes_on_and_counts_each_event_once(shop, tmp_path):
    """A kill at each of some calls of one run after the other; the whole is in the soak."""
    calls = _calls(shop, tmp_path)
    chosen = random.Random(os.environ.get("PYTEST_RANDOM", "1")).sample(range(1, calls), SAMPLE)
    survivors = _kills(shop, [f"{at}{'+' * (n % 2)}" for n, at in enumerate(chosen)])
    assert survivors < SAMPLE


@pytest.mark.soak
def test_killed_at_every_call_a_run_goes_on_and_counts_each_event_once(shop, tmp_path):
    calls = _calls(shop, tmp_path)
    _kills(shop, [f"{at}{sign}" for at in range(1, calls + 1) for sign in ("", "+")])


def _calls(shop, folder):
    """How many calls a run makes that change something."""
    Sender(shop).send(20)
    code, _, err = run_once(shop, CALLS_TO=str(folder / "calls"))
    assert code == 0, err
    (shop / "world.db").unlink()
    command(shop, "stream", "rebuild", "counts")
    with isthmus.open(shop) as project:
        project.target.state.delete(
            "streams/counts", expect=project.target.state.get("streams/counts").token
        )
    return int((folder / "calls").read_text())


def test_a_worker_lives_is_seen_keeps_others_out_and_stops_when_it_is_asked(shop):
    sender = Sender(shop)
    assert "new" in command(shop, "stream", "list").out
    assert command(shop, "stream", "stop", "counts").out == "local   counts   does not run\n"
    sender.send(10)
    child = process(shop, "run", "counts")
    try:
        wait(lambda: counts(shop) == sender.counts(), bool, deadline=SOON, what="the first events")
        sender.send(10)
        wait(lambda: counts(shop) == sender.counts(), bool, deadline=SOON, what="later events")
        (status,) = command(shop, "stream", "status", "--json").json
        assert (status["phase"], status["consumer"]) == ("running", "counts")
        refused = command(shop, "stream", "run", "counts", ok=False)
        assert refused.code == 1
        assert "error  counts is being read by " in refused.err
        assert "two workers would both count" in refused.err
        assert "isthmus stream stop counts" in refused.err
        assert command(shop, "stream", "rebuild", "counts", ok=False).code == 1
        stopped = command(shop, "stream", "stop", "counts").out
        assert stopped.startswith("local   counts   stopped at checkpoint ")
        out, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
        assert out.splitlines()[-1].startswith("stopped   checkpoints: counts ")
    finally:
        child.kill()
        child.communicate()
    (status,) = command(shop, "stream", "status", "--json").json
    assert (status["phase"], status["events_read"]) == ("stopped", 20)
    rebuilt = command(shop, "stream", "rebuild", "counts").out
    assert "state thrown away: the next run begins anew" in rebuilt
    (shop / "world.db").unlink()
    code, _, err = run_once(shop)
    assert code == 0, err
    assert counts(shop) == sender.counts(), "counted again, from the warehouse"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_a_checkpoint(shop, number):
    sender = Sender(shop)
    sender.send(10)
    child = process(shop, "run", "counts")
    try:
        wait(lambda: counts(shop) == sender.counts(), bool, deadline=SOON)
        child.send_signal(number)
        _, err = child.communicate(timeout=60)
        assert (child.returncode, err) == (0, "")
    finally:
        child.kill()
        child.communicate()
    (status,) = command(shop, "stream", "status", "--json").json
    assert (status["phase"], status["events_read"], status["holder"]) == ("stopped", 10, None)


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(shop):
    for arguments in (["run"], ["start", "counts"], ["rebuild", "counts"]):
        said = command(shop, "stream", *arguments, "--dry-run", ok=False)
        assert said.code == 0, said.err
    assert command(shop, "stream", "list", "--json").json[0]["phase"] == "new"


def test_a_name_that_reads_no_stream_is_refused_with_those_that_do(shop):
    refused = command(shop, "stream", "run", "count", ok=False)
    assert "nothing called count reads a stream" in refused.err
    assert "did you mean counts?" in refused.err
