"""A batch goes in once, however often it comes; what is bad is told and counted; a lock or a full
disk changes nothing.
"""

import errno
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.core.user_state import make
from isthmus.errors import Busy, LimitExceeded, NotFound, Refused
from isthmus.events.intake.ingest import ingest
from isthmus.events.intake.settlement import settle
from isthmus.events.intake.tolerance import share_and_limit
from isthmus.events.refusals.open_rows import quarantine, summary
from isthmus.events.sources.sql import bounded

from .conftest import (
    NOW,
    arrow_table,
    click,
    counts,
    impression,
    make_project,
    raw_count,
    seen,
    typed,
)


def test_the_same_file_twice_is_already_there(project, lines):
    path = lines([impression(n) for n in range(10)])
    ingest(project, event="impression", data=path)
    (report,) = ingest(project, event="impression", data=path)
    assert counts(report) == (10, 0, 10, 0)
    assert raw_count(project, "impression") == 10


def test_a_copy_within_one_file_is_already_there(project, lines):
    (report,) = ingest(
        project, event="impression", data=lines([impression(1), impression(1), impression(2)])
    )
    assert counts(report) == (3, 2, 1, 0)


def test_each_refusal_has_its_attribute_its_words_and_its_line(project, lines):
    ingest(
        project,
        event="impression",
        data=lines([impression(n) for n in range(9)], "impressions.jsonl"),
    )
    rows = [
        click(0),
        click(1, item_id=412),
        click(2, event_timestamp="2019-11-30T10:00:00"),
        click(3, impression_id="nowhere"),
        click(4, item_id="7"),
        click(5, item_id=...),
        click(6, event_id=""),
        click(7, event_timestamp="2020-01-01T00:00:00Z"),
        click(8, event_timestamp="2019-10-01T00:00:00Z"),
        click(8, itm_id=3),
        click(8, event_timestamp=1575100000),
        click(8, item_id=1.5),
        click(8, item_id=2**70),
    ]
    (report,) = ingest(project, event="click", data=lines(rows, "clicks.jsonl"), max_bad=1)
    assert counts(report) == (13, 1, 0, 12)
    assert {(r.attribute, r.reason, r.line) for r in report.reasons} == {
        ("item_id", "412 is over the maximum, 79", 2),
        ("event_timestamp", '"2019-11-30T10:00:00" has no time zone', 3),
        (
            "impression_id",
            "refers to no impression (late ones are tried again at the next ingest)",
            4,
        ),
        ("item_id", "is not an int", None),  # of two rows, whose values the quarantine shows
        ("item_id", "is missing", 6),
        ("event_id", "is empty", 7),
        (
            "event_timestamp",
            (
                "2020-01-01 00:00:00 is 2,678,400 s ahead of the clock, more than 2 minutes "
                "(max_ahead)"
            ),
            8,
        ),
        ("event_timestamp", "2019-10-01 00:00:00 is older than 30 days (max_lateness)", 9),
        ("itm_id", "is not an attribute of click (did you mean item_id?)", 10),
        ("event_timestamp", "1575100000 is not a timestamp", 11),
        ("item_id", "1180591620717411303424 does not fit 64 bits", 13),
    }
    assert quarantine(project, "click").num_rows == 12


@pytest.mark.parametrize(("max_bad", "allowed"), [(0.01, "1 %"), (5, "5")])
def test_more_bad_rows_than_allowed_are_refused_before_anything_is_stored(
    project, lines, max_bad, allowed
):
    rows = [impression(n) for n in range(300)]
    for n in range(6):
        rows[n * 10 + 3]["item_id"] = 412
    with pytest.raises(Refused) as refusal:
        ingest(project, event="impression", data=lines(rows), max_bad=max_bad)
    share = "2 %" if max_bad < 1 else "6 rows"
    assert str(refusal.value).startswith(
        f"impression: {share} of 300 read cannot be taken, more than the {allowed} allowed "
        "(--max-bad); nothing was stored. The first: "
    )
    assert str(refusal.value).endswith("rows.jsonl, line 4: item_id 412 is over the maximum, 79")
    (report,) = refusal.value.reports
    assert counts(report) == (300, 0, 0, 0)
    assert [(r.count, r.reason, r.first_line) for r in report.reasons] == [
        (6, "412 is over the maximum, 79", 4)
    ]
    assert raw_count(project, "impression") == 0
    assert summary(project, "impression") == ()
    allowed_report = ingest(project, event="impression", data=lines(rows), max_bad=6)[0]
    assert counts(allowed_report) == (300, 294, 0, 6)


def test_nothing_of_another_event_is_stored_when_one_is_refused(project, lines, tmp_path):
    (tmp_path / "sources").mkdir()
    for name, rows in {"impression": [impression(1)], "click": [click(1, item_id=99)]}.items():
        lines(rows, f"{name}.jsonl")
        (tmp_path / "sources" / f"{name}.sql").write_text(
            "SELECT * REPLACE (CAST(event_timestamp AS TIMESTAMPTZ) AS event_timestamp) "
            f"FROM '{name}.jsonl'"
        )
    with pytest.raises(Refused, match=r"click: 100 % of 1 read .* line 1: item_id 99 is over"):
        ingest(project)
    assert raw_count(project, "impression") == 0


def test_more_lost_references_than_allowed_are_an_error_after_the_others_are_stored(project, lines):
    ingest(project, event="impression", data=lines([impression(n) for n in range(98)]))
    with pytest.raises(Refused) as refusal:
        ingest(project, event="click", data=lines([click(n) for n in range(100)], "c.jsonl"))
    assert str(refusal.value) == "2 % quarantined, more than the 1 % allowed (--max-bad)"
    assert refusal.value.remedy == "see: isthmus events quarantine click"
    assert counts(refusal.value.reports[0]) == (100, 98, 0, 2)


def test_exactly_the_allowed_share_is_allowed(project, lines):
    rows = [impression(n) for n in range(100)]
    rows[7]["item_id"] = -1
    assert counts(ingest(project, event="impression", data=lines(rows))[0]) == (100, 99, 0, 1)


def test_bad_rows_that_come_again_are_counted_again_and_kept_once(project, lines):
    path = lines([impression(1), impression(2, item_id=99)])
    for _ in range(2):
        (report,) = ingest(project, event="impression", data=path, max_bad=1)
        assert report.quarantined == 1
    assert quarantine(project, "impression").num_rows == 1


def test_a_bad_row_that_comes_mended_is_no_longer_open(project, lines):
    ingest(
        project, event="impression", data=lines([impression(1, item_id=99)], "a.jsonl"), max_bad=1
    )
    assert quarantine(project, "impression").num_rows == 1
    ingest(project, event="impression", data=lines([impression(1)], "b.jsonl"))
    assert quarantine(project, "impression").num_rows == 0


def test_what_was_read_is_kept_once(project, lines):
    path = lines([impression(1)])
    ingest(project, event="impression", data=path)
    ingest(project, event="impression", data=path)
    root = f"{project.target.blobs.root}/raw/impression"
    kept = [blob.uri for blob in project.target.blobs.list(root)]
    assert [uri.rsplit("/", 1)[1] for uri in kept] == ["manifest.json", "rows.jsonl"]
    assert project.target.blobs.get(kept[1]) == path.read_bytes()


def test_before_apply_the_remedy_is_apply(tmp_path, lines):
    with make_project(tmp_path) as project:
        project.target.warehouse.observe = lambda _name: None
        with pytest.raises(NotFound) as error:
            ingest(project, event="click", data=lines([click(1)]))
    assert error.value.remedy == "isthmus apply"


@pytest.mark.slow
def test_two_ingests_at_once_do_not_mix(tmp_path, lines):
    lock = make(tmp_path / ".isthmus") / "lock"
    code = (
        "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        holder.stdout.readline()
        with (
            make_project(tmp_path) as project,
            pytest.raises(Busy, match="another command holds this project"),
        ):
            ingest(project, event="click", data=lines([click(1)]))
    finally:
        holder.communicate(b"\n", timeout=120)


def test_progress_is_told_with_the_number_of_rows_where_it_is_known(tmp_path):
    told = []
    with make_project(tmp_path, progress=lambda *what: told.append(what)) as project:
        ingest(
            project,
            event="impression",
            data=pa.Table.from_pylist(typed([impression(1), impression(2)])),
        )
    assert told == [("impression", 2, 2)]


def test_an_event_belongs_to_the_utc_date_of_its_own_time(project, lines):
    late = (
        (NOW - timedelta(days=20))
        .replace(hour=23)
        .astimezone(UTC)
        .strftime("%Y-%m-%dT%H:%M:%S-02:00")
    )
    ingest(project, event="impression", data=lines([impression(1, event_timestamp=late)]))
    assert seen(project, "impression")[0]["dt"] == "2019-11-12"


def test_a_full_disk_is_said_plainly_and_nothing_is_changed(project, lines, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = lines([impression(1)])
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(LimitExceeded, match="is full") as error:
            ingest(project, event="impression", data=path)
    assert "free some space" in error.value.remedy
    assert raw_count(project, "impression") == 0
    ingest(project, event="impression", data=path)
    assert raw_count(project, "impression") == 1


def test_a_batch_that_finds_no_room_to_spill_meets_a_full_disk(tmp_path):
    small = "SET max_temp_directory_size = '1MiB'"  # it is the disk's room, unless it is set
    rows = "SELECT md5(CAST(i AS VARCHAR)) AS digest, i FROM range(1000000) AS t(i) ORDER BY digest"
    with (
        pytest.raises(OSError, match="No space left") as error,
        bounded(tmp_path / "spill", reads=(tmp_path,), memory="32MiB", threads=1) as connection,
    ):
        connection.execute(
            f"{small}; COPY ({rows}) TO '{tmp_path / 'rows.parquet'}' (FORMAT parquet)"
        )
    assert error.value.errno == errno.ENOSPC


def test_a_disk_that_fills_while_a_batch_is_judged_is_said_and_the_repeat_goes_on(
    project, tmp_path, monkeypatch
):
    """The second event's judgement has no space: the first one is stored by then."""
    (tmp_path / "sources").mkdir()
    for name, row in (("impression", impression(1)), ("click", click(1))):
        pq.write_table(arrow_table([row]), tmp_path / f"{name}.parquet")
        (tmp_path / "sources" / f"{name}.sql").write_text(f"SELECT * FROM '{name}.parquet'")
    whole = settle

    def full(spec, warehouse, event, staged, **how):
        if event.name == "click":
            (staged.folder / "states.parquet").symlink_to("/dev/full")
        return whole(spec, warehouse, event, staged, **how)

    with monkeypatch.context() as patch:
        patch.setattr("isthmus.events.intake.ingest.settle", full)
        patch.setattr(
            "isthmus.events.intake.ingest.bounded",
            lambda spill, reads: bounded(spill, reads=(*reads, Path("/dev/full"))),
        )
        with pytest.raises(LimitExceeded, match="is full") as error:
            ingest(project)
    assert error.value.remedy == "free some space and run this again: it goes on where it was"
    assert (raw_count(project, "impression"), raw_count(project, "click")) == (1, 0)
    ingest(project)
    assert (raw_count(project, "impression"), raw_count(project, "click")) == (1, 1)


@pytest.mark.parametrize(
    ("bad", "read", "allowed", "text"),
    [
        (6, 1193, 0.001, "0.5 % 0.1 %"),
        (1, 1, 0.001, "100 % 0.1 %"),
        (104, 100_000, 0.001, "0.104 % 0.1 %"),
        (1, 1_000_000, 0.0, "0.0001 % 0 %"),
        (1, 2, 0.25, "50 % 25 %"),
        (21, 100, 20, "21 rows 20"),
    ],
)
def test_what_is_bad_and_what_is_allowed_are_written_so_that_they_differ(bad, read, allowed, text):
    assert " ".join(share_and_limit(bad, read, allowed)) == text
