"""The label of an objective that sums an attribute, against a brute-force reading of the events."""

from datetime import timedelta

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.core.runtime.project import Project
from isthmus.events.tables import relations as events
from isthmus.feature_store.as_known.check import check_as_known
from isthmus.feature_store.offline.training_set import training_set
from isthmus.project.specs.description import Attribute, Event, Objective

from ..shop import START, Clock, open_shop, plain, put, spec

WITHIN = timedelta(minutes=30)
STAY = Event(
    name="stay",
    attributes=(
        Attribute(name="impression_id", type="string", event="impression"),
        Attribute(name="seconds", type="float", required=False),
        Attribute(name="pages", type="int", required=False),
    ),
)


def dwell(sums="seconds", at_most=None):
    return Objective(
        name="dwell",
        outcome="stay",
        exposure="impression",
        within=WITHIN,
        sums=sums,
        at_most=at_most,
    )


def open_stays(folder, *objectives):
    described = spec()
    described = msgspec.structs.replace(
        described,
        events=described.events | {"stay": STAY},
        objectives=described.objectives | {o.name: o for o in objectives},
    )
    return open_shop(folder, clock=Clock(START + timedelta(days=9)), described=described)


def put_stays(project, batch, stays):
    """stays: (number, hours, impression number, seconds or None, pages or None)."""
    raw = events.raw_table(STAY)
    kinds = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "timestamp": pa.timestamp("ms"),
    }
    schema = pa.schema([(column.name, kinds[column.type]) for column in raw.columns])
    rows = [
        {
            "event_id": f"s{number}",
            "event_timestamp": plain(hours),
            "impression_id": f"i{shown}",
            "seconds": seconds,
            "pages": pages,
            "payload_digest": f"s{number}",
            "source": batch,
        }
        for number, hours, shown, seconds, pages in stays
    ]
    project.target.warehouse.append(
        raw.name,
        pa.Table.from_pylist([{n: r.get(n) for n in schema.names} for r in rows], schema),
        batch=batch,
    )


def brute_force(impressions, stays, *, value, at_most=None):
    """Each exposure's label: a stay comes to the latest exposure of its id that it fits."""
    labels = {(number, hours): 0.0 for number, hours, _ in impressions}
    for stay in stays:
        fitting = [
            (number, hours)
            for number, hours, _ in impressions
            if number == stay[2] and plain(hours) <= plain(stay[1]) <= plain(hours) + WITHIN
        ]
        if fitting:
            labels[max(fitting, key=lambda shown: shown[1])] += stay[value] or 0
    return {
        shown: label if at_most is None else min(label, at_most) for shown, label in labels.items()
    }


def labels_of(project, objective="dwell"):
    table = training_set(project, objective, (), start=START, end=START + timedelta(days=8))
    assert table.schema.field("outcome").type == pa.float64()
    return {
        (int(row["event_id"][1:]), row["event_timestamp"]): row["outcome"]
        for row in table.to_pylist()
    }


def test_a_label_sums_what_came_in_time_up_to_the_cap(tmp_path):
    impressions = [(1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 3, 0), (5, 23.9, 1), (5, 24.1, 1)]
    half = 0.5
    stays = [
        (1, 0, 1, 10.25, 1),  # at the exposure's own time
        (2, half, 1, 20.5, 2),  # at the last moment that counts
        (3, half + 1 / 3_600_000, 1, 99.0, 9),  # a millisecond later
        (4, -0.01, 1, 99.0, 9),  # before it
        (5, 1.1, 2, 400.0, 3),
        (6, 1.2, 2, 300.0, 4),  # over the cap together, not alone
        (7, 2.1, 3, None, None),  # a null adds nothing
        (8, 2.2, 3, 5.0, None),
        (9, 24.2, 5, 7.0, 1),  # fits both dates on which the id was shown: the later
        (10, 24.0, 5, 3.0, 1),  # fits the earlier alone
        (11, 5, 77, 50.0, 1),  # of no exposure
    ]
    with open_stays(tmp_path, dwell(at_most=600)) as shop:
        put(shop, "b", impressions=impressions)
        put_stays(shop, "b", stays)
        found = labels_of(shop)
    assert found == {
        (1, plain(0)): 30.75,
        (2, plain(1)): 600.0,
        (3, plain(2)): 5.0,
        (4, plain(3)): 0.0,
        (5, plain(23.9)): 3.0,
        (5, plain(24.1)): 7.0,
    }
    assert list(found.values()) == list(
        brute_force(impressions, stays, value=3, at_most=600).values()
    )


quarters = st.integers(0, 40).map(lambda n: n / 4)  # hours, so that edges are hit
shown = st.lists(st.tuples(st.integers(0, 5), quarters), max_size=12, unique=True)
stayed = st.lists(
    st.tuples(
        quarters,
        st.integers(0, 6),
        st.none() | st.integers(-8, 4000).map(lambda n: n / 8),
        st.none() | st.integers(-3, 9),
    ),
    max_size=25,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(shown, stayed, st.sampled_from([(3, "seconds", None), (3, "seconds", 300), (4, "pages", 4)]))
def test_any_log_has_the_labels_of_a_brute_force_reading(tmp_path_factory, shown, stays, how):
    value, attribute, cap = how
    # an id is shown once a day: two exposures of one date with one id are one event
    days = {(number, int(hours // 24)): (number, hours, 0) for number, hours in shown}
    impressions = list(days.values())
    stays = [(n, hours, *stay) for n, (hours, *stay) in enumerate(stays)]
    with open_stays(tmp_path_factory.mktemp("stays"), dwell(attribute, cap)) as shop:
        put(shop, "b", impressions=impressions)
        if stays:
            put_stays(shop, "b", stays)
        expected = brute_force(impressions, stays, value=value, at_most=cap)
        assert labels_of(shop) == {
            (number, plain(hours)): label for (number, hours), label in expected.items()
        }


@pytest.mark.parametrize("at_most", [None, 0.1])
def test_a_rate_beside_it_keeps_its_label_of_0_and_1(tmp_path, at_most):
    with open_stays(tmp_path, dwell(at_most=at_most)) as shop:
        put(shop, "b", impressions=[(1, 0, 0), (2, 1, 0)], clicks=[(1, 0.1)])
        table = training_set(shop, "ctr", (), start=START, end=START + timedelta(days=8))
        assert table.schema.field("outcome").type == pa.int64()
        assert table["outcome"].to_pylist() == [1, 0]
        assert labels_of(shop) == {(1, plain(0)): 0.0, (2, plain(1)): 0.0}


ROLLING = (
    "SELECT item_id, event_timestamp, {} AS created_timestamp, sum(outcome) OVER w AS item_dwell "
    "FROM dwell WINDOW w AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL "
    "2 DAY PRECEDING AND {} ROW)"
)


@pytest.mark.parametrize(
    ("sql", "peeks"),
    [
        (ROLLING.format("created_timestamp", "CURRENT"), False),
        (ROLLING.format("created_timestamp - INTERVAL 30 MINUTE", "CURRENT"), True),
    ],
)
def test_a_view_that_saw_later_values_is_blamed_and_an_honest_one_is_not(tmp_path, sql, peeks):
    with open_stays(tmp_path, dwell(at_most=600)) as shop:
        shown = [(n, n / 3, n % 3) for n in range(60)]
        put(shop, "b", impressions=shown)
        put_stays(shop, "b", [(n, hours + 0.2, n, 0.5, 1) for n, hours, _ in shown])
        view = msgspec.structs.replace(shop.spec.feature_views["item_history"], sql=sql)
        views = {**shop.spec.feature_views, "item_history": view}
        described = msgspec.structs.replace(shop.spec, feature_views=views)
        project = Project(msgspec.structs.replace(shop.description, spec=described), shop.target)
        (report,) = check_as_known(project, ["item_history"])
        assert report.moments
        assert bool(report.blamed) == peeks
