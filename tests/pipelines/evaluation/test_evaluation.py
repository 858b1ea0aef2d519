"""Forward evaluation trains on what was known, tests on what came after, and says what it left out."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.adapters.local.processes import start_time
from isthmus.errors import Invalid
from isthmus.pipelines.evaluation import folds, forward_evaluation, measure, statistics
from isthmus.pipelines.evaluation.metrics import day_of
from isthmus.pipelines.models import trainers
from isthmus.pipelines.run_pages import figure_text
from isthmus.project.specs.description import Evaluation, Feature, Model
from isthmus.storage import wait
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
    return forward_evaluation.forward(
        data, trainer, model, start=start, end=end, folder=tmp_path, log=log
    )


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
    found = list(forward_evaluation.periods(trained.data(rows=300), model, START, END))
    assert found[0].begin == START + timedelta(days=after)
    assert all(one.until == two.begin for one, two in pairwise(found))
    last = pc.max(trained.data(rows=300)["event_timestamp"]).as_py().replace(tzinfo=UTC)
    assert found[-1].begin <= last < found[-1].until <= END


@pytest.mark.parametrize(
    ("days", "length"), [(3, 1), (7, 1), (12, 1), (13, 2), (22, 2), (23, 3), (30, 3)]
)
def test_a_period_is_a_tenth_of_the_days_to_test_in_whole_days(days, length):
    """The log has seven days and then one row on the last."""
    data = trained.data(rows=300)
    last = pa.scalar(
        (START + timedelta(days=days) - timedelta(hours=1)).replace(tzinfo=None), pa.timestamp("ms")
    )
    late = data.slice(0, 1).set_column(1, "event_timestamp", pa.array([last.as_py()], last.type))
    data = pa.concat_tables([data.filter(pc.less(data["event_timestamp"], last)), late])
    found = forward_evaluation.periods(data, MODEL, START, START + timedelta(days=60))
    assert {fold.length for fold in found} == {timedelta(days=length)}
    assert len(found) <= 10


def test_a_long_evaluation_runs_its_periods_in_several_processes_and_says_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "slow_trainer.py").write_text(
        "import os, pathlib\nclass Rate:\n    def __init__(self, rate): self.rate = rate\n"
        "    def predict(self, rows):\n        (pathlib.Path(__file__).parent / "
        "f'pid-{os.getpid()}').touch()\n"
        "        return [self.rate + (row['item_ctr'] or 0) / 9 for row in rows]\n"
        "def train(data, label, features):\n    return Rate(sum(data[label].to_pylist()) / "
        "data.num_rows)\n"
    )
    model = msgspec.structs.replace(MODEL, trainer="slow_trainer.train")
    data, lines = trained.data(), []
    pq.write_table(data, tmp_path / "data.parquet")
    trainer = trainers.find(model, tmp_path)
    alone = forward(data, trainer, tmp_path, model)
    assert len(list(tmp_path.glob("pid-*"))) == 1
    monkeypatch.setattr(folds, "WORTH", 0.0)
    monkeypatch.setattr(folds.os, "cpu_count", lambda: 2)
    spread = forward_evaluation.forward(
        data,
        trainer,
        model,
        start=START,
        end=END,
        folder=tmp_path,
        log=lines.append,
        source=tmp_path / "data.parquet",
    )
    assert spread.predictions.equals(alone.predictions)
    assert len(list(tmp_path.glob("pid-*"))) > 1
    assert [line.split(":")[0] for line in lines if line.startswith("period")] == [
        f"period {number} of 5" for number in range(1, 6)
    ]
    assert lines[2].startswith("about "), (
        "of the second fit: the first one may have imported libraries"
    )
    assert "for 3 more fits, 2 at a time" in lines[2]


KILLED = """
import sys
from pathlib import Path
import msgspec, pyarrow.parquet as pq
from isthmus.pipelines.evaluation import folds, forward_evaluation
from isthmus.pipelines.models import trainers
from isthmus.tests.pipelines.evaluation.test_evaluation import END, MODEL, START

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folds.WORTH, folds.os.cpu_count = 0.0, lambda: 2
    model = msgspec.structs.replace(MODEL, trainer="hanging.train")
    data = pq.read_table(folder / "data.parquet")
    trainer = trainers.find(model, folder)
    forward_evaluation.forward(data, trainer, model, start=START, end=END, folder=folder, log=print, source=folder / "data.parquet")
"""
HANGING = """
import os, threading
from multiprocessing import parent_process
from pathlib import Path

def train(data, label, features):
    if parent_process():
        (Path(__file__).parent / f"pid-{os.getpid()}").touch()
        threading.Event().wait(120)
    return Flat()

class Flat:
    def predict(self, rows):
        return [0.1] * len(rows)
"""


def test_a_killed_evaluation_leaves_no_process_that_trains_for_nobody(tmp_path):
    (tmp_path / "hanging.py").write_text(HANGING)
    (tmp_path / "killed.py").write_text(KILLED)
    pq.write_table(trained.data(), tmp_path / "data.parquet")
    evaluating = subprocess.Popen(
        [sys.executable, tmp_path / "killed.py", tmp_path], stdout=subprocess.DEVNULL
    )
    try:
        wait(
            lambda: list(tmp_path.glob("pid-*")),
            lambda pids: len(pids) == 2,
            deadline=timedelta(seconds=90),
            what="two workers",
        )
    finally:
        evaluating.kill()
        evaluating.wait()
    workers = [int(path.name.removeprefix("pid-")) for path in tmp_path.glob("pid-*")]
    wait(
        lambda: [pid for pid in workers if alive(pid)],
        lambda pids: not pids,
        deadline=timedelta(seconds=60),
        what="the workers' end",
    )


def alive(pid):
    """A zombie that nobody has waited for is not."""
    return start_time(pid) is not None


def test_rows_say_whose_they_are_and_what_was_ranked(tmp_path):
    data = trained.data().append_column("user_id", pa.array([f"u{i % 90}" for i in range(2100)]))
    among = forward_evaluation.Grouping(unit="user_id", ranked_within="position", item="item_id")
    found = forward_evaluation.forward(
        data,
        Recorder(),
        MODEL,
        start=START,
        end=END,
        folder=tmp_path,
        log=lambda _text: None,
        among=among,
    )
    measured = measure.measure(found)
    assert (measured.unit, measured.units) == ("user_id", 90)
    assert (measured.ranked.within, measured.ranked.groups + measured.ranked.left_out) == (
        "position",
        270,
    )
    assert set(measured.figures()) == {
        "auc",
        "calibration",
        "pr_auc",
        "log_loss",
        "ndcg@10",
        "recall@10",
        "precision@10",
        "mrr",
        "group_auc",
    }
    assert (
        measured.ranked.items == measured.ranked.shown == 10
    )  # one score for all: everything shares the first place


def test_intervals_do_not_depend_on_the_order_of_the_rows(tmp_path):
    data = trained.data().append_column("user_id", pa.array([f"u{i % 90}" for i in range(2100)]))
    among = forward_evaluation.Grouping(unit="user_id", ranked_within="position", item="item_id")
    trainer = Recorder(lambda rows: [row["item_ctr"] or 0.1 for row in rows])
    found = forward_evaluation.forward(
        data,
        trainer,
        MODEL,
        start=START,
        end=END,
        folder=tmp_path,
        log=lambda _text: None,
        among=among,
    )
    order = np.random.default_rng(0).permutation(found.predictions.num_rows)
    shuffled = msgspec.structs.replace(found, predictions=found.predictions.take(pa.array(order)))
    first, second = (measure.measure(each).figures() for each in (found, shuffled))
    for name, figure in first.items():
        assert msgspec.structs.astuple(second[name]) == pytest.approx(
            msgspec.structs.astuple(figure), abs=1e-9
        )


def test_a_log_without_units_or_with_few_says_so(tmp_path):
    alone = measure.measure(forward(trained.data(), Recorder(), tmp_path))
    assert (
        figure_text.independence(alone)
        == "rows taken as independent: the log names no unit, so the true intervals are wider"
    )
    data = trained.data()
    for unit, ranked, said in (
        (
            None,
            "position",
            (
                "3 positions taken as independent: the log names no unit, so the true intervals "
                "are wider"
            ),
        ),
        (
            "position",
            "position",
            (
                "draw 3 positions: rows of one are not independent; too few for an interval, "
                "which takes 10"
            ),
        ),
    ):
        among = forward_evaluation.Grouping(unit=unit, ranked_within=ranked)
        found = forward_evaluation.forward(
            data,
            Recorder(),
            MODEL,
            start=START,
            end=END,
            folder=tmp_path,
            log=lambda _text: None,
            among=among,
        )
        measured = measure.measure(found)
        assert figure_text.independence(measured) == said
        assert (measured.auc.low, measured.auc.high, measured.calibration, measured.metrics) == (
            0.0,
            1.0,
            None,
            {},
        )


def test_a_period_before_which_nobody_clicked_is_left_out_and_said(tmp_path):
    data = trained.data()
    early = pc.less(data["event_timestamp"], THIRD)
    quiet = data.set_column(
        3, "outcome", pc.if_else(early, pa.scalar(0, pa.int64()), data["outcome"])
    )
    said = []
    found = forward(quiet, Recorder(), tmp_path, log=said.append)
    assert len(found.trained) == 4
    assert "with 0 positives were known before it" in said[0]


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
    ours = forward(
        trained.data(), Recorder(lambda rows: [row["item_ctr"] or 0.1 for row in rows]), tmp_path
    ).predictions
    theirs = ours.slice(100, 300).set_column(3, "prediction", pa.array(np.full(300, 0.2)))
    found = measure.against(ours, theirs, version="ranker@1", run="r1")
    assert found.rows == 300
    assert found.difference.value == pytest.approx(
        statistics.auc(
            *(ours.slice(100, 300)[name].to_numpy() for name in ("prediction", "outcome")),
            day_of(ours.slice(100, 300)),
            samples=2,
        ).value
        - 0.5
    )
    apart = measure.against(ours.slice(0, 50), theirs, version="ranker@1", run="r1")
    assert apart.difference is None
    assert "other rows" in apart.why_not


def test_a_trainer_that_raises_names_its_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "raising.py").write_text("def train(data, label, features):\n    return 1 / 0\n")
    model = Model(
        **{f: getattr(MODEL, f) for f in MODEL.__struct_fields__} | {"trainer": "raising.train"}
    )
    with pytest.raises(
        Invalid,
        match=r"raising\.train raised ZeroDivisionError: division by zero \(raising\.py, line 2\)",
    ):
        trainers.fit(trainers.find(model, tmp_path), model, trained.data(), tmp_path)
    unknown = Model(
        **{f: getattr(MODEL, f) for f in MODEL.__struct_fields__}
        | {"trainer": "raising.train", "parameters": {"D": 1}}
    )
    with pytest.raises(Invalid, match="unexpected keyword argument 'D'"):
        trainers.find(unknown, tmp_path)
