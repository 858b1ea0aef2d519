"""Metrics of rows that were ranked against each other: against scikit-learn, ir-measures, and every
order of equal scores.
"""

from itertools import pairwise, permutations

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from isthmus.pipelines.evaluation import ranking

groups = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12),
    min_size=1,
    max_size=6,
)


def measured(found, cutoffs=(1, 3, 10)):
    """Of lists of (score, outcome), shuffled into one table."""
    rows = [(score, hit, number) for number, group in enumerate(found) for score, hit in group]
    order = np.random.default_rng(0).permutation(len(rows))
    scores, hits, codes = (np.array([row[side] for row in rows])[order] for side in range(3))
    return ranking.measure(scores, hits.astype(int), codes, len(found), cutoffs)


@settings(deadline=None)
@given(groups)
def test_ndcg_is_scikit_learn_s_with_ties_and_without(found):
    ours = measured(found)
    for number, group in enumerate(found):
        scores, hits = zip(*group, strict=True)
        if len(group) > 1 and any(hits):
            for k in (1, 3, 10):
                assert ours.metrics[f"ndcg@{k}"][number] == pytest.approx(
                    ndcg_score([hits], [scores], k=k), abs=1e-9
                )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=2, max_size=30), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_every_metric_is_ir_measures_s(found, random):
    scored = []
    for hits in found:
        scores = list(range(len(hits)))
        random.shuffle(scores)
        scored.append(list(zip(scores, hits, strict=True)))
    ours = measured(scored)
    relevant = [
        ir_measures.Qrel(str(q), f"d{d}", int(hit))
        for q, group in enumerate(scored)
        for d, (_, hit) in enumerate(group)
    ]
    run = [
        ir_measures.ScoredDoc(str(q), f"d{d}", float(score))
        for q, group in enumerate(scored)
        for d, (score, _) in enumerate(group)
    ]
    names = {
        "nDCG@1": "ndcg@1",
        "nDCG@3": "ndcg@3",
        "nDCG@10": "ndcg@10",
        "R@1": "recall@1",
        "R@3": "recall@3",
        "R@10": "recall@10",
        "P@1": "precision@1",
        "P@3": "precision@3",
        "P@10": "precision@10",
        "RR": "mrr",
    }
    for theirs in ir_measures.iter_calc(
        [ir_measures.parse_measure(name) for name in names], relevant, run
    ):
        query = int(theirs.query_id)
        if ours.hits[query]:
            assert ours.metrics[names[str(theirs.measure)]][query] == pytest.approx(
                theirs.value, abs=1e-9
            )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
def test_equal_scores_count_as_the_mean_over_their_orders(group):
    ours = measured([group], cutoffs=(2,))
    orders = [
        order for order in permutations(group) if all(a[0] >= b[0] for a, b in pairwise(order))
    ]
    ranks = [[rank for rank, (_, hit) in enumerate(order, 1) if hit] for order in orders]
    if ranks[0]:
        assert ours.metrics["mrr"][0] == pytest.approx(np.mean([1 / hits[0] for hits in ranks]))
        assert ours.metrics["recall@2"][0] == pytest.approx(
            np.mean([sum(rank <= 2 for rank in hits) / len(hits) for hits in ranks])
        )
        assert ours.metrics["precision@2"][0] == pytest.approx(
            np.mean([sum(rank <= 2 for rank in hits) / 2 for hits in ranks])
        )


def _average_precision(rows):
    """Row by row: the share of outcomes among the rows that score no less, over the outcomes."""
    shares = [np.mean([other for score, other in rows if score >= own]) for own, hit in rows if hit]
    return np.mean(shares)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=40))
def test_average_precision_is_scikit_learn_s_and_that_of_counting_with_ties(rows):
    scores, hits = (np.array(side) for side in zip(*rows, strict=True))
    parts, outcomes = ranking.precision_shares(scores, hits.astype(int))
    assert outcomes.sum() == hits.sum()
    if hits.any():
        ours = pytest.approx(parts.sum() / outcomes.sum(), abs=1e-9)
        assert average_precision_score(hits, scores) == ours
        assert _average_precision(rows) == ours
    else:
        assert not parts.any()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=20),
    st.integers(0, 19),
)
def test_a_row_s_part_in_average_precision_is_how_its_weight_moves_it(rows, number):
    scores, hits = (np.array(side) for side in zip(*rows, strict=True))
    if not hits.any():
        return
    parts, outcomes = ranking.precision_shares(scores, hits.astype(int))
    value, number = parts.sum() / outcomes.sum(), number % len(rows)
    step = 1e-6
    weights = np.ones(len(rows))
    weights[number] += step
    moved = average_precision_score(hits, scores, sample_weight=weights) - value
    influence = (parts[number] - value * outcomes[number]) / outcomes.sum()
    assert moved / step == pytest.approx(influence, abs=1e-4)


@settings(deadline=None)
@given(groups)
def test_pairs_are_those_of_one_group(found):
    ours = measured(found)
    for number, group in enumerate(found):
        pairs = [(a, b) for a, hit in group for b, other in group if hit and not other]
        assert ours.pairs[number] == len(pairs)
        assert ours.won[number] == sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
        assert ours.tell[number] == bool(pairs)


@settings(deadline=None)
@given(groups)
def test_every_pair_is_shared_by_its_two_rows(found):
    rows = [(score, hit, number) for number, group in enumerate(found) for score, hit in group]
    scores, hits, codes = (np.array(side) for side in zip(*rows, strict=True))
    won, pairs = ranking.pair_shares(scores, hits.astype(int), codes)
    ours = measured(found)
    assert np.bincount(codes, weights=won, minlength=len(found)) == pytest.approx(ours.won)
    assert np.bincount(codes, weights=pairs, minlength=len(found)) == pytest.approx(ours.pairs)


def test_who_likes_everything_orders_nothing():
    """One score for each person: the pooled AUC is high, and within a list it is chance."""
    hits = np.array([1, 1, 1, 0, 0, 0, 0, 1])
    person = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    scores = np.where(person == 0, 0.8, 0.2)
    won, pairs = ranking.pair_shares(scores, hits, np.zeros(8, dtype=int))
    lists = ranking.measure(scores, hits, person, 2)
    assert won.sum() / pairs.sum() == 0.75
    assert (lists.won / lists.pairs).tolist() == [0.5, 0.5]


def test_first_places_are_counted_by_item_and_shared_by_equal_scores():
    scores = np.array([3, 2, 1, 3, 3, 1, 9])
    groups = np.array([0, 0, 0, 1, 1, 1, 2])  # the last stands alone: nothing was ranked
    items = np.array([0, 1, 2, 0, 1, 2, 3])
    top = ranking.top(scores, groups, items, 4)
    assert (top.items, top.shown) == (3, 2)
    assert top.gini == pytest.approx((2 * (0 * 1 + 0.5 * 2 + 1.5 * 3) / (3 * 2)) - 4 / 3)


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_gini_is_half_the_mean_difference_over_the_mean(values):
    places = np.sort(np.array(values))
    if places.sum() > 1e-6:
        difference = np.abs(places[:, None] - places[None, :]).mean()
        assert ranking.gini(places) == pytest.approx(difference / (2 * places.mean()), abs=1e-9)


values = st.lists(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.0, 1.0, 2.5, 40.0])),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=6,
)


def measured_values(found, cutoffs=(1, 3, 10)):
    """Of lists of (score, value), shuffled into one table."""
    rows = [(score, value, number) for number, group in enumerate(found) for score, value in group]
    order = np.random.default_rng(0).permutation(len(rows))
    scores, gains, codes = (np.array([row[side] for row in rows])[order] for side in range(3))
    return ranking.measure_values(scores, gains, codes.astype(int), len(found), cutoffs)


@settings(deadline=None)
@given(values)
def test_ndcg_of_values_is_scikit_learn_s_with_ties_and_without(found):
    ours = measured_values(found)
    for number, group in enumerate(found):
        scores, gains = zip(*group, strict=True)
        assert ours.differ[number] == (len(set(gains)) > 1)
        assert ours.several[number] == (len(group) > 1)
        for k in (1, 3, 10):
            of_group = ours.metrics[f"ndcg@{k}"][number]
            if not any(gains):
                assert np.isnan(of_group)
            elif len(group) > 1:
                assert of_group == pytest.approx(ndcg_score([gains], [scores], k=k), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(values)
def test_value_at_k_is_the_mean_of_the_first_rows_over_every_order_of_equal_scores(found):
    ours = measured_values(found)
    for number, group in enumerate(found):
        orders = [
            order
            for order in permutations(group)
            if sorted(order, key=lambda row: -row[0]) == list(order)
        ]
        for k in (1, 3, 10):
            means = [np.mean([value for _, value in order[:k]]) for order in orders]
            assert ours.metrics[f"value@{k}"][number] == pytest.approx(np.mean(means))


def test_values_below_0_have_no_ndcg_and_value_at_1_is_always_there():
    ours = measured_values([[(1, -2.0), (2, 3.0)]], cutoffs=(10,))
    assert set(ours.metrics) == {"value@1", "value@10"}
    assert ours.metrics["value@1"].tolist() == [3.0]
