"""True rates are told apart from chance: what knowing them would give, and what explains more."""

import numpy as np
import pytest

from isthmus.pipelines.evaluation import statistics, true_rates


def log(seed, spread, *, items=400, people=600, rows=8000, rate=0.2):
    """Outcomes of items whose true rates have a Beta distribution of this standard deviation."""
    chance = np.random.default_rng(seed)
    size = rate * (1 - rate) / spread**2 - 1 if spread else None
    rates = chance.beta(rate * size, (1 - rate) * size, items) if size else np.full(items, rate)
    item, person = chance.integers(0, items, rows), chance.integers(0, people, rows)
    day = chance.integers(0, 10, rows)
    outcome = (chance.random(rows) < rates[item]).astype(int)
    return true_rates.comparable_rows(outcome, day, item, person), rates[item], outcome, day


def auc(scores, outcome, day):
    return statistics.Pairs(scores, outcome, day).auc(np.ones(len(outcome), int))


def overall(rows, outcome):
    """Each item's rate over the whole log, its own rows included."""
    return (np.bincount(rows.entity, outcome) / np.maximum(np.bincount(rows.entity), 1))[
        rows.entity
    ]


@pytest.mark.parametrize("spread", [0.08, 0.15])
def test_the_best_possible_is_the_auc_of_the_true_rates(spread):
    """Over ten logs; the rates that a log shows would promise far more."""
    told, true, seen = [], [], []
    for seed in range(10):
        rows, rates, outcome, day = log(seed, spread)
        told.append(true_rates.spread(rows).best_auc())
        true.append(auc(rates, outcome, day))
        seen.append(auc(overall(rows, outcome), outcome, day))
    assert np.mean(told) == pytest.approx(np.mean(true), abs=0.01)
    assert np.mean(seen) > np.mean(true) + 0.03


def test_nothing_can_be_known_where_all_items_are_alike():
    """Chance is within the interval in 19 of 20 logs; the rates that a log shows rank it anyway."""
    told, seen = [], []
    for seed in range(40):
        rows, _, outcome, day = log(seed, 0.0)
        told.append(true_rates.spread(rows))
        seen.append(auc(overall(rows, outcome), outcome, day))
    assert sum(spread.best_auc(errors=-1.96) == 0.5 for spread in told) >= 36
    assert np.mean([spread.best_auc() for spread in told]) < 0.55
    assert np.mean(seen) > 0.6


def test_too_few_items_tell_nothing():
    rows, *_ = log(0, 0.1, items=5)
    assert true_rates.spread(rows) is None
    assert true_rates.excess(rows, rows.entity.astype(float)) == -np.inf


def test_the_true_rate_itself_is_no_leak_and_the_rate_of_the_whole_log_is():
    """3.7 is the limit of an alarm over some 50 tests; 40 honest logs at that limit pass."""
    for seed in range(40):
        rows, rates, outcome, _ = log(seed, 0.1)
        assert true_rates.excess(rows, rates) < 3.7
        assert true_rates.excess(rows, np.random.default_rng(seed).random(400)[rows.entity]) < 3.7
        assert true_rates.excess(rows, overall(rows, outcome)) > 3.7


def test_a_text_of_an_item_is_judged_by_the_mean_of_its_items():
    """Every item's own name explains all of the true rates and no more; a grade of the outcome is
    a leak.
    """
    rows, rates, outcome, _ = log(1, 0.1)
    assert true_rates.excess(rows, rows.entity) < 1
    assert true_rates.excess(rows, np.digitize(rates, [0.1, 0.2, 0.3])) < 1
    assert true_rates.excess(rows, (overall(rows, outcome) * 15).astype(int)) > 3.7


def test_what_is_sold_once_hides_its_true_rate_and_raises_no_alarm():
    """An item leaves with its first outcome, so that its rows exclude each other's."""
    chance = np.random.default_rng(0)
    rates = chance.beta(2, 8, 3000)
    item, outcome = [], []
    for number, rate in enumerate(rates):
        for _ in range(6):
            item.append(number)
            outcome.append(int(chance.random() < rate))
            if outcome[-1]:
                break
    item = np.array(item)
    person = chance.integers(0, 900, len(item))
    rows = true_rates.comparable_rows(outcome, chance.integers(0, 5, len(item)), item, person)
    assert true_rates.excess(rows, rates[item]) == -np.inf
