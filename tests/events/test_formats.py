"""Every format gives the same events; what of a file cannot be read is told by its line or its
name.
"""

import json
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import Invalid
from isthmus.events.intake.ingest import ingest

from .conftest import NOW, counts, impression, raw_count, seen, typed, write_lines

NAIVE = datetime(2019, 11, 30, 22, 59, 59)  # noqa: DTZ001  as the warehouse gives it


def test_json_lines_are_stored_as_the_catalogue_says(project, lines):
    (report,) = ingest(
        project, event="impression", data=lines([impression(1), impression(2, propensity=...)])
    )
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


def formats(rows, folder):
    table = pa.Table.from_pylist(
        [
            {**row, "event_timestamp": datetime.fromisoformat(row["event_timestamp"])}
            for row in rows
        ],
    )
    frame = pd.DataFrame(rows)
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"])
    frame.to_csv(folder / "rows.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S%z")
    pq.write_table(table, folder / "rows.parquet")
    naive = table.set_column(
        1, "event_timestamp", table["event_timestamp"].cast(pa.timestamp("us"))
    )
    tokyo = table.set_column(
        1, "event_timestamp", table["event_timestamp"].cast(pa.timestamp("ns", "Asia/Tokyo"))
    )
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


def test_a_broken_line_is_quarantined_with_its_number_and_the_others_are_stored(project, tmp_path):
    path = tmp_path / "broken.jsonl"
    good = [json.dumps(impression(n)).encode() for n in range(3)]
    path.write_bytes(
        b"\n".join(
            [good[0], b'{"event_id": "x', b"", good[1], b"[1, 2]", b'{"event_id": "\xff"}', good[2]]
        )
    )
    (report,) = ingest(project, event="impression", data=path, max_bad=1)
    assert counts(report) == (6, 3, 0, 3)
    assert [
        (r.attribute, r.reason, r.line) for r in sorted(report.reasons, key=lambda r: r.line)
    ] == [
        ("line", "is not JSON (unterminated string starting at column 14)", 2),
        ("line", "is not a JSON object", 5),
        ("line", "is not JSON (not UTF-8)", 6),
    ]


def test_a_csv_row_with_a_field_too_many_is_quarantined_with_the_line_where_it_begins(
    project, tmp_path
):
    path = tmp_path / "clicks.csv"
    path.write_text(
        'event_id,event_timestamp,click_id\n"p\n1",2019-11-30T00:00:00Z,c1\np2,2019-11-30T00:00:00Z,c1,more\n'
    )
    (report,) = ingest(project, event="purchase", data=path, max_bad=1)
    assert [(r.reason, r.line) for r in report.reasons] == [
        ("has 4 fields, not 3", 4),
        ("refers to no click (late ones are tried again at the next ingest)", 2),
    ]


def test_minus_zero_is_zero_however_it_comes(project, lines):
    first = lines([impression(1, propensity=0.0)])
    ingest(project, event="impression", data=first)
    frame = pd.DataFrame([impression(1, propensity=-0.0)])
    for data in (
        lines([impression(1, propensity=-0.0)], "minus.jsonl"),
        frame,
        pa.Table.from_pandas(frame),
    ):
        assert counts(ingest(project, event="impression", data=data)[0]) == (1, 0, 1, 0)


def test_a_data_frames_times_without_a_zone_are_refused_as_in_json(project):
    rows = [impression(1), impression(2)]
    frame = pd.DataFrame(rows)
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"]).dt.tz_localize(None)
    with pytest.raises(
        Invalid, match="the times in column event_timestamp have no time zone"
    ) as refusal:
        ingest(project, event="impression", data=frame)
    assert (
        refusal.value.remedy == 'say which it is: frame["event_timestamp"] = '
        'frame["event_timestamp"].dt.tz_localize("UTC")'
    )
    moments = [datetime.fromisoformat(row["event_timestamp"]) for row in rows]
    frame["event_timestamp"] = pd.Series(
        [moments[0], moments[1].replace(tzinfo=None)], dtype=object
    )
    (report,) = ingest(project, event="impression", data=frame, max_bad=1)
    assert counts(report) == (2, 1, 0, 1)
    assert report.reasons[0].reason == '"2019-11-30T22:59:58" has no time zone'


def test_a_corrupt_parquet_file_is_named_and_nothing_is_changed(project, tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.Table.from_pylist(typed([impression(n) for n in range(5000)])), path, row_group_size=100
    )
    whole = path.read_bytes()
    cases = {
        "footer": whole[:-500],
        "page": whole[:3000] + bytes(2000) + whole[5000:],
        "empty": b"",
    }
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
        ingest(
            project,
            event="click",
            data=pa.table({"event_id": ["a"], "event_timestamp": [NOW], "item_id": [1]}),
        )


def test_a_frame_that_mixes_types_loses_only_the_rows_that_are_wrong(project):
    frame = pd.DataFrame([impression(1), impression(2, item_id="two"), impression(3, item_id=None)])
    (report,) = ingest(project, event="impression", data=frame, max_bad=1)
    assert counts(report) == (3, 1, 0, 2)
    assert {r.reason for r in report.reasons} == {'"two" is not an int', "is missing"}


def test_a_json_array_is_one_error_with_the_command_that_mends_it(project, tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([impression(1)]))
    with pytest.raises(Invalid, match="one JSON array") as error:
        ingest(project, event="impression", data=tmp_path / "rows.json")
    assert "sources/impression.sql, which reads both: SELECT * FROM" in error.value.remedy


def test_a_time_beyond_the_calendar_is_that_rows_fault(project):
    table = pa.Table.from_pylist(typed([impression(1), impression(2)]))
    times = pa.array([2**55, 1575100000000], pa.timestamp("ms"))
    (report,) = ingest(
        project, event="impression", data=table.set_column(1, "event_timestamp", times), max_bad=1
    )
    assert counts(report) == (2, 1, 0, 1)
    assert report.reasons[0].reason == '"36028797018963968 timestamp[ms]" is not a timestamp'
