"""A gateway that assigns: what the models are asked with, what the answer says, and what is logged
of it.
"""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from isthmus.endpoints.gateway.arms import Logged
from isthmus.endpoints.gateway.decide.assignment import Assignment
from isthmus.endpoints.gateway.decide.live_document import LiveArm
from isthmus.endpoints.gateway.processes.tally import Tally
from isthmus.errors import Invalid, Refused
from isthmus.project.specs.monitors import Monitor
from isthmus.project.specs.rules import Condition
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.shop import VARIANTS, Shop, live, run


def test_a_unit_s_parameters_reach_the_model_and_stand_in_the_answer_and_in_every_row():
    with Shop(live(run())) as opened:
        ranking = opened.rank(platform="ios")
        assert opened.host.calls == [(None, {"blend": 0.7, "tone": "calm"})]
        assert (ranking.assignments, ranking.parameters) == (
            {"blend_up.1": "treatment"},
            {"blend": 0.7, "tone": "calm"},
        )
        exposures, (row,) = opened.rows["exposures"], opened.rows["rankings"]
        assert ranking.exposures == tuple(row["event_id"] for row in exposures)
        for logged in (*exposures, row):
            assert json.loads(logged["assignments"]) == ranking.assignments
            assert json.loads(logged["parameters"]) == ranking.parameters
            assert logged["config"] == 12
        assert (row["candidates"], row["model_order"], row["explored"], row["explore"]) == (
            "[1,2,3]",
            "[2,1,0]",
            False,
            0.0,
        )
        assert (row["slots"], json.loads(row["request"])) == (2, {"platform": "ios"})
        assert f"{row['gateway']}-{row['sequence']}" == row["event_id"] == ranking.request_id


def test_of_a_requests_attributes_those_that_monitors_group_by_stand_in_its_ranking():
    watched = {
        name: Monitor(name=name, endpoint="ranker", units=name) for name in ("platform", "age")
    }
    with Shop(live(run()), spec=replace(shop.SPEC, monitors=watched)) as opened:
        for request in ({"platform": "ios", "age": 41}, {"platform": "web"}, {}):
            opened.rank(**request)
        assert [row["attributes"] for row in opened.rows["rankings"]] == [
            '{"age":41,"platform":"ios"}',
            '{"platform":"web"}',
            None,
        ]
    with Shop(live(run())) as opened:
        opened.rank(platform="ios")
        assert opened.rows["rankings"][0]["attributes"] is None, "nobody groups by it"


def test_an_arm_aims_the_call_and_sets_the_share_that_is_explored():
    arms = (
        LiveArm("control", 5000, {"variant": "champion"}),
        LiveArm("treatment", 10_000, {"variant": "challenger", "explore": 100}),
    )
    with Shop(live(run(arms=arms))) as opened:
        ranking = opened.rank()
        assert (ranking.variant, opened.host.calls[0][0]) == ("challenger", "challenger")
        assert opened.rows["rankings"][0]["explore"] == 1.0
        assert all(row["explored"] for row in opened.rows["exposures"])
        assert ranking.propensities == pytest.approx((1 / 3, 1 / 3))
        assert json.loads(opened.rows["exposures"][0]["parameters"]) == {
            "blend": 0.5,
            "explore": 100,
            "tone": "calm",
            "variant": "challenger",
        }


@pytest.mark.parametrize("seen", [True, False])
def test_a_variant_that_is_gone_leaves_the_call_unaimed_with_the_defaults_and_nobody_assigned(seen):
    """`seen`: by the look at the endpoint; else by the call itself."""
    with Shop(live(run(arms=VARIANTS))) as opened:
        if not seen:
            opened.gateway._models.now()
        opened.host.variants = ["champion"]
        ranking = opened.rank()
        assert (ranking.variant, ranking.assignments, ranking.parameters) == (
            "champion",
            {},
            {"blend": 0.5, "tone": "calm"},
        )
        assert opened.host.calls[-1][0] is None
        assert opened.gateway.tally.gone == 1
        assert opened.rows["assignments"] == []
        assert [row["assignments"] for row in opened.rows["exposures"]] == [None, None]


def test_an_assignment_is_logged_once_a_unit_run_and_day_with_a_row_for_each_segment_that_the_request_says():
    with Shop(live(run(segments=("platform", "age")), holdout=1)) as opened:
        for _ in range(3):
            opened.rank(platform="ios")
        rows = opened.rows["assignments"]
        assert [(row["run"], row["arm"], row["reason"], row["segment"]) for row in rows] == [
            ("blend_up.1", "treatment", "split", ""),
            ("blend_up.1", "treatment", "split", "platform=ios"),
            ("home_holdout", "in", "holdout", ""),
        ]
        assert len({row["event_id"] for row in rows}) == 3
        opened.project.now = lambda: shop.NOW + timedelta(days=1)
        opened.rank(platform="ios", visitor_id="visitor-1")
        assert len(rows) == 6


def test_an_assignment_that_was_not_delivered_is_logged_by_the_next_request():
    with Shop(live(run())) as opened:
        keep, away = opened.keep, ["assignments"]

        def emit(stream, rows):
            if stream in away:
                raise Refused("no route")
            return keep(stream, rows)

        opened.gateway._writer._emit = emit
        assert "1 of 1 assignments not delivered: no route" in opened.rank().problems[0]
        away.clear()
        assert [opened.rank().problems for _ in range(2)] == [(), ()]
        assert [row["unit"] for row in opened.rows["assignments"]] == ["visitor-1"]


def test_targeting_reads_the_attributes_of_the_request_which_no_model_gets():
    with Shop(
        live(
            run(
                targeting=(
                    Condition(attribute="platform", among=("ios",)),
                    Condition(attribute="age", min=18),
                )
            )
        )
    ) as opened:
        assert opened.rank(platform="ios", age=20).assignments == {"blend_up.1": "treatment"}
        assert opened.rank(platform="ios", age=17).assignments == {}
        assert opened.rank(platform="ios", age=None).assignments == {}
        assert opened.rank(platform="web", age=20).assignments == {}
        assert opened.rank().assignments == {}
        with pytest.raises(Invalid, match="is not one of web, ios, android"):
            opened.rank(platform="tv")
        with pytest.raises(Invalid, match="platform is null"):
            opened.rank(platform=None)


def test_without_a_copy_units_get_the_defaults_and_no_config_is_logged():
    with Shop(live(run())) as opened:
        opened.state.away = "no route"
        ranking = opened.rank()
        assert (ranking.assignments, ranking.parameters) == ({}, {"blend": 0.5, "tone": "calm"})
        assert {row["config"] for row in opened.rows["exposures"]} == {None}
        assert opened.rows["assignments"] == []


STEPS = st.lists(st.sampled_from(["away", "damaged", "ramped", "stopped", "started"]), max_size=8)


@given(STEPS)
def test_arms_stay_and_each_row_has_the_config_that_its_arm_came_from(steps):
    """`sound`: version -> whether it assigns; an answer goes by the last sound one that could be
    read.
    """
    with Shop(live(run(), version=1)) as opened:
        opened.rank()
        sound, known = {1: True}, 1
        for step in steps:
            opened.state.away = "no route" if step == "away" else ""
            if step == "damaged":
                opened.state.put(b"{]")
            elif step != "away":
                known = max(sound) + 1
                runs = (
                    []
                    if step == "stopped"
                    else [run(ranges=((0, 9998 if step == "ramped" else 9999),))]
                )
                sound[known] = bool(runs)
                opened.state.put(
                    live(*runs, version=known, written=shop.NOW + timedelta(seconds=known))
                )
            opened.look()
            ranking = opened.rank()
            assert ranking.assignments == ({"blend_up.1": "treatment"} if sound[known] else {})
            row = opened.rows["rankings"][-1]
            assert (row["config"], row["assignments"] is not None) == (known, sound[known])
        assert all(sound[row["config"]] for row in opened.rows["assignments"])


def test_what_was_logged_is_forgotten_by_use():
    logged = Logged(2)

    def new(run_name, day=1):
        return len(
            logged.new(
                (Assignment(run=run_name, layer="l", arm="a", reason="split"),),
                "u",
                shop.NOW.date() + timedelta(days=day),
            )
        )

    assert [new("a"), new("b"), new("a"), new("c"), new("a"), new("b"), new("c", day=2)] == [
        1,
        1,
        0,
        1,
        0,
        1,
        1,
    ]


def test_a_process_that_is_forked_while_another_thread_logs_a_unit_waits_for_nobody():
    logged, tally = Logged(2), Tally()
    with logged._lock, tally._lock:
        child = os.fork()
        if not child:
            signal.alarm(60)
            tally.failed()
            os._exit(
                len(
                    logged.new(
                        (Assignment(run="a", layer="l", arm="a", reason="split"),),
                        "u",
                        shop.NOW.date(),
                    )
                )
                - 1
            )
    assert os.waitpid(child, 0)[1] == 0
