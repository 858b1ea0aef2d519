"""An objective that adds up an attribute has the same labels, the same training set and the same
sums of arms on any target: those of a brute-force reading of its events.
"""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from isthmus.core.runtime.project import Project
from isthmus.events.tables import relations as events
from isthmus.experiments.measure import log_cells
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.feature_store.offline.training_set import canonical_hash, training_set
from isthmus.feature_store.tables import relations
from isthmus.project.specs.description import (
    Attribute,
    Event,
    Feature,
    Objective,
    ParsedProject,
    ProjectSpec,
)
from isthmus.project.specs.experiments import Analysis

pytestmark = pytest.mark.ports("warehouse")

START = datetime(2026, 1, 1, tzinfo=UTC)
WITHIN, CAP = timedelta(minutes=30), 600.0
DWELL = Objective(
    name="dwell",
    outcome="stay",
    sums="seconds",
    exposure="impression",
    within=WITHIN,
    at_most=CAP,
    unit="person",
)
PAGES = Objective(
    name="pages_read", outcome="stay", sums="pages", exposure="impression", within=WITHIN
)
SPEC = ProjectSpec(
    name="conf",
    events={
        "impression": Event(
            name="impression",
            attributes=(
                Attribute(name="person", type="string"),
                Attribute(name="layout", type="int"),
            ),
        ),
        "stay": Event(
            name="stay",
            attributes=(
                Attribute(name="impression_id", type="string", event="impression"),
                Attribute(name="seconds", type="float", required=False),
                Attribute(name="pages", type="int", required=False),
            ),
        ),
    },
    objectives={"dwell": DWELL, "pages_read": PAGES},
)
ARMS = Analysis(
    name="layouts",
    event="impression",
    attribute="layout",
    control=1,
    treatment=2,
    metric="dwell",
)
KINDS = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("ms"),
}
# (id, minutes after START, person, layout); i5 was shown on two dates
SHOWN = [
    *[("i1", 0, "a", 1), ("i2", 60, "a", 1), ("i3", 120, "b", 2), ("i4", 180, "b", 2)],
    *[("i5", 23 * 60 + 50, "c", 1), ("i5", 24 * 60 + 5, "c", 1), ("i6", 1500, "d", 2)],
]
# (impression, minutes after START, seconds, pages)
STAYS = [
    ("i1", 0, 10.25, 1),  # at the exposure's own time
    ("i1", 30, 20.5, 2),  # at the last moment that counts
    ("i1", 30 + 1 / 60_000, 99.0, 9),  # a millisecond later
    ("i1", -1, 99.0, 9),  # before it
    ("i2", 61, 400.0, 3),
    ("i2", 65, 300.0, None),  # over the cap together, not alone
    ("i3", 121, None, None),  # nulls add nothing
    ("i3", 122, 5.0, -4),
    ("i5", 24 * 60 + 6, 7.5, 1),  # fits both dates: the later
    ("i5", 24 * 60, 3.0, 1),  # fits the earlier alone
    ("i9", 100, 50.0, 1),  # of no exposure
]


def at(minutes):
    return (START + timedelta(minutes=minutes)).replace(tzinfo=None)


def labels(value, cap=None):
    """Each exposure's label, in the order of SHOWN: a stay comes to the latest that it fits."""
    totals = dict.fromkeys(range(len(SHOWN)), 0.0)
    for stay in STAYS:
        fitting = [
            number
            for number, (name, minutes, *_) in enumerate(SHOWN)
            if name == stay[0] and at(minutes) <= at(stay[1]) <= at(minutes) + WITHIN
        ]
        if fitting:
            totals[max(fitting, key=lambda number: SHOWN[number][1])] += stay[value] or 0
    return [total if cap is None else min(total, cap) for total in totals.values()]


def expected(value, cap=None):
    """The training set as Python makes it."""
    return pa.table(
        {
            "event_id": [name for name, *_ in SHOWN],
            "event_timestamp": pa.array([at(row[1]) for row in SHOWN], pa.timestamp("ms")),
            "created_timestamp": pa.array(
                [at(row[1]) + WITHIN for row in SHOWN], pa.timestamp("ms")
            ),
            "outcome": pa.array(labels(value, cap), pa.float64()),
            "person": [row[2] for row in SHOWN],
            "layout": pa.array([row[3] for row in SHOWN], pa.int64()),
        }
    )


@pytest.fixture
def project(target):
    for table in events.tables(SPEC):
        target.warehouse.apply(table)
    for objective in SPEC.objectives.values():
        target.warehouse.apply(relations.objective_view(SPEC, objective))
    shown = [
        {"event_id": name, "event_timestamp": at(minutes), "person": person, "layout": layout}
        for name, minutes, person, layout in SHOWN
    ]
    stays = [
        {
            "event_id": f"s{number}",
            "event_timestamp": at(minutes),
            "impression_id": name,
            "seconds": seconds,
            "pages": pages,
        }
        for number, (name, minutes, seconds, pages) in enumerate(STAYS)
    ]
    for event, rows in (("impression", shown), ("stay", stays)):
        raw = events.raw_table(SPEC.events[event])
        stamped = [row | {"payload_digest": row["event_id"], "source": "b"} for row in rows]
        schema = pa.schema([(column.name, KINDS[column.type]) for column in raw.columns])
        table = pa.Table.from_pylist(
            [{name: row.get(name) for name in schema.names} for row in stamped], schema
        )
        target.warehouse.append(raw.name, table, batch="b")
    return Project(ParsedProject(spec=SPEC, folder=""), target)


@pytest.mark.parametrize(("objective", "value", "cap"), [(DWELL, 2, CAP), (PAGES, 3, None)])
def test_a_training_set_has_the_labels_of_a_brute_force_reading(project, objective, value, cap):
    end = START + timedelta(days=3)
    layout = Feature(view=None, name="layout")
    table = training_set(project, objective.name, [layout], start=START, end=end, as_of=end)
    assert table.schema.field("outcome").type == pa.float64()
    assert table.to_pylist() == expected(value, cap).to_pylist()
    assert canonical_hash(table) == canonical_hash(expected(value, cap))


def test_arms_are_compared_by_capped_rows(project):
    cells = log_cells.read(project, ARMS, DWELL, START + timedelta(days=3))
    of_units = {}
    for (_, _, person, layout), label in zip(SHOWN, labels(2, CAP), strict=True):
        of_units.setdefault(str(layout), {}).setdefault(person, []).append(label)
    assert cells.total() == {
        arm: UnitSums(
            units=len(of_arm),
            y=sum(map(sum, of_arm.values())),
            d=sum(map(len, of_arm.values())),
            yy=sum(sum(rows) ** 2 for rows in of_arm.values()),
            yd=sum(sum(rows) * len(rows) for rows in of_arm.values()),
            dd=sum(len(rows) ** 2 for rows in of_arm.values()),
        )
        for arm, of_arm in of_units.items()
    }
