"""A batch goes in once, whatever it is made of and however often it comes."""

import errno
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import Busy, Invalid, LimitExceeded, NotFound, Refused, Unavailable
from isthmus.events.ingest import _percents, ingest
from isthmus.events.quarantine import Group, quarantine, summary
from isthmus.events.relations import quarantine_table, raw_table
from isthmus.events.settle import settle
from isthmus.events.sql import rooted
from isthmus.events.values import CONFLICT
from isthmus.feature_store.port import TableSpec

from .conftest import IMPRESSION, NOW, SPEC, apply_tables, click, impression, make_project, raw_count, seen

LIVE = msgspec.structs.replace(SPEC, now=None)
NAIVE = datetime(2019, 11, 30, 22, 59, 59)  # noqa: DTZ001  as the warehouse gives it


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def lines(tmp_path):
    return lambda rows, name="rows.jsonl": write_lines(tmp_path / name, rows)


def counts(report):
    return report.read, report.stored, report.already_there, report.quarantined


def test_json_lines_are_stored_as_the_catalogue_says(project, lines):
    (report,) = ingest(project, event="impression", data=lines([impression(1), impression(2, propensity=...)]))
    assert counts(report) == (2, 2, 0, 0)
    assert seen(project, "impression") == [
        {
            "event_id": "i1",
            "event_timestamp": NAIVE,
            "item_id": 1,
            "position": 2,
            "policy": "bts",
            "propensity": 0.25,
            "dt": "2019-11-30",
        },
        {
            "event_id": "i2",
            "event_timestamp": NAIVE - timedelta(seconds=1),
            "item_id": 2,
            "position": 3,
            "policy": "bts",
            "propensity": None,
            "dt": "2019-11-30",
        },
    ]


def test_the_same_file_twice_is_already_there(project, lines):
    path = lines([impression(n) for n in range(10)])
    ingest(project, event="impression", data=path)
    (report,) = ingest(project, event="impression", data=path)
    assert counts(report) == (10, 0, 10, 0)
    assert raw_count(project, "impression") == 10


def test_a_copy_within_one_file_is_already_there(project, lines):
    (report,) = ingest(project, event="impression", data=lines([impression(1), impression(1), impression(2)]))
    assert counts(report) == (3, 2, 1, 0)


def formats(rows, folder):
    table = pa.Table.from_pylist(
        [{**row, "event_timestamp": datetime.fromisoformat(row["event_timestamp"])} for row in rows],
    )
    frame = pd.DataFrame(rows)
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"])
    frame.to_csv(folder / "rows.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S%z")
    pq.write_table(table, folder / "rows.parquet")
    naive = table.set_column(1, "event_timestamp", table["event_timestamp"].cast(pa.timestamp("us")))
    tokyo = table.set_column(1, "event_timestamp", table["event_timestamp"].cast(pa.timestamp("ns", "Asia/Tokyo")))
    return {
        "json": write_lines(folder / "rows.jsonl", rows),
        "csv": folder / "rows.csv",
        "parquet": folder / "rows.parquet",
        "text path": str(folder / "rows.parquet"),
        "pandas": frame,
        "arrow": table,
        "arrow without a zone is UTC": naive,
        "arrow in another zone": tokyo,
    }


def test_every_format_gives_the_same_events(project, tmp_path):
    rows = [impression(n, propensity=... if n == 3 else 0.5) for n in range(5)]
    first, *others = formats(rows, tmp_path).values()
    assert counts(ingest(project, event="impression", data=first)[0]) == (5, 5, 0, 0)
    for data in others:
        assert counts(ingest(project, event="impression", data=data)[0]) == (5, 0, 5, 0)


def test_each_refusal_has_its_attribute_its_words_and_its_line(project, lines):
    ingest(project, event="impression", data=lines([impression(n) for n in range(9)], "impressions.jsonl"))
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
        ("impression_id", "refers to no impression (late ones are tried again at the next ingest)", 4),
        ("item_id", "is not an int", None),  # of two rows, whose values the quarantine shows
        ("item_id", "is missing", 6),
        ("event_id", "is empty", 7),
        ("event_timestamp", "2020-01-01 00:00:00 is 2,678,400 s ahead of the clock, more than 2 minutes (max_ahead)", 8),
        ("event_timestamp", "2019-10-01 00:00:00 is older than 30 days (max_lateness)", 9),
        ("itm_id", "is not an attribute of click (did you mean item_id?)", 10),
        ("event_timestamp", "1575100000 is not a timestamp", 11),
        ("item_id", "1180591620717411303424 does not fit 64 bits", 13),
    }
    assert quarantine(project, "click").num_rows == 12


def test_a_broken_line_is_quarantined_with_its_number_and_the_others_are_stored(project, tmp_path):
    path = tmp_path / "broken.jsonl"
    good = [json.dumps(impression(n)).encode() for n in range(3)]
    path.write_bytes(b"\n".join([good[0], b'{"event_id": "x', b"", good[1], b"[1, 2]", b'{"event_id": "\xff"}', good[2]]))
    (report,) = ingest(project, event="impression", data=path, max_bad=1)
    assert counts(report) == (6, 3, 0, 3)
    assert [(r.attribute, r.reason, r.line) for r in sorted(report.reasons, key=lambda r: r.line)] == [
        ("line", "is not JSON (unterminated string starting at column 14)", 2),
        ("line", "is not a JSON object", 5),
        ("line", "is not JSON (not UTF-8)", 6),
    ]


def test_a_csv_row_with_a_field_too_many_is_quarantined_with_the_line_where_it_begins(project, tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text('event_id,event_timestamp,click_id\n"p\n1",2019-11-30T00:00:00Z,c1\np2,2019-11-30T00:00:00Z,c1,more\n')
    (report,) = ingest(project, event="purchase", data=path, max_bad=1)
    assert [(r.reason, r.line) for r in report.reasons] == [
        ("has 4 fields, not 3", 4),
        ("refers to no click (late ones are tried again at the next ingest)", 2),
    ]


def test_more_than_the_allowed_share_is_an_error_after_the_good_ones_are_stored(project, lines):
    rows = [impression(n) for n in range(1193)]
    for n in range(6):
        rows[n * 100]["item_id"] = 412
    with pytest.raises(Refused) as refusal:
        ingest(project, event="impression", data=lines(rows))
    assert str(refusal.value) == "0.5 % quarantined, more than the 0.1 % allowed (--max-bad)"
    assert refusal.value.remedy == "see: isthmus events quarantine impression"
    assert counts(refusal.value.reports[0]) == (1193, 1187, 0, 6)
    assert len(seen(project, "impression")) == 1187
    (group,) = summary(project, "impression")
    assert (group.count, group.reason) == (6, "412 is over the maximum, 79")


def test_exactly_the_allowed_share_is_allowed(project, lines):
    rows = [impression(n) for n in range(1000)]
    rows[7]["item_id"] = -1
    assert counts(ingest(project, event="impression", data=lines(rows))[0]) == (1000, 999, 0, 1)


def test_bad_rows_that_come_again_are_counted_again_and_kept_once(project, lines):
    path = lines([impression(1), impression(2, item_id=99)])
    for _ in range(2):
        with pytest.raises(Refused, match="quarantined"):
            ingest(project, event="impression", data=path)
    assert quarantine(project, "impression").num_rows == 1


def test_a_bad_row_that_comes_mended_is_no_longer_open(project, lines):
    ingest(project, event="impression", data=lines([impression(1, item_id=99)], "a.jsonl"), max_bad=1)
    assert quarantine(project, "impression").num_rows == 1
    ingest(project, event="impression", data=lines([impression(1)], "b.jsonl"))
    assert quarantine(project, "impression").num_rows == 0


def test_a_click_before_its_impression_is_stored_when_the_impression_comes(project, lines):
    purchase = {"event_id": "p1", "event_timestamp": "2019-11-30T23:59:00Z", "click_id": "c1"}
    ingest(project, event="purchase", data=lines([purchase], "purchases.jsonl"), max_bad=1)
    (report,) = ingest(project, event="click", data=lines([click(1), click(2)], "clicks.jsonl"), max_bad=1)
    assert counts(report) == (2, 0, 0, 2)
    assert [row["retry"] for row in quarantine(project, "click").to_pylist()] == [True, True]

    reports = {r.event: r for r in ingest(project, event="impression", data=lines([impression(1)], "i.jsonl"))}
    assert {name: r.retried for name, r in reports.items()} == {"impression": 0, "click": 1, "purchase": 1}
    assert [row["event_id"] for row in seen(project, "click")] == ["c1"]
    assert [row["event_id"] for row in seen(project, "purchase")] == ["p1"]
    assert [row["event_id"] for row in quarantine(project, "click").to_pylist()] == ["c2"]
    assert quarantine(project, "purchase").num_rows == 0


@pytest.mark.parametrize("order", ["ab", "ba", "aba", "baab"])
def test_of_two_contents_under_one_id_the_one_that_was_stored_first_stands_and_the_other_is_quarantined_once(project, order):
    contents = {"a": impression(1, item_id=3), "b": impression(1, item_id=4)}
    reports = [ingest(project, event="impression", data=_table([contents[name]]), max_bad=1)[0] for name in order]
    assert [counts(report) for report in reports] == [
        (1, 1, 0, 0) if n == 0 else (1, 0, 1, 0) if name == order[0] else (1, 0, 0, 1) for n, name in enumerate(order)
    ]
    assert [row["item_id"] for row in seen(project, "impression")] == [contents[order[0]]["item_id"]]
    (row,) = quarantine(project, "impression").to_pylist()
    assert json.loads(row["payload"])["item_id"] == contents[order[1]]["item_id"]
    assert (row["attribute"], row["reason"], row["retry"]) == ("event_id", CONFLICT, False)
    assert summary(project, "impression") == (Group(count=1, attribute="event_id", reason=CONFLICT, retry=False),)


def test_of_two_contents_in_one_batch_the_one_whose_digest_sorts_first_is_stored(tmp_path):
    a, b = impression(1, item_id=3), impression(1, item_id=4)
    results = []
    for rows in ([a, b], [b, a], [b, a, b, a]):
        folder = tmp_path / str(len(results))
        with make_project(folder) as project:
            (report,) = ingest(project, event="impression", data=_table(rows), max_bad=1)
            assert counts(report) == (len(rows), 1, len(rows) // 2 - 1, len(rows) // 2)
            results.append((seen(project, "impression"), quarantine(project, "impression")["payload_digest"].to_pylist()))
    assert len(results[0][0]) == len(results[0][1]) == 1
    assert results.count(results[0]) == len(results)


def test_a_declared_correction_takes_the_place_of_what_is_stored_and_the_old_file_may_come_again(project):
    old, new = _table([impression(1, item_id=3), impression(2)]), _table([impression(1, item_id=4), impression(2), impression(3)])
    ingest(project, event="impression", data=old)
    (report,) = ingest(project, event="impression", data=new, corrects=True)
    assert (*counts(report), report.corrected) == (3, 2, 1, 0, 1)
    assert [row["item_id"] for row in seen(project, "impression")] == [4, 2, 3]
    for data, corrects in ((old, False), (new, False), (new, True)):
        (report,) = ingest(project, event="impression", data=data, corrects=corrects)
        assert (report.stored, report.already_there) == (0, data.num_rows)
    (report,) = ingest(project, event="impression", data=old, corrects=True)  # and back again
    assert (report.stored, report.corrected) == (1, 1)
    assert [row["item_id"] for row in seen(project, "impression")] == [3, 2, 3]
    assert quarantine(project, "impression").num_rows == 0
    corrections = project.target.warehouse.query("SELECT correction FROM impression_raw WHERE event_id = 'i1' ORDER BY correction", {})
    assert corrections["correction"].to_pylist() == [0, 1, 2]


def test_a_refused_content_is_no_longer_open_once_it_was_declared_a_correction(project):
    first, second, third = (_table([impression(1, item_id=n)]) for n in (3, 4, 5))
    ingest(project, event="impression", data=first)
    ingest(project, event="impression", data=second, max_bad=1)
    assert quarantine(project, "impression").num_rows == 1
    for data in (second, third):
        ingest(project, event="impression", data=data, corrects=True)
        assert quarantine(project, "impression").num_rows == 0


def test_a_table_from_before_the_stamps_is_read_as_before_and_what_it_holds_stands(tmp_path):
    contents = [_table([impression(1, item_id=n)]) for n in (3, 4)]
    stored = []
    for n, data in enumerate(contents):
        with make_project(tmp_path / str(n)) as project:
            ingest(project, event="impression", data=data)
            names = [c.name for c in raw_table(IMPRESSION).columns[:-2]]
            stored.append(project.target.warehouse.query(f"SELECT {', '.join(names)} FROM impression_raw", {}))
    with make_project(tmp_path / "old", make=False) as project:
        warehouse = project.target.warehouse
        warehouse.apply(TableSpec(name="impression_raw", columns=raw_table(IMPRESSION).columns[:-2], time_column="event_timestamp"))
        for n, table in enumerate(stored):
            warehouse.append("impression_raw", table, batch=f"old-{n}")
        warehouse.apply(quarantine_table(IMPRESSION))
        for verb in (lambda: ingest(project, event="impression", data=contents[0]), lambda: quarantine(project, "impression")):
            with pytest.raises(NotFound, match="has no correction, stored_timestamp in impression_raw") as refusal:
                verb()
            assert refusal.value.remedy == "isthmus apply"
        apply_tables(project)
        smaller = min(stored, key=lambda table: table["payload_digest"].to_pylist())
        assert [row["item_id"] for row in seen(project, "impression")] == smaller["item_id"].to_pylist()
        (loser,) = quarantine(project, "impression").to_pylist()
        assert loser["payload_digest"] == max(table["payload_digest"].to_pylist()[0] for table in stored)
        assert loser["reason"] == CONFLICT
        (report,) = ingest(project, event="impression", data=_table([impression(1, item_id=5)]), max_bad=1)
        assert counts(report) == (1, 0, 0, 1)
        assert [row["item_id"] for row in seen(project, "impression")] == smaller["item_id"].to_pylist()


def test_a_repeat_of_a_batch_that_was_cut_short_has_its_stamp_whatever_was_ingested_between(tmp_path, lines):
    clock = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10_000))
    rows, more = lines([impression(n) for n in range(3)]), lines([impression(9)], "more.jsonl")
    with make_project(tmp_path, clock=lambda: next(clock)) as project:
        state = project.target.state

        def cut(call):
            if call.operation == "warehouse.append":
                raise Unavailable("cut")

        project.target.calls.before = cut
        for source in (rows, more):
            with pytest.raises(Unavailable):
                ingest(project, event="impression", data=source)
        project.target.calls.before = None
        assert len(state.keys("ingest/impression/")) == 2
        stamps = {json.loads(state.get(key).value)["stored_timestamp"] for key in state.keys("ingest/impression/")}
        ingest(project, event="impression", data=more)
        assert len(state.keys("ingest/impression/")) == 1
        ingest(project, event="impression", data=rows)
        assert state.keys("ingest/") == ()
        stored = project.target.warehouse.query("SELECT event_id, stored_timestamp FROM impression_raw ORDER BY event_id", {}).to_pylist()
    moments = [row["stored_timestamp"].replace(tzinfo=UTC) for row in stored]
    assert moments[:3] == [min(map(datetime.fromisoformat, stamps))] * 3
    assert moments[3] == max(map(datetime.fromisoformat, stamps)) > moments[0]


def _table(rows):
    return pa.Table.from_pylist(_typed(rows))


def _typed(rows):
    return [{**row, "event_timestamp": datetime.fromisoformat(row["event_timestamp"])} for row in rows]


def stamped(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_an_event_ahead_of_the_clock_waits_for_its_time_and_then_for_its_reference(tmp_path, lines):
    now = [NOW]
    with make_project(tmp_path, LIVE, clock=lambda: now[0]) as project:
        rows = [click(n, event_timestamp=stamped(NOW + timedelta(seconds=ahead))) for n, ahead in ((1, 120), (2, 121), (3, 3600))]
        ingest(project, event="impression", data=lines([impression(1), impression(3)], "impressions.jsonl"))
        for _ in range(2):
            (report,) = ingest(project, event="click", data=lines(rows), max_bad=1)
        assert counts(report) == (3, 0, 1, 2)
        waiting = quarantine(project, "click").to_pylist()
        assert [(row["event_id"], row["attribute"], row["retry"]) for row in waiting] == [
            ("c2", "event_timestamp", True),
            ("c3", "event_timestamp", True),
        ]
        assert waiting[0]["reason"] == "2019-12-01 00:02:01 is 121 s ahead of the clock, more than 2 minutes (max_ahead)"
        (group,) = summary(project, "click")
        assert (group.count, group.reason) == (2, "ahead of the clock, more than 2 minutes (max_ahead)")
        assert (group.first, group.last) == tuple((NOW + timedelta(seconds=n)).replace(tzinfo=None) for n in (121, 3600))

        now[0] = NOW + timedelta(hours=2)
        reports = {r.event: r for r in ingest(project, event="impression", data=lines([impression(5)], "one.jsonl"))}
        assert reports["click"].retried == 1
        assert [row["event_id"] for row in seen(project, "click")] == ["c1", "c3"]
        assert [(row["event_id"], row["attribute"]) for row in quarantine(project, "click").to_pylist()] == [("c2", "impression_id")]
        ingest(project, event="impression", data=lines([impression(2)], "two.jsonl"))
        assert [row["event_id"] for row in seen(project, "click")] == ["c1", "c2", "c3"]
        assert quarantine(project, "click").num_rows == 0


def test_a_replayed_logs_clock_is_its_now(project, lines):
    path = lines([impression(1, event_timestamp=stamped(NOW + timedelta(hours=1)))])
    for _ in range(2):
        (report,) = ingest(project, event="impression", data=path, max_bad=1)  # the wall's clock is years ahead
        assert counts(report) == (1, 0, 0, 1)


OLD = [impression(n, event_timestamp=f"1997-09-{20 + n % 3}T00:00:00Z") for n in range(30)]


def test_events_older_than_max_lateness_are_one_line_with_their_days_and_the_key_to_change(project, lines):
    (report,) = ingest(project, event="impression", data=lines([*OLD, impression(100)]), max_bad=1)
    (reason,) = report.reasons
    assert (reason.count, reason.attribute, reason.reason) == (30, "event_timestamp", "is older than 30 days (max_lateness)")
    assert (reason.first, reason.last) == (datetime(1997, 9, 20), datetime(1997, 9, 22))  # noqa: DTZ001
    assert reason.remedy == "a back-fill is taken by --backfill; or raise events.impression.max_lateness"
    (report,) = ingest(project, event="impression", data=lines([*OLD, impression(100)]), max_bad=1)
    assert report.reasons[0].remedy == "raise events.impression.max_lateness"
    (group,) = summary(project, "impression")
    assert (group.count, group.reason, group.first, group.last) == (30, reason.reason, reason.first, reason.last)


def test_a_first_ingest_asks_whether_what_is_old_is_a_back_fill_and_a_later_one_does_not(project, lines):
    asked = []

    def answer(event, late):
        asked.append((event, late.count, late.first, late.last))
        return len(asked) == 2

    path = lines(OLD)
    for stored, there, refused in ((0, 0, 30), (30, 0, 0), (0, 30, 0)):  # what is stored is there, however old it is by now
        (report,) = ingest(project, event="impression", data=path, max_bad=1, confirm_backfill=answer)
        assert counts(report) == (30, stored, there, refused)
    assert asked == [("impression", 30, datetime(1997, 9, 20), datetime(1997, 9, 22))] * 2  # noqa: DTZ001
    assert quarantine(project, "impression").num_rows == 0


def test_a_back_fill_takes_what_is_old_and_nothing_else_that_is_wrong(project, lines):
    rows = [*OLD, impression(50, event_timestamp="1997-01-01T00:00:00Z", item_id=412)]
    (report,) = ingest(project, event="impression", data=lines(rows), max_bad=1, backfill=True)
    assert counts(report) == (31, 30, 0, 1)
    assert quarantine(project, "impression")["attribute"].to_pylist() == ["item_id"]


def test_minus_zero_is_zero_however_it_comes(project, lines):
    first = lines([impression(1, propensity=0.0)])
    ingest(project, event="impression", data=first)
    frame = pd.DataFrame([impression(1, propensity=-0.0)])
    for data in (lines([impression(1, propensity=-0.0)], "minus.jsonl"), frame, pa.Table.from_pandas(frame)):
        assert counts(ingest(project, event="impression", data=data)[0]) == (1, 0, 1, 0)


def test_a_data_frames_times_without_a_zone_are_refused_as_in_json(project):
    rows = [impression(1), impression(2)]
    frame = pd.DataFrame(rows)
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"]).dt.tz_localize(None)
    with pytest.raises(Invalid, match="the times in column event_timestamp have no time zone") as refusal:
        ingest(project, event="impression", data=frame)
    assert refusal.value.remedy == 'say which it is: frame["event_timestamp"] = frame["event_timestamp"].dt.tz_localize("UTC")'
    moments = [datetime.fromisoformat(row["event_timestamp"]) for row in rows]
    frame["event_timestamp"] = pd.Series([moments[0], moments[1].replace(tzinfo=None)], dtype=object)
    (report,) = ingest(project, event="impression", data=frame, max_bad=1)
    assert counts(report) == (2, 1, 0, 1)
    assert report.reasons[0].reason == '"2019-11-30T22:59:58" has no time zone'


def test_a_corrupt_parquet_file_is_named_and_nothing_is_changed(project, tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(_typed([impression(n) for n in range(5000)])), path, row_group_size=100)
    whole = path.read_bytes()
    cases = {"footer": whole[:-500], "page": whole[:3000] + bytes(2000) + whole[5000:], "empty": b""}
    for data in cases.values():
        path.write_bytes(data)
        with pytest.raises(Invalid, match=r"rows\.parquet cannot be read as Parquet"):
            ingest(project, event="impression", data=path)
    assert raw_count(project, "impression") == 0
    assert not list(project.target.blobs.list(f"{project.target.blobs.root}/raw"))


def test_a_wrong_column_is_one_error_with_the_nearest_name(project):
    with pytest.raises(Invalid, match="a column itm_id, which click does not have") as error:
        ingest(project, event="click", data=pa.table({"event_id": ["a"], "itm_id": [1]}))
    assert error.value.remedy == "did you mean item_id?"
    with pytest.raises(Invalid, match="no column impression_id, which click requires"):
        ingest(project, event="click", data=pa.table({"event_id": ["a"], "event_timestamp": [NOW], "item_id": [1]}))


def test_a_frame_that_mixes_types_loses_only_the_rows_that_are_wrong(project):
    frame = pd.DataFrame([impression(1), impression(2, item_id="two"), impression(3, item_id=None)])
    (report,) = ingest(project, event="impression", data=frame, max_bad=1)
    assert counts(report) == (3, 1, 0, 2)
    assert {r.reason for r in report.reasons} == {'"two" is not an int', "is missing"}


def test_sql_sources_read_the_projects_own_files_and_the_referred_event_first(project, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "sources").mkdir()
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    rows = _typed([impression(n) for n in range(4)])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "log.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:1]), tmp_path / "elsewhere" / "data" / "log.parquet")
    (tmp_path / "sources" / "impression.sql").write_text("SELECT * FROM 'data/log.parquet'; -- all of them")
    (tmp_path / "sources" / "click.sql").write_text(
        "SELECT 'c' || event_id AS event_id, event_timestamp, event_id AS impression_id, item_id FROM read_parquet('data/*.parquet')"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")
    reports = ingest(project)
    assert [(r.event, *counts(r)) for r in reports] == [("impression", 4, 4, 0, 0), ("click", 4, 4, 0, 0)]
    assert [counts(r) for r in ingest(project)] == [(4, 0, 4, 0), (4, 0, 4, 0)]


def test_a_mistake_in_a_source_names_the_file_and_nothing_is_changed(project, tmp_path):
    (tmp_path / "sources").mkdir()
    good = "SELECT 'i1' AS event_id, TIMESTAMPTZ '2019-11-30 10:00:00+00' AS event_timestamp, 1 AS item_id, 1 AS position, 'bts' AS policy"
    (tmp_path / "sources" / "impression.sql").write_text(good)
    for wrong, words in {
        "SELECT nothing": "nothing",
        "CREATE TABLE t AS SELECT 1": "not one SELECT",
        "SELECT 1; SELECT 2": "not one SELECT",
    }.items():
        (tmp_path / "sources" / "click.sql").write_text(wrong)
        with pytest.raises(Invalid, match=rf"sources/click\.sql.*{words}"):
            ingest(project)
    assert raw_count(project, "impression") == 0


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
    lock = tmp_path / ".isthmus" / "lock"
    lock.parent.mkdir()
    code = "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
    holder = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        with make_project(tmp_path) as project, pytest.raises(Busy, match="another command holds this project"):
            ingest(project, event="click", data=lines([click(1)]))
    finally:
        holder.communicate(b"\n", timeout=120)


def test_progress_is_told_with_the_number_of_rows_where_it_is_known(tmp_path):
    told = []
    with make_project(tmp_path, progress=lambda *what: told.append(what)) as project:
        ingest(project, event="impression", data=pa.Table.from_pylist(_typed([impression(1), impression(2)])))
    assert told == [("impression", 2, 2)]


def test_an_event_belongs_to_the_utc_date_of_its_own_time(project, lines):
    late = (NOW - timedelta(days=20)).replace(hour=23).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S-02:00")
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


def test_a_disk_that_fills_while_a_batch_is_judged_is_said_and_the_repeat_goes_on(project, tmp_path, monkeypatch):
    """The second event's judgement has no space: the first one is stored by then."""
    (tmp_path / "sources").mkdir()
    for name, row in (("impression", impression(1)), ("click", click(1))):
        pq.write_table(_table([row]), tmp_path / f"{name}.parquet")
        (tmp_path / "sources" / f"{name}.sql").write_text(f"SELECT * FROM '{name}.parquet'")
    whole = settle

    def full(spec, warehouse, event, staged, **how):
        if event.name == "click":
            (staged.folder / "states.parquet").symlink_to("/dev/full")
        return whole(spec, warehouse, event, staged, **how)

    with monkeypatch.context() as patch:
        patch.setattr("isthmus.events.ingest.settle", full)
        with pytest.raises(LimitExceeded, match="is full") as error:
            ingest(project)
    assert error.value.remedy == "free some space and run this again: it goes on where it was"
    assert (raw_count(project, "impression"), raw_count(project, "click")) == (1, 0)
    ingest(project)
    assert (raw_count(project, "impression"), raw_count(project, "click")) == (1, 1)


def test_a_json_array_is_one_error_with_the_command_that_mends_it(project, tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([impression(1)]))
    with pytest.raises(Invalid, match="one JSON array") as error:
        ingest(project, event="impression", data=tmp_path / "rows.json")
    assert error.value.remedy.startswith("jq -c")


@pytest.mark.parametrize(
    ("sql", "paths"),
    [
        ("SELECT * FROM 'a.parquet' JOIN 'b/*.csv' USING (x)", ["a.parquet", "b/*.csv"]),
        (
            "SELECT * FROM read_csv(['a.csv', 'b.csv'], names=['x.csv'], columns={'p': 'INT', 'q.csv': 'INT'}, delim=',')",
            ["a.csv", "b.csv"],
        ),
        ("SELECT 'a.csv' AS source, 'b.csv', extract(year FROM '2019-01-01'::DATE), concat('c.csv', 'd.csv') FROM t", []),
        ("SELECT * FROM '/a.parquet', 's3://b/c.parquet' -- FROM 'd.parquet'", []),
        ("SELECT * FROM (SELECT * FROM parquet_scan('it''s.parquet'))", ["it's.parquet"]),
    ],
)
def test_only_paths_are_made_absolute(tmp_path, sql, paths):
    expected = sql
    for path in paths:
        quoted = path.replace("'", "''")
        expected = expected.replace(f"'{quoted}'", f"'{tmp_path.resolve()}/{quoted}'")
    assert rooted(sql, tmp_path) == expected


def test_a_time_beyond_the_calendar_is_that_rows_fault(project):
    table = pa.Table.from_pylist(_typed([impression(1), impression(2)]))
    times = pa.array([2**55, 1575100000000], pa.timestamp("ms"))
    (report,) = ingest(project, event="impression", data=table.set_column(1, "event_timestamp", times), max_bad=1)
    assert counts(report) == (2, 1, 0, 1)
    assert report.reasons[0].reason == '"36028797018963968 timestamp[ms]" is not a timestamp'


@pytest.mark.parametrize(
    ("share", "allowed", "text"),
    [
        (6 / 1193, 0.001, "0.5 % 0.1 %"),
        (1.0, 0.001, "100 % 0.1 %"),
        (0.00104, 0.001, "0.104 % 0.1 %"),
        (1e-6, 0.0, "0.0001 % 0 %"),
        (0.5, 0.25, "50 % 25 %"),
    ],
)
def test_two_shares_are_written_so_that_they_differ(share, allowed, text):
    assert " ".join(_percents(share, allowed)) == text
