"""The audit finds what is not the hash's, and only that; on a laptop's log, by chunks of any size."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.endpoints.gateway.decide.assignment import Assigner
from isthmus.endpoints.gateway.log.streams import ASSIGNMENTS, RANKINGS
from isthmus.errors import NotFound
from isthmus.events.intake.emit import emit_stream
from isthmus.experiments import experiment
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.running import status as standing

from ...endpoints import mini
from ..desk import BLEND, declared


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A project whose gateways logged 600 visitors: of a share of 30 %, then of 60 %."""
    folder = tmp_path_factory.mktemp("audit")
    mini.write(folder)
    with mini.opened(folder) as project:
        isthmus.apply(project)
        declared(project, replace(BLEND, holdout=Decimal(5)), home=2)
        live = [log(project, experiment.start, "blend_up", range(300))]
        live.append(
            log(
                project,
                lambda *words: experiment.ramp(*words, Decimal(60)),
                "blend_up",
                range(200, 600),
            )
        )
        yield project, live


def log(project, verb, name, visitors):
    """What gateways do after a verb: assign, and log it twice for some, as several processes do."""
    from isthmus.experiments.design import runs

    verb(project, name)
    live = runs.read(project.target.state).live
    assigner = Assigner(live, "ranker", {"blend": 0.5})
    units = [f"visitor-{n}" for n in visitors]
    rows = [
        assigned(project, unit, of.run, of.arm, of.reason, live.version, copy)
        for unit in units
        for copy in range(1 + (unit[-1] == "7"))
        for of in assigner.decide(unit, {}).assignments
    ]
    emit_stream(project, ASSIGNMENTS, rows)
    return live


def assigned(project, unit, run, arm, reason, config, copy=0):
    return {
        "event_id": f"{run}-{unit}-{config}-{copy}",
        "event_timestamp": project.now() + timedelta(milliseconds=config),
        "run": run,
        "endpoint": "ranker",
        "layer": "home",
        "unit": unit,
        "arm": arm,
        "reason": reason,
        "config": config,
        "segment": "",
    }


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_what_gateways_assigned_is_what_the_hash_says(shop, chunk):
    project, live = shop
    seen = audit(project, "blend_up", chunk=chunk)
    assert (seen.run, seen.differ, seen.outside, seen.twice, seen.sound) == (
        "blend_up.1",
        0,
        0,
        0,
        True,
    )
    assert 250 < seen.units < 450, "the layer's 60 % of 600, and of the first 300 no more"
    units = standing.status(project, "blend_up").units
    assert set(units) == {"control", "low", "high"}
    assert seen.units - sum(units.values()) in range(1, 60), "those in the experiment's holdout"
    assert standing.status(project, "blend_up").seen == live[1].version


def test_a_unit_with_another_arm_and_one_outside_its_buckets_are_found_and_named(shop):
    project, live = shop
    decisions = {
        f"new-{n}": Assigner(live[1], "ranker", {}).decide(f"new-{n}", {}) for n in range(200)
    }
    inside = next(
        unit for unit, decision in decisions.items() if decision.arms.get("blend_up.1") == "low"
    )
    outside = next(
        unit
        for unit, decision in decisions.items()
        if not any(a.run == "blend_up.1" for a in decision.assignments)
    )
    before = audit(project, "blend_up")
    emit_stream(
        project,
        ASSIGNMENTS,
        [
            assigned(project, inside, "blend_up.1", arm, "split", live[1].version, arm)
            for arm in ("low", "high")
        ],
    )
    emit_stream(
        project,
        ASSIGNMENTS,
        [assigned(project, outside, "blend_up.1", "high", "split", live[1].version)],
    )
    seen = audit(project, "blend_up")
    assert (seen.units - before.units, seen.twice, seen.outside, seen.sound) == (2, 1, 1, False)
    assert seen.differ in (1, 2), "the one outside may have its arm"
    assert any(
        example.startswith(f"{inside}: logged") and "the hash says low (split)" in example
        for example in seen.examples
    )


def test_numbers_that_no_answer_of_a_gateway_has_are_lost_answers(shop):
    project, _ = shop
    project.target.events.apply(RANKINGS)
    emit_stream(
        project,
        RANKINGS,
        [answer(project, gateway, n) for gateway, numbers in GATEWAYS.items() for n in numbers],
    )
    seen = audit(project, "blend_up")
    assert (seen.gateways, seen.answers, seen.lost) == (2, 8, 3)
    assert "8 logged by 2 gateway processes, 3 lost" in str(seen)


GATEWAYS = {"g1": [1, 2, 3, 6], "g2": [5, 6, 8, 9]}


def answer(project, gateway, number):
    return {
        "event_id": f"q-{gateway}-{number}",
        "event_timestamp": project.now(),
        "endpoint": "ranker",
        "gateway": gateway,
        "sequence": number,
        "unit": "visitor-1",
        "variant": "champion",
        "version": "ranker@1",
        "entity": "item",
        "candidates": "[1]",
        "model_order": "[0]",
        "explored": False,
        "explore": 0.05,
        "milliseconds": 1.5,
    }


def test_what_never_ran_has_no_audit(shop):
    with pytest.raises(NotFound, match="never ran"):
        audit(shop[0], "other")
