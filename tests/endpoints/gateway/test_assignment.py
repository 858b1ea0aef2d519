"""Assignment by hash: the vectors of the specification, and a second implementation that was
written from the page alone.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.gateway.decide import assignment
from isthmus.endpoints.gateway.decide.assignment import Assigner, bucket, meets, uppers
from isthmus.endpoints.gateway.decide.live_document import (
    LiveArm,
    LiveExperiments,
    LiveLayer,
    LiveRun,
)
from isthmus.project.specs.rules import Condition

NOW = datetime(2026, 11, 26, tzinfo=UTC)
VECTORS = [
    ("layer", "home", "1", 9026),
    ("layer", "home", "visitor-1", 6335),
    ("layer", "home", "dcdf741f7baf", 5688),
    ("layer", "home", "ユーザー1", 1313),
    ("layer", "home", "a:b", 2365),
    ("arm", "ranker_v2.1", "visitor-1", 6362),
    ("arm", "ranker_v2.2", "visitor-1", 9151),
    ("arm", "ranker_v2.1", "ユーザー1", 5157),
    ("holdout", "home", "visitor-1", 1466),
    ("holdout", "ranker_v2", "visitor-1", 7953),
]


@pytest.mark.parametrize(("purpose", "salt", "unit", "expected"), VECTORS)
def test_the_buckets_are_those_of_the_page(purpose, salt, unit, expected):
    assert bucket(purpose, salt, unit) == expected == by_the_page(purpose, salt, unit)


def by_the_page(purpose: str, salt: str, unit: str) -> int:
    """MurmurHash3 x86 32 from its description, in fifteen lines; shares no code with mmh3."""
    data = f"isthmus/1:{purpose}:{salt}:{unit}".encode()
    h, full = 0, len(data) // 4 * 4
    for at in range(0, len(data), 4):
        k = int.from_bytes(data[at : at + 4], "little") * 0xCC9E2D51 & 0xFFFFFFFF
        k = ((k << 15 | k >> 17) & 0xFFFFFFFF) * 0x1B873593 & 0xFFFFFFFF
        h ^= k
        if at < full:
            h = ((h << 13 | h >> 19) & 0xFFFFFFFF) * 5 + 0xE6546B64 & 0xFFFFFFFF
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (h ^ h >> 16) * 10000 // 2**32


@given(
    st.sampled_from(["layer", "arm", "holdout", "split"]),
    st.from_regex(r"[a-z_.0-9]{1,12}", fullmatch=True),
    st.text(st.characters(codec="utf-8")),
)
def test_any_unit_has_the_bucket_of_the_page(purpose, salt, unit):
    assert bucket(purpose, salt, unit) == by_the_page(purpose, salt, unit)


def test_arms_end_at_the_floor_of_their_cumulated_share():
    assert uppers([50, 50]) == [5000, 10_000]
    assert uppers([1, 1, 1]) == [3333, 6666, 10_000]
    assert uppers([0.1, 0.2, 0.7]) == [1000, 3000, 10_000]


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (Condition(attribute="a", among=("JP", "TW")), "JP", True),
        (Condition(attribute="a", among=("JP", "TW")), "DE", False),
        (Condition(attribute="a", not_among=("web",)), "ios", True),
        (Condition(attribute="a", not_among=("web",)), "web", False),
        (Condition(attribute="a", not_among=("web",)), None, False),
        (Condition(attribute="a", min=1, max=2), 2, True),
        (Condition(attribute="a", min=1, max=2), 3, False),
        (Condition(attribute="a", min=1), "2", False),
        (Condition(attribute="a", max=2), NOW, False),
    ],
)
def test_a_condition_is_met_by_what_it_names_and_never_by_what_is_absent(
    condition, value, expected
):
    assert meets([condition], {"a": value}) is expected


def live(*runs: LiveRun, **layers: int) -> LiveExperiments:
    """`layers`: name -> holdout."""
    about = {
        name: LiveLayer(endpoint="ranker", salt=name, holdout=holdout)
        for name, holdout in (layers or {"home": 0}).items()
    }
    return LiveExperiments(version=12, written=NOW, layers=about, runs=runs)


def run(name="ranker_v2.1", *, ranges=((0, 9999),), arms=None, **fields) -> LiveRun:
    arms = arms or (LiveArm("control", 5000, {}), LiveArm("treatment", 10_000, {"blend": 0.7}))
    experiment = name.partition(".")[0]
    return LiveRun(
        **{
            "run": name,
            "experiment": experiment,
            "layer": "home",
            "ranges": ranges,
            "arms": arms,
            "salt": name,
            "started": NOW,
        }
        | fields
    )


def decide(document: LiveExperiments | None, unit="visitor-1", **attributes):
    return Assigner(document, "ranker", {"blend": 0.5}).decide(unit, attributes)


def test_a_unit_has_the_arm_of_its_hash_and_the_arm_s_parameters_over_the_defaults():
    decision = decide(live(run()))
    assert dict(decision.arms) == {"ranker_v2.1": "treatment"}  # 6362 is not below 5000
    assert decision.parameters == {"blend": 0.7}
    assert decision.logged == '{"blend": 0.7}'


@pytest.mark.parametrize("document", [None, live(), live(run(ranges=((0, 6334), (6336, 9999))))])
def test_outside_of_every_run_a_unit_has_the_defaults(document):
    decision = decide(document)
    assert (decision.arms, decision.assignments, decision.parameters, decision.variant) == (
        {},
        (),
        {"blend": 0.5},
        None,
    )


def test_who_is_not_targeted_has_the_defaults():
    japan = run(targeting=(Condition(attribute="country", among=("JP",)),))
    assert decide(live(japan), country="DE").assignments == ()
    assert decide(live(japan)).assignments == ()
    assert decide(live(japan), country="JP").arms == {"ranker_v2.1": "treatment"}


def test_the_layer_s_holdout_is_in_no_experiment_and_is_logged_as_the_others_are():
    (assigned,) = decide(live(run(), home=1467)).assignments
    assert (assigned.run, assigned.arm, assigned.reason) == ("home_holdout", "holdout", "holdout")
    decision = decide(live(run(), home=1466))
    assert [(a.run, a.arm) for a in decision.assignments] == [
        ("ranker_v2.1", "treatment"),
        ("home_holdout", "in"),
    ]
    assert decision.arms == {"ranker_v2.1": "treatment"}


def test_the_experiment_s_holdout_keeps_the_control_and_is_not_compared():
    decision = decide(live(run(holdout=7954)))
    assert [(a.arm, a.reason) for a in decision.assignments] == [("control", "holdout")]
    assert (decision.arms, decision.parameters) == ({}, {"blend": 0.5})
    assert decide(live(run(holdout=7953))).arms == {"ranker_v2.1": "treatment"}


AIMED = (
    LiveArm("control", 5000, {"variant": "champion"}),
    LiveArm("treatment", 10_000, {"variant": "challenger", "explore": 3}),
)


def test_a_run_over_variants_aims_every_call_and_outside_of_it_at_the_control_s():
    assert decide(live(run(arms=AIMED))).variant == "challenger"
    assert decide(live(run(arms=AIMED))).explore == 3
    assert decide(live(run(arms=AIMED, ranges=()))).variant == "champion"
    assert (
        decide(live(run(arms=AIMED))).logged
        == '{"blend": 0.5, "explore": 3, "variant": "challenger"}'
    )


def test_what_ships_is_everybody_s_but_for_the_holdouts():
    shipped = run(arms=AIMED, state="shipped", ships="treatment", ranges=())
    assert decide(live(shipped)).variant == "challenger"
    assert decide(live(shipped)).assignments == ()
    assert (
        decide(
            live(run(arms=AIMED, state="shipped", ships="treatment", ranges=(), holdout=7954))
        ).variant
        == "champion"
    )
    assert decide(live(shipped, home=1467)).variant == "champion"


def test_a_run_on_top_of_what_shipped_has_the_last_word():
    shipped = run("old.1", state="shipped", ships="treatment", ranges=())
    newer = run("blend_up.1", arms=(LiveArm("control", 1), LiveArm("high", 10_000, {"blend": 0.9})))
    assert decide(live(shipped, newer)).parameters == {"blend": 0.9}


def test_layers_are_asked_each_and_another_endpoint_s_is_not():
    other = run("page.1", layer="search")
    document = live(run(), other, home=0, search=0)
    assert set(decide(document).arms) == {"ranker_v2.1", "page.1"}
    foreign = LiveExperiments(
        version=1,
        written=NOW,
        layers={"home": LiveLayer(endpoint="other", salt="home")},
        runs=(run(),),
    )
    assert decide(foreign).assignments == ()


def test_an_assigner_remembers_so_many_decisions_and_works_the_others_out_again(monkeypatch):
    monkeypatch.setattr(assignment, "REMEMBERED", 3)
    runs = [run(f"{layer}.1", layer=layer) for layer in ("home", "search", "page")]
    assigner = Assigner(live(*runs, home=0, search=0, page=0), "ranker", {})
    decisions = {unit: assigner.decide(unit, {}) for unit in UNITS[:100]}
    assert len({decision.logged_arms for decision in decisions.values()}) == 8
    assert len(assigner._decisions) <= 3
    assert all(assigner.decide(unit, {}) == decision for unit, decision in decisions.items())


UNITS = [
    *(f"{number}" for number in range(20_000)),
    *(f"visitor-{number:x}" for number in range(20_000)),
]


def test_a_split_is_exact_to_the_bucket_and_four_sigma():
    assigner = Assigner(live(run(ranges=((0, 3999),))), "ranker", {})
    arms = Counter(next(iter(assigner.decide(unit, {}).arms.values()), None) for unit in UNITS)
    units = len(UNITS)
    for arm, share in {"control": 0.2, "treatment": 0.2, None: 0.6}.items():
        assert abs(arms[arm] - units * share) < 4 * (units * share * (1 - share)) ** 0.5


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=6), st.integers(0, 199))
def test_growth_and_neighbours_never_move_a_unit_between_arms(steps, unit):
    """`steps`: how far the run reaches, and how far another one does from the other end; in any
    order.
    """
    seen = set()
    for share, other in steps:
        ranges = ((0, 50 * share - 1),) if share else ()
        neighbours = ((10_000 - 50 * other, 9999),) if other else ()
        decision = decide(
            live(run(ranges=ranges), run("blend_up.1", ranges=neighbours)), unit=f"visitor-{unit}"
        )
        assert len(decision.arms) <= 1  # no two runs of a layer share a unit
        seen.add(decision.arms.get("ranker_v2.1"))
    assert len(seen - {None}) <= 1
