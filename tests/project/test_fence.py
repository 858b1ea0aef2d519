"""A project's files lead to its own folder and to the paths that project.yaml declares: nothing
else is read, and nothing is waited for.
"""

import http.server
import os
import subprocess
import sys
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus as im
from isthmus.tests.cli.running import CHILD, create, edit, isthmus

SECRET = "the secret of another folder"
GOOD = """SELECT 'c' || n AS event_id, TIMESTAMPTZ '2019-11-30 10:00:00+00' AS event_timestamp, 'i' AS impression_id FROM {}"""


@pytest.fixture
def outside(tmp_path):
    """Files of somebody else's, each a thing that a project's own file might be."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.csv").write_text(f"{SECRET}\n1,2,3\n")
    (folder / "secret.sql").write_text(f"SELECT {SECRET}")
    (folder / "secret.yaml").write_text(f"{SECRET}: [")
    (folder / "secret.py").write_text(f"def {SECRET}")
    (folder / "secret.jsonl").write_text(f'{{"event_id": "{SECRET}"}}\n')
    pq.write_table(pa.table({"n": [1], SECRET: [2]}), folder / "rows.parquet")
    return folder


@pytest.fixture
def new(tmp_path):
    return create(tmp_path / "new")


def judged(folder):
    """What `validate` says, which ends, and never with a word of the other folder's."""
    outcome = isthmus(folder, "validate", ok=False)
    assert SECRET not in outcome.out + outcome.err
    return outcome


def add_table(folder, path):
    (folder / "project.yaml").write_text(
        (folder / "project.yaml").read_text() + f"\ntables:\n  things: {path}\n"
    )


@pytest.mark.parametrize(
    ("link", "to"),
    [
        ("sources/click.sql", "secret.sql"),
        ("features/item_history.sql", "secret.sql"),
        ("models/logistic.yaml", "secret.yaml"),
        ("experiments/secret.yaml", "secret.yaml"),
        ("profiles.yaml", "secret.yaml"),
        ("ranker.py", "secret.py"),
        ("data/things.csv", "secret.csv"),
    ],
)
def test_a_link_out_of_the_folder_is_refused_by_its_name(new, outside, link, to):
    (new / "sources").mkdir(exist_ok=True)
    if link.startswith("data/"):
        add_table(new, link)
    for existing in (new / link).parent.glob(f"{(new / link).name}"):
        existing.unlink()
    (new / link).parent.mkdir(exist_ok=True)
    (new / link).symlink_to(outside / to)
    outcome = judged(new)
    assert outcome.code
    assert f"{link} leads out of the project's folder, to {outside / to}" in outcome.err
    assert f'paths: ["{outside / to}"]' in outcome.err


def test_a_linked_section_folder_is_refused(new, outside):
    (outside / "experiments").mkdir()
    (outside / "secret.yaml").rename(outside / "experiments" / "a.yaml")
    (new / "experiments").symlink_to(outside / "experiments")
    assert "experiments leads out of the project's folder" in judged(new).err


@pytest.mark.parametrize(
    "name",
    [
        "experiments/a.yaml",
        "sources/click.sql",
        "models/pipe.yaml",
        "profiles.yaml",
        "data/things.csv",
    ],
)
def test_a_pipe_is_not_waited_for(new, name):
    if name.startswith("data/"):
        add_table(new, name)
    (new / name).unlink(missing_ok=True)
    (new / name).parent.mkdir(exist_ok=True)
    os.mkfifo(new / name)
    assert f"{name} is not a regular file" in judged(new).err


def test_a_pipe_that_sql_names_is_not_waited_for(new):
    os.mkfifo(new / "data" / "rows.csv")
    for path in ("data/rows.csv", "data/rows.*"):
        (new / "sources" / "click.sql").write_text(GOOD.format(f"'{path}'"))
        assert "data/rows.csv is not a regular file" in judged(new).err


def test_a_text_without_end_is_not_read(new):
    with (new / "features" / "item_history.sql").open("w") as file:
        file.truncate(1 << 30)
    assert "it has more than 4 MiB" in judged(new).err


@pytest.mark.parametrize(
    "relation",
    [
        "'{}/rows.parquet'",
        "'{}/*.parquet'",
        "'../outside/rows.parquet'",
        "read_parquet(['da' || 'ta/../../outside/rows.parquet'])",
        "read_text('{}/secret.csv')",
        "(SELECT content AS n FROM read_text('{}' || '/secret.csv'))",
        "(SELECT file AS n FROM glob('{}/*'))",
        "glob('/' || 'etc/*')",
        "'data/link.parquet'",
        "'data/l*.parquet'",
        "read_blob('/proc/self/environ')",
        "read_text('file:{}/secret.csv')",
        "sniff_csv('{}/secret.csv')",
        "parquet_metadata('{}' || '/rows.parquet')",
    ],
)
def test_sql_of_a_source_reads_no_file_that_the_project_does_not_name(new, outside, relation):
    (new / "data" / "link.parquet").symlink_to(outside / "rows.parquet")
    (new / "sources" / "click.sql").write_text("-- one\n" + GOOD.format(relation.format(outside)))
    outcome = judged(new)
    assert "sources/click.sql" in outcome.err
    assert (
        "leads out of the project's folder" in outcome.err
        or "Cannot access file" in outcome.err
        or "read by SQL here" in outcome.err
    )
    assert "line 2" in outcome.err or "Cannot access file" in outcome.err


def test_sql_of_a_source_asks_no_server_and_loads_nothing(new):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815  as the server looks it up

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/rows.parquet"
    try:
        for relation in (
            f"'{url}'",
            f"read_parquet('{url}')",
            f"read_parquet('{url[:4]}' || '{url[4:]}')",
            f"read_xlsx('{url}')",
        ):
            (new / "sources" / "click.sql").write_text(GOOD.format(relation))
            assert judged(new).code
        for statement in (
            "LOAD httpfs",
            "INSTALL httpfs",
            f"ATTACH '{url}' AS other",
            "COPY (SELECT 1) TO 'data/out.csv'",
            "SET threads = 1",
        ):
            (new / "sources" / "click.sql").write_text(statement)
            assert "not one SELECT" in judged(new).err
    finally:
        server.shutdown()
        server.server_close()
    assert not asked


def test_declared_paths_are_read_by_sql_by_source_and_through_links(new, outside):
    rows = pa.table(
        {
            "event_id": ["a"],
            "event_timestamp": pa.array([0], pa.timestamp("ms", tz="UTC")),
            "impression_id": ["i"],
        }
    )
    pq.write_table(rows, outside / "clicks.parquet")
    (new / "data" / "linked.parquet").symlink_to(outside / "clicks.parquet")
    for path in (
        f"{outside}/clicks.parquet",
        f"{outside}/c*.parquet",
        "../outside/clicks.parquet",
        "data/linked.parquet",
    ):
        for declared in (
            f"paths: [{outside}]\n",
            "paths: [data, ../outside]\n",
            f"paths: [{outside / 'clicks.parquet'}]\n",
        ):
            if "*" in path and "clicks" in declared:
                continue  # what a glob may match has to be declared as a folder
            before = (new / "project.yaml").read_text()
            (new / "project.yaml").write_text(declared + before)
            source = new / "sources" / "click.sql"
            sql = source.read_text()
            source.write_text(f"SELECT * FROM '{path}'")
            assert not im.validate(new).errors
            source.unlink()
            edit(new / "project.yaml", "  click:\n", f"  click:\n    source: {path}\n")
            assert not im.validate(new).errors
            (new / "project.yaml").write_text(before)
            source.write_text(sql)


@pytest.mark.parametrize(
    "path",
    [
        "{}/secret.jsonl",
        "{}",
        "{}/*.jsonl",
        "../outside/secret.jsonl",
        "data/linked.jsonl",
        "data/linked*",
    ],
)
def test_an_events_source_reads_no_file_that_the_project_does_not_name(new, outside, path):
    (new / "data" / "linked.jsonl").symlink_to(outside / "secret.jsonl")
    (new / "sources" / "click.sql").unlink()
    edit(new / "project.yaml", "  click:\n", f"  click:\n    source: {path.format(outside)}\n")
    outcome = judged(new)
    assert "project.yaml:" in outcome.err
    assert "leads out of the project's folder" in outcome.err
    assert "paths: [" in outcome.err


@pytest.mark.parametrize("path", ["~/logs", "s3://lake/logs", "data/*.csv", "' '"])
def test_a_declared_path_is_a_file_or_a_folder(new, path):
    (new / "project.yaml").write_text(f"paths: [{path}]\n" + (new / "project.yaml").read_text())
    assert "is not a path" in judged(new).err


def test_a_log_that_a_project_was_proposed_from_is_declared(tmp_path, outside):
    log = outside / 'the clicks\' "log".csv'
    log.write_text("event_timestamp,item_id\n" + "2019-11-30T10:00:00Z,1\n" * 3)
    isthmus(tmp_path, "init", "proposed", "--from", log)
    assert not im.validate(tmp_path / "proposed").errors
    isthmus(tmp_path / "proposed", "apply", "--yes")
    assert "3" in isthmus(tmp_path / "proposed", "ingest").out
    text = (tmp_path / "proposed" / "project.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("paths:"))
    (tmp_path / "proposed" / "project.yaml").write_text(text.replace(line, ""))
    outcome = isthmus(tmp_path / "proposed", "ingest", ok=False)
    assert line in outcome.err


def test_verbs_that_look_import_nothing_of_the_folder(new, tmp_path):
    """Files by the names of libraries that commands load late; in a process of its own, where
    nothing is loaded yet.
    """
    ran = tmp_path / "ran"
    for library in (
        "boto3",
        "duckdb",
        "google",
        "html",
        "numpy",
        "pandas",
        "pyarrow",
        "sqlglot",
        "sqlite3",
        "xml",
        "yaml",
    ):
        (new / f"{library}.py").write_text(
            f"open({str(ran)!r}, 'a').write('{library} ')\nraise ImportError\n"
        )
    for verb in (
        ["validate"],
        ["plan"],
        ["status"],
        ["query", "SELECT 1 AS one"],
        ["events", "describe", "click"],
        ["runs", "list"],
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-c", CHILD, *verb],
            cwd=new,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not ran.exists(), f"{verb} ran {ran.read_text()}"
        assert "ImportError" not in done.stderr
