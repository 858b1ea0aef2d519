"""Forward evaluation of a number: what a trainer is given, what is left out, what is kept."""

from datetime import timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from isthmus.pipelines.evaluation import folds, forward_evaluation, shares
from isthmus.pipelines.models import trainers
from isthmus.tests.pipelines import trained

from .test_evaluation import END, MODEL, START, THIRD, Recorder, forward


def stays(seed=5):
    """Seconds of a stay in place of clicks: 0 or a long tail."""
    data = trained.data()
    random = np.random.default_rng(seed)
    seconds = np.where(
        data["outcome"].to_numpy() > 0, np.exp(random.normal(3, 1, data.num_rows)), 0.0
    )
    return data.set_column(3, "outcome", pa.array(seconds, pa.float64()))


def test_a_trainer_gets_numbers_and_predictions_keep_them(tmp_path):
    data, trainer = stays(), Recorder()
    found = forward(data, trainer, tmp_path)
    assert {table.schema.field("outcome").type for table in trainer.seen} == {pa.float64()}
    later = data.filter(pc.greater_equal(data["event_timestamp"], THIRD))
    assert found.predictions.schema.field("outcome").type == pa.float64()
    assert found.predictions["outcome"].equals(later["outcome"])


def test_the_base_rate_is_the_mean_of_what_was_trained_on(tmp_path):
    data, trainer = stays(), Recorder()
    found = forward(data, trainer, tmp_path)
    for number, seen in enumerate(trainer.seen):
        of_period = found.predictions.filter(pc.equal(found.predictions["period"], number))
        assert of_period["base_rate"].unique().to_pylist() == [
            pytest.approx(seen["outcome"].to_numpy().mean())
        ]
        assert found.trained[number][1:] == (
            seen.num_rows,
            int((seen["outcome"].to_numpy() != 0).sum()),
        )


@pytest.mark.parametrize("label", [0.0, 7.5])
def test_a_period_before_which_all_labels_are_alike_is_left_out_and_said(tmp_path, label):
    data, said = stays(), []
    early = pc.less(data["event_timestamp"], THIRD)
    alike = data.set_column(3, "outcome", pc.if_else(early, label, data["outcome"]))
    found = forward(alike, Recorder(), tmp_path, log=said.append)
    assert len(found.trained) == 4
    assert f"with a mean of {label:g} were known before it" in said[0]
    assert "with a mean of" in said[1]


def test_labels_that_all_differ_from_0_are_learnt_from(tmp_path):
    data = stays()
    above = data.set_column(3, "outcome", pc.add(data["outcome"], 1.0))
    assert len(forward(above, Recorder(), tmp_path).trained) == 5


def test_several_processes_say_the_same_of_a_number(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mean_trainer.py").write_text(
        "class Mean:\n    def __init__(self, mean): self.mean = mean\n"
        "    def predict(self, rows): return [self.mean + (r['item_ctr'] or 0) for r in rows]\n"
        "def train(data, label, features):\n"
        "    return Mean(sum(data[label].to_pylist()) / data.num_rows)\n"
    )
    model = msgspec.structs.replace(MODEL, trainer="mean_trainer.train")
    data = stays()
    pq.write_table(data, tmp_path / "data.parquet")
    trainer = trainers.find(model, tmp_path)
    alone = forward(data, trainer, tmp_path, model)
    monkeypatch.setattr(folds, "WORTH", 0.0)
    monkeypatch.setattr(folds.os, "cpu_count", lambda: 2)
    spread = forward_evaluation.forward(
        data,
        trainer,
        model,
        start=START,
        end=END,
        folder=tmp_path,
        log=lambda _text: None,
        source=tmp_path / "data.parquet",
    )
    assert spread.predictions.equals(alone.predictions)


def test_a_share_of_the_units_trains_on_fewer_and_tests_the_same_rows(tmp_path):
    data, few, all_units = stays(), Recorder(), Recorder()
    part = forward_evaluation.forward(
        data,
        few,
        MODEL,
        start=START,
        end=END,
        folder=tmp_path,
        log=lambda _text: None,
        percent=40,
    )
    whole = forward(data, all_units, tmp_path)
    assert part.predictions["event_id"].equals(whole.predictions["event_id"])
    assert few.seen[0].equals(shares.share_of_units(all_units.seen[0], None, 40))
    assert whole.length == timedelta(days=1)
