"""Forward evaluation trains on what was known, tests on what came after, and says what it left out."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.pipelines import evaluation, folds, measure, statistics, trainers
from isthmus.pipelines.metrics import day_of
from isthmus.project.specs import Evaluation, Feature, Model
from isthmus.tests.pipelines import trained

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 8, tzinfo=UTC)
THIRD = pa.scalar((START + timedelta(days=2)).replace(tzinfo=None), pa.timestamp("ms"))
MODEL = Model(
    name="m",
    path="models/m.yaml",
    model="ranker",
    objective="ctr",
    features=(Feature(view="item_history", name="item_ctr"),),
    trainer="mine.train",
)


class Recorder:
    """A trainer that remembers what it was given and predicts the base rate."""

    def __init__(self, answer=lambda rows: [0.1] * len(rows)):
        self.seen, self.predict = [], answer

    def __call__(self, data, label, features):  # noqa: ARG002  a trainer's signature
        self.seen.append(data)
        return self


def forward(data, trainer, tmp_path, model=MODEL, start=START, end=END, log=lambda _text: None):
    return evaluation.forward(data, trainer, model, start=start, end=end, folder=tmp_path, log=log)


def test_no_outcome_is_trained_on_before_it_was_known(tmp_path):
    trainer = Recorder()
    found = forward(trained.data(), trainer, tmp_path)
    for number, (begin, rows, _) in enumerate(found.trained):
        moment = pa.scalar(begin.replace(tzinfo=None), pa.timestamp("ms"))
        assert pc.max(trainer.seen[number]["created_timestamp"]).as_py() <= moment.as_py()
        assert trainer.seen[number].num_rows == rows
        tested = found.predictions.filter(pc.equal(found.predictions["period"], number))
        assert pc.min(tested["event_timestamp"]).as_py() >= moment.as_py()


def test_outcomes_younger_than_the_objective_s_time_are_purged(tmp_path):
    data, trainer = trained.data(), Recorder()
    forward(data, trainer, tmp_path)
    day = THIRD
    shown_before = data.filter(pc.less(data["event_timestamp"], day)).num_rows
    assert 0 < trainer.seen[0].num_rows < shown_before


def test_every_row_after_the_first_days_is_tested_once(tmp_path):
    data = trained.data()
    found = forward(data, Recorder(), tmp_path)
    later = data.filter(pc.greater_equal(data["event_timestamp"], THIRD))
    assert found.predictions["event_id"].to_pylist() == later["event_id"].to_pylist()
    assert len(found.trained) == 5


def test_a_window_that_begins_before_the_log_starts_with_the_log(tmp_path):
    wide = forward(trained.data(), Recorder(), tmp_path, start=START - timedelta(days=21))
    assert wide.predictions.equals(forward(trained.data(), Recorder(), tmp_path).predictions)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 48), st.integers(0, 5))
def test_periods_cover_the_rest_of_the_window_without_gap_or_overlap(hours, after):
    model = Model(
        **{f: getattr(MODEL, f) for f in MODEL.__struct_fields__}
        | {"evaluate": Evaluation(forward=timedelta(hours=hours), after=timedelta(days=after))}
    )
    found = list(evaluation.periods(trained.data(rows=300), model, START, END))
    assert found[0].begin == START + timedelta(days=after)
    assert all(one.until == two.begin for one, two in pairwise(found))
    last = pc.max(trained.data(rows=300)["event_timestamp"]).as_py().replace(tzinfo=UTC)
    assert found[-1].begin <= last < found[-1].until <= END


def test_a_period_before_which_nobody_clicked_is_left_out_and_said(tmp_path):
    data = trained.data()
    early = pc.less(data["event_timestamp"], THIRD)
    quiet = data.set_column(3, "outcome", pc.if_else(early, pa.scalar(0, pa.int64()), data["outcome"]))
    said = []
    found = forward(quiet, Recorder(), tmp_path, log=said.append)
    assert len(found.trained) == 4
    assert "with 0 clicks were known before it" in said[0]


def test_a_window_too_short_to_test_is_refused(tmp_path):
    with pytest.raises(Invalid, match="no period can be tested") as refusal:
        forward(trained.data(), Recorder(), tmp_path, end=START + timedelta(days=1))
    assert "widen `window`" in refusal.value.remedy


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _rows: [0.1], "returned 1 predictions for"),
        (lambda rows: [float("nan")] * len(rows), "returned nan for the row"),
        (lambda rows: [row["missing"] for row in rows], "raised KeyError: 'missing'"),
    ],
)
def test_a_wrong_prediction_is_named(tmp_path, answer, said):
    with pytest.raises(Invalid, match=said):
        forward(trained.data(), Recorder(answer), tmp_path)


def test_mere_scores_are_ranked_but_not_called_rates(tmp_path):
    def score(rows):
        return [100 * (row["item_ctr"] or 0) for row in rows]

    found = measure.measure(forward(trained.data(), Recorder(score), tmp_path))
    assert found.auc.low > 0.5
    assert (found.log_loss, found.calibration, found.log_loss_difference) == (None, None, None)


def test_always_answering_the_base_rate_scores_like_it(tmp_path):
    class Base(Recorder):
        def __call__(self, data, label, features):  # noqa: ARG002  a trainer's signature
            rate = pc.mean(data[label]).as_py()
            return Recorder(lambda rows: [rate] * len(rows))

    found = measure.measure(forward(trained.data(), Base(), tmp_path))
    assert found.auc.value == 0.5
    assert found.log_loss_difference.value == pytest.approx(0)


def test_the_champion_is_compared_on_common_rows_only(tmp_path):
    ours = forward(trained.data(), Recorder(lambda rows: [row["item_ctr"] or 0.1 for row in rows]), tmp_path).predictions
    theirs = ours.slice(100, 300).set_column(3, "prediction", pa.array(np.full(300, 0.2)))
    found = measure.against(ours, theirs, version="ranker@1", run="r1", rates_of="item")
    assert found.rows == 300
    assert found.difference.value == pytest.approx(
        statistics.auc(
            *(ours.slice(100, 300)[name].to_numpy() for name in ("prediction", "outcome")),
            day_of(ours.slice(100, 300)),
            samples=2,
        ).value
        - 0.5
    )
    apart = measure.against(ours.slice(0, 50), theirs, version="ranker@1", run="r1", rates_of="item")
    assert apart.difference is None
    assert "other rows" in apart.why_not


def test_a_trainer_that_raises_names_its_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "raising.py").write_text("def train(data, label, features):\n    return 1 / 0\n")
    model = Model(**{f: getattr(MODEL, f) for f in MODEL.__struct_fields__} | {"trainer": "raising.train"})
    with pytest.raises(Invalid, match=r"raising\.train raised ZeroDivisionError: division by zero \(raising\.py, line 2\)"):
        trainers.fit(trainers.find(model, tmp_path), model, trained.data(), tmp_path)
    unknown = Model(**{f: getattr(MODEL, f) for f in MODEL.__struct_fields__} | {"trainer": "raising.train", "parameters": {"D": 1}})
    with pytest.raises(Invalid, match="unexpected keyword argument 'D'"):
        trainers.find(unknown, tmp_path)
