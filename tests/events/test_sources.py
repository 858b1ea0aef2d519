"""Where events come from: files, folders, globs, SQL, places in a cloud; and what `validate` says
of them.
"""

import gzip
import json
import shutil
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus as im
from isthmus.errors import Invalid, NotFound, Unsupported
from isthmus.events.intake.ingest import ingest
from isthmus.events.refusals.open_rows import quarantine
from isthmus.events.sources.sql import rooted
from isthmus.project.reading.fence import fence
from isthmus.tests.cli.running import create, edit

from .conftest import IMPRESSION, SPEC, counts, impression, make_project, raw_count, seen, typed

ROWS = [impression(n) for n in range(6)]


def zst(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def separated(rows, delimiter):
    return "".join(
        delimiter.join(map(str, row)) + "\n"
        for row in (list(rows[0]), *(row.values() for row in rows))
    ).encode()


@pytest.fixture
def files(tmp_path):
    """One row or two in each of five files, of other formats, and what a job leaves beside them."""
    folder = tmp_path / "data"
    (folder / "day=1").mkdir(parents=True)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(json_lines(ROWS[:2])))
    (folder / "b.jsonl.zst").write_bytes(zst(json_lines(ROWS[2:3])))
    (folder / "c.tsv").write_bytes(separated(ROWS[3:4], "\t"))
    (folder / "day=1" / "d.csv.zst").write_bytes(zst(separated(ROWS[4:5], ",")))
    times = {"event_timestamp": datetime.fromisoformat(ROWS[5]["event_timestamp"])}
    pq.write_table(pa.Table.from_pylist([ROWS[5] | times]), folder / "day=1" / "e.parquet")
    (folder / "_SUCCESS").write_text("")
    return folder


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("data", [0, 1, 2, 3, 4, 5]),
        ("data/*.jsonl.*", [0, 1, 2]),
        ("data/**/*.parquet", [5]),
        ("data/**", [0, 1, 2, 3, 4, 5]),
        ("data/c.tsv", [3]),
        ("data/day=1/", [4, 5]),
    ],
)
def test_a_file_a_folder_and_a_glob_of_any_format_are_sources(files, source, numbers):
    spec = msgspec.structs.replace(
        SPEC, events={"impression": msgspec.structs.replace(IMPRESSION, source=source)}
    )
    with make_project(files.parent, spec) as project:
        (report,) = ingest(project)
        assert (report.read, report.stored) == (len(numbers), len(numbers))
        assert sorted(row["event_id"] for row in seen(project, "impression")) == [
            f"i{n}" for n in numbers
        ]
        (again,) = ingest(project, event="impression", data=files.parent / source)
        assert (again.read, again.already_there) == (len(numbers), len(numbers))


def test_a_project_may_be_in_a_folder_whose_name_looks_like_a_glob(files, tmp_path):
    folder = tmp_path / "[x] and *"
    shutil.copytree(files, folder / files.name)
    spec = msgspec.structs.replace(
        SPEC, events={"impression": msgspec.structs.replace(IMPRESSION, source="data/*.jsonl.*")}
    )
    with make_project(folder, spec) as project:
        (report,) = ingest(project)
        assert report.stored == 3


def test_a_bad_row_is_told_with_its_own_file_and_line_and_all_files_are_kept(project, files):
    (files / "f.jsonl").write_bytes(json_lines([ROWS[0], impression(9, item_id=99)]))
    (report,) = ingest(project, event="impression", data=files, max_bad=1)
    assert (report.read, report.stored, report.already_there, report.quarantined) == (8, 6, 1, 1)
    (bad,) = quarantine(project, "impression").to_pylist()
    assert (bad["source"], bad["line"]) == (f"{files}: f.jsonl", 2)
    root = f"{project.target.blobs.root}/raw/impression/"
    kept = {
        blob.uri.removeprefix(root).partition("/")[2] for blob in project.target.blobs.list(root)
    }
    names = ("a.jsonl.gz", "b.jsonl.zst", "c.tsv", "day=1/d.csv.zst", "day=1/e.parquet", "f.jsonl")
    assert kept == {"manifest.json", *(f"files/{name}" for name in names)}


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("rows.xml", b"<a/>", Invalid, "no format of events"),
        ("rows.jsonl.zst", b"nonsense" * 9, Invalid, "cannot be read"),
        ("rows.csv.zst", zst(separated(ROWS, ","))[:-4], Invalid, "runcated"),
        (None, b"", NotFound, "has no files"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(project, tmp_path, name, content, error, words):
    (tmp_path / "in").mkdir()
    if name:
        (tmp_path / "in" / name).write_bytes(content)
    with pytest.raises(error, match=words):
        ingest(project, event="impression", data=tmp_path / "in")


@pytest.mark.parametrize(
    "source",
    ["s3://lake/clicks/", "gs://lake/clicks/", "athena://lake.clicks", "bigquery://lake.clicks"],
)
def test_a_place_that_the_target_does_not_read_is_refused_by_the_key(tmp_path, source):
    spec = msgspec.structs.replace(
        SPEC, events={"impression": msgspec.structs.replace(IMPRESSION, source=source)}
    )
    scheme = source.partition("://")[0]
    words = rf"events\.impression\.source: {scheme}:// is not supported yet on target local"
    with make_project(tmp_path, spec) as project, pytest.raises(Unsupported, match=words):
        ingest(project)


def test_sql_reads_a_folder_of_one_format_and_no_cloud(project, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    sql = tmp_path / "sources" / "impression.sql"
    for n in range(2):
        (tmp_path / "data" / f"{n}.jsonl.zst").write_bytes(zst(json_lines([ROWS[n]])))
    sql.write_text(
        "SELECT * REPLACE (event_timestamp::TIMESTAMPTZ AS event_timestamp) FROM 'data/'"
    )
    assert ingest(project)[0].stored == 2
    for cloud in ("FROM 's3://lake/clicks/*.parquet'", "FROM read_csv(['s3://lake/a.csv'])"):
        sql.write_text(f"SELECT *\n{cloud}")
        with pytest.raises(Invalid, match=r"sources/impression\.sql, line 2: 's3://lake/") as error:
            ingest(project)
        assert "events.impression" in error.value.remedy


def problems(folder):
    return [(problem.file, problem.line, problem.message) for problem in im.validate(folder).errors]


def test_validate_binds_sources(tmp_path):
    """Files are there, SQL parses, columns and types fit: one project, a mistake at a time."""
    new = create(tmp_path / "new")
    source, key = new / "sources" / "click.sql", "events.click.source"
    good = source.read_text()
    assert problems(new) == []
    for wrong, words in {
        "SELEC 1": "syntax error",
        "SELECT * FROM 'data/nothing.parquet'": "nothing.parquet",
        "SELECT 'c' AS event_id, now() AS event_timestamp": "no column impression_id",
        "SELECT 'c' AS event_id, now() AS event_timestamp, 'i' AS impression_id, 1 AS more": "a column more",
        "SELECT 'c' AS event_id, now() AS event_timestamp, 1 AS impression_id": "impression_id is int32, and impression_id is string",
        "SELECT * FROM 's3://lake/clicks.parquet'": "cannot be read by SQL here",
    }.items():
        source.write_text(wrong)
        ((file, line, message),) = problems(new)
        assert (file, line) == ("sources/click.sql", 1)
        assert words in message
    source.write_text(good)
    edit(new / "project.yaml", "  click:\n", "  click:\n    source: data/nothing/*.csv\n")
    assert any(
        f"{key}: there is sources/click.sql, too" in message for _, _, message in problems(new)
    )
    source.unlink()
    ((file, line, message),) = problems(new)
    assert (file, message) == ("project.yaml", f"{key}: data/nothing/*.csv has no files")
    assert "data/nothing" in (new / "project.yaml").read_text().splitlines()[line - 1]
    (new / "profiles.yaml").write_text("default: local\ntargets:\n  local: {}\n")
    for uri, words in {
        "ftp://a/b": "ftp:// is no place of events",
        "athena://clicks": "names nothing",
        "gs://lake/clicks/": "not supported yet",
    }.items():
        edit(
            new / "project.yaml",
            next(
                text
                for text in (new / "project.yaml").read_text().splitlines()
                if " source:" in text
            ),
            f"    source: {uri}",
        )
        assert any(words in message for _, _, message in problems(new)), uri


def test_sql_sources_read_the_projects_own_files_and_the_referred_event_first(
    project, tmp_path, monkeypatch
):
    (tmp_path / "data").mkdir()
    (tmp_path / "sources").mkdir()
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    rows = typed([impression(n) for n in range(4)])
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data" / "log.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:1]), tmp_path / "elsewhere" / "data" / "log.parquet")
    (tmp_path / "sources" / "impression.sql").write_text(
        "SELECT * FROM 'data/log.parquet'; -- all of them"
    )
    (tmp_path / "sources" / "click.sql").write_text(
        "SELECT 'c' || event_id AS event_id, event_timestamp, event_id AS impression_id, "
        "item_id FROM read_parquet('data/*.parquet')"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")
    reports = ingest(project)
    assert [(r.event, *counts(r)) for r in reports] == [
        ("impression", 4, 4, 0, 0),
        ("click", 4, 4, 0, 0),
    ]
    assert [counts(r) for r in ingest(project)] == [(4, 0, 4, 0), (4, 0, 4, 0)]


def test_a_mistake_in_a_source_names_the_file_and_nothing_is_changed(project, tmp_path):
    (tmp_path / "sources").mkdir()
    good = (
        "SELECT 'i1' AS event_id, TIMESTAMPTZ '2019-11-30 10:00:00+00' AS event_timestamp, 1 AS "
        "item_id, 1 AS position, 'bts' AS policy"
    )
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


@pytest.mark.parametrize(
    ("sql", "paths"),
    [
        ("SELECT * FROM 'a.parquet' JOIN 'b/*.csv' USING (x)", ["a.parquet", "b/*.csv"]),
        (
            (
                "SELECT * FROM read_csv(['a.csv', 'b.csv'], names=['x.csv'], columns={'p': "
                "'INT', 'q.csv': 'INT'}, delim=',')"
            ),
            ["a.csv", "b.csv"],
        ),
        (
            (
                "SELECT 'a.csv' AS source, 'b.csv', extract(year FROM '2019-01-01'::DATE), "
                "concat('c.csv', 'd.csv') FROM t"
            ),
            [],
        ),
        ("SELECT * FROM t, 'what' -- FROM 'd.parquet'", []),
        ("SELECT * FROM (SELECT * FROM parquet_scan('it''s.parquet'))", ["it's.parquet"]),
    ],
)
def test_only_paths_are_made_absolute(tmp_path, sql, paths):
    expected = sql
    for path in paths:
        quoted = path.replace("'", "''")
        expected = expected.replace(f"'{quoted}'", f"'{tmp_path.resolve()}/{quoted}'")
    assert rooted(sql, fence(tmp_path)) == expected
