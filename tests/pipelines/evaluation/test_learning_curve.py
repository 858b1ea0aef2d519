"""A learning curve: nested shares of units, the same tested rows, and what is said of the last step."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from msgspec.structs import replace

from isthmus.pipelines.evaluation import forward_evaluation, learning_curve
from isthmus.pipelines.evaluation.forward_evaluation import Grouping
from isthmus.pipelines.evaluation.measure import measure
from isthmus.pipelines.evaluation.shares import count_units, share_of_units
from isthmus.pipelines.evaluation.statistics import Estimate
from isthmus.pipelines.run_pages.curve_text import curve_lines, last_step
from isthmus.project.specs.description import Bound, Gate
from isthmus.tests.pipelines import trained

from .test_evaluation import END, MODEL, START, THIRD

PEOPLE = 400


def log_of_people(rows=4000):
    """Rows of 400 people; an item's rate is there to be learnt."""
    random = np.random.default_rng(5)
    people = random.integers(0, PEOPLE, rows)
    return trained.data(rows).append_column("user_id", pa.array([f"u{one}" for one in people]))


class ItemRates:
    """Learns each value's rate of outcomes, and remembers the rows that it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, data, label, features):  # noqa: ARG002  a trainer's signature
        self.seen.append(data)
        known = data["item_ctr"].to_pylist(), data[label].to_pylist()
        return Rates([(value, hit) for value, hit in zip(*known, strict=True) if value is not None])


class Rates:
    def __init__(self, pairs):
        values, hits = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
        self.edges = np.quantile(values, np.linspace(0, 1, 11)[1:-1])
        bins = np.searchsorted(self.edges, values)
        self.rates = [
            (hits[bins == number].sum() + 1) / ((bins == number).sum() + 6) for number in range(10)
        ]

    def predict(self, rows):
        return [
            float(self.rates[np.searchsorted(self.edges, row["item_ctr"] or 0.15)]) for row in rows
        ]


def measured(data, trainer, tmp_path, *, unit="user_id", lines=None):
    among = Grouping(unit=unit)
    options = {"start": START, "end": END, "folder": tmp_path, "among": among}
    whole = forward_evaluation.forward(data, trainer, MODEL, log=lambda _line: None, **options)
    log = (lambda _line: None) if lines is None else lines.append
    return learning_curve.learning_curve(
        data, trainer, MODEL, whole.predictions, metric="auc", log=log, **options
    )


def test_shares_are_nested_hold_whole_units_and_are_about_as_large_as_they_say():
    data = log_of_people()
    every = [
        set(share_of_units(data, "user_id", percent)["user_id"].to_pylist())
        for percent in learning_curve.SHARES
    ]
    assert all(small < large for small, large in pairwise(every))
    for percent, users in zip(learning_curve.SHARES, every, strict=True):
        rows = share_of_units(data, "user_id", percent)
        whole = data.filter(pc.is_in(data["user_id"], pa.array(sorted(users))))
        assert rows["event_id"].equals(whole["event_id"])
        share = percent / 100
        assert abs(len(users) - PEOPLE * share) <= 4 * (PEOPLE * share * (1 - share)) ** 0.5


def test_a_row_that_names_nobody_is_drawn_by_itself():
    data = log_of_people(1000)
    nobody = data.set_column(
        data.column_names.index("user_id"), "user_id", pa.nulls(1000, pa.string())
    )
    by_row = share_of_units(data, None, 40)["event_id"]
    assert share_of_units(nobody, "user_id", 40)["event_id"].equals(by_row)
    assert (count_units(nobody, "user_id"), count_units(data, None)) == (1000, 1000)


def test_every_share_is_trained_on_its_units_alone_and_tested_on_the_same_rows(tmp_path):
    data, trainer, lines = log_of_people(), ItemRates(), []
    curve = measured(data, trainer, tmp_path, lines=lines)
    whole, shares = trainer.seen[:5], [trainer.seen[5 * at : 5 * at + 5] for at in (1, 2, 3, 4)]
    for percent, folds in zip((10, 20, 40, 70), shares, strict=True):
        for known, part in zip(whole, folds, strict=True):
            assert part.equals(share_of_units(known, "user_id", percent))
    tested = data.filter(pc.greater_equal(data["event_timestamp"], THIRD))
    assert curve.tested == tested.num_rows
    assert [point.percent for point in curve.points] == [10, 20, 40, 70, 100]
    assert [point.gained_from for point in curve.points] == [None, 10, 20, 40, 70]
    for before, point in pairwise(curve.points):
        gain = point.figures["auc"].value - before.figures["auc"].value
        assert point.gains["auc"].value == pytest.approx(gain)
    assert "10 % of the units, period 1 of 5" in lines[0]


def test_the_whole_is_the_run_itself(tmp_path):
    data = log_of_people()
    among = Grouping(unit="user_id")
    whole = forward_evaluation.forward(
        data, ItemRates(), MODEL, start=START, end=END, folder=tmp_path, log=print, among=among
    )
    curve = measured(data, ItemRates(), tmp_path)
    assert curve.points[-1].figures["auc"] == measure(whole).auc
    assert (curve.points[-1].units, curve.points[-1].rows) == (PEOPLE, data.num_rows)


def test_a_share_without_an_outcome_before_some_period_is_not_measured_and_says_so(tmp_path):
    """Hits are of people outside the smallest share alone, but for the last days."""
    data = log_of_people()
    few = set(share_of_units(data, "user_id", 10)["user_id"].to_pylist())
    hits = [
        hit if user not in few else 0
        for hit, user in zip(data["outcome"].to_pylist(), data["user_id"].to_pylist(), strict=True)
    ]
    data = data.set_column(data.column_names.index("outcome"), "outcome", pa.array(hits))
    curve = measured(data, ItemRates(), tmp_path)
    assert curve.points[0].figures == {}
    assert "no period can be tested" in curve.points[0].why_not
    assert (curve.points[1].gained_from, curve.points[1].gains) == (None, {})
    assert curve.points[2].gained_from == 20
    assert any("not measured" in line for line in curve_lines(curve))


def test_a_trainer_that_fails_on_few_rows_costs_that_share_and_not_the_run(tmp_path):
    class Fussy(ItemRates):
        def __call__(self, data, label, features):
            if data.num_rows < 300:
                raise ValueError("too few rows for me")
            return super().__call__(data, label, features)

    curve = measured(log_of_people(), Fussy(), tmp_path)
    assert "too few rows for me" in curve.points[0].why_not
    assert curve.points[-1].figures


@pytest.mark.parametrize(
    ("metric", "gain", "words"),
    [
        ("auc", (0.02, 0.01, 0.03), "still learnt of them"),
        ("auc", (0.0, -0.01, 0.004), "hardly above 0.004"),
        ("auc", (-0.02, -0.03, -0.01), "got worse"),
        ("auc", (0.0, 0.0, 0.0), "order the rows alike"),
        ("log_loss", (-0.02, -0.03, -0.01), "still learnt of them"),
        ("log_loss", (0.0, -0.004, 0.01), "hardly above 0.00400"),
    ],
)
def test_what_the_last_step_says_goes_by_its_interval_and_by_which_way_is_better(
    tmp_path, metric, gain, words
):
    curve = measured(log_of_people(1500), ItemRates(), tmp_path)
    value, low, high = gain
    last = replace(curve.points[-1], gains={metric: Estimate(value=value, low=low, high=high)})
    assert words in last_step(replace(curve, metric=metric, points=(*curve.points[:-1], last)))


def test_the_metric_is_the_gates_first_but_never_calibration(tmp_path):
    data = log_of_people(1500)
    plain = measure(
        forward_evaluation.forward(
            data, ItemRates(), MODEL, start=START, end=END, folder=tmp_path, log=print
        )
    )
    gate = Gate(bounds=(Bound(metric="calibration", low=0.5), Bound(metric="ndcg@5", against=True)))
    assert learning_curve.curve_metric(gate, plain) == "ndcg@5"
    assert learning_curve.curve_metric(Gate(bounds=()), plain) == "auc"
