"""What a tuning job tries: ranges with their scales, grids, and a search that learns."""

import math
from random import Random

import pytest

from isthmus_stack.aws.services.sagemaker.jobs.logs import Metrics, metric_definitions
from isthmus_stack.aws.services.sagemaker.tuning.proposals import propose
from isthmus_stack.aws.services.sagemaker.tuning.ranges import (
    Categorical,
    RangeError,
    Trial,
    grid,
    parse,
    sample,
    size_of_grid,
)


def numeric(kind="Continuous", low="0", high="1", scaling="Linear", name="x"):
    return {
        f"{kind}ParameterRanges": [
            {"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scaling}
        ]
    }


def categorical(**values):
    return {
        "CategoricalParameterRanges": [
            {"Name": name, "Values": list(listed)} for name, listed in values.items()
        ]
    }


DRAWS = 400
WITHIN_4_SIGMA = pytest.approx(DRAWS / 2, abs=4 * math.sqrt(DRAWS / 4))


@pytest.mark.parametrize(
    ("given", "middle"),
    [
        (numeric(low="0", high="10"), 5),
        (numeric(low="0.0001", high="1", scaling="Logarithmic"), 0.01),
        (numeric(low="0", high="0.9999", scaling="ReverseLogarithmic"), 0.99),
        (numeric("Integer", low="0", high="9"), 4.5),
        (numeric("Integer", low="1", high="99", scaling="Logarithmic"), 9.5),
        (numeric(scaling="Auto"), 0.5),
    ],
)
def test_half_of_the_draws_lie_below_the_middle_of_the_scale_and_all_within_the_range(
    given, middle
):
    [searched] = parse(given, {})
    random = Random("scales")
    values = [float(searched.value_at(random.random())) for _ in range(DRAWS)]
    assert all(searched.low <= value <= searched.high for value in values)
    assert sum(value < middle for value in values) == WITHIN_4_SIGMA


@pytest.mark.parametrize(
    "given", [numeric(low="3", high="3"), numeric(high="2"), numeric("Integer", low="-2", high="7")]
)
def test_the_ends_of_a_scale_are_the_ends_of_the_range(given):
    [searched] = parse(given, {})
    assert [float(searched.value_at(share)) for share in (0.0, 1.0)] == [
        searched.low,
        searched.high,
    ]


@pytest.mark.parametrize("scaling", ["Linear", "Logarithmic", "ReverseLogarithmic"])
def test_a_values_place_is_the_share_that_it_was_drawn_with(scaling):
    [searched] = parse(numeric(low="0.001", high="0.9", scaling=scaling), {})
    assert [
        searched.place(searched.value_at(share))[0] for share in (0.0, 0.3, 1.0)
    ] == pytest.approx([0.0, 0.3, 1.0])


def test_categories_are_equally_far_from_each_other():
    searched = Categorical(name="c", values=("a", "b", "c"))
    assert math.dist(searched.place("a"), searched.place("b")) == pytest.approx(1)
    assert math.dist(searched.place("a"), searched.place("c")) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "static", "words"),
    [
        ({}, {}, "at least one"),
        (numeric(low="2", high="1"), {}, "must not be greater"),
        (numeric(low="a"), {}, "not of numbers"),
        (numeric("Integer", low="0.5"), {}, "not of integers"),
        (numeric(high="nan"), {}, "must not be greater"),
        (numeric(scaling="Logarithmic"), {}, "above 0"),
        (numeric(scaling="ReverseLogarithmic"), {}, "0 <= x < 1"),
        (numeric("Integer", scaling="ReverseLogarithmic"), {}, "continuous"),
        (numeric(), {"x": "1"}, "or is static: x"),
        ({**numeric(), **categorical(x="ab")}, {}, "has one range"),
        ({"AutoParameters": [{"Name": "x", "ValueHint": "1"}]}, {}, "AutoParameters"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(given, static, words):
    with pytest.raises(RangeError, match=words):
        parse(given, static)


def test_a_grid_has_every_combination_once_and_takes_categories_only():
    ranges = parse(categorical(a="xyx", b="12"), {})
    assert size_of_grid(ranges) == 4
    assert [
        propose("Grid", ranges, seed=1, number=number, trials=()) for number in range(4)
    ] == list(grid(ranges))
    assert {(tried["a"], tried["b"]) for tried in grid(ranges)} == {
        ("x", "1"),
        ("x", "2"),
        ("y", "1"),
        ("y", "2"),
    }
    with pytest.raises(RangeError, match="CategoricalParameterRanges only"):
        size_of_grid(parse(numeric(), {}))


def test_a_random_search_is_its_seeds_whatever_came_of_the_trials():
    ranges = parse(numeric(), {})
    known = [Trial(parameters={"x": "0.5"}, score=1.0, pending=False)]
    first = [propose("Random", ranges, seed=7, number=number, trials=()) for number in range(5)]
    assert first == [
        propose("Random", ranges, seed=7, number=number, trials=known) for number in range(5)
    ]
    assert len({tried["x"] for tried in first}) == 5
    assert first != [
        propose("Random", ranges, seed=8, number=number, trials=()) for number in range(5)
    ]


BOWL = parse(
    {
        "ContinuousParameterRanges": [
            {"Name": "rate", "MinValue": "0.001", "MaxValue": "1", "ScalingType": "Logarithmic"},
            {"Name": "share", "MinValue": "0", "MaxValue": "1", "ScalingType": "Linear"},
        ]
    },
    {},
)


def depth(tried):
    """Greatest, 0, at a rate of 0.1 and a share of 0.3."""
    return -(((math.log10(float(tried["rate"])) + 1) / 3) ** 2) - (float(tried["share"]) - 0.3) ** 2


def best(strategy, seed, jobs):
    trials = []
    for number in range(jobs):
        tried = propose(strategy, BOWL, seed=seed, number=number, trials=trials)
        trials.append(Trial(parameters=tried, score=depth(tried), pending=False))
    return max(trial.score for trial in trials)


def test_a_bayesian_search_finds_a_bowls_bottom_better_than_a_random_one():
    runs = 32
    wins = sum(
        best("Bayesian", f"bayesian {run}", 12) > best("Random", f"random {run}", 12)
        for run in range(runs)
    )
    assert wins > runs / 2 + 4 * math.sqrt(runs / 4)


def test_a_bayesian_search_tries_elsewhere_while_a_good_place_is_being_tried():
    random = Random("pending")
    known = [
        Trial(parameters=tried, score=depth(tried), pending=False)
        for tried in (sample(BOWL, random) for _ in range(8))
    ]
    first = propose("Bayesian", BOWL, seed="pending", number=8, trials=known)
    second = propose(
        "Bayesian",
        BOWL,
        seed="pending",
        number=8,
        trials=[*known, Trial(parameters=first, score=None, pending=True)],
    )
    places = [
        [part for searched in BOWL for part in searched.place(tried[searched.name])]
        for tried in (first, second)
    ]
    assert math.dist(*places) > 0.01


def test_a_bayesian_search_of_few_combinations_tries_all_before_it_repeats_one():
    ranges = parse(categorical(a="xyz", b="12"), {})
    trials = [
        Trial(parameters=tried, score=float(number), pending=False)
        for number, tried in enumerate(grid(ranges))
    ]
    left = trials.pop(2).parameters
    assert propose("Bayesian", ranges, seed=1, number=5, trials=trials) == left


def test_built_in_xgboost_has_its_metrics_without_definitions_and_a_script_in_its_image_has_not():
    image = {
        "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.0-1-cpu-py3"
    }
    line = "[3]#011train-rmse:2.5#011validation-rmse:3.5e-1"
    assert Metrics(metric_definitions(image, {"num_round": "5"})).read(line) == {
        "train:rmse": 2.5,
        "validation:rmse": 0.35,
    }
    assert metric_definitions(image, {"sagemaker_program": "train.py"}) == []
    assert metric_definitions({"TrainingImage": "example/ranker:1"}, {}) == []
