"""`init --from` of a log whose outcome is a number: the objective is its sum per row, and the model
a linear regression; a condition makes it yes or no.
"""

import shlex

import duckdb
import pyarrow.compute as pc
import pytest

import isthmus as im
from isthmus.errors import Invalid
from isthmus.tests.lifecycle.start import sample_logs

SEEN = """
SELECT 'i' || i AS impression_id, 'u' || (i % 30) AS user_id, 'a' || (i % 17) AS item_id,
       TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS ts, {columns}
FROM range(900) AS t(i)
"""
SECONDS = "CASE WHEN i % 3 = 0 THEN (i % 17) * 2.5 END AS dwell"
STAYS = """
SELECT 'i' || (i * 3) AS impression_id, (i * 3 % 17) * 2.5 + n AS seconds, i % 2 AS ended,
       TIMESTAMP '2024-01-01' + INTERVAL (i * 3) MINUTE + INTERVAL (20 + n) SECOND AS ts
FROM range(300) AS t(i), range(2) AS two(n)
"""


def parquet(path, query):
    duckdb.sql(query).write_parquet(str(path))
    return path


def project_of(tmp_path, sources, **roles):
    """The project proposed for logs, its model, and the labels of its objective's rows."""
    made = im.init(tmp_path / "mine", source=sources, roles=roles or None)
    file = tmp_path / "mine" / "project.yaml"
    assert im.validate(file).problems == ()
    assert not list(file.parent.glob("*.py"))
    with im.open(file) as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        (model,) = project.spec.models.values()
        objective = project.spec.objectives[model.objective]
        labels = project.target.warehouse.query(f"SELECT outcome FROM {model.objective}", {})
    return made, model, objective, labels["outcome"].combine_chunks()


def test_seconds_of_a_row_are_what_is_maximised(tmp_path):
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=SECONDS))
    made, model, objective, labels = project_of(tmp_path, log)
    total = sum(i % 17 * 2.5 for i in range(0, 900, 3))
    assert (
        f"objective mean_dwell: the sum of dwell per impression, {total / 900:.4g} on average; "
        "--as 'outcome=dwell >= 20' makes it yes or no"
    ) in made.guesses
    assert "outcome stay: dwell, a number of 0 to 40; 33.3 % of the rows, within 30m" in (
        made.guesses
    )
    assert (objective.outcome, objective.sums, objective.unit) == ("stay", "dwell", "user_id")
    assert (model.objective, model.trainer) == ("mean_dwell", "isthmus.linear")
    assert len(labels) == 900
    assert pc.sum(labels).as_py() == total


def test_a_condition_makes_the_number_yes_or_no(tmp_path):
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=SECONDS))
    _, model, objective, labels = project_of(tmp_path, log, outcome="dwell >= 20")
    assert (objective.sums, model.trainer) == (None, "isthmus.logistic")
    assert set(labels.to_pylist()) == {0, 1}


def test_a_second_files_number_is_named_and_added_up_by_row(tmp_path):
    seen = parquet(tmp_path / "views.parquet", SEEN.format(columns="i % 5 AS position"))
    stays = parquet(tmp_path / "stays.parquet", STAYS)
    made, model, objective, labels = project_of(tmp_path, [seen, stays], outcome="seconds")
    assert (objective.outcome, objective.sums) == ("stay", "seconds")
    assert (model.objective, model.trainer) == ("mean_seconds", "isthmus.linear")
    assert any(
        "a row of stays.parquet with seconds, a number of 0 to 41" in g for g in made.guesses
    )
    assert pc.sum(labels).as_py() == sum(i % 17 * 2.5 * 2 + 1 for i in range(0, 900, 3))


def test_a_second_files_condition_picks_its_rows(tmp_path):
    seen = parquet(tmp_path / "views.parquet", SEEN.format(columns="i % 5 AS position"))
    stays = parquet(tmp_path / "stays.parquet", STAYS)
    _, model, _, labels = project_of(tmp_path, [seen, stays], outcome="ended = 1")
    assert model.trainer == "isthmus.logistic"
    assert pc.sum(labels).as_py() == len([i for i in range(0, 900, 3) if i // 3 % 2])


def test_a_second_files_stars_are_guessed(tmp_path):
    seen = parquet(tmp_path / "views.parquet", SEEN.format(columns="i % 5 AS position"))
    query = STAYS.replace("AS seconds", "AS stars")
    made = im.init(tmp_path / "mine", source=[seen, parquet(tmp_path / "ratings.parquet", query)])
    assert any(guess.startswith("objective mean_stars: ") for guess in made.guesses)


def test_what_is_not_finite_is_no_number(tmp_path):
    columns = (
        "CASE i % 4 WHEN 0 THEN 'NaN'::DOUBLE WHEN 1 THEN 'inf'::DOUBLE ELSE i % 17 END AS score"
    )
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=columns))
    made, _, _, labels = project_of(tmp_path, log)
    assert "outcome rating: score, a number of 0 to 16; 50 % of the rows, within 30m" in (
        made.guesses
    )
    assert pc.sum(labels).as_py() == sum(i % 17 for i in range(900) if i % 4 > 1)


def test_a_number_may_be_negative(tmp_path):
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns="i % 9 - 4 AS score"))
    _, _, objective, labels = project_of(tmp_path, log)
    assert objective.sums == "score"
    assert pc.min(labels).as_py() == -4


ORDERS = """
SELECT 100000 + i // 2 AS order_id, 'i' || (i * 3) AS impression_id, i % 5 * 1.5 AS score,
       TIMESTAMP '2024-01-01' + INTERVAL (i * 3) MINUTE + INTERVAL 20 SECOND AS ts
FROM range(300) AS t(i)
"""


def test_neither_ids_nor_scores_of_orders_are_added_up(tmp_path):
    seen = parquet(tmp_path / "imps.parquet", SEEN.format(columns="i % 5 AS position"))
    orders = parquet(tmp_path / "orders.parquet", ORDERS)
    _, model, objective, labels = project_of(tmp_path, [seen, orders])
    assert (objective.outcome, objective.sums) == ("purchase", None)
    assert model.trainer == "isthmus.logistic"
    assert pc.sum(labels).as_py() == 300


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE"])
def test_a_row_with_an_orders_id_was_followed_by_one(tmp_path, kind):
    columns = f"CASE WHEN i % 3 = 0 THEN 5000 + i // 6 END::{kind} AS order_id"
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=columns))
    made, model, objective, labels = project_of(tmp_path, log)
    assert any("order_id has a value; 33.3 % of the rows" in guess for guess in made.guesses)
    assert (objective.sums, model.trainer) == (None, "isthmus.logistic")
    assert pc.sum(labels).as_py() == 300


def test_an_id_in_every_row_is_no_outcome_but_what_was_paid_is_when_it_is_named(tmp_path):
    columns = "5000 + i // 6 AS order_id, i % 7 * 10 AS amount_paid"
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=columns))
    assert [missing.role for missing in im.init(tmp_path / "mine", source=log).missing] == [
        "outcome"
    ]
    made = im.init(tmp_path / "other", source=log, roles={"outcome": "amount_paid"})
    assert any(guess.startswith("objective mean_amount_paid: ") for guess in made.guesses)


@pytest.mark.parametrize(
    "clicked", ["i % 4 = 0", "(i % 4 = 0)::INT", "CASE WHEN i % 4 = 0 THEN 'yes' ELSE 'no' END"]
)
def test_yes_or_no_is_a_likelier_outcome_than_a_number_before_it(tmp_path, clicked):
    columns = f"i % 17 / 16 AS score, {clicked} AS clicked"
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=columns))
    _, model, objective, labels = project_of(tmp_path, log)
    assert (objective.outcome, objective.sums, model.trainer) == ("click", None, "isthmus.logistic")
    assert pc.sum(labels).as_py() == 225


@pytest.mark.parametrize(
    ("column", "values", "threshold"),
    [
        ("user's rating", "1001 + i % 4", "1003"),
        ("rating", "4455 + i % 2", "4456"),
        ("rating", "(4455 + i % 2)::DOUBLE / 1000", "4.456"),
        ("rating", "CASE WHEN i % 5 = 0 THEN 1 ELSE 4 + i % 2 END", "5"),
    ],
)
def test_the_condition_that_is_proposed_can_be_given_as_it_is_printed(
    tmp_path, column, values, threshold
):
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=f'{values} AS "{column}"'))
    made = im.init(tmp_path / "mine", source=log)
    (guess,) = (guess for guess in made.guesses if guess.startswith("objective mean_"))
    command = guess.partition("; ")[2].partition(" makes it")[0]
    option, role = shlex.split(command)
    assert (option, role) == ("--as", f"outcome={column} >= {threshold}")
    _, model, _, labels = project_of(tmp_path / "again", log, outcome=role.partition("=")[2])
    assert model.trainer == "isthmus.logistic"
    assert 0.3 < pc.mean(labels).as_py() < 0.7


def test_an_item_begins_with_the_logs_mean_as_it_is(tmp_path):
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns="123456 + i % 4 AS rating"))
    im.init(tmp_path / "mine", source=log)
    assert "+ 1234575) /" in (tmp_path / "mine" / "features" / "item_history.sql").read_text()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("7 AS score", "outcome score: every row of views.parquet has 7"),
        ("NULL::DOUBLE AS score", "outcome score: it has no number"),
    ],
)
def test_a_number_that_tells_no_rows_apart_is_refused_when_it_is_named(tmp_path, columns, words):
    log = parquet(tmp_path / "views.parquet", SEEN.format(columns=columns))
    with pytest.raises(Invalid, match=words):
        im.init(tmp_path / "mine", source=log, roles={"outcome": "score"})
    assert not (tmp_path / "mine").exists()
    assert [missing.role for missing in im.init(tmp_path / "mine", source=log).missing] == [
        "outcome"
    ]


@pytest.mark.slow
def test_stars_are_learnt_and_predicted_as_a_number(tmp_path):
    source = sample_logs.stars_as_grades(tmp_path)
    im.init(tmp_path / "mine", source=source)
    with im.open(tmp_path / "mine" / "project.yaml") as project:
        im.apply(project)
        im.ingest(project)
        im.materialize(project)
        run = im.train(project, "first")
    log = sample_logs.site()
    assert run.evaluation.metrics["spearman"].low > 0, (
        "items differ, and their history tells them apart"
    )
    assert run.data.mean == pytest.approx(3, abs=0.1)
    assert run.data.rows > 0.95 * len(log)
