"""Users' own data as sources of events: objects and tables of a GCP that executes."""

import gzip
import json

import pytest
from google.cloud.bigquery import Table

from isthmus.core.runtime.project import Project
from isthmus.errors import NotFound
from isthmus.events.intake.ingest import ingest
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
    """A bucket of the user's own, and a table with a null in it, with a view of it."""
    bucket = target.native.storage.create_bucket("lake")
    for name, rows in (
        ("2019/a", [shown(1), shown(2)]),
        ("2019/b", [shown(3), shown(4, item_id="four")]),
        ("_SUCCESS", [shown(5)]),
    ):
        content = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
        bucket.blob(f"clicks/{name}.jsonl.gz").upload_from_string(content)
    bigquery = target.native.bigquery
    bigquery.create_dataset("lake")
    rows = [shown(n, score=None if n == 8 else n / 2) for n in range(7, 10)]
    bigquery.load_table_from_json(rows, "lake.views").result()
    view = Table("conformance.lake.recent")
    view.view_query = "SELECT * FROM lake.views WHERE item_id > 7"
    bigquery.create_table(view)


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("gs://lake/clicks/2019/a.jsonl.gz", ["a.jsonl.gz"]),
        ("gs://lake/clicks/2019/", ["a.jsonl.gz", "b.jsonl.gz"]),
        ("gs://lake/clicks/**/[ab]*.gz", ["2019/a.jsonl.gz", "2019/b.jsonl.gz"]),
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
    with pytest.raises(NotFound, match="nothing is at gs://lake/klicks/"):
        target.sources.copy("gs://lake/klicks/", tmp_path)
    with pytest.raises(NotFound, match=r"lake\.viewz"):
        list(target.sources.rows("lake.viewz"))


@pytest.mark.parametrize(
    ("table", "items"), [("lake.views", [7, 8, 9]), ("conformance.lake.recent", [8, 9])]
)
def test_a_table_and_a_view_are_read_as_arrow(target, lake, table, items):
    (rows,) = target.sources.rows(table)
    assert sorted(rows["item_id"].to_pylist()) == items


def test_objects_and_a_table_of_the_users_own_become_events_once(target, lake, tmp_path):
    sources = {"click": "gs://lake/clicks/", "view": "bigquery://lake.views"}
    events = {
        name: Event(name=name, attributes=ATTRIBUTES, source=source)
        for name, source in sources.items()
    }
    project = Project(
        ParsedProject(spec=ProjectSpec(name="conf", now=NOW, events=events), folder=str(tmp_path)),
        target,
    )
    apply_tables(project)
    reports = {report.event: report for report in ingest(project, max_bad=1)}
    assert {name: (r.read, r.stored, r.quarantined) for name, r in reports.items()} == {
        "click": (4, 3, 1),
        "view": (3, 3, 0),
    }
    assert [(r.event, r.stored, r.already_there) for r in ingest(project, max_bad=1)] == [
        ("click", 0, 3),
        ("view", 0, 3),
    ]
    rows = target.warehouse.query(
        "SELECT event_id, score FROM events_view ORDER BY event_id", {}
    ).to_pylist()
    assert rows == [{"event_id": f"e{n}", "score": None if n == 8 else n / 2} for n in range(7, 10)]


def test_bad_rows_of_a_query_over_a_dirty_file_are_quarantined_as_on_the_laptop(target, tmp_path):
    """BigQuery holds the rows and their lines."""
    check_query_over_a_dirty_file(target, tmp_path, IMPRESSION, NOW)
