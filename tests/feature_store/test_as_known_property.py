"""Random views over random small logs, at every moment: each peek that changes a value or a row is
found, and no honest view is blamed.

What a peek changes is said by plain Python below, from the log alone. The relations' own SQL runs
in a bare DuckDB.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import duckdb
import msgspec
import pyarrow as pa
import pytest
from hypothesis import Phase, given
from hypothesis import strategies as st

from isthmus.core.runtime.project import Project
from isthmus.feature_store.as_known.check import examine
from isthmus.feature_store.as_known.queries import computations, inputs_of
from isthmus.feature_store.tables.relations import objective_view
from isthmus.feature_store.views.sources import view_sources
from isthmus.project.specs.description import FeatureView, Objective, ParsedProject, ProjectSpec
from isthmus.times import wall_clock

from ..sampled import costly
from . import shop

START = shop.START.replace(tzinfo=None)
WITHIN = 30  # minutes, of ctr
SLOW = 120  # ... and of cvr, the same events
GREATEST = (
    "CASE WHEN cvr.created_timestamp > ctr.created_timestamp THEN cvr.created_timestamp ELSE "
    "ctr.created_timestamp END"
)
WINDOW = (
    "SELECT item_id, event_timestamp, {created} AS created_timestamp, count(*) OVER w AS n, "
    "avg(outcome) OVER w AS x FROM ctr WINDOW w AS (PARTITION BY item_id {order})"
)
EARLIER = "(PARTITION BY item_id ORDER BY event_timestamp, event_id{})"
SESSIONS = (
    "SELECT *, sum(fresh) OVER "
    f"{EARLIER.format(' ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW')} AS session FROM "
    f"(SELECT *, CASE WHEN event_timestamp <= lag(event_timestamp) OVER {EARLIER.format('')} + "
    "INTERVAL {{back}} MINUTE THEN 0 ELSE 1 END AS fresh FROM {}) AS marked"
)
LAST = "ORDER BY event_timestamp RANGE BETWEEN INTERVAL {back} MINUTE PRECEDING AND {end}"

QUICK = (
    Phase.explicit,
    Phase.reuse,
    Phase.generate,
)  # logs are small already: shrinking them would take minutes
# impressions: minute, item, the minutes until its click; 45 is too late for ctr and in time for cvr
logs = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda n: 7 * n),
        st.integers(0, 2),
        st.sampled_from([None, 0, 5, 29, 45]),
    ),
    min_size=1,
    max_size=8,
)


def project_of(log, sql):
    """A project whose warehouse holds the log, and whose only view is `sql`."""
    declared = shop.spec()
    cvr = Objective(
        name="cvr", outcome="click", exposure="impression", within=timedelta(minutes=SLOW)
    )
    spec = msgspec.structs.replace(
        declared,
        objectives={**declared.objectives, "cvr": cvr},
        tables={},
        feature_views={"v": FeatureView(name="v", entity="item", path="features/v.sql", sql=sql)},
    )
    return Project(
        ParsedProject(spec=spec, folder="."),
        SimpleNamespace(warehouse=Engine(log, spec), clock=wall_clock),
    )


ENGINE = duckdb.connect(config={"threads": "1"})  # opening one takes longer than an example
COLUMNS = {
    column: pa.schema(
        {
            "event_id": pa.string(),
            "event_timestamp": pa.timestamp("us"),
            column: kind,
            "dt": pa.string(),
        }
    )
    for column, kind in (("item_id", pa.int64()), ("impression_id", pa.string()))
}


class Engine:
    """Of a Warehouse what the check asks for: a query."""

    def __init__(self, log, spec: ProjectSpec):
        self.base = ENGINE.cursor()
        shown = [(f"i{n}", minute, item) for n, (minute, item, _) in enumerate(log)]
        clicks = [
            (f"c{n}", minute + wait, f"i{n}")
            for n, (minute, _, wait) in enumerate(log)
            if wait is not None
        ]
        for name, column, kind, rows in (
            ("events_impression", "item_id", "BIGINT", shown),
            ("events_click", "impression_id", "VARCHAR", clicks),
        ):
            place = ", place VARCHAR" if name == "events_impression" else ""
            self.base.execute(
                f"CREATE TEMP TABLE {name} (event_id VARCHAR, event_timestamp TIMESTAMP, "
                f"{column} {kind}{place}, dt VARCHAR)"
            )
            events, minutes, values = zip(*rows, strict=True) if rows else ((), (), ())
            moments = [START + timedelta(minutes=minute) for minute in minutes]
            days = [f"{moment:%Y-%m-%d}" for moment in moments]
            self.base.register("log", pa.table([events, moments, values, days], COLUMNS[column]))
            self.base.execute(f"INSERT INTO {name} BY NAME SELECT * FROM log")
        for objective in spec.objectives.values():
            self.base.execute(
                f"CREATE TEMP VIEW {objective.name} AS {objective_view(spec, objective).view_sql}"
            )

    def query(self, sql, params):
        plain = {
            name: value.replace(tzinfo=None) if isinstance(value, datetime) else value
            for name, value in params.items()
        }
        return (self.base.sql(sql, params=plain) if plain else self.base.sql(sql)).to_arrow_table()


def at_every_moment(log, sql):
    """The check just before each time at which anything that the view reads became known, and after
    the last.
    """
    project = project_of(log, sql)
    (source,) = view_sources(project.description)
    read = inputs_of(source, project.description)
    names = {i.relation for i in read}
    later = [
        minutes
        for name, minutes in (("events_impression", 0), ("ctr", WITHIN), ("cvr", SLOW))
        if name in names
    ]
    known = {minute + wait for minute, _, _ in log for wait in later}
    if "events_click" in names:
        known |= {minute + wait for minute, _, wait in log if wait is not None}
    moments = [
        START + timedelta(minutes=minute, milliseconds=-1)
        for minute in sorted({*known, max(known) + 1})
    ]
    return examine(project, source, read, [moment.replace(tzinfo=UTC) for moment in moments])


def by_item(log):
    """item -> (minute, outcome of ctr), in the order of time."""
    rows = defaultdict(list)
    for minute, item, wait in sorted(log, key=lambda row: row[0]):
        rows[item].append((minute, int(wait is not None and wait <= WITHIN)))
    return rows.values()


def several_times(log):
    return any(len({minute for minute, _ in rows}) > 1 for rows in by_item(log))


HONEST = {
    "a window": WINDOW.format(created="created_timestamp", order=LAST).replace(
        "{end}", "CURRENT ROW"
    ),
    "the latest of a window": WINDOW.format(
        created="max(created_timestamp) OVER w", order=LAST
    ).replace("{end}", "CURRENT ROW"),
    "hours at their start": (
        "SELECT item_id, date_trunc('hour', event_timestamp) AS event_timestamp, "
        "max(created_timestamp) AS created_timestamp, "
        "count(*) AS n, avg(outcome) AS x FROM ctr GROUP BY 1, 2"
    ),
    "hours at their end": (
        "SELECT item_id, date_trunc('hour', event_timestamp) + INTERVAL 1 HOUR AS event_timestamp, "
        "max(created_timestamp) AS created_timestamp, count(*) AS n, avg(outcome) AS x FROM ctr "
        "GROUP BY item_id, date_trunc('hour', event_timestamp)"
    ),
    "sessions by their start": (
        "SELECT item_id, min(event_timestamp) AS event_timestamp, max(created_timestamp) AS "
        f"created_timestamp, count(*) AS n, avg(outcome) AS x FROM ({SESSIONS.format('ctr')}) AS "
        "numbered GROUP BY item_id, session"
    ),
    "sessions by their end, known when their gap is over": (
        "SELECT item_id, max(event_timestamp) AS event_timestamp, max(event_timestamp) + "
        "INTERVAL {back} MINUTE AS created_timestamp, "
        f"count(*) AS n FROM ({SESSIONS.format('events_impression')}) AS numbered GROUP BY "
        "item_id, session"
    ),
    "two objectives": (
        f"SELECT ctr.item_id, ctr.event_timestamp, {GREATEST} AS created_timestamp, ctr.outcome + "
        "2 * cvr.outcome AS x FROM ctr JOIN cvr ON cvr.event_id = ctr.event_id"
    ),
    "events": (
        "SELECT item_id, event_timestamp, count(*) OVER (PARTITION BY item_id ORDER BY "
        "event_timestamp) AS n, lag(event_id) OVER (PARTITION BY item_id ORDER BY "
        "event_timestamp, event_id) AS before FROM events_impression"
    ),
    "clicks that wait": (
        "SELECT i.item_id, i.event_timestamp, i.event_timestamp + INTERVAL 30 MINUTE AS "
        "created_timestamp, max(CASE WHEN c.event_timestamp <= i.event_timestamp + INTERVAL 30 "
        "MINUTE THEN 1 ELSE 0 END) AS x FROM events_impression AS i LEFT JOIN events_click AS c "
        "ON c.impression_id = i.event_id GROUP BY i.event_id, i.item_id, i.event_timestamp"
    ),
}


@pytest.mark.parametrize("name", HONEST)
@costly(4, of=12, phases=QUICK)
@given(log=logs, back=st.sampled_from([1, 10, 60, 600]))
def test_no_honest_view_is_blamed_at_any_moment(name, log, back):
    report = at_every_moment(log, HONEST[name].replace("{back}", str(back)))
    assert (report.peek, report.blamed) == (None, 0)


def follows(log, depth):
    return any(
        0 < later - minute <= depth
        for rows in by_item(log)
        for minute, _ in rows
        for later, _ in rows
    )


def hours_early(log, _depth):
    hours = defaultdict(set)
    for minute, item, _ in log:
        hours[item, minute // 60].add(minute)
    return any(len(minutes) > 1 for minutes in hours.values())


def cvr_early(log, _depth):
    """ctr's time for both: a row of cvr is known later, whatever it says."""
    return bool(log)


def never_clicked(log, _depth):
    """Rows go where a click becomes known later than they, or might have."""
    return any(
        len({minute for minute, _ in rows}) > 1
        and not any(outcome for minute, outcome in rows if minute == rows[0][0])
        for rows in by_item(log)
    )


# name -> (sql, whether it changes a value or a row of this log)
PEEKS = {
    "a frame that follows": (
        WINDOW.format(created="created_timestamp", order=LAST).replace(
            "{end}", "INTERVAL {depth} MINUTE FOLLOWING"
        ),
        follows,
    ),
    "known too early": (
        WINDOW.format(created="created_timestamp - INTERVAL {depth} MINUTE", order=LAST).replace(
            "{end}", "CURRENT ROW"
        ),
        lambda log, _depth: bool(log),
    ),
    "the whole partition": (
        WINDOW.format(created="created_timestamp", order=""),
        lambda log, _depth: several_times(log),
    ),
    "the outcome itself": (
        (
            "SELECT item_id, event_timestamp, event_timestamp + INTERVAL 0 SECOND AS "
            "created_timestamp, outcome AS x FROM ctr"
        ),
        lambda log, _depth: bool(log),
    ),
    "the row after": (
        (
            "SELECT item_id, event_timestamp, created_timestamp, event_id AS own, "
            "lead(event_id) OVER (PARTITION BY item_id ORDER BY event_timestamp, event_id) "
            "AS x FROM ctr"
        ),
        lambda log, _depth: several_times(log),
    ),
    "hours known at their first row": (
        HONEST["hours at their start"].replace("max(created", "min(created"),
        hours_early,
    ),
    "the sooner of two objectives": (
        (
            "SELECT ctr.item_id, ctr.event_timestamp, CASE WHEN cvr.created_timestamp < "
            "ctr.created_timestamp THEN cvr.created_timestamp "
            "ELSE ctr.created_timestamp END AS created_timestamp, cvr.outcome AS x FROM ctr "
            "JOIN cvr ON cvr.event_id = ctr.event_id"
        ),
        cvr_early,
    ),
    "newest only": (
        (
            "SELECT item_id, event_timestamp, created_timestamp, 1 AS x FROM (SELECT *, "
            "row_number() OVER (PARTITION BY item_id ORDER BY event_timestamp DESC, event_id) AS "
            "nth FROM ctr) AS aged WHERE nth = 1"
        ),
        lambda log, _depth: several_times(log),
    ),
    "never clicked": (
        (
            "SELECT item_id, event_timestamp, created_timestamp, 1 AS x FROM ctr "
            "WHERE NOT EXISTS (SELECT 1 FROM ctr AS hit WHERE hit.item_id = ctr.item_id AND "
            "hit.outcome = 1)"
        ),
        never_clicked,
    ),
}


@pytest.mark.parametrize("name", PEEKS)
@costly(4, of=12, phases=QUICK)
@given(log=logs, back=st.sampled_from([1, 10, 60]), depth=st.sampled_from([1, 7, 30]))
def test_a_peek_is_found_exactly_when_it_changes_a_value_or_a_row(name, log, back, depth):
    sql, changes = PEEKS[name]
    report = at_every_moment(log, sql.replace("{back}", str(back)).replace("{depth}", str(depth)))
    assert (report.peek is not None) == changes(log, depth), report


@pytest.mark.parametrize("name", [*HONEST, *PEEKS])
def test_every_view_of_these_tests_is_one_that_validate_takes(name):
    sql = HONEST.get(name) or PEEKS[name][0]
    view_sources(project_of([], sql.replace("{back}", "5").replace("{depth}", "5")).description)


def noisy(sql):
    """A project whose `ctr` gives other noise at each reading, as an engine would that adds floats
    in another order each time.
    """
    project = project_of([(0, 0, 5), (60, 0, None), (120, 0, None)], sql)
    base = project.target.warehouse.base
    base.execute("ALTER VIEW ctr RENAME TO base_of_ctr")
    base.execute(
        "CREATE TEMP VIEW ctr AS SELECT * REPLACE (outcome * (1 + random()) AS outcome) FROM "
        "base_of_ctr"
    )
    (source,) = view_sources(project.description)
    moments = [(START + timedelta(minutes=minutes)).replace(tzinfo=UTC) for minutes in (100, 160)]
    return examine(project, source, inputs_of(source, project.description), moments)


def test_a_float_that_differs_over_the_same_rows_in_another_order_is_not_repeatable_and_not_the_future():
    report = noisy(
        "SELECT item_id, event_timestamp, created_timestamp, outcome * 1.0 AS x FROM ctr"
    )
    assert (report.peek, report.blamed) == (None, 0)
    assert report.notes == (
        "x is not repeatable: it differs with the order in which the same rows are added up",
    )
    assert report.computations == 2 * computations(2) + computations(2, again=True) == 16


def test_beside_a_float_that_is_not_repeatable_a_peek_is_found_all_the_same():
    window = "count(*) OVER (PARTITION BY item_id)"
    report = noisy(
        f"SELECT item_id, event_timestamp, created_timestamp, outcome * 1.0 AS x, {window} "
        "AS n FROM ctr"
    )
    assert (report.peek.feature, report.peek.value, report.peek.other) == ("n", 3, 2)
