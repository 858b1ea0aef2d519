"""The section `datasets:`: how it is read, and what is refused at its line."""

from datetime import timedelta

import pytest

from isthmus.project.load import parse
from isthmus.project.specs.datasets import Dataset
from isthmus.project.specs.examples import examples_event
from isthmus.tests.project.objectives.test_served_objectives import CHAMPION, PROJECT

DATASETS = """
datasets:
  served: {objective: served_ctr, stream: true, lateness: 10m}
"""
LIVE = """
feature_views:
  served:
    entity: item
    stream: {every: 1m}
    ttl: 1h
    features: {item_shown: {count: impression, window: 10m}}
"""


def read(folder, text):
    (folder / "models").mkdir()
    (folder / "project.yaml").write_text(text.lstrip())
    (folder / "models/champion.yaml").write_text(CHAMPION.lstrip())
    description, problems = parse(folder / "project.yaml")
    return description, [problem for problem in problems if problem.severity == "error"]


def test_a_data_set_is_read_and_its_examples_are_an_event(tmp_path):
    description, problems = read(tmp_path, PROJECT + DATASETS)
    assert problems == []
    spec = description.spec
    dataset = spec.datasets["served"]
    assert dataset == Dataset(
        name="served", objective="served_ctr", stream=True, lateness=timedelta(minutes=10)
    )
    event = examples_event(spec, dataset)
    assert event.name == "examples_served"
    assert [(a.name, a.type) for a in event.attributes[-2:]] == [
        ("outcome", "int"),
        ("known_timestamp", "timestamp"),
    ]
    assert "examples_served" not in spec.events


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "remedy"),
    [
        (
            "objective: served_ctr, stream",
            "objective: served_crt, stream",
            "objective",
            "served_crt is not an objective",
            "served_ctr",
        ),
        (
            "objective: served_ctr, stream",
            "objective: ctr, stream",
            "objective",
            "a data set of impression is not supported yet",
            "rate: click / exposures",
        ),
        (
            "    log_features: true\n",
            "",
            "objective",
            "no endpoint logs the rows that it scores",
            "write log_features: true in endpoints.ranker",
        ),
        (
            "stream: true, ",
            "",
            "",
            "a data set that no worker writes is not supported yet",
            "write stream: true",
        ),
        (
            "  served: {objective",
            "  a_data_set_of_many_letters: {objective",
            "",
            "the name has 26 characters, more than 19",
            "shorten it",
        ),
        (
            "\ndatasets:",
            LIVE + "\ndatasets:",
            "",
            "the feature view served reads streams, too, and workers go by name",
            "rename one",
        ),
        (
            "  impression: {",
            "  examples_served: {attributes: {item_id: {type: int}}}\n  impression: {",
            "",
            "it would make the table examples_served_raw, which is made for events.examples_served",
            "rename one",
        ),
    ],
)
def test_what_is_wrong_is_an_error_at_its_line(tmp_path, old, new, line, message, remedy):
    text = PROJECT + DATASETS
    assert old in text
    _, problems = read(tmp_path, text.replace(old, new))
    (problem,) = problems
    lines = text.replace(old, new).lstrip().splitlines()
    assert message in problem.message
    assert remedy in problem.remedy
    assert (line or ": {objective") in lines[problem.line - 1]
