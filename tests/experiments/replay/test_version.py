"""`models replay`: a version over what a gateway has logged, with the features as they were known;
on a small shop of the laptop.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from isthmus.endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from isthmus.errors import Invalid, NotFound, Refused
from isthmus.events.intake.emit import emit, emit_stream
from isthmus.experiments.replay.step import RULED, UNDRAWN, UNFIT, UNTOLD, replayed_from
from isthmus.experiments.replay.version import _error, checked_question, require_some
from isthmus.feature_store.offline.training_set import training_set
from isthmus.feature_store.online.past_store import KnownStore
from isthmus.feature_store.online.reads import OnlineReader
from isthmus.pipelines.port import RunState, StepState
from isthmus.pipelines.runs.document import StepFailure
from isthmus.project.specs.description import Feature
from isthmus.tests.cli.running import isthmus as command

from ...endpoints import mini
from ...endpoints.shop import Host
from .visits import shown_to

VISITORS, SLOTS, EXPLORE, CANDIDATES = 60, 3, 0.5, [1, 2, 3, 4]
NOW, TODAY, EARLIER = (
    datetime(2024, 1, day, hour, tzinfo=UTC) for day, hour in ((10, 0), (9, 12), (9, 0))
)
REQUEST = {"segment_id": "a", "item_id": CANDIDATES, "slots": SLOTS}
EXPOSED = "      position:   {type: int}\n      exposure_id: {type: string, required: false}\n"
TEXT = (
    mini.FILES["project.yaml"]
    .replace("      position:   {type: int}\n", EXPOSED)
    .replace("explore: 5%", "explore: 50%")
)
POPULAR, BOTH = [4, 3, 2, 1], [1, 2, 3, 4]  # the orders of the two versions


class Predicting(Host):
    """What the champion's processes answer."""

    def invoke(self, endpoint, instances, **options):
        reply = super().invoke(endpoint, instances, **options)
        return msgspec.structs.replace(
            reply, predictions=tuple(float(row["item_impressions"]) for row in instances)
        )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = mini.filled(tmp_path_factory.mktemp("replay"), mini.FILES | {"project.yaml": TEXT})
    with mini.opened(folder) as project:
        for configuration in ("popular", "both"):
            mini.register(project, configuration)
        project.target.endpoints = Predicting()
        for stream in (EXPOSURES, RANKINGS):
            project.target.events.apply(stream)
        visited(project)
        yield project
    sys.modules.pop("mini_ranker", None)


def visited(project):
    """Item 2 is clicked by everybody who sees it, item 1 by every second, the others by nobody."""
    impressions = shown_to(project, REQUEST, visitors=VISITORS, at=NOW)
    liked = [
        row
        for number, row in enumerate(impressions)
        if row["item_id"] == 2 or (row["item_id"] == 1 and number % 2)
    ]
    clicks = [
        {
            "event_id": f"c-{row['event_id']}",
            "impression_id": row["event_id"],
            "item_id": row["item_id"],
        }
        for row in liked
    ]
    emit(project, "impression", impressions)
    emit(project, "click", [row | {"event_timestamp": NOW} for row in clicks])


def replayed(project, version, **window):
    question = checked_question(project, version, **window)
    return replayed_from(
        project,
        question,
        project.folder / "made" / ["popular", "both"][question.version - 1],
        page=7,
    )


def exposures(project):
    sql = (
        "SELECT isthmus_shown.entity_key, isthmus_shown.position, isthmus_shown.propensity, "
        "coalesce(outcome, 0) AS reward FROM exposures AS isthmus_shown LEFT JOIN ctr ON "
        "ctr.exposure_id = isthmus_shown.event_id WHERE isthmus_shown.event_timestamp >= $since"
    )
    return project.target.warehouse.query(sql, {"since": TODAY}).to_pylist()


def test_the_version_that_served_earns_what_was_logged(project):
    same = replayed(project, "ranker@1", since=TODAY)
    rows = exposures(project)
    assert (same.answers, same.left_out, same.replay.rows, same.replay.units) == (
        VISITORS,
        {},
        VISITORS * SLOTS,
        VISITORS,
    )
    assert same.replay.logged == pytest.approx(sum(row["reward"] for row in rows) / len(rows))
    assert same.replay.value == pytest.approx(same.replay.logged)
    assert same.replay.effective_rows == pytest.approx(VISITORS * SLOTS)


def test_another_version_is_weighed_by_its_own_order_under_the_same_exploration(project):
    other, rows = replayed(project, "ranker@2", since=TODAY), exposures(project)
    best, chance = 1 - EXPLORE + EXPLORE / 4, EXPLORE / 4
    weights = [
        (best if row["entity_key"] == str(BOTH[row["position"] - 1]) else chance)
        / row["propensity"]
        for row in rows
    ]
    assert {row["propensity"] for row in rows} == {best, chance}
    assert other.replay.value == pytest.approx(
        sum(w * row["reward"] for w, row in zip(weights, rows, strict=True)) / len(rows)
    )
    assert other.replay.self_normalised.value == pytest.approx(
        other.replay.value * len(rows) / sum(weights)
    )
    assert other.replay.difference.low > 0, "it puts on top what is clicked"
    assert "ranker@2 in place of what ranker served   ctr per place, explore 50 %" in str(other)
    assert "left out" not in str(other)


def logged(number, **fields):
    """An answer of the day before, with one place."""
    answer = f"q-old-{number}"
    shared = {
        "endpoint": "ranker",
        "unit": "v1",
        "variant": "champion",
        "version": "ranker@1",
        "entity": "item",
        "explored": False,
    }
    times = {"event_timestamp": EARLIER + timedelta(minutes=number)}
    ranking = {
        "event_id": answer,
        "gateway": "old",
        "sequence": number,
        "candidates": "[1,2,3,4]",
        "model_order": "[3,2,1,0]",
    }
    ranking |= (
        {"explore": EXPLORE, "slots": 1, "request": '{"segment_id":"a"}', "milliseconds": 1.0}
        | shared
        | times
        | fields
    )
    return ranking, {
        "event_id": f"{answer}-1",
        "entity_key": "4",
        "position": 1,
        "score": 1.0,
        "propensity": 0.625,
    } | shared | times


def test_what_cannot_be_replayed_is_left_out_by_its_reason_and_refused_where_nothing_is_left(
    project,
):
    cases = [
        ({"request": None}, UNTOLD),
        ({"rules_digest": "other"}, RULED),
        ({"request": '{"segment":"a"}'}, UNFIT),
        ({"entity": "gone"}, UNFIT),
        ({"request": "{}"}, "ranker@2 reads segment_id, which was not sent"),
        ({"explore": 0.0}, UNDRAWN),
        ({"explore": 0.4}, "the rules, by features as they are known now, give other propensities"),
    ]
    pairs = [logged(number, **fields) for number, (fields, _) in enumerate(cases)]
    for stream, rows in zip((RANKINGS, EXPOSURES), zip(*pairs, strict=True), strict=True):
        emit_stream(project, stream, list(rows))
    before = {"since": EARLIER, "until": EARLIER + timedelta(hours=1)}
    nothing = replayed(project, "ranker@2", **before)
    assert nothing.left_out == Counter(reason for _, reason in cases)
    assert (nothing.answers, nothing.outside) == (0, 1 - EXPLORE / 4)
    with pytest.raises(
        Refused,
        match=r"87\.5 % of ranker@2's probability lies on what was not shown; 1 answers: of a "
        r"gateway",
    ):
        require_some(nothing)
    assert replayed(project, "ranker@1", **before).outside == EXPLORE - EXPLORE / 4, (
        "it shows what was shown, unless it explores"
    )


def test_what_was_known_at_a_moment_is_what_a_training_set_has_of_it(project):
    views = {"item_history": ("item_impressions",), "segment_history": ("segment_impressions",)}
    features = [Feature(view=view, name=name) for view, (name,) in views.items()]
    start, end = datetime(2024, 1, 1, tzinfo=UTC), NOW
    rows = training_set(project, "ctr", features, start=start, end=end).to_pylist()
    known = KnownStore(project, views, start + timedelta(days=1), chunk=3)
    reader = OnlineReader(project, views, cache=known, now=lambda: known.moment)
    seen = set()
    for row in (row for row in rows if row["event_timestamp"].replace(tzinfo=UTC) >= known.moment):
        known.move(row["event_timestamp"].replace(tzinfo=UTC))
        served = reader.read(
            {"item_history": [row["item_id"], 99], "segment_history": [row["segment_id"]]}
        )
        values = [
            served["item_history"].rows[0]["item_impressions"],
            served["segment_history"].rows[0]["segment_impressions"],
        ]
        assert values == [row["item_impressions"], row["segment_impressions"]]
        assert served["item_history"].rows[1] == {"item_impressions": None}
        seen.update(values)
    assert len(seen) > 5
    assert None in seen
    with pytest.raises(ValueError, match="is before"):
        known.move(start)


def test_a_log_from_before_requests_were_logged_is_refused_with_the_columns_that_are_missing(
    project, tmp_path
):
    mini.write(tmp_path, mini.FILES | {"project.yaml": TEXT})
    with mini.opened(tmp_path) as other:
        mini.register(other, "popular")
        older = tuple(
            column for column in RANKINGS.columns if column.name not in ("slots", "request")
        )
        for stream in (EXPOSURES, msgspec.structs.replace(RANKINGS, columns=older)):
            other.target.events.apply(stream)
        with pytest.raises(Refused, match="rankings has no column request, slots yet"):
            checked_question(other, "ranker@1")


def test_a_question_that_cannot_be_answered_is_refused_before_anything_runs(project, tmp_path):
    with pytest.raises(Invalid, match="a version is MODEL@NUMBER"):
        checked_question(project, "ranker")
    with pytest.raises(NotFound):
        checked_question(project, "ranker@9")
    with pytest.raises(NotFound, match="no endpoint home"):
        checked_question(project, "ranker@1", endpoint="home")
    with pytest.raises(Invalid, match="no answer before"):
        checked_question(project, "ranker@1", since=NOW + timedelta(days=1))
    window = checked_question(project, "ranker@1").window
    assert checked_question(project, "ranker@1", until=NOW + timedelta(days=9)).window == window, (
        "what comes later is not known"
    )
    mini.write(
        tmp_path,
        mini.FILES | {"project.yaml": TEXT.replace(EXPOSED, "      position:   {type: int}\n")},
    )
    with mini.opened(tmp_path) as other:
        mini.register(other, "popular")
        with pytest.raises(Refused, match=r"events\.impression\.attributes has no exposure_id"):
            checked_question(other, "ranker@1")
    mini.write(tmp_path, mini.FILES | {"project.yaml": TEXT})
    with mini.opened(tmp_path) as other, pytest.raises(Refused, match="exposures are not logged"):
        checked_question(other, "ranker@1")


@pytest.mark.parametrize(
    ("failure", "error", "text"),
    [
        (
            StepFailure(reason="Refused: no: log", attempts=1, error="Refused", message="no: log"),
            Refused,
            "no: log",
        ),
        (
            StepFailure(reason="KeyError: 'a'", attempts=1, error="KeyError", message="'a'"),
            Invalid,
            "Refused: by the provider",
        ),
        (None, Invalid, "Refused: by the provider"),
    ],
)
def test_what_the_step_raised_is_told_as_such_and_nothing_is_read_out_of_a_providers_words(
    failure, error, text
):
    step = StepState(name="replay", phase="failed", reason="Refused: by the provider")
    told = _error(RunState(run_id="r1", phase="failed", steps=(step,)), failure, remedy="look")
    assert (type(told), str(told), told.remedy) == (error, text, "look")


@pytest.mark.slow
def test_the_command_replays_in_a_step_of_its_own(project):
    before = replayed(project, "ranker@2", since=TODAY)
    text = command(
        project.folder, "models", "replay", "ranker@2", "--since", "2024-01-09T12:00:00", "--json"
    ).json
    assert text["replay"]["doubly_robust"]["value"] == pytest.approx(
        before.replay.doubly_robust.value
    )
    assert command(project.folder, "models", "replay", "ranker@2", "--dry-run").out.startswith(
        "local   replay ranker@2\ndry run: would"
    )
    assert (
        f"up to 2024-01-10 00:00: {VISITORS} answers, 0 left out"
        in command(project.folder, "runs", "log", "r1", "replay").out
    )
    refused = command(
        project.folder, "models", "replay", "ranker@2", "--until", "2024-01-09T01:00:00", ok=False
    )
    assert "ranker: no logged answer tells what ranker@2 would earn" in refused.err
