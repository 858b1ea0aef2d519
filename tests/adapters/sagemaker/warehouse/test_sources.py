"""Users' own data as sources of events: objects and tables of an AWS that executes."""

import gzip
import io
import json
from datetime import timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.core.runtime.project import Project
from isthmus.errors import NotFound
from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import quarantine
from isthmus.project.specs.description import Attribute, Event, ParsedProject, ProjectSpec
from isthmus.tests.events.conftest import IMPRESSION, NOW, apply_tables
from isthmus.tests.events.test_dirty_files import check_query_over_a_dirty_file

ATTRIBUTES = (
    Attribute(name="item_id", type="int"),
    Attribute(name="score", type="float", required=False),
)


def shown(number, **changes):
    return {
        "event_id": f"e{number}",
        "event_timestamp": f"2019-11-30T10:00:{number:02}Z",
        "item_id": number,
        **changes,
    }


@pytest.fixture
def lake(target):
    """A bucket of the user's own: two packed files, one of Parquet, and a table with a null in it."""
    s3 = target.native.client("s3")
    target.blobs.put(f"{target.blobs.root}/there", b"")  # the project's bucket
    s3.create_bucket(Bucket="lake")

    def put(key, *rows):
        content = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
        s3.put_object(Bucket="lake", Key=key, Body=content)

    put("clicks/2019/a.jsonl.gz", shown(1), shown(2))
    put("clicks/2019/b.jsonl.gz", shown(3), shown(4, item_id="four"))
    put("clicks/_SUCCESS.jsonl.gz", shown(5))
    sink = io.BytesIO()
    pq.write_table(
        pa.table(
            {
                "event_id": ["e6"],
                "item_id": [6],
                "event_timestamp": pa.array([NOW - timedelta(hours=1)], pa.timestamp("ms", "UTC")),
            }
        ),
        sink,
    )
    s3.put_object(Bucket="lake", Key="clicks/last.parquet", Body=sink.getvalue())
    wr = pytest.importorskip("awswrangler")
    wr.catalog.create_database("lake", boto3_session=target.native)
    frame = pd.DataFrame([shown(n, score=None if n == 8 else n / 2) for n in range(7, 10)])
    frame["event_timestamp"] = pd.to_datetime(frame["event_timestamp"]).dt.tz_localize(None)
    wr.s3.to_parquet(
        frame,
        path="s3://lake/views/",
        dataset=True,
        database="lake",
        table="views",
        boto3_session=target.native,
    )
    return s3


def opened(target, folder, **sources):
    events = {
        name: Event(name=name, attributes=ATTRIBUTES, source=source)
        for name, source in sources.items()
    }
    project = Project(
        ParsedProject(spec=ProjectSpec(name="conf", now=NOW, events=events), folder=str(folder)),
        target,
    )
    apply_tables(project)
    return project


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("s3://lake/clicks/2019/a.jsonl.gz", ["a.jsonl.gz"]),
        ("s3://lake/clicks/2019/", ["a.jsonl.gz", "b.jsonl.gz"]),
        ("s3://lake/clicks/*.parquet", ["last.parquet"]),
        ("s3://lake/clicks/[a-l]ast.parquet", ["last.parquet"]),
        ("s3://lake/clicks/**/*.gz", ["2019/a.jsonl.gz", "2019/b.jsonl.gz", "_SUCCESS.jsonl.gz"]),
    ],
)
def test_a_key_a_prefix_and_a_glob_name_objects(target, lake, tmp_path, uri, names):
    target.sources.copy(uri, tmp_path)
    assert (
        sorted(
            path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
        )
        == names
    )


def test_what_is_not_there_is_said(target, lake, tmp_path):
    with pytest.raises(NotFound, match="nothing is at s3://lake/klicks/"):
        target.sources.copy("s3://lake/klicks/", tmp_path)
    with pytest.raises(NotFound, match=r"there is no table lake\.viewz"):
        list(target.sources.rows("lake.viewz"))


@pytest.mark.slow
def test_objects_and_a_table_of_the_users_own_become_events_once(target, lake, tmp_path):
    """Some ten seconds: the warehouse is Athena's, too."""
    project = opened(target, tmp_path, click="s3://lake/clicks/", view="athena://lake.views")
    before = sorted(item["Key"] for item in lake.list_objects_v2(Bucket="lake")["Contents"])
    reports = {report.event: report for report in ingest(project, max_bad=1)}
    assert {name: (r.read, r.stored, r.quarantined) for name, r in reports.items()} == {
        "click": (5, 4, 1),
        "view": (3, 3, 0),
    }
    again = ingest(project, max_bad=1)
    assert [(r.event, r.stored, r.already_there) for r in again] == [
        ("click", 0, 4),
        ("view", 0, 3),
    ]
    rows = target.warehouse.query(
        "SELECT event_id, item_id, score FROM events_view ORDER BY event_id", {}
    ).to_pylist()
    assert rows == [
        {"event_id": f"e{n}", "item_id": n, "score": None if n == 8 else n / 2}
        for n in range(7, 10)
    ]
    (bad,) = quarantine(project, "click").to_pylist()
    assert (bad["source"], bad["line"], bad["event_id"]) == (
        "s3://lake/clicks/: 2019/b.jsonl.gz",
        2,
        "e4",
    )
    assert sorted(item["Key"] for item in lake.list_objects_v2(Bucket="lake")["Contents"]) == before


@pytest.mark.slow
def test_bad_rows_of_a_query_over_a_dirty_file_are_quarantined_as_on_the_laptop(target, tmp_path):
    """Athena holds the rows and their lines."""
    check_query_over_a_dirty_file(target, tmp_path, IMPRESSION, NOW)
