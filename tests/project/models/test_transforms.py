"""Transforms among a model's features: how a file says them, and what is refused."""

import jsonschema
import pytest

from isthmus.feature_store.views.checks import check
from isthmus.project.load import load, parse
from isthmus.project.models.transforms import feature_keys
from isthmus.project.schema import schema
from isthmus.project.specs.description import Feature, Transform

FILE = "models/logistic.yaml"
FIRST = "  - position                     # an attribute of the impression\n"


def with_entries(example, *entries):
    example.edit(FILE, FIRST, "".join(f"  - {entry}\n" for entry in ("position", *entries)))
    return example


def test_a_model_reads_what_its_transforms_read_and_has_their_columns(example):
    with_entries(
        example,
        "{bucketize: item_history.item_impressions_7d, at: [10, 100.5], as: shown}",
        "{cross: [position, shown, segment_id], into: 64, as: place}",
        "{log: item_history.item_impressions_7d, as: log_shown}",
    )
    model = load(example.path).spec.models["logistic"]
    assert model.columns[:4] == ("position", "shown", "place", "log_shown")
    assert model.features[-2:] == (
        Feature(view="item_history", name="item_impressions_7d"),
        Feature(view=None, name="segment_id"),
    )
    assert [str(feature) for feature in model.features].count("position") == 1
    assert model.transforms[:2] == (
        Transform(kind="bucketize", name="shown", inputs=("item_impressions_7d",), at=(10, 100.5)),
        Transform(kind="cross", name="place", inputs=("position", "shown", "segment_id"), into=64),
    )
    keys = dict(zip(map(str, model.features), feature_keys(model), strict=True))
    assert keys["item_profile.item_ctr_prior"] == "features[4]"
    assert keys["item_history.item_impressions_7d"] == "features[1].bucketize"
    assert keys["segment_id"] == "features[2].cross"
    assert check(load(example.path)) == ()


MISTAKES = {
    "two in one": ("{log: position, bucketize: position, at: [1], as: a}", "log and bucketize in one entry", "an entry for each"),
    "a near name": ("{bucketise: position, at: [1], as: a}", "bucketise is no transform", "did you mean bucketize?"),
    "nothing": ("{as: a}", "a mapping is no transform", "bucketize, cross, log"),
    "cosine": ("{cosine: [user_taste, item_text], as: a}", "features[1].cosine[0]: user_taste is no view with a vector", "declare one with extract"),
    "dot": ("{dot: [user_taste, item_text], as: a}", "features[1].dot[0]: user_taste is no view with a vector", "declare one with extract"),
    "no name": ("{log: position}", "as is missing", "write as: a_name"),
    "a bad name": ("{log: position, as: A}", "'A' is not a name", "a"),
    "the label": ("{log: position, as: outcome}", "as: the column outcome is made by Isthmus", "another name"),
    "no edges": ("{bucketize: position, as: a}", "at is missing", "at: [10, 100, 1000]"),
    "edges that fall": ("{bucketize: position, at: [2, 2], as: a}", "at: its edges do not ascend", "write each above the last"),
    "an edge without end": ("{bucketize: position, at: [.inf], as: a}", "is not a number", None),
    "one alone": ("{cross: [position], into: 8, as: a}", "a list of 1, where at least 2 are needed", None),
    "into one": ("{cross: [position, policy], into: 1, as: a}", "into: 1 is below 2", "2 or more"),
    "into too many": ("{cross: [position, policy], into: 9000000, as: a}", "into: 9000000 is above 1e+06", "or less"),
    "its own input's name": ("{log: position, as: position}", "as: position is another column's name already", "choose another"),
    "a name that is a feature's": ("{log: position, as: item_score}", "item_score is another column's name already", "choose another"),
    "an unknown view": ("{log: item_histroy.item_ctr_7d, as: a}", "features[1].log: item_histroy is not a feature view", "did you mean item_history?"),
    "an unknown attribute": ("{cross: [position, polcy], into: 8, as: a}", "features[1].cross: polcy is not an attribute of impression", "did you mean policy?"),
    "an unknown key": ("{log: position, base: 2, as: a}", "base is not a key of log", "log has log, as"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_in_a_transform_is_told_at_its_line(case, example):
    entry, message, remedy = MISTAKES[case]
    with_entries(example, entry)
    _, problems = parse(example.path)
    (problem,) = (p for p in problems if message in p.message)
    assert (problem.file, problem.line) == (FILE, 8)
    assert remedy is None or remedy in (problem.remedy or "")


@pytest.mark.parametrize(
    ("entry", "message", "remedy"),
    [
        (
            "{log: segment_id, as: a}",
            "segment_id is a string, and log reads int or float",
            "another",
        ),
        (
            "{bucketize: segment_id, at: [1], as: a}",
            "segment_id is a string, and bucketize reads int or float",
            "another feature",
        ),
        (
            "{cross: [position, item_history.item_ctr_7d], into: 8, as: a}",
            "item_ctr_7d is a float, and cross reads string, int or bool",
            "bucketize it before, and cross the bucket",
        ),
        (
            "{log: item_history.item_crt_7d, as: a}",
            "features: item_history.item_crt_7d is not a feature",
            "did you mean item_history.item_ctr_7d?",
        ),
    ],
)
def test_a_column_of_a_wrong_type_is_told_at_its_line(entry, message, remedy, example):
    with_entries(example, entry)
    (problem,) = check(load(example.path))
    assert message in problem.message
    assert (problem.file, problem.line) == (FILE, 8)
    assert remedy in problem.remedy


def test_the_schema_has_the_grammar_and_its_bounds():
    document = schema()
    entry = document["$defs"]["model"]["properties"]["features"]["anyOf"][1]["items"]

    def sound(value):
        return jsonschema.Draft202012Validator(entry).is_valid(value)

    assert sound("item_history.item_ctr_7d")
    assert sound({"bucketize": "a.b", "at": [1, 2.5], "as": "c"})
    assert sound({"cross": ["a.b", "c"], "into": 4096, "as": "d"})
    assert sound({"log": "a.b", "as": "c"})
    assert not sound({"cross": ["a.b"], "into": 4096, "as": "d"})
    assert not sound({"cross": ["a.b", "c"], "into": 1_000_001, "as": "d"})
    assert sound({"cosine": ["a", "b"], "as": "c"})
    assert not sound({"cosine": ["a"], "as": "c"})
    assert not sound({"dot": ["a.b", "c.d"], "as": "e"})
    assert not sound({"log": "a.b"})
