"""`tune` in a model's file: what it means, and what is refused at its line."""

import jsonschema
import pytest

from isthmus.errors import ProjectError
from isthmus.project.load import load
from isthmus.project.models.keys import MODEL
from isthmus.project.specs.tuning import Search, Tuning

FILE = "models/logistic.yaml"
SOUND = "{trials: 20, metric: log_loss, search: {C: {log: [0.01, 10]}}}"


def with_tune(example, tune, trainer="isthmus.boosting", parameters="{}"):
    example.edit(FILE, "trainer: ranker.logistic", f"trainer: {trainer}")
    example.edit(FILE, "parameters: {C: 0.1}", f"parameters: {parameters}\ntune: {tune}")
    return example


def test_ranges_logarithms_and_choices_are_told_apart(example):
    with_tune(
        example,
        "{trials: 20, parallel: 5, metric: auc, seed: 7, search: {leaves: [8, 128], "
        "rate: {log: [0.01, 1]}, trees: [50, 100, 200], rows_in_leaf: {choices: [10, 20]}}}",
    )
    assert load(example.path).spec.models["logistic"].tune == Tuning(
        trials=20,
        parallel=5,
        metric="auc",
        seed=7,
        search={
            "leaves": Search(low=8, high=128, whole=True),
            "rate": Search(low=0.01, high=1, log=True),
            "trees": Search(choices=(50, 100, 200)),
            "rows_in_leaf": Search(choices=(10, 20)),
        },
    )


def test_whole_bounds_of_a_parameter_with_a_fraction_are_no_whole_numbers(example):
    with_tune(
        example,
        "{trials: 20, metric: auc, search: {C: [1, 10]}}",
        trainer="isthmus.logistic",
        parameters="{C: 0.1, categories: [position], nulls: mean}",
    )
    tune = load(example.path).spec.models["logistic"].tune
    assert tune.search["C"] == Search(low=1, high=10)
    assert tune.parallel == 4


def test_whole_bounds_of_a_parameter_that_the_file_writes_with_a_fraction_are_no_whole_numbers(
    example,
):
    tune = "{trials: 20, metric: auc, search: {C: [1, 10]}}"
    with_tune(example, tune, trainer="ranker.logistic", parameters="{C: 1.0}")
    assert not load(example.path).spec.models["logistic"].tune.search["C"].whole
    example.edit(FILE, "{C: 1.0}", "{C: 1}")
    assert load(example.path).spec.models["logistic"].tune.search["C"].whole


MISTAKES = {
    "below the trainer's bounds": ("{trials: 9, metric: auc, search: {leaves: [1, 9]}}", "tune.search.leaves[0]: 1 is below 2", "write 2 or more"),
    "a choice above them": ("{trials: 9, metric: auc, search: {rate: {choices: [0.1, 2]}}}", "tune.search.rate.choices[1]: 2 is above 1", "write 1 or less"),
    "no whole number": ("{trials: 9, metric: auc, search: {leaves: [2.5, 9]}}", "tune.search.leaves[0]: 2.5 is not a whole number", None),
    "a near parameter": ("{trials: 9, metric: auc, search: {leafs: [2, 9]}}", "leafs is not a parameter of isthmus.boosting", "did you mean leaves?"),
    "a near metric": ("{trials: 9, metric: log_los, search: {leaves: [2, 9]}}", "tune.metric: log_los is not a metric", "did you mean log_loss?"),
    "of a number": ("{trials: 9, metric: rmse, search: {leaves: [2, 9]}}", "tune.metric: ctr is a rate of rows with an outcome, which has no rmse", "write one of auc, pr_auc"),
    "no direction": ("{trials: 9, metric: calibration, search: {leaves: [2, 9]}}", "calibration is best at 1", "log_loss"),
    "upside down": ("{trials: 9, metric: auc, search: {leaves: [9, 2]}}", "tune.search.leaves: 9 is not below 2", "lower bound first"),
    "no logarithm": ("{trials: 9, metric: auc, search: {rate: {log: [0, 1]}}}", "tune.search.rate.log[0]: 0 has no logarithm", "begin above 0"),
    "a value": ("{trials: 9, metric: auc, search: {leaves: 9}}", "tune.search.leaves: 9 is not a list", "write [low, high]"),
    "twice": ("{trials: 9, metric: auc, search: {leaves: [2, 3, 2]}}", "tune.search.leaves[2]: 2 is there twice", None),
    "nothing": ("{trials: 9, metric: auc, search: {}}", "tune.search: nothing is in it", None),
    "a key": ("{trails: 9, metric: auc, search: {leaves: [2, 9]}}", "tune.trails: trails is not a key of tune", "did you mean trials?"),
    "too many": ("{trials: 1000, metric: auc, search: {leaves: [2, 9]}}", "tune.trials: 1000 is above 100", "write 100 or less"),
    "of another loss": ("{trials: 9, metric: auc, search: {power: [1.1, 1.9]}}", "tune.search.power: power is a parameter of loss: tweedie", "leave power out"),
    "of another objective": ("{trials: 9, metric: auc, search: {loss: [tweedie, lambdarank]}}", "tune.search.loss: tweedie learns a number", "leave loss out"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_at_its_line(case, example):
    tune, message, remedy = MISTAKES[case]
    with_tune(example, tune)
    with pytest.raises(ProjectError) as error:
        load(example.path)
    problem, *_ = error.value.problems
    lines = (example.path / FILE).read_text().splitlines()
    assert (problem.file, lines[problem.line - 1].startswith("tune:")) == (FILE, True)
    assert message in problem.message
    assert remedy is None or remedy in problem.remedy


def test_a_parameter_that_a_trainer_of_ones_own_does_not_take_is_told(example):
    with_tune(example, SOUND.replace("C:", "CC:"), trainer="ranker.logistic", parameters="{C: 0.1}")
    with pytest.raises(ProjectError, match=r"tune\.search\.CC: CC is not a parameter") as error:
        load(example.path)
    assert "did you mean C?" in error.value.problems[0].remedy


def test_a_window_of_one_test_day_leaves_nothing_to_judge_trials_on(example):
    with_tune(example, SOUND, trainer="ranker.logistic", parameters="{C: 0.1}")
    example.edit(FILE, "after: 2d", "after: 6d")
    with pytest.raises(ProjectError, match="leaves one period to test on"):
        load(example.path)


def test_the_json_schema_takes_what_the_loader_takes():
    file = {"model": "m", "objective": "o", "features": ["a"], "trainer": "isthmus.boosting"}
    for search in ([8, 128], {"log": [0.1, 1]}, {"choices": [1, 2]}, [1, 2, 3], ["a", "b"]):
        tune = {"trials": 20, "metric": "auc", "search": {"x": search}}
        jsonschema.validate(file | {"tune": tune}, MODEL.schema())
    for search in (9, {"logg": [1, 2]}, {"log": [1, 2, 3]}, [1]):
        tune = {"trials": 20, "metric": "auc", "search": {"x": search}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(file | {"tune": tune}, MODEL.schema())
