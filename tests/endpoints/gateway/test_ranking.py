"""Order, exploration and propensities; requests that are checked before anything is asked."""

import functools
from collections import Counter
from datetime import UTC, datetime
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.gateway.rank.ranking import (
    as_scores,
    order,
    plain_arrangement,
    propensity,
    shown_places,
)
from isthmus.endpoints.gateway.request.inputs import union
from isthmus.endpoints.gateway.request.request import RequestShape, parsed
from isthmus.errors import Invalid, ModelError
from isthmus.pipelines.models.call_parameters import CallParameter
from isthmus.pipelines.models.predictor import ModelFeature, ModelManifest
from isthmus.project.specs.description import Attribute, Entity

ITEMS = st.lists(st.integers(0, 1000), min_size=1, max_size=12, unique=True)
SHAPE = RequestShape(
    endpoint="ranker",
    unit="visitor_id",
    entities={
        "item_id": Entity(name="item", key="item_id", type="int"),
        "segment_id": Entity(name="segment", key="segment_id", type="string"),
    },
    attributes={
        "policy": Attribute(name="policy", type="string"),
        "position": Attribute(name="position", type="int", required=False),
        "price": Attribute(name="price", type="float"),
        "mobile": Attribute(name="mobile", type="bool"),
        "seen_at": Attribute(name="seen_at", type="timestamp"),
    },
    max_candidates=1000,
)
DEEP = functools.reduce(lambda inside, _: [inside], range(100_000), 1)
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
        total = sum(
            propensity(is_best=at == best[place], explore=explore, candidates=len(items))
            for at in range(len(items))
        )
        assert total == pytest.approx(1)
    places, explored = shown_places(
        items, scores, plain_arrangement(best, len(items)), explore=explore, rng=Random(seed)
    )
    assert sorted(place.item for place in places) == sorted(items)
    assert all(0 <= place.propensity <= 1 + 1e-9 for place in places)
    if not explored:
        assert [place.item for place in places] == [items[at] for at in best]
    if explore == 0:
        assert not explored
        assert {place.propensity for place in places} == {1.0}


def test_the_logged_propensity_is_how_often_it_really_happens():
    """Each of 4 items at each of 4 places, over 40,000 answers: the share shown is what was logged,
    within 5 sigma.
    """
    items, scores, rng, runs = [1, 2, 3, 4], [0.4, 0.3, 0.2, 0.1], Random(7), 40_000
    counts, logged = Counter(), {}
    for _ in range(runs):
        for place in shown_places(
            items, scores, plain_arrangement(order(items, scores), 4), explore=0.2, rng=rng
        )[0]:
            counts[place.item, place.position] += 1
            assert (
                logged.setdefault((place.item, place.position), place.propensity)
                == place.propensity
            )
    assert len(logged) == 16
    for key, share in logged.items():
        assert abs(counts[key] / runs - share) < 5 * (share * (1 - share) / runs) ** 0.5


@pytest.mark.parametrize("value", [None, float("nan"), "0.3", True, [0.1]])
def test_a_score_is_a_finite_number(value):
    with pytest.raises(ModelError, match=r"champion \(ranker@1\) answered .* for item 1"):
        as_scores([0.5, value], 2, who="champion (ranker@1)")


def test_a_model_that_answers_for_fewer_items_is_named():
    with pytest.raises(ModelError, match=r"champion \(ranker@1\) answered 1 scores for 2 items"):
        as_scores([0.5], 2, who="champion (ranker@1)")


def test_a_good_request_is_understood():
    asked = parsed(GOOD, SHAPE)
    assert (asked.unit, asked.entity, asked.candidates, asked.slots, asked.keys) == (
        "v1",
        "item",
        [14, 27, 51, 73],
        3,
        {"segment_id": "s"},
    )
    assert parsed({**GOOD, "slots": 9}, SHAPE).slots == 9
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
        ({"n" * 1_000_000: 3}, r"a request has no 'n{100}'\.\.\."),
        ({7: 3}, "a request has no 7"),
        ({"item_id": list(range(1001))}, "1,001 candidates are more than the 1,000 of a request"),
        ({"item_id": [1, 2**63]}, "item_id does not fit 64 bits"),
        ({"item_id": [1, 10**5000]}, "item_id does not fit 64 bits"),
        ({"item_id": [1, 2.5]}, r"item_id 2\.5 is not of type int"),
        ({"item_id": [1, DEEP]}, "item_id a list is not of type int"),
        ({"visitor_id": "v" * 1025}, "visitor_id has 1,025 bytes, more than the 1,024 of a key"),
        ({"visitor_id": 2**64}, "visitor_id does not fit 64 bits"),
        ({"visitor_id": DEEP}, "visitor_id is missing or not a string"),
        ({"segment_id": "\u00fc" * 513}, "segment_id has 1,026 bytes"),
        ({"segment_id": "\ud800"}, "is not Unicode text"),
        ({"position": "'; DROP TABLE"}, "position .*DROP TABLE.* is not an int"),
        ({"position": 2**63}, "position does not fit 64 bits"),
        ({"position": 10**5000}, "position does not fit 64 bits"),
        ({"position": True}, "position true is not an int"),
        ({"position": DEEP}, "position is a list, and one value holds for the whole request"),
        ({"position": {"a": 1}}, "position a dict is not of type int"),
        ({"price": float("nan")}, "price nan is not a finite number"),
        ({"price": float("inf")}, "price inf is not a finite number"),
        ({"price": None}, "price is null"),
        ({"mobile": 1}, "mobile 1 is not a bool"),
        ({"policy": "\ud800"}, "policy .* is not Unicode text"),
        ({"seen_at": "yesterday"}, "seen_at .* is not a timestamp"),
        ({"seen_at": "2024-01-01T00:00:00"}, "seen_at .* has no time zone"),
        ({"slots": DEEP}, "slots a list is not a number of places"),
        ({"slots": 10**5000 * -1}, "slots a int is not a number of places"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(list(value))[:30],
)
def test_a_wrong_request_is_told_what_is_wrong(change, words):
    with pytest.raises(Invalid, match=words) as error:
        parsed({**GOOD, **change}, SHAPE)
    assert len(str(error.value)) < 300


def test_attributes_come_as_their_declared_types():
    sent = {
        "position": 2.0,
        "price": 3,
        "mobile": False,
        "policy": "a",
        "seen_at": "2024-01-01T02:00:00+02:00",
    }
    assert parsed({**GOOD, **sent}, SHAPE).attributes == {
        "position": 2,
        "price": 3.0,
        "mobile": False,
        "policy": "a",
        "seen_at": datetime(2024, 1, 1, tzinfo=UTC),
    }
    assert parsed({**GOOD, "position": None}, SHAPE).attributes == {"position": None}


def test_as_many_candidates_as_the_endpoint_says_are_taken_and_one_that_comes_twice_is_named():
    asked = {**GOOD, "item_id": [*range(999), 998]}
    with pytest.raises(Invalid, match="lists 998 twice"):
        parsed(asked, SHAPE)
    wide = msgspec.structs.replace(SHAPE, max_candidates=200_001)
    with pytest.raises(Invalid, match=r"lists 199999 twice"):
        parsed(
            {**GOOD, "item_id": [*range(200_000), 199_999]}, wide
        )  # in the square of their number this takes minutes


def manifest(name, *features, **serve_as):
    return ModelManifest(
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
            manifest(
                "logistic",
                (None, "position"),
                (None, "policy"),
                ("item_history", "ctr"),
                ("segment_history", "n"),
                position=1,
            ),
        ],
        KEYS,
    )
    assert found.views == {
        "item_history": ("item_id", ("ctr",)),
        "segment_history": ("segment_id", ("n",)),
    }
    assert found.attributes == ("policy",)
    assert found.constants == {"position": 1}


def test_the_variants_parameters_are_known_together_each_once():
    def taking(name, *parameters):
        accepted = {parameter: CallParameter(type="float", default=0.5) for parameter in parameters}
        return msgspec.structs.replace(manifest(name), predict_parameters=accepted)

    assert union(
        [manifest("popularity"), taking("a", "blend", "noise"), taking("b", "depth", "blend")], KEYS
    ).parameters == (
        "blend",
        "noise",
        "depth",
    )


def test_one_name_for_two_things_is_refused():
    with pytest.raises(
        Invalid,
        match="ctr is a feature of item_history for a and a feature of segment_history for b",
    ):
        union(
            [manifest("a", ("item_history", "ctr")), manifest("b", ("segment_history", "ctr"))],
            KEYS,
        )
    with pytest.raises(Invalid, match=r"serve_as\.position is 1 for one variant and 2 for b"):
        union([manifest("a", position=1), manifest("b", position=2)], KEYS)
    with pytest.raises(Invalid, match="no longer has"):
        union([manifest("a", ("gone", "ctr"))], KEYS)
