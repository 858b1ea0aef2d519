"""What is stored is what was written: bit flips, lost batches and files of somebody else."""

import errno
import os
import random
import shutil
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.adapters import targets
from isthmus.adapters.local import files
from isthmus.adapters.local.warehouse import contents, upkeep
from isthmus.errors import Invalid
from isthmus.events.port import Column, StreamSpec
from isthmus.feature_store.port import TableSpec
from isthmus.target import Profile
from isthmus.tests.adapters.local import processes

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="item", type="int64"),
    Column(name="score", type="float64"),
)
SPEC = TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
ALL = "SELECT event_id, item, score FROM clicks_raw ORDER BY event_id"


def rows(count):
    times = pa.array([n % 3 * 86_400_000 for n in range(count)], pa.timestamp("ms"))
    return pa.table(
        {
            "event_id": [f"e{n}" for n in range(count)],
            "event_timestamp": times,
            "item": list(range(count)),
            "score": [n / 7 for n in range(count)],
        }
    )


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def opened(home):
    return targets.load(
        Profile(name="local", adapter="local", project="demo", options={"home": str(home)})
    )


@pytest.fixture
def local(home):
    target = opened(home)
    target.warehouse.apply(SPEC)
    target.warehouse.append("clicks_raw", rows(300), batch="first")
    target.warehouse.append("clicks_raw", rows(90), batch="second")
    yield target
    target.close()


def paths(home):
    return sorted((home / "warehouse" / "clicks_raw").rglob("*.parquet"))


def test_a_flipped_bit_is_never_read_as_another_value(home, local):
    """Fifty flips at random places of all files, each seen by a process that has not read them."""
    truth = local.warehouse.query(ALL, {})
    chance = random.Random(1)
    for _ in range(50):
        path = chance.choice(paths(home))
        whole = path.read_bytes()
        place = chance.randrange(len(whole))
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :]
        )
        fresh = opened(home)
        with pytest.raises(Invalid) as error:
            fresh.warehouse.query(ALL, {})
        assert str(error.value).startswith(f"{path} is not what was written")
        fresh.close()
        path.write_bytes(whole)
    fresh = opened(home)
    assert fresh.warehouse.query(ALL, {}).equals(truth)
    fresh.close()


def test_the_pages_have_checksums_that_other_readers_can_verify(home, local):
    """Of a file that is damaged before anything was noted of it, at a place within its pages."""
    path = paths(home)[0]
    whole = path.read_bytes()
    assert pq.ParquetFile(path, page_checksum_verification=True).read().num_rows == 100
    column = pq.read_metadata(path).row_group(0).column(2)
    place = (
        (column.dictionary_page_offset or column.data_page_offset)
        + column.total_compressed_size
        - 3
    )  # in the last page's values
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(OSError, match=r"(?i)crc|checksum"):
        pq.ParquetFile(path, page_checksum_verification=True).read()


def test_a_whole_store_is_found_whole(local):
    found = upkeep.examine(local)
    assert (found.looked, found.problems, found.notes) == ("2 batches, 390 rows", (), ())


def test_a_deleted_batch_and_a_deleted_date_are_found_with_their_rows(home, local):
    table = home / "warehouse" / "clicks_raw"
    shutil.rmtree(table / "first")
    (table / "second" / "dt=1970-01-02" / "rows.parquet").unlink()
    found = upkeep.examine(local)
    assert found.problems == (
        f"{table / 'first'} is gone, with 300 rows",
        f"{table / 'second' / 'dt=1970-01-02' / 'rows.parquet'} is gone",
    )
    local.warehouse.append("clicks_raw", rows(300), batch="first")
    assert len(upkeep.examine(local).problems) == 1, "writing it again makes it whole"


@pytest.fixture
def unnoted(home, local):
    """A third batch of 30 rows whose writer really dies between the rename and the note."""
    process = processes.start(
        home,
        """
        from isthmus.adapters.local.warehouse import contents
        from isthmus.tests.adapters.local.test_at_rest import rows
        contents.note = lambda *_, **__: stay()
        target.warehouse.append("clicks_raw", rows(30), batch="third")
        """,
    )
    processes.kill_when_reached(process)
    assert local.warehouse.query("SELECT count(*) AS n FROM clicks_raw", {})["n"][0].as_py() == 420
    assert [note.endswith("its writer was killed") for note in upkeep.examine(local).notes] == [
        True
    ]
    return home / "warehouse" / "clicks_raw" / "third"


@pytest.mark.parametrize(
    "then",
    [lambda local: local.warehouse.append("clicks_raw", rows(30), batch="third"), upkeep.sweep],
)
def test_a_batch_whose_writer_was_killed_before_it_was_noted_is_noted_by_the_repeat_or_the_next_sweep(
    local, unnoted, then
):
    then(local)
    found = upkeep.examine(local)
    assert (found.looked, found.problems, found.notes) == ("3 batches, 420 rows", (), ())
    shutil.rmtree(unnoted)
    assert upkeep.examine(local).problems == (f"{unnoted} is gone, with 30 rows",)


@pytest.mark.parametrize("damage", ["flip", "dangling"])
def test_a_sweep_takes_no_damaged_batch_for_what_was_written(local, unnoted, damage):
    path = unnoted / "dt=1970-01-01" / "rows.parquet"
    whole = path.read_bytes()
    if damage == "flip":
        column = pq.read_metadata(path).row_group(0).column(2)
        place = (
            (column.dictionary_page_offset or column.data_page_offset)
            + column.total_compressed_size
            - 3
        )
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    else:
        path.unlink()
        path.symlink_to("nowhere")
    upkeep.sweep(local)
    assert len(upkeep.examine(local).notes) == 1
    path.unlink()
    path.write_bytes(whole)
    upkeep.sweep(local)
    assert upkeep.examine(local).notes == ()


def test_what_cannot_be_read_is_named_and_the_rest_is_examined(home, local, monkeypatch):
    """A link that leads nowhere, a folder in a file's place, a disk that fails; then a damaged file
    in the batch after them.
    """
    table = home / "warehouse" / "clicks_raw"
    link, folder, failing = (
        table / "first" / f"dt=1970-01-0{day}" / "rows.parquet" for day in (1, 2, 3)
    )
    link.unlink()
    link.symlink_to(home / "nowhere")
    folder.unlink()
    folder.mkdir()
    flipped = table / "second" / "dt=1970-01-01" / "rows.parquet"
    flipped.write_bytes(flipped.read_bytes() + b"x")
    digest = contents._digest

    def fails(path):
        if path == str(failing):
            raise OSError(errno.EIO, "Input/output error")
        return digest(path)

    monkeypatch.setattr(contents, "_digest", fails)
    assert upkeep.examine(local).problems == (
        f"{link} cannot be read: No such file or directory",
        f"{folder} cannot be read: Is a directory",
        f"{failing} cannot be read: Input/output error",
        f"{flipped} is not what was written",
    )


def test_a_query_names_the_file_that_the_disk_does_not_give(home, local, monkeypatch):
    path = paths(home)[0]
    digest = contents._digest

    def fails(name):
        if name == str(path):
            raise OSError(errno.EIO, "Input/output error")
        return digest(name)

    monkeypatch.setattr(contents, "_digest", fails)
    fresh = opened(home)
    with pytest.raises(Invalid) as error:
        fresh.warehouse.query(ALL, {})
    assert error.value.message == f"{path} cannot be read: Input/output error"
    fresh.close()


def test_a_table_whose_folders_cannot_be_listed_is_named_and_the_others_are_examined(
    home, local, monkeypatch
):
    local.warehouse.apply(msgspec.structs.replace(SPEC, name="views_raw"))
    local.warehouse.append("views_raw", rows(9), batch="only")
    place = home / "warehouse" / "clicks_raw" / "first"
    scandir = os.scandir

    def fails(path):
        if path == place:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", fails)
    examination = upkeep.examine(local)
    assert examination.problems == (
        f"{place} cannot be read: Permission denied; clicks_raw was not compared",
    )
    assert examination.looked == "1 batches, 9 rows"


def test_a_file_of_somebody_else_is_named_and_passed_over(home, local):
    table = home / "warehouse" / "clicks_raw"
    strays = [
        table / "notes.txt",
        table / "second" / "list.csv",
        table / "second" / "dt=1970-01-01" / "copy.tmp",
    ]
    for path in strays:
        path.write_text("mine")
    fresh = opened(home)
    with pytest.warns(UserWarning, match="passed over") as said:
        assert (
            fresh.warehouse.query("SELECT count(*) AS n FROM clicks_raw", {})["n"][0].as_py() == 390
        )
    assert {str(path) for path in strays} == {
        str(warning.message).split(" is no ")[0] for warning in said
    }
    fresh.close()
    assert len(upkeep.examine(local).notes) == 3
    assert not upkeep.examine(local).problems


def test_events_of_the_spool_are_noted_when_they_become_a_batch(home, local):
    local.events.apply(StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id"))
    local.events.append(
        "clicks_raw",
        [
            {
                "event_id": "x",
                "event_timestamp": datetime(2024, 1, 1, tzinfo=UTC),
                "item": 1,
                "score": None,
            }
        ],
    )
    local.inventory.delete(next(r for r in local.inventory.list("demo") if r.kind == "stream"))
    found = upkeep.examine(local)
    assert (found.looked, found.problems, found.notes) == ("3 batches, 391 rows", (), ())


def test_a_table_made_again_knows_nothing_of_the_first(local):
    local.inventory.delete(next(r for r in local.inventory.list("demo") if r.kind == "table"))
    assert upkeep.examine(local).looked == "0 batches, 0 rows"
    local.warehouse.apply(SPEC)
    local.warehouse.append("clicks_raw", rows(30), batch="first")
    assert upkeep.examine(local).looked == "1 batches, 30 rows"
    assert local.warehouse.query(ALL, {}).num_rows == 30


def test_sweeping_removes_what_the_dead_left_and_nothing_of_the_living(home, local):
    dead, living = ".tmp-4194304-a", files.temporary_name()
    for folder in (
        home / "models" / "m",
        home / "runs" / "r1" / "fit",
        home / "warehouse" / ".staging",
    ):
        for name in (dead, living):
            (folder / name).mkdir(parents=True)
            (folder / name / "half").write_text("x")
    upkeep.sweep(local)
    assert {path.name for path in home.rglob(".tmp-*")} == {living}
    assert local.warehouse.query(ALL, {}).num_rows == 390


def test_what_a_disk_fails_to_remove_once_is_removed(tmp_path, monkeypatch):
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "rows.parquet").write_bytes(b"rows")
    unlink, failures = os.unlink, [OSError(errno.EIO, "broken")]

    def once(*arguments, **more):
        if failures:
            raise failures.pop()
        unlink(*arguments, **more)

    monkeypatch.setattr("os.unlink", once)
    files.remove_tree(tmp_path / "table")
    assert list(tmp_path.iterdir()) == []
    assert not failures
