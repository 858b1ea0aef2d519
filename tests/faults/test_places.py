"""Folders that can only be read, input that is nested without end, and mistakes of our own: one
sentence, and where to look.
"""

import json
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.cli.console import console
from isthmus.tests.cli.running import create, isthmus, made, tree

pytestmark = pytest.mark.slow

READING = [
    ["validate"],
    ["plan"],
    ["status"],
    ["events", "list"],
    ["events", "quarantine", "click"],
    ["events", "show", "click"],
    ["features", "get", "item_history", "1"],
    ["features", "check"],
    ["features", "skew"],
    ["features", "leaks", "models/history.yaml"],
    ["query", "SELECT count(*) AS n FROM ctr"],
    ["runs", "list"],
    ["runs", "show", "r1"],
    ["runs", "log", "r1", "fit"],
    ["runs", "why-rerun", "r1"],
    ["models", "list"],
    ["models", "graph"],
    ["endpoints", "list"],
    ["doctor", "--deep"],
]
CHANGING = [
    ["apply"],
    ["ingest"],
    ["materialize"],
    ["train", "models/history.yaml"],
    ["deploy", "home"],
    ["destroy", "--yes"],
]


@pytest.fixture(scope="module")
def read_only(tmp_path_factory):
    """A trained project on a file system that is mounted to be read, where the machine lets us
    mount one.
    """
    folder = made(tmp_path_factory.mktemp("whole") / "shop", train=True)
    place = tmp_path_factory.mktemp("ro")
    for arguments in (["--bind", folder, place], ["-o", "remount,ro,bind", place]):
        if subprocess.run(
            ["mount", *map(str, arguments)], check=False, capture_output=True
        ).returncode:
            pytest.skip("mounting a folder again needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_reading_verb_works_where_nothing_can_be_written(read_only, command):
    assert isthmus(read_only, *command).code == 0


def test_runs_are_compared_where_their_page_cannot_be_written(read_only):
    said = isthmus(read_only, "runs", "compare", "r1", "r1")
    assert "page      not written: " in said.out
    assert "the file system is read-only" in said.out


@pytest.mark.parametrize(
    "command", [command for command in CHANGING if command != ["ingest"]], ids=" ".join
)  # which reads into a file first
def test_a_dry_run_says_what_it_would_do_where_nothing_can_be_written(read_only, command):
    assert isthmus(read_only, *(word for word in command if word != "--yes"), "--dry-run").code == 0


@pytest.mark.parametrize("command", CHANGING, ids=" ".join)
def test_a_changing_verb_says_that_it_may_not_write_and_what_to_do(read_only, command):
    before = tree(read_only)
    said = isthmus(read_only, *command, ok=False)
    assert said.code == 1
    assert said.err.count("error  ") == 1
    assert "Read-only file system" in said.err
    assert "make the folder writable for you" in said.err
    assert tree(read_only) == before


def test_a_project_that_was_never_applied_is_read_where_nothing_can_be_written(tmp_path):
    folder, place = create(tmp_path / "shop"), tmp_path / "ro"
    place.mkdir()
    for arguments in (["--bind", folder, place], ["-o", "remount,ro,bind", place]):
        if subprocess.run(
            ["mount", *map(str, arguments)], check=False, capture_output=True
        ).returncode:
            pytest.skip("mounting a folder again needs root")
    try:
        assert isthmus(place, "validate").code == 0
        said = isthmus(place, "status", ok=False)
        assert "Traceback" not in said.err
        assert said.code == 0 or "read-only" in said.err
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_what_the_laptop_keeps_is_for_its_owner_only(tmp_path):
    shop = create(tmp_path / "shop")
    isthmus(shop, "apply")
    assert (shop / ".isthmus").stat().st_mode & 0o777 == 0o700


def test_json_that_is_nested_too_deeply_is_its_lines_fault_alone(shop):
    good = {"event_id": "new", "event_timestamp": "2026-01-07T10:00:00Z"}
    deep = '{"event_id": "deep", "impression_id": ' + "[" * 100_000 + "]" * 100_000 + "}"
    first = (shop / "data" / "impressions.csv").read_text().splitlines()[1].split(",")[0]
    (shop / "deep.jsonl").write_text(f"{json.dumps({**good, 'impression_id': first})}\n{deep}\n")
    said = isthmus(shop, "ingest", "deep.jsonl", "--event", "click", "--max-bad", "60%")
    assert "1 stored" in said.out
    assert "is not JSON (nested too deeply)  line 2" in said.out


def test_two_thousand_parentheses_are_refused_by_file(shop):
    path = shop / "features" / "item_history.sql"
    path.write_text(
        path.read_text().replace("SELECT", f"SELECT {'(' * 2000}1{')' * 2000} AS deep,", 1)
    )
    for command in ("validate", "plan", "apply", "materialize"):
        said = isthmus(shop, command, ok=False)
        assert said.code == 1
        assert "features/item_history.sql:1" in said.err
        assert "nested too deeply" in said.err


def test_a_time_zone_that_nobody_knows_is_named_with_its_column(shop):
    column = pa.array([0], pa.timestamp("ms", "Mars/Olympus"))
    pq.write_table(
        pa.table({"event_id": ["a"], "event_timestamp": column, "impression_id": ["x"]}),
        shop / "zone.parquet",
    )
    said = isthmus(shop, "ingest", "zone.parquet", "--event", "click", ok=False)
    assert said.err.startswith(
        "error  zone.parquet: column event_timestamp is in the time zone 'Mars/Olympus', "
        "which nobody here knows\n"
    )


def test_a_mistake_of_ours_is_one_sentence_and_its_traceback_is_in_a_file(shop, monkeypatch):
    def mistaken(self):
        raise KeyError("oops")

    monkeypatch.setattr(console.Console, "open", mistaken)
    said = isthmus(shop, "status", ok=False)
    assert said.code == 1
    first, second = said.err.splitlines()
    assert first == "error  a mistake in Isthmus: KeyError: 'oops'"
    path = second.strip().removeprefix("the traceback is in ").removesuffix(": please report it")
    assert path.startswith(".isthmus/traceback-")
    assert 'raise KeyError("oops")' in (shop / path).read_text()
