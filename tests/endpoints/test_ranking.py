"""Order, exploration and propensities; requests that are checked before anything is asked."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.inputs import union
from isthmus.endpoints.ranking import as_scores, order, propensity, shown
from isthmus.endpoints.request import RequestShape, parsed
from isthmus.errors import Invalid
from isthmus.pipelines.predictor import Manifest, ModelFeature
from isthmus.project.specs import Entity

ITEMS = st.lists(st.integers(0, 1000), min_size=1, max_size=12, unique=True)
SHAPE = RequestShape(
    endpoint="ranker",
    unit="visitor_id",
    entities={
        "item_id": Entity(name="item", key="item_id", type="int"),
        "segment_id": Entity(name="segment", key="segment_id", type="string"),
    },
    attributes=frozenset({"policy"}),
)
GOOD = {"visitor_id": "v1", "segment_id": "s", "item_id": [14, 27, 51, 73], "slots": 3}


def test_best_first_and_ties_by_item_id():
    assert order([5, 3, 9], [0.1, 0.1, 0.7]) == [2, 1, 0]
    assert order([5, 3, 9], [0.1, 0.1, 0.7], maximise=False) == [1, 0, 2]


def test_the_documented_propensity():
    assert propensity(is_best=True, explore=0.05, candidates=4) == pytest.approx(0.9625)
    assert propensity(is_best=False, explore=0.05, candidates=4) == pytest.approx(0.0125)


@given(ITEMS, st.floats(0, 1), st.integers(0, 2**32), st.data())
def test_the_propensities_of_all_items_at_a_place_sum_to_one(items, explore, seed, data):
    scores = data.draw(st.lists(st.floats(-1, 1), min_size=len(items), max_size=len(items)))
    best = order(items, scores)
    for place in range(len(items)):
        total = sum(propensity(is_best=at == best[place], explore=explore, candidates=len(items)) for at in range(len(items)))
        assert total == pytest.approx(1)
    places, explored = shown(items, scores, slots=len(items), explore=explore, rng=Random(seed))
    assert sorted(place.item for place in places) == sorted(items)
    assert all(0 <= place.propensity <= 1 + 1e-9 for place in places)
    if not explored:
        assert [place.item for place in places] == [items[at] for at in best]
    if explore == 0:
        assert not explored
        assert {place.propensity for place in places} == {1.0}


def test_the_logged_propensity_is_how_often_it_really_happens():
    """Each of 4 items at each of 4 places, over 40,000 answers: the share shown is what was logged, within 5 sigma."""
    items, scores, rng, runs = [1, 2, 3, 4], [0.4, 0.3, 0.2, 0.1], Random(7), 40_000
    counts, logged = Counter(), {}
    for _ in range(runs):
        for place in shown(items, scores, slots=4, explore=0.2, rng=rng)[0]:
            counts[place.item, place.position] += 1
            assert logged.setdefault((place.item, place.position), place.propensity) == place.propensity
    assert len(logged) == 16
    for key, share in logged.items():
        assert abs(counts[key] / runs - share) < 5 * (share * (1 - share) / runs) ** 0.5


@pytest.mark.parametrize("value", [None, float("nan"), "0.3", True, [0.1]])
def test_a_score_is_a_finite_number(value):
    with pytest.raises(Invalid, match=r"champion \(ranker@1\) answered .* for item 1"):
        as_scores([0.5, value], who="champion (ranker@1)")


def test_a_good_request_is_understood():
    asked = parsed(GOOD, SHAPE)
    assert (asked.unit, asked.entity, asked.candidates, asked.slots, asked.keys) == ("v1", "item", [14, 27, 51, 73], 3, {"segment_id": "s"})
    assert parsed({**GOOD, "slots": 9}, SHAPE).slots == 4
    without = {key: value for key, value in GOOD.items() if key != "slots"}
    assert parsed(without, SHAPE).slots == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"visitor_id": None}, "visitor_id is missing"),
        ({"visitor_id": ""}, "visitor_id is missing"),
        ({"item_id": 14}, "no key is a list"),
        ({"segment_id": ["s"]}, "item_id and segment_id are lists"),
        ({"item_id": []}, "item_id is empty"),
        ({"item_id": [14, 14]}, "lists 14 twice"),
        ({"item_id": [14, "x"]}, "item_id 'x' is not of type int"),
        ({"segment_id": 7}, "segment_id 7 is not of type string"),
        ({"slots": 0}, "slots 0 is not a number of places"),
        ({"slot": 3}, "a request has no 'slot'"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(change, words):
    with pytest.raises(Invalid, match=words):
        parsed({**GOOD, **change}, SHAPE)


def manifest(name, *features, **serve_as):
    return Manifest(
        model="ranker",
        configuration=name,
        predictor="P",
        module="m",
        kept="json",
        code="slice",
        serve_as=serve_as,
        features=tuple(ModelFeature(name=f, view=view) for view, f in features),
    )


KEYS = {"item_history": "item_id", "segment_history": "segment_id"}


def test_the_variants_features_are_read_together():
    found = union(
        [
            manifest("popularity", ("item_history", "ctr")),
            manifest("logistic", (None, "position"), (None, "policy"), ("item_history", "ctr"), ("segment_history", "n"), position=1),
        ],
        KEYS,
    )
    assert found.views == {"item_history": ("item_id", ("ctr",)), "segment_history": ("segment_id", ("n",))}
    assert found.attributes == ("policy",)
    assert found.constants == {"position": 1}


def test_one_name_for_two_things_is_refused():
    with pytest.raises(Invalid, match="ctr is a feature of item_history for a and a feature of segment_history for b"):
        union([manifest("a", ("item_history", "ctr")), manifest("b", ("segment_history", "ctr"))], KEYS)
    with pytest.raises(Invalid, match=r"serve_as\.position is 1 for one variant and 2 for b"):
        union([manifest("a", position=1), manifest("b", position=2)], KEYS)
    with pytest.raises(Invalid, match="no longer has"):
        union([manifest("a", ("gone", "ctr"))], KEYS)
