"""What trials are suggested: by the seed and the rounds before alone, near a known optimum."""

import math

import pytest

from isthmus.pipelines.tuning.study import Trial
from isthmus.pipelines.tuning.suggestions import combinations, suggest
from isthmus.project.specs.tuning import Search, Tuning

SEARCH = {
    "depth": Search(low=1, high=64, whole=True),
    "rate": Search(low=0.001, high=1, log=True),
    "kind": Search(choices=("a", "b", True)),
}


def tuning(**fields):
    return Tuning(**({"trials": 20, "parallel": 4, "metric": "rmse", "search": SEARCH} | fields))


def rounds(tune, loss):
    """Return the trials of a whole study of a function, round by round."""
    done, number = [], 0
    while len(done) < tune.trials:
        number += 1
        suggested = suggest(tune, done, number)
        if not suggested:
            return done
        done += [
            Trial(number=len(done) + place, settings=s, value=loss(*s), seconds=0.0)
            for place, s in enumerate(suggested, 1)
        ]
    return done


def bowl(depth, rate, kind):
    return abs(math.log(depth / 20)) + abs(math.log10(rate / 0.05)) + (kind != "b")


def test_the_same_seed_suggests_the_same_and_another_seed_something_else():
    first, second = (rounds(tuning(), bowl) for _ in range(2))
    assert first == second
    assert rounds(tuning(seed=1), bowl) != first
    assert [trial.number for trial in first] == list(range(1, 21))


def test_a_study_that_is_rebuilt_from_its_trials_goes_on_as_it_would_have():
    whole = rounds(tuning(), bowl)
    again = suggest(tuning(), whole[:12], 4)
    assert again == [trial.settings for trial in whole[12:16]]


def test_a_suggestion_rests_on_the_values_of_the_rounds_before():
    whole = rounds(tuning(), bowl)
    other = [
        Trial(number=t.number, settings=t.settings, value=-t.value, seconds=0.0) for t in whole[:12]
    ]
    assert suggest(tuning(), other, 4) != suggest(tuning(), whole[:12], 4)


def test_settings_lie_within_their_bounds_and_are_of_their_type():
    for trial in rounds(tuning(trials=100, parallel=16), bowl):
        depth, rate, kind = trial.settings
        assert isinstance(depth, int)
        assert 1 <= depth <= 64
        assert 0.001 <= rate <= 1
        assert kind in ("a", "b", True)


@pytest.mark.parametrize("sign", [1, -1])
def test_later_trials_are_nearer_the_optimum_than_random_ones_whichever_way_is_better(sign):
    metric = "rmse" if sign == 1 else "auc"
    means = []
    for seed in range(5):
        values = [
            sign * trial.value
            for trial in rounds(
                tuning(trials=40, seed=seed, metric=metric), lambda *s: sign * bowl(*s)
            )
        ]
        means.append((sum(values[:8]) / 8, sum(values[-8:]) / 8))
    assert sum(last for _, last in means) < 0.7 * sum(first for first, _ in means)


def test_no_settings_are_tried_twice_and_a_small_search_ends_when_all_were():
    small = tuning(search={"a": Search(choices=(1, 2, 3)), "b": Search(low=0, high=1, whole=True)})
    assert combinations(small) == 6
    done = rounds(small, lambda a, b: a + b)
    assert sorted(trial.settings for trial in done) == [(a, b) for a in (1, 2, 3) for b in (0, 1)]
    assert combinations(tuning()) == math.inf
