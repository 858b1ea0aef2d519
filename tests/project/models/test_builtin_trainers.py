"""Isthmus's own trainers in a model's file: their parameters, and what is refused."""

import jsonschema
import pytest

from isthmus.errors import ProjectError
from isthmus.feature_store.views.checks import check
from isthmus.project.load import load
from isthmus.project.overrides import overridden
from isthmus.project.schema import schema

FILE = "models/logistic.yaml"


def with_trainer(example, parameters, trainer="isthmus.logistic"):
    example.edit(FILE, "trainer: ranker.logistic", f"trainer: {trainer}")
    example.edit(FILE, "parameters: {C: 0.1}", f"parameters: {parameters}")
    return example


def test_a_project_without_a_python_file_is_sound(example):
    with_trainer(example, "{C: 0.1, categories: [position], nulls: mean}")
    (example.path / "ranker.py").unlink()
    (example.path / "models" / "popularity.yaml").unlink()
    example.edit(
        "project.yaml",
        "champion:   {model: ranker@champion,   traffic: 90}",
        "champion: {model: ranker@challenger, traffic: 90}",
    )
    model = load(example.path).spec.models["logistic"]
    assert model.parameters == {"C": 0.1, "categories": ["position"], "nulls": "mean"}
    assert check(load(example.path)) == ()


LINEAR_MISTAKES = {
    "below": ("{alpha: -1}", "parameters.alpha: -1 is below 0", "write 0 or more"),
    "of another trainer": ("{C: 1}", "C is not a key of isthmus.linear", "has alpha, categories, nulls"),
}  # fmt: skip
MISTAKES = {
    "below": ("{C: 0}", "parameters.C: 0 is below 1e-06", "write 1e-06 or more"),
    "far above": ("{C: 10000000}", "parameters.C: 10000000 is above 1e+06", "write 1e+06 or less"),
    "a word": ("{C: strong}", "parameters.C: 'strong' is not a number", None),
    "unknown": ("{D: 1}", "D is not a key of isthmus.logistic", "has C, categories, nulls"),
    "a near name": ("{category: [position]}", "category is not a key", "did you mean categories?"),
    "no column": ("{categories: [positon]}", "parameters.categories[0]: positon is not among the features", "did you mean position?"),
    "another way with nulls": ("{nulls: meen}", "parameters.nulls: 'meen' is not known here", "did you mean mean?"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "case"),
    [
        *(("isthmus.logistic", case) for case in MISTAKES),
        *(("isthmus.linear", case) for case in LINEAR_MISTAKES),
    ],
)
def test_a_wrong_parameter_is_told_at_its_line(trainer, case, example):
    cases = MISTAKES if trainer == "isthmus.logistic" else LINEAR_MISTAKES
    parameters, message, remedy = cases[case]
    with_trainer(example, parameters, trainer)
    (problem,) = (p for p in example.problems() if message in p.message)
    assert (problem.file, problem.line) == (FILE, example.line(FILE, "parameters:"))
    assert remedy is None or remedy in (problem.remedy or "")


@pytest.mark.parametrize(
    ("trainer", "message", "remedy"),
    [
        ("isthmus.logistc", "isthmus.logistc is no trainer of Isthmus", "isthmus.logistic?"),
        ("isthmus.online", "isthmus.online is not supported yet", "it has isthmus.logistic"),
        ("isthmus", "'isthmus' does not name a function", "module.function"),
    ],
)
def test_a_trainer_that_is_not_there_is_told_at_its_line(trainer, message, remedy, example):
    with_trainer(example, "{}", trainer)
    (problem,) = (p for p in example.problems() if message in p.message)
    assert (problem.file, problem.line) == (FILE, example.line(FILE, "trainer:"))
    assert remedy in problem.remedy


def test_a_float_is_no_category_and_that_is_told_before_training(example):
    with_trainer(example, "{categories: [item_score]}")
    (problem,) = check(load(example.path))
    assert (
        problem.message == "parameters.categories[0]: item_score is a float, which is no category"
    )
    assert problem.line == example.line(FILE, "parameters:")


def with_number(example):
    """Add an objective that is a number to the example: dwell."""
    example.edit(
        "project.yaml",
        "  click:\n",
        "  stay:\n    attributes: {impression_id: {type: string}, seconds: {type: float, min: 0}}\n  click:\n",
    )
    example.edit(
        "project.yaml",
        "  ctr: {rate: click / impression, within: 30m, goal: maximise}",
        "  ctr: {rate: click / impression, within: 30m, goal: maximise}\n"
        "  dwell: {rate: sum stay.seconds / impression, within: 30m, at_most: 600}",
    )
    example.edit(FILE, "objective: ctr", "objective: dwell")


def test_a_trainer_of_a_rate_is_refused_for_a_number_at_its_line(example):
    with_trainer(example, "{C: 0.1}")
    with_number(example)
    message = "isthmus.logistic learns an outcome of 0 or 1, and dwell is a number"
    (problem,) = (p for p in example.problems() if message in p.message)
    assert problem.line == example.line(FILE, "trainer:")
    assert "isthmus.linear" in problem.remedy


def test_a_trainer_of_a_number_is_refused_for_a_rate_at_its_line(example):
    with_trainer(example, "{alpha: 10}", "isthmus.linear")
    message = "isthmus.linear learns a number, and ctr is an outcome of 0 or 1"
    (problem,) = (p for p in example.problems() if message in p.message)
    assert problem.line == example.line(FILE, "trainer:")
    assert "isthmus.logistic" in problem.remedy


def test_a_trainer_of_a_number_is_sound_for_a_number(example):
    with_trainer(example, "{alpha: 10, categories: [position]}", "isthmus.linear")
    with_number(example)
    kinds = [p for p in example.problems() if "isthmus.linear" in p.message]
    assert kinds == []


BOOSTING_MISTAKES = {
    "one leaf": ("{leaves: 1}", "parameters.leaves: 1 is below 2", "write 2 or more"),
    "many leaves": ("{leaves: 5000}", "parameters.leaves: 5000 is above 4096", "write 4096 or less"),
    "a near name": ("{tree: 10}", "tree is not a key", "did you mean trees?"),
    "no loss": ("{loss: hinge}", "parameters.loss: 'hinge' is not known here", None),
    "tweedie of an outcome": ("{loss: tweedie}", "tweedie learns a number, and ctr is an outcome of 0 or 1", "leave loss out"),
    "power without tweedie": ("{power: 1.2}", "power is a parameter of loss: tweedie", "leave power out"),
}  # fmt: skip


@pytest.mark.parametrize("case", BOOSTING_MISTAKES)
def test_a_wrong_parameter_of_boosting_is_told_at_its_line(case, example):
    parameters, message, remedy = BOOSTING_MISTAKES[case]
    with_trainer(example, parameters, "isthmus.boosting")
    (problem,) = (p for p in example.problems() if message in p.message)
    assert (problem.file, problem.line) == (FILE, example.line(FILE, "parameters:"))
    assert remedy is None or remedy in (problem.remedy or "")


def test_lambdarank_needs_an_objective_that_says_which_rows_competed(example):
    with_trainer(example, "{trees: 50, leaves: 7, loss: lambdarank}", "isthmus.boosting")
    (problem,) = example.problems()
    assert "lambdarank compares rows" in problem.message
    assert "add ranked_within" in problem.remedy
    example.edit(
        "project.yaml", "impression, within: 30m, ", "impression, within: 30m, unit: segment_id, "
    )
    assert not any("lambdarank" in p.message for p in example.problems())


def test_lambdarank_of_a_number_is_refused_by_name(example):
    with_trainer(example, "{loss: lambdarank}", "isthmus.boosting")
    with_number(example)
    (problem,) = (p for p in example.problems() if "lambdarank of dwell" in p.message)
    assert "not supported yet" in problem.message


def test_an_override_is_judged_by_the_trainers_bounds(example):
    with_trainer(example, "{C: 0.1}")
    description = load(example.path)
    model = description.spec.models["logistic"]
    changed = overridden(description, model, ["parameters.C=10"])
    assert changed.parameters == {"C": 10}
    with pytest.raises(ProjectError, match="10000000 is above 1e"):
        overridden(description, model, ["parameters.C=10000000"])


def test_the_schema_has_the_parameters_with_their_bounds():
    document = schema()
    model = {"$defs": document["$defs"], "$ref": "#/$defs/model"}
    sound = jsonschema.Draft202012Validator(model).is_valid
    whole = {"model": "ranker", "objective": "ctr", "features": ["position"]}
    own = whole | {"trainer": "isthmus.logistic"}
    assert sound(own)
    assert sound(own | {"parameters": {"C": 0.1, "categories": ["position"], "nulls": "mean"}})
    assert not sound(own | {"parameters": {"C": 0}})
    assert not sound(own | {"parameters": {"depth": 3}})
    assert sound(whole | {"trainer": "ranker.mine", "parameters": {"depth": 3, "C": 0}})
