"""Models that were trained for different objectives are compared by the outcomes of either."""

import numpy as np
import pyarrow as pa
import pytest

from isthmus.pipelines.evaluation import measure
from isthmus.pipelines.run_pages import runs
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.comparison_page import comparison_page
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.runs.document import local_path
from isthmus.tests.pipelines import trained
from isthmus.tests.pipelines.training import test_numbers

PROJECT = test_numbers.PROJECT.replace(
    "objectives:\n",
    """\
  click:
    attributes:
      impression_id: {type: string}
objectives:
  ctr: {rate: click / impression, within: 30m, unit: visitor_id, ranked_within: session_id}
""",
)
TRAINER = """
class Model:
    def __init__(self, column):
        self.column = column

    def predict(self, rows):
        return [row[self.column] for row in rows]


def train(data, label, features, column):
    return Model(column)
"""
LISTS, SIZE = 400, 6


def logs(seed=5):
    """The same lists with both outcomes: bait (the upper half of items) is clicked and soon left."""
    random = np.random.default_rng(seed)
    table = test_numbers.data(LISTS, SIZE, seed)
    items = table["item_id"].to_numpy()
    rate = 0.1 + 0.06 * items
    clicked = random.random(len(items)) < rate
    seconds = (
        clicked * np.where(items < 5, 60.0, 3.0) * np.exp(random.normal(-0.1, 0.4, len(items)))
    )
    names = table.column_names

    def outcome(values):
        place = names.index("outcome")
        return (
            table.set_column(place, "outcome", pa.array(values))
            .append_column("item_ctr", pa.array(rate))
            .set_column(
                names.index("item_dwell"),
                "item_dwell",
                pa.array(np.where(items < 5, 60.0, 3.0) * rate),
            )
        )

    return {"ctr": outcome(clicked.astype(np.int64)), "dwell": outcome(np.minimum(seconds, 120.0))}


def configure(folder, name, objective, column, extra=""):
    (folder / "models" / f"{name}.yaml").write_text(
        f"model: ranker\nobjective: {objective}\ntrainer: both_trainer.train\n"
        f"window: 2020-01-01 .. 2020-01-07\nparameters: {{column: {column}}}\n"
        f"features: [item_history.item_dwell, item_history.item_ctr]\n{extra}"
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both") / "shop"
    (folder / "features").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "features" / "item_history.sql").write_text(
        "SELECT item_id, event_timestamp, created_timestamp, avg(outcome) AS item_dwell, "
        "avg(outcome) AS item_ctr FROM dwell GROUP BY 1, 2, 3\n"
    )
    (folder / "both_trainer.py").write_text(TRAINER)
    configure(folder, "clicks", "ctr", "item_ctr", "alias: champion\n")
    configure(
        folder,
        "long",
        "dwell",
        "item_dwell",
        "gate: {value@1_vs_champion: {at_least: 0}, rmse_vs_champion: {at_most: 0}}\n",
    )
    configure(folder, "same", "dwell", "item_ctr")
    tables = logs()
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        trained.run_here(project, "clicks", tables["ctr"], patch)
        trained.run_here(project, "long", tables["dwell"], patch)
        trained.run_here(project, "same", tables["dwell"], patch)
        yield project


def mean_of_first(project, scores_of, outcomes_of):
    """The mean outcome of the row that comes first in its list, equal scores sharing the place."""
    scores, outcomes = (
        runs.predictions_of(project.target.blobs, name).sort_by("event_id")
        for name in (scores_of, outcomes_of)
    )
    lists = scores["ranked_within"].to_numpy(zero_copy_only=False)
    score, outcome = scores["prediction"].to_numpy(), outcomes["outcome"].to_numpy()
    first = []
    for one in np.unique(lists):
        inside = lists == one
        first.append(outcome[inside][score[inside] == score[inside].max()].mean())
    return float(np.mean(first))


def test_a_model_that_wins_clicks_and_loses_dwell_is_said_to(shop):
    (pair,) = compare(shop, "r1", "r2")
    assert pair.other.objective == "ctr"
    assert (pair.verdict, pair.metric, pair.other.metric) == ("better", "value@1", "ndcg@10")
    assert pair.other.deciding.high < 0
    assert "the model for ctr wins ctr and loses dwell" in str(pair)


def test_both_models_are_measured_by_the_outcomes_of_either(shop):
    (pair,) = compare(shop, "r1", "r2")
    for figures, name in ((pair.first_figures, "r1"), (pair.second_figures, "r2")):
        assert figures["value@1"].value == pytest.approx(mean_of_first(shop, name, "r2"))
    own = runs.get_run(shop, "r1").evaluation.metrics["ndcg@10"]
    assert pair.other.first["ndcg@10"].value == pytest.approx(own.value)
    between = pair.other.second["ndcg@10"].value - pair.other.first["ndcg@10"].value
    assert pair.other.deciding.value == pytest.approx(between)


def test_figures_on_the_scale_of_another_outcome_are_left_out(shop):
    (pair,) = compare(shop, "r1", "r2")
    for figures in (pair.differences, pair.first_figures, pair.second_figures, pair.other.first):
        assert not {"rmse", "mae", "r2", "calibration", "log_loss"} & set(figures)
    assert pair.base_log_loss is None


def test_the_other_way_round_the_same_differences_have_the_other_sign(shop):
    (forth,), (back,) = compare(shop, "r1", "r2"), compare(shop, "r2", "r1")
    assert back.metric == "ndcg@10"
    assert back.deciding().value == pytest.approx(-forth.other.deciding.value)
    assert back.other.deciding.value == pytest.approx(-forth.deciding().value)


def test_the_same_ranking_for_another_objective_wins_and_loses_nothing(shop):
    (pair,) = compare(shop, "r1", "r3")
    assert pair.verdict == "undecided"
    assert pair.deciding().value == pair.other.deciding.value == 0.0
    assert "loses" not in str(pair)


def test_a_run_says_what_it_wins_and_loses_against_a_champion_for_another_objective(shop):
    run = runs.get_run(shop, "r2")
    assert run.champion.other.objective == "ctr"
    assert "trade-off     against a model for ctr r2 ranks better for dwell (value@1 +" in str(run)
    page = local_path(run_uri(shop.target.blobs, "r2")).read_text()
    assert "the model for ctr wins ctr and loses dwell" in page
    assert "ctr ndcg@10 against the champion" in page
    assert runs.get_run(shop, "r1").champion.other is None


def test_a_gate_passes_no_figure_on_the_scale_of_another_outcome(shop):
    """A click's chance is further from the seconds than any forecast of them."""
    checks = {check.name: check for check in runs.get_run(shop, "r2").checks.checks}
    assert checks["value@1_vs_champion"].verdict == "pass"
    assert checks["rmse_vs_champion"].verdict == "inconclusive"
    assert (
        checks["rmse_vs_champion"].reason == "the champion predicts ctr, which is on another scale"
    )


def test_the_page_of_two_objectives_has_the_charts_and_figures_of_both(shop):
    page = comparison_page(shop, compare(shop, "r1", "r2")).read_text()
    for text in ("dwell value@1", "ctr ndcg@10", "ROC", "Share of all dwell", "loses dwell"):
        assert text in page
    several = comparison_page(shop, compare(shop, "r1", "r2", "r3"))
    assert "by ctr" in several.read_text()


def test_without_lists_the_order_of_all_rows_decides(shop):
    bare = []
    for name in ("r2", "r1"):
        table = runs.predictions_of(shop.target.blobs, name)
        for column in ("unit", "ranked_within"):
            nothing = pa.nulls(table.num_rows, pa.string())
            table = table.set_column(table.column_names.index(column), column, nothing)
        bare.append(table)
    assert measure.by_other_objective(bare[1], bare[0], "ctr").metric == "auc"
    assert measure.by_other_objective(bare[0], bare[1], "dwell").metric == "spearman"
