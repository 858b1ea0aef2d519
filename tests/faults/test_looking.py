"""Verbs that only look, where no byte can be written: a full disk, no more files, a folder of
another user's.
"""

import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

import isthmus as im
from isthmus.adapters.local import home, sqlite
from isthmus.adapters.local.home import Snapshot, database, prepare
from isthmus.errors import LimitExceeded
from isthmus.tests.cli.running import isthmus, made, tree
from isthmus.tests.faults.preloaded.commands import COMPILER
from isthmus.tests.faults.preloaded.syscalls import Commands, Kind
from isthmus.tests.faults.serving import end_all
from isthmus.tests.faults.test_places import CHANGING, READING

pytestmark = pytest.mark.slow

LOOKING = [
    *READING,
    ["rollout", "status", "home"],
    ["rollout", "history", "home"],
    ["experiment", "list"],
    ["experiment", "history"],
    ["endpoints", "logs", "home"],
]
LACKING = {"rollout": "has had no rollout"}  # as on a disk with room


@contextmanager
def small_disk(place):
    """A file system of 8 MB, where the machine lets us mount one, and what fills it."""

    def fill():
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            file.writelines(itertools.repeat(b"\0" * 4096))
        return ballast

    ballast = place / "ballast"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    ).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A trained project on a disk without a byte left, whose endpoint's processes were killed."""
    place = tmp_path_factory.mktemp("small")
    with small_disk(place) as fill:
        shop = made(place / "shop", train=True)
        isthmus(shop, "deploy", "home", "--yes")
        end_all(place)
        fill()
        yield shop


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_a_verb_that_looks_works_on_a_full_disk(full, command):
    said = isthmus(full, *command, ok=False)
    assert said.code == 0 or LACKING[command[0]] in said.err, said.err


@pytest.mark.parametrize(
    "command", [words for words in CHANGING if words != ["ingest"]], ids=" ".join
)
def test_a_dry_run_says_on_a_full_disk_what_it_would_do(full, command):
    assert isthmus(full, *(word for word in command if word != "--yes"), "--dry-run").code == 0


@pytest.mark.parametrize("command", CHANGING, ids=" ".join)
def test_a_verb_that_changes_says_which_disk_is_full_and_what_to_do(full, command):
    before = tree(full)
    said = isthmus(full, *command, ok=False)
    first, second = said.err.strip().splitlines()[-2:]
    assert (said.code, first.split("  ")[0]) == (1, "error")
    assert "the disk is full" in first
    assert str(full) in first
    assert "free some space and run the same command again" in second
    assert tree(full) == before


def test_an_endpoint_that_cannot_be_started_on_a_full_disk_is_told_as_such(full):
    said = isthmus(full, "status").out
    assert (
        "home's processes do not run, and cannot be started: recording endpoint home: the "
        "disk is full" in said
    )
    assert "item_history               420 rows" in said


def test_what_a_look_has_open_on_a_full_disk_is_tried_again_once_there_is_room(
    tmp_path, monkeypatch
):
    """A process that lives on, as `ui`, sees what others write then, and may write itself."""
    monkeypatch.setattr(sqlite, "_FRESH", 0.0)
    with small_disk(tmp_path) as fill:
        shop = made(tmp_path / "shop")
        ballast = fill()
        with im.open(shop / "project.yaml") as project:
            state = project.target.state
            assert state.get("note") is None
            with pytest.raises(LimitExceeded, match="the disk is full"):
                state.put("note", b"1", expect=None)
            ballast.unlink()
            state.put("note", b"1", expect=None)
            assert state.get("note").value == b"1"


@pytest.mark.skipif(
    sys.platform != "linux" or COMPILER is None,
    reason="builds a library for LD_PRELOAD: needs Linux and cc",
)
def test_a_verb_that_looks_works_where_not_even_a_file_can_be_made(tmp_path):
    shop = made(tmp_path / "shop", train=True)
    with Commands(tmp_path) as commands:
        for command in (
            ["status"],
            ["plan"],
            ["runs", "list"],
            ["models", "list"],
            ["query", "SELECT count(*) AS n FROM ctr"],
        ):
            commands.plan.arm(shop, Kind.FULL, 1)
            ended = commands.run(shop, command)
            assert ended.code == 0, ended.text
        assert not list(shop.glob(".isthmus/local.db-*"))


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="gives a folder to another user: needs root and setpriv",
)
def test_a_verb_that_looks_works_in_a_folder_of_another_users(tmp_path):
    shop = made(tmp_path / "shop", train=True)
    for path in (shop, *shop.rglob("*")):
        os.chown(path, 4711, 4711)
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = tree(shop)
    stranger = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    code = (
        "import sys\nfrom isthmus.cli.main import run\nfor words in sys.argv[1:]:\n    "
        "run(words.split())"
    )
    verbs = ["status", "plan", "runs list", "models list"]
    done = subprocess.run(
        [*stranger, sys.executable, "-B", "-c", code, *verbs],
        cwd=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "item_history" in done.stdout
    refused = subprocess.run(
        [*stranger, sys.executable, "-B", "-c", code, "apply"],
        cwd=shop,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "make the folder writable for you" in refused.stderr
    assert tree(shop) == before


def test_who_looks_beside_somebody_who_writes_sees_all_of_a_change_or_nothing_of_it(
    tmp_path, monkeypatch
):
    """Where no file can be made beside the database, also while it is opened, changed and closed
    all the time.
    """
    with_rows = (
        "CREATE TABLE IF NOT EXISTS lines (place INTEGER PRIMARY KEY, number INTEGER, text TEXT)"
    )
    writer = database(tmp_path)
    prepare(writer, with_rows)
    writer.executemany(
        "INSERT INTO lines VALUES (?, 0, ?)", [(place, "x" * 1_000) for place in range(300)]
    )
    writer.close()
    allowed, me = os.access, threading.current_thread()
    monkeypatch.setattr(
        home.os,
        "access",
        lambda path, mode: threading.current_thread() is not me and allowed(path, mode),
    )
    over = threading.Event()

    def change():
        while not over.is_set():
            connection = database(tmp_path)
            for _ in range(3):
                connection.execute("UPDATE lines SET number = number + 1")
            connection.close()

    changing = threading.Thread(target=change)
    changing.start()
    numbers, copies = [0], 0
    deadline = time.monotonic() + 120
    try:
        while (len(set(numbers)) < 40 or not copies) and time.monotonic() < deadline:
            try:
                looking = database(tmp_path)
            except sqlite3.OperationalError:  # somebody writes all the time: told, never a mixture
                continue
            copies += isinstance(looking, Snapshot)
            prepare(looking, with_rows)
            ((least, most),) = looking.execute("SELECT min(number), max(number) FROM lines")
            assert looking.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            looking.close()
            assert numbers[-1] <= least == most
            numbers.append(most)
    finally:
        over.set()
        changing.join()
    assert copies
    assert len(set(numbers)) >= 40
