"""`init --from`: a file of events becomes a project that validates, takes the file's rows, and says
what was guessed.
"""

import json
from datetime import UTC, datetime

import duckdb
import pytest

import isthmus as im
from isthmus.errors import AlreadyExists, Invalid, NotFound
from isthmus.tests.cli.running import isthmus
from isthmus.tests.lifecycle.start.sample_logs import english_csv, site

VIEWS = """
SELECT uuid() AS id, CAST(TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS VARCHAR) AS ts, i % 5 AS user_id, 'p' || (i % 7) AS "Product ID",
       CASE WHEN i % 3 > 0 THEN i * 1.5 END AS price, [1, 2] AS tags, i % 2 = 0 AS "Group"
FROM range(100) AS t(i)
"""
RATINGS = (
    "SELECT i // 2 % 10 AS user_id, i // 2 % 13 AS item_id, 880000000 + i // 2 * 60 AS timestamp "
    "FROM range(60) AS t(i)"
)


def written(path, query):
    duckdb.sql(query).write_parquet(str(path)) if path.suffix == ".parquet" else duckdb.sql(
        query
    ).write_csv(str(path))
    return path


def ingested(folder):
    assert im.validate(folder / "project.yaml").errors == ()
    with im.open(folder / "project.yaml", target="local") as project:
        im.apply(project)
        (report,) = im.ingest(project)
        im.materialize(project)
        return report.event, report.stored, report.quarantined


def test_a_parquet_file_with_ids_and_times_of_its_own(tmp_path):
    made = im.init(tmp_path / "shop", source=written(tmp_path / "page views.parquet", VIEWS))
    assert made.guesses == (
        "each of the 100 rows of page views.parquet, which is read where it lies, is one page_view",
        'event_timestamp: CAST("ts" AS TIMESTAMPTZ), until 2024-01-01 01:39:00',
        "event_id: id",
        "entity product: Product ID, 7 of them",
        "entity user: user_id, 5 of them",
        "renamed, as SQL's names are in small letters: Product ID is product_id",
        "left out: tags: no attribute can have its type; Group: no attribute can have its name",
        "now: the log's end, as it is old; take the line out when events arrive",
    )
    assert ingested(tmp_path / "shop") == ("page_view", 100, 0)


def test_a_csv_file_whose_times_are_seconds_and_whose_rows_repeat(tmp_path):
    made = im.init(tmp_path / "shop", source=written(tmp_path / "ratings.csv", RATINGS))
    assert "event_id: a digest of the row, as no column names each row once" in made.guesses
    assert ingested(tmp_path / "shop") == ("rating", 60, 0)


def test_a_file_whose_row_group_takes_more_memory_than_ingest_judges_with(tmp_path):
    text = "repeat(chr(97 + i::INT), 7_000_000) AS text"
    large = (
        f"SELECT i AS id, TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS ts, {text} FROM "
        "range(10) AS t(i)"
    )
    made = im.init(tmp_path / "shop", source=written(tmp_path / "views.parquet", large))
    assert made.guesses[0].startswith("each of the 10 rows")


@pytest.mark.parametrize(
    ("time", "instant"),
    [
        ('"2024-01-09T12:00:00+09:00"', '"timestamp"'),
        ('"2024-01-09T03:00:00"', """CAST("timestamp" AS TIMESTAMP) AT TIME ZONE 'UTC'"""),
        ("1704769200000", 'make_timestamptz("timestamp"::BIGINT * 1000)'),
        ("1704769200000.0", 'make_timestamptz("timestamp"::BIGINT * 1000)'),
        ("1704769200000000", 'make_timestamptz("timestamp"::BIGINT)'),
    ],
)
def test_times_of_other_shapes(tmp_path, time, instant):
    log = tmp_path / "clicks.jsonl"
    log.write_text(f'{{"timestamp": {time}, "page": "home"}}\n')
    made = im.init(tmp_path / "shop", source=log)
    assert made.guesses[1] == f"event_timestamp: {instant}, until 2024-01-09 03:00:00"
    assert made.guesses[0].endswith("is one click")


def test_times_that_are_text_under_a_name_of_their_own_and_the_row_numbers_of_a_frame(tmp_path):
    query = (
        "SELECT 'T-1' AS track, '2024-01-09T03:00:00.5+00:00' AS shown_at, 7 AS __index_level_0__"
    )
    guesses = im.init(tmp_path / "music", source=written(tmp_path / "plays.parquet", query)).guesses
    assert (
        guesses[1] == 'event_timestamp: CAST("shown_at" AS TIMESTAMPTZ), until 2024-01-09 03:00:00'
    )
    assert guesses[3].startswith("left out: __index_level_0__: ")
    assert ingested(tmp_path / "music") == ("play", 1, 0)


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("log.csv", "a,b\n1,2\n", Invalid, "no column of times"),
        ("log.tsv", "ts\tpage\n", Invalid, "has no rows"),
        ("log.xlsx", "", Invalid, "no format of events"),
        ("log.parquet", "no Parquet", Invalid, "log.parquet"),
        ("log.json", json.dumps([{"ts": None}]), Invalid, "no column of times"),
    ],
)
def test_a_file_without_events_is_refused_and_nothing_is_made(tmp_path, name, text, error, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(error, match=words):
        im.init(tmp_path / "shop", source=tmp_path / name)
    assert not (tmp_path / "shop").exists()


def test_columns_that_would_have_one_name_and_spans_of_time_are_left_out(tmp_path):
    log = written(
        tmp_path / "visits.parquet",
        'SELECT 1704769200 AS ts, 1 AS "User ID", 2 AS user_id, INTERVAL 3 DAY AS stay, '
        "'home' AS page",
    )
    made = im.init(tmp_path / "shop", source=log)
    assert any(
        guess.startswith("left out: user_id: another has its name; stay:") for guess in made.guesses
    )
    assert ingested(tmp_path / "shop") == ("visit", 1, 0)


@pytest.mark.parametrize(
    ("name", "inside", "project"),
    [("my-first-web-shop-of-all", False, "my_first_web_sho"), ("corner-shop", True, "corner_shop")],
)
def test_the_project_has_the_name_of_its_folder_as_one_from_an_example_has(
    tmp_path, monkeypatch, name, inside, project
):
    log, folder = written(tmp_path / "ratings.csv", RATINGS), tmp_path / name
    if inside:
        folder.mkdir()
        monkeypatch.chdir(folder)
    im.init("." if inside else folder, source=log)
    assert (folder / "project.yaml").read_text().startswith(f"name: {project}\n")


def test_what_is_not_there_not_new_or_both_is_refused(tmp_path):
    with pytest.raises(NotFound, match="is not there"):
        im.init(tmp_path / "shop", source=tmp_path / "log.csv")
    with pytest.raises(Invalid, match="not from both"):
        im.init(tmp_path / "shop", source="log.csv", example="shop")
    log = written(tmp_path / "ratings.csv", RATINGS)
    with pytest.raises(AlreadyExists):
        im.init(tmp_path, source=log)


LOG = """
SELECT 'r' || (i // 5) AS request_id, 'u' || (i % 9) AS user_id, 'a' || (i % 13) AS item_id,
       TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS ts, i % 4 = 0 AS "clicked: ""yes"" # or no"
FROM range(200) AS t(i)
"""


def test_a_column_may_be_called_anything(tmp_path):
    log = written(tmp_path / "log.parquet", LOG)
    im.init(tmp_path / "shop", source=log, roles={"outcome": 'clicked: "yes" # or no'})
    assert im.validate(tmp_path / "shop" / "project.yaml").problems == ()
    with im.open(tmp_path / "shop" / "project.yaml") as project:
        assert project.spec.events["click"].description == 'clicked: "yes" # or no is true'


def test_an_items_feature_has_another_name_than_every_column_of_a_training_row(tmp_path):
    log = written(
        tmp_path / "views.parquet",
        LOG.replace("SELECT", "SELECT i % 13 % 3 AS kind, i % 13 % 2 AS item_kind, ", 1),
    )
    im.init(tmp_path / "shop", source=log, roles={"outcome": 'clicked: "yes" # or no'})
    with im.open(tmp_path / "shop" / "project.yaml") as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        (model,) = project.spec.models.values()
        table = im.training_set(
            project,
            model.objective,
            model.features,
            start=datetime(2024, 1, 1, tzinfo=UTC),
            end=project.now(),
        )
    assert {"item_kind", "own_item_kind", "item_item_kind"} <= set(table.column_names)


def test_outcomes_of_a_second_file_that_lead_to_no_row_are_refused_and_nothing_is_made(tmp_path):
    log = written(tmp_path / "views.parquet", LOG)
    orders = written(
        tmp_path / "orders.parquet",
        "SELECT 'other-' || (i % 7) AS user_id, 'a' || (i % 13) AS item_id, "
        "TIMESTAMP '2024-01-02' + INTERVAL (i) MINUTE AS ts FROM range(30) AS t(i)",
    )
    with pytest.raises(Invalid, match=r"none follows a row of views.parquet \(by user_id and item"):
        im.init(tmp_path / "shop", source=[log, orders], roles={"request": ""})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["orders.parquet", "views.parquet"]


def test_the_share_of_rows_with_an_outcome_counts_rows_and_not_outcomes(tmp_path):
    log = written(tmp_path / "views.parquet", LOG)
    orders = written(  # three for each of the first ten rows
        tmp_path / "orders.parquet",
        "SELECT 'u' || (i % 10 % 9) AS user_id, 'a' || (i % 10) AS item_id, "
        "TIMESTAMP '2024-01-01' + INTERVAL (i % 10) MINUTE + INTERVAL (i) SECOND AS ts "
        "FROM range(30) AS t(i)",
    )
    made = im.init(tmp_path / "shop", source=[log, orders], roles={"request": ""})
    assert any("; 5 % of the rows, within 30m" in guess for guess in made.guesses), made.guesses


def test_a_log_that_reaches_far_back_is_ingested_as_a_backfill_from_the_start(tmp_path):
    """A newcomer types what `init` says is next: nothing of the log goes to the quarantine."""
    log = site().drop(columns="price")
    log["ts"] = log["ts"].min() + (log["ts"] - log["ts"].min()) * 8  # 155 days instead of 19
    log.to_parquet(tmp_path / "views.parquet")
    said = isthmus(tmp_path, "init", "mine", "--from", "views.parquet")
    assert "isthmus apply && isthmus ingest --backfill && isthmus materialize" in said.out
    isthmus(tmp_path / "mine", "apply")
    isthmus(tmp_path / "mine", "ingest", "--backfill")
    short = im.init(tmp_path / "short", source=english_csv(tmp_path))
    assert not short.backfill


@pytest.mark.parametrize(
    ("outcome", "says", "remedy"),
    [
        ("device", "outcome=device: it is neither 0 and 1", "'outcome=device = desktop'; it has"),
        ("device = tablet", "no row of views.csv has device = 'tablet'", "--as outcome=COLUMN"),
        ("position >= 1", "every row of views.csv has position >= 1", "--as outcome=COLUMN"),
    ],
)
def test_an_outcome_that_was_named_and_tells_nothing_apart_is_refused(
    tmp_path, outcome, says, remedy
):
    source = english_csv(tmp_path)
    with pytest.raises(Invalid) as refused:
        im.init(tmp_path / "mine", source=source, roles={"outcome": outcome})
    assert says in refused.value.message
    assert remedy in refused.value.remedy
    assert not (tmp_path / "mine").exists()
