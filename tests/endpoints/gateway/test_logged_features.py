"""`log_features`: an exposure carries the row that was scored, and what scored it."""

import json
import math
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.gateway.log.scored_rows import LARGEST, scored_rows
from isthmus.endpoints.gateway.log.streams import EXPOSURES
from isthmus.endpoints.gateway.rank.ranking import ShownItem
from isthmus.tests.endpoints import mini, shop
from isthmus.tests.endpoints.gateway.gateway_kit import deployed
from isthmus.tests.endpoints.gateway.test_gateway_duel import ARMS

LOGGING = msgspec.structs.replace(shop.ENDPOINT, log_features=True)


def logging_shop(**fields):
    """Return the shop's spec whose endpoint logs features."""
    endpoint = msgspec.structs.replace(LOGGING, **fields)
    return msgspec.structs.replace(shop.SPEC, endpoints={"ranker": endpoint})


def shown(*items):
    return [
        ShownItem(item=item, position=place, score=0.5, propensity=1.0)
        for place, item in enumerate(items, 1)
    ]


def test_an_exposure_carries_the_row_that_the_endpoint_was_asked_with(tmp_path):
    with deployed(tmp_path) as folder:
        file = folder / "project.yaml"
        file.write_text(file.read_text().rstrip() + "\n    log_features: true\n")
        with mini.opened(folder) as project:
            asked, kept = [], {}
            invoke = project.target.endpoints.invoke
            project.target.endpoints.invoke = lambda name, instances, **options: (
                asked.append(instances) or invoke(name, instances, **options)
            )
            gateway = Gateway(
                project, "ranker", emit=lambda s, rows: kept.setdefault(s, []).extend(rows) or ()
            )
            request = {"visitor_id": "v1", "segment_id": "a", "item_id": [1, 2, 3], "slots": 2}
            answer = gateway.rank(request)
            gateway.close()
    (instances,) = asked
    rows = dict(zip(request["item_id"], instances, strict=True))
    assert instances[0]
    assert [json.loads(row["features"]) for row in kept["exposures"]] == [
        rows[item] for item in answer.items
    ]
    assert {row["scored_by"] for row in kept["exposures"]} == {answer.version}


def test_without_it_an_exposure_has_not_even_the_columns():
    with shop.Shop() as without, shop.Shop(spec=logging_shop()) as logging:
        answers = [opened.rank() for opened in (without, logging)]
        rows = [opened.rows["exposures"] for opened in (without, logging)]
    assert [set(two) - set(one) for one, two in zip(*rows, strict=True)] == [
        {"features", "scored_by"}
    ] * 2
    assert all(set(row) <= {column.name for column in EXPOSURES.columns} for row in rows[1])
    assert answers[0].items == answers[1].items


def test_a_random_order_was_scored_too():
    with shop.Shop(spec=logging_shop(explore=Decimal(100))) as opened:
        opened.rank()
        row, _ = opened.rows["exposures"]
    assert row["explored"]
    assert row["features"] is not None


def test_an_interleaved_item_was_scored_by_the_variant_that_picked_it():
    duel = shop.run("order_duel.1", arms=ARMS, interleave=("champion", "challenger"))
    with shop.Shop(shop.live(duel), spec=logging_shop()) as opened:
        invoke = opened.host.invoke
        opened.host.invoke = lambda *args, **of: msgspec.structs.replace(
            invoke(*args, **of), version=1 if of["variant"] == "champion" else 2
        )
        for number in range(20):
            opened.rank(visitor_id=f"visitor-{number}")
        rows = opened.rows["exposures"]
    assert {(row["variant"], row["scored_by"]) for row in rows} == {
        ("champion", "ranker@1"),
        ("challenger", "ranker@2"),
    }


def test_a_row_that_is_too_large_is_not_logged_but_named_and_counted():
    braces = len('{"text":""}')
    fits, too_long = "a" * (LARGEST - braces), "a" * LARGEST
    rows = scored_rows([1, 2], [{"text": fits}, {"text": too_long}], shown(2, 1))
    assert [row is None for row in rows.texts] == [True, False]
    assert len(rows.texts[1]) == LARGEST
    (problem,) = rows.problems
    assert problem == (
        "the features of 1 of 2 items are not logged, the first 2: up to "
        f"{LARGEST + braces:,} bytes of JSON, and {LARGEST:,} are the most"
    )
    wide = shop.Attribute(name="note", type="string")
    event = msgspec.structs.replace(
        shop.SPEC.events["impression"],
        attributes=(*shop.SPEC.events["impression"].attributes, wide),
    )
    spec = msgspec.structs.replace(logging_shop(), events={**shop.SPEC.events, "impression": event})
    with shop.Shop(spec=spec) as opened:
        answer = opened.rank(note=too_long)
        assert opened.gateway.tally.unlogged == 2
        assert [(row["features"], row["scored_by"]) for row in opened.rows["exposures"]] == [
            (None, "ranker@1")
        ] * 2
    assert "the features of 2 of 2 items are not logged" in answer.problems[0]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


@given(st.dictionaries(st.text("abc_1", min_size=1), VALUES, max_size=6), st.randoms())
def test_values_come_back_to_the_last_digit_and_a_row_has_one_text(row, chance):
    """Whatever order its names are in."""
    names = sorted(row, key=lambda _: chance.random())
    (text,) = scored_rows([7], [row], shown(7)).texts
    assert scored_rows([7], [{name: row[name] for name in names}], shown(7)).texts == (text,)
    read = json.loads(text)
    assert read == row
    assert {name: type(value) for name, value in read.items()} == {
        name: type(value) for name, value in row.items()
    }
    signs = [
        [math.copysign(1, value) for value in values.values() if isinstance(value, float)]
        for values in (read, {name: row[name] for name in read})
    ]
    assert signs[0] == signs[1]
