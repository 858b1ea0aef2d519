"""A model of a number from its training set to its record: figures, gate, texts and pages."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from isthmus.errors import ProjectError
from isthmus.pipelines.run_pages import runs
from isthmus.pipelines.run_pages.compare import compare
from isthmus.pipelines.run_pages.comparison_page import comparison_page
from isthmus.pipelines.run_pages.report_store import run_uri
from isthmus.pipelines.run_pages.run_list import leading_figures, list_runs
from isthmus.pipelines.runs.document import local_path
from isthmus.pipelines.tracking import fields
from isthmus.tests.pipelines import trained
from isthmus.tests.pipelines.run_pages.test_report import Whole

PROJECT = """
name: shop
now: 2020-01-08T00:00:00Z
entities:
  item: {key: item_id, type: int}
events:
  impression:
    attributes:
      item_id: {type: int}
      visitor_id: {type: string}
      session_id: {type: string}
  stay:
    attributes:
      impression_id: {type: string}
      seconds: {type: float}
objectives:
  dwell:
    rate: sum stay.seconds / impression
    within: 30m
    at_most: 120
    unit: visitor_id
    ranked_within: session_id
feature_views:
  item_history: {entity: item, ttl: 7d}
"""
VIEW = (
    "SELECT item_id, event_timestamp, created_timestamp, avg(outcome) AS item_dwell, "
    "count(*) AS seen FROM dwell GROUP BY 1, 2, 3\n"
)
TRAINER = """
class Model:
    def __init__(self, sign):
        self.sign = sign

    def predict(self, rows):
        return [20 + self.sign * ((row["item_dwell"] or 10) - 10) for row in rows]


def train(data, label, features, sign=1.0):
    return Model(sign)
"""
CONFIG = """
model: ranker
objective: dwell
features: [item_history.item_dwell, item_id]
trainer: dwell_trainer.train
window: 2020-01-01 .. 2020-01-07
evaluate: {segments: [item_id]}
"""


def make_project(folder):
    folder.mkdir()
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "features").mkdir()
    (folder / "features" / "item_history.sql").write_text(VIEW)
    (folder / "dwell_trainer.py").write_text(TRAINER)
    configure(folder, "good", "alias: champion\ngate: {spearman: {at_least: 0}}\n")
    return folder


def configure(folder, name, extra):
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / f"{name}.yaml").write_text(CONFIG + extra)


def data(lists=500, size=6, seed=3):
    """Seven days of lists of 60 visitors; an item's mean dwell shows in item_dwell."""
    random = np.random.default_rng(seed)
    rows = lists * size
    start = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    shown = [
        start + timedelta(seconds=int(second))
        for second in np.sort(random.integers(0, 7 * 86400, lists))
        for _ in range(size)
    ]
    visitors = np.repeat(random.integers(0, 60, lists), size)
    items = random.integers(0, 10, rows)
    scale = 4.0 + 2 * items
    stayed = random.random(rows) < 0.5
    seconds = np.minimum(120.0, stayed * scale * np.exp(random.normal(0, 1, rows)))
    stamp = pa.timestamp("ms")
    return pa.table(
        {
            "event_id": [f"e{i}" for i in range(rows)],
            "event_timestamp": pa.array(shown, stamp),
            "created_timestamp": pa.array([one + timedelta(minutes=30) for one in shown], stamp),
            "outcome": pa.array(seconds, pa.float64()),
            "item_id": pa.array(items, pa.int64()),
            "visitor_id": [f"v{one}" for one in visitors],
            "session_id": [f"s{one}" for one in np.repeat(np.arange(lists), size)],
            "item_dwell": pa.array(scale / 2, pa.float64()),
        }
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("numbers") / "shop")
    configure(
        folder,
        "worse",
        "parameters: {sign: -0.5}\n"
        "gate: {rmse_vs_champion: {at_most: 0}, value@1_vs_champion: {at_least: 0}, leaks: none}\n",
    )
    with pytest.MonkeyPatch.context() as patch, trained.open_project(folder) as project:
        trained.run_here(project, "good", data(), patch, curve=True)
        trained.run_here(project, "worse", data(), patch)
        yield project


def test_the_figures_are_those_of_scipy_and_scikit_learn(shop):
    found = runs.get_run(shop, "r1").evaluation
    table = runs.predictions_of(shop.target.blobs, "r1")
    truth, scores = table["outcome"].to_numpy(), table["prediction"].to_numpy()
    figures = {name: figure.value for name, figure in found.figures().items()}
    assert set(figures) == {
        "rmse",
        "mae",
        "r2",
        "spearman",
        "calibration",
        "ndcg@10",
        "value@1",
        "value@10",
    }
    assert figures["rmse"] == pytest.approx(root_mean_squared_error(truth, scores))
    assert figures["mae"] == pytest.approx(mean_absolute_error(truth, scores))
    assert figures["r2"] == pytest.approx(r2_score(truth, scores))
    assert figures["spearman"] == pytest.approx(spearmanr(scores, truth)[0])
    assert figures["calibration"] == pytest.approx(truth.sum() / scores.sum())
    assert found.mean.value == pytest.approx(truth.mean())
    assert found.capped == (truth == 120).mean() > 0
    assert found.positives == (truth > 0).sum()
    assert (found.auc, found.log_loss, found.base_log_loss) == (None, None, 0)
    assert found.base_rmse == pytest.approx(
        root_mean_squared_error(truth, table["base_rate"].to_numpy())
    )
    for figure in (found.mean, *found.figures().values()):
        assert figure.low < figure.value < figure.high


def test_tenths_of_the_predictions_hold_all_rows_and_their_means(shop):
    found = runs.get_run(shop, "r1").evaluation
    table = runs.predictions_of(shop.target.blobs, "r1")
    truth, scores = table["outcome"].to_numpy(), table["prediction"].to_numpy()
    assert sum(part.rows for part in found.deciles) == found.rows
    assert 8 <= len(found.deciles) <= len(np.unique(scores)) == 10
    order, end = np.argsort(scores, kind="stable"), 0
    for part in found.deciles:
        inside = order[end : (end := end + part.rows)]
        assert part.predicted == pytest.approx(scores[inside].mean())
        assert part.outcome == pytest.approx(truth[inside].mean())
        assert part.interval.low < part.outcome < part.interval.high


def test_periods_and_segments_have_the_correlation_and_no_auc(shop):
    run = runs.get_run(shop, "r1")
    table = runs.predictions_of(shop.target.blobs, "r1")
    truth, scores, place = (table[name].to_numpy() for name in ("outcome", "prediction", "period"))
    for number, period in enumerate(run.evaluation.periods):
        assert period.auc is None
        assert period.spearman == pytest.approx(
            spearmanr(scores[place == number], truth[place == number])[0]
        )
    assert {name for segment in run.segments for name in segment.figures} >= {"rmse", "mae"}


def test_the_data_say_what_a_label_sums_and_how_many_rows_the_cap_cut(shop):
    record, table = runs.get_run(shop, "r1").data, data()
    truth = table["outcome"].to_numpy()
    assert (record.sums, record.at_most) == ("seconds", 120)
    assert record.mean == pytest.approx(truth.mean())
    assert record.capped == (truth == 120).mean()
    assert record.positives == (truth > 0).sum()


def test_the_worse_model_fails_its_gate_though_no_feature_has_seen_the_number(shop):
    good, worse = (runs.get_run(shop, name) for name in ("r1", "r2"))
    assert (good.gate, good.alias, worse.gate, worse.alias) == ("pass", "champion", "fail", None)
    assert {check.name: check.verdict for check in worse.checks.checks} == {
        "rmse_vs_champion": "fail",
        "value@1_vs_champion": "fail",
        "leaks": "pass",
    }
    assert worse.champion.difference is None
    assert set(worse.champion.differences) >= {"rmse", "mae", "r2", "spearman", "value@1"}


@pytest.mark.parametrize(
    ("make", "gate", "message"),
    [
        (make_project, "auc", "dwell is a number, which has no auc"),
        (make_project, "recall@10_vs_champion", "dwell is a number, which has no recall@10"),
        (trained.make_project, "rmse", "ctr is a rate of rows with an outcome, which has no rmse"),
    ],
)
def test_a_gate_on_a_figure_of_the_other_kind_is_refused(tmp_path, make, gate, message):
    folder = make(tmp_path / "shop")
    with (folder / "models" / "good.yaml").open("a") as file:
        file.write(f"gate: {{{gate}: {{at_least: 0}}}}\n")
    text = (folder / "models" / "good.yaml").read_text()
    text = text.replace("gate: {spearman: {at_least: 0}}\n", "")
    (folder / "models" / "good.yaml").write_text(text)
    with pytest.raises(ProjectError, match=re.escape(message)):
        trained.open_project(folder)


def test_the_summary_speaks_of_the_number(shop):
    good, worse = (str(runs.get_run(shop, name)) for name in ("r1", "r2"))
    for line in (
        "mean ",
        "model off by",
        "spearman",
        "rmse",
        "predicted",
        "observed",
        "at the cap",
    ):
        assert line in good
    assert "vs champion   spearman -" in worse
    assert "2 of 2 features looked at" in worse
    for text in (good, worse):
        assert "auc" not in text.lower()
        assert "positive" not in text
        assert "log loss" not in text


def test_the_comparison_is_decided_by_ndcg_and_reads_both_ways(shop):
    forth, back = compare(shop, "r1", "r2")[0], compare(shop, "r2", "r1")[0]
    assert (forth.metric, forth.verdict, back.verdict) == ("ndcg@10", "worse", "better")
    assert forth.difference is None
    assert forth.differences["rmse"].value == pytest.approx(-back.differences["rmse"].value)
    assert "auc" not in str(forth).lower()


def test_the_list_of_runs_shows_the_correlation_and_sorts_the_smallest_error_first(shop):
    listed = list_runs(shop, sort="rmse")
    assert [run.name for run in listed] == ["r1", "r2"]
    assert leading_figures(listed, "rmse") == ["spearman", "rmse"]
    assert listed[0].overview(["spearman"])["spearman"]


def test_the_pages_speak_of_the_number_and_hold_together(shop):
    page = local_path(run_uri(shop.target.blobs, "r2")).read_text()
    between = comparison_page(shop, compare(shop, "r1", "r2")).read_text()
    for text in (page, between):
        Whole(text)
        assert "Calibration: rows in tenths by prediction" in text
        assert "Share of all dwell in the rows predicted highest" in text
        figures, _, alarm = text.partition("Leak alarm: AUC of each feature alone")
        assert "AUC" not in figures
        assert "ROC" not in text
        assert ("of stay.seconds above" in alarm) == (text is page)
    assert "mean dwell" in page
    assert "Learning curve" in local_path(run_uri(shop.target.blobs, "r1")).read_text()


def test_worth_and_the_learning_curve_are_of_a_number(shop):
    run = runs.get_run(shop, "r1")
    assert run.curve.metric == "spearman"  # the first that the gate asks for
    assert run.curve.points[-1].figures["spearman"].value == pytest.approx(
        run.evaluation.metrics["spearman"].value
    )
    first, second = run.evaluation.worth
    assert (first.feature, set(first.falls)) == ("item_dwell", {"ndcg@10", "spearman", "rmse"})
    assert first.falls["spearman"].low > 0
    assert first.falls["rmse"].low > 0
    assert second.falls["spearman"].value == 0


def test_mlflow_is_told_the_figures_of_the_number(shop):
    told = {metric.key: metric.value for metric in fields.metrics(runs.get_run(shop, "r2"))}
    assert {
        "mean",
        "capped",
        "base_rmse",
        "spearman",
        "rmse_vs_champion",
        "period_spearman",
    } <= set(told)
    assert not {name for name in told if "auc" in name or "log_loss" in name}
