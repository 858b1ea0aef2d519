"""`profile:` against a brute-force computation of the mean vector of what an entity did."""

from datetime import timedelta

import pytest

import isthmus as im
from isthmus.tests.pipelines.extraction import world


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = world.create(tmp_path_factory.mktemp("profile") / "reader")
    with im.open(folder) as opened:
        im.apply(opened)
        im.ingest(opened)
        im.features.extract(opened, "item_text")
        im.materialize(opened, ["user_taste"])
        yield opened


def query(project, sql):
    return im.query(project, sql).to_pylist()


def test_a_profile_is_the_mean_of_the_vectors_of_what_was_clicked_within_the_window(project):
    vectors = {
        row["item_id"]: (row["event_timestamp"], [row[f"item_text_0{n}"] for n in range(4)])
        for row in query(project, "SELECT * FROM item_text")
    }
    done = [
        (row["user_id"], row["event_timestamp"], vectors[row["item_id"]][1])
        for row in query(project, "SELECT * FROM events_click")
        if vectors[row["item_id"]][0] <= row["event_timestamp"]
    ]
    expected = {}
    for user, at, _ in done:
        recent = [v for u, t, v in done if u == user and at - timedelta(days=3) <= t <= at]
        means = [sum(column) / len(recent) for column in zip(*recent, strict=True)]
        expected[user, at] = (len(recent), *means)
    profiles = {
        (row["user_id"], row["event_timestamp"]): (
            row["user_taste_count"],
            *(row[f"user_taste_0{n}"] for n in range(4)),
        )
        for row in query(project, "SELECT * FROM user_taste")
    }
    assert len(done) < 400  # some clicked an item before it was published
    assert profiles.keys() == expected.keys()
    for place, values in expected.items():
        assert profiles[place] == pytest.approx(values, abs=1e-12)


def test_a_profile_is_known_only_after_the_click_that_it_counts(project):
    lags = query(
        project,
        "SELECT DISTINCT date_diff('millisecond', event_timestamp, created_timestamp) AS lag "
        "FROM user_taste",
    )
    assert lags == [{"lag": 1000}]


def test_what_is_served_is_the_profile_of_the_history(project):
    assert im.features.skew(project).differ == 0
