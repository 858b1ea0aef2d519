"""Measure a run's one query beside one look, and its last stage beside a scan written by hand.

The figures are CPU seconds of DuckDB with one thread. `python -m benchmarks.experiments.experiments
[--exposures 10000000] [--rows 10000000]`. A unit has ten exposures in two weeks, and in a second
log 200. Every day's look from the cells is compared with a query that asks for that day alone, the
last stage with one by hand: equal, or the program ends with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime, timedelta

import duckdb

from isthmus.experiments.measure.cells_sql import cells_sql, parameters
from isthmus.experiments.measure.run_cells import CellQuery, RunCells, cell
from isthmus.project.specs.description import Attribute, Event, Objective, ProjectSpec
from isthmus.project.specs.experiments import Metric, Total

from ..measure import scaled

KEYS = "arm, first_day, day"
PLAIN = "sum({m}_y), sum({m}_y * {m}_y), sum({m}_d), sum({m}_y * {m}_d), sum({m}_d * {m}_d)"
GROWN = (
    "sum({m}_y - {m}_y_0), sum({m}_y * {m}_y - {m}_y_0 * {m}_y_0), sum({m}_d - {m}_d_0), "
    "sum({m}_y * {m}_d - {m}_y_0 * {m}_d_0), sum({m}_d * {m}_d - {m}_d_0 * {m}_d_0)"
)
START, DAYS = datetime(2026, 11, 1), 14  # noqa: DTZ001  as SQL has them, in UTC
SPEC = ProjectSpec(
    name="shop",
    events={
        "impression": Event(
            name="impression", attributes=(Attribute(name="visitor_id", type="string"),)
        )
    },
    objectives={
        "ctr": Objective(
            name="ctr", outcome="click", exposure="impression", within=timedelta(minutes=30)
        )
    },
)
CTR = Metric(
    name="ctr",
    kind="rate",
    numerator=Total(event="click"),
    denominator=Total(event="impression"),
    objective="ctr",
)
SEVEN, A_UNIT = 7, 10
ARMS = ("control", "treatment")
ONE_LOOK = """
WITH units AS (SELECT unit, min(arm) AS arm, max(arm) AS other, min(event_timestamp) AS first_at FROM assignments
    WHERE event_timestamp < $until GROUP BY unit),
totals AS (SELECT units.unit, arm, coalesce(sum(outcome), 0) AS y, count(outcome) AS d FROM units LEFT JOIN ctr
    ON ctr.visitor_id = units.unit AND ctr.event_timestamp >= first_at AND ctr.event_timestamp < $until
    WHERE arm = other GROUP BY units.unit, arm)
SELECT arm, count(*) AS units, sum(y) AS y, sum(d) AS d, sum(y * y) AS yy, sum(y * d) AS yd, sum(d * d) AS dd FROM totals GROUP BY arm
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--exposures", type=int, default=scaled(2_000_000, 4_000))
    parser.add_argument("--rows", type=int, default=scaled(2_000_000, 4_000))
    arguments, _ = parser.parse_known_args()
    with duckdb.connect(config={"threads": "1"}) as engine:
        same = looks(engine, arguments.exposures, A_UNIT)
        same &= looks(engine, arguments.exposures, 20 * A_UNIT)
        same &= last_stage(engine, arguments.rows)
    return 0 if same else 1


def looks(engine, exposures, a_unit):
    units = exposures // a_unit
    engine.execute(f"""
CREATE OR REPLACE TABLE shown AS SELECT 'v' || (n % {units}) AS visitor_id,
    TIMESTAMP '{START}' + to_seconds(CAST(hash(n) % {DAYS * 86400} AS BIGINT)) AS event_timestamp,
    CAST(hash(n + {exposures}) % 20 = 0 AS BIGINT) AS outcome FROM range({exposures}) AS r(n);
CREATE OR REPLACE TABLE ctr AS SELECT *, event_timestamp AS created_timestamp, strftime(event_timestamp, '%Y-%m-%d') AS dt FROM shown;
CREATE OR REPLACE TABLE assignments AS SELECT 'r.1' AS run, visitor_id AS unit,
    CASE WHEN hash(visitor_id) % 2 = 0 THEN 'control' ELSE 'treatment' END AS arm, 'split' AS reason, '' AS segment,
    min(event_timestamp) AS event_timestamp, min(dt) AS dt FROM ctr GROUP BY visitor_id, dt""")
    end = START + DAYS * timedelta(days=1)
    limits = {
        "run": "r.1",
        "since": "2026-10-01",
        "earliest": "2026-10-01",
        "until": end,
    } | parameters([CTR], ARMS, known_at=end, shifts={})
    answer, all_looks = measured(engine, cells_sql(SPEC, [CTR], unit="visitor_id", arms=2), limits)
    _, trend = measured(
        engine, cells_sql(SPEC, [CTR], unit="visitor_id", arms=2, daily=("ctr",)), limits
    )
    _, one_look = measured(engine, ONE_LOOK, {"until": end})
    cells = RunCells(
        arms=ARMS, cells=tuple(cell(row, CellQuery(metrics=(CTR,), arms=ARMS)) for row in answer)
    )
    print(f"{exposures:,} exposures, {units:,} units, {DAYS} days: {len(answer)} cells")
    print(
        f"  all looks in one query {all_looks:.2f} s, with days by themselves {trend:.2f}, "
        f"one look {one_look:.2f}"
    )
    print(f"  {all_looks / one_look:.1f} x (goal 3)")
    differ = [
        day
        for day in range(1, DAYS + 1)
        if not same_look(engine, cells, START + day * timedelta(days=1))
    ]
    print(
        f"  days whose look from the cells is not that of a query for it: {len(differ)} of {DAYS}"
    )
    return not differ


def same_look(engine, cells, ends):
    direct, _ = measured(engine, ONE_LOOK, {"until": ends})
    sums = cells.sums_at(CTR, ends, None)
    return all(
        tuple(getattr(sums[row["arm"]], name) for name in ("units", "y", "d", "yy", "yd", "dd"))
        == tuple(int(row[name]) for name in ("units", "y", "d", "yy", "yd", "dd"))
        for row in direct
    )


def last_stage(engine, rows):
    """Measure the query's increments by cell for seven ratios of unit rows.

    Beside it stand the same answer by hand, and plain sums, which say one look.
    """
    metrics = [
        Metric(
            name=f"m{number}",
            kind="rate",
            numerator=Total(event="impression"),
            denominator=Total(event="impression"),
        )
        for number in range(SEVEN)
    ]
    columns = ", ".join(
        f"{drawn(f'm{number}_y', 5, number)}, {drawn(f'm{number}_d', 9, SEVEN + number)}"
        for number in range(SEVEN)
    )
    dated = f"TIMESTAMP '{START}' + to_days(CAST(hash(n + {{}}) % {DAYS} AS INTEGER))"
    engine.execute(f"""
CREATE TABLE steps AS SELECT CAST(n % 2 AS INTEGER) AS arm,
    {dated.format(50)} AS first_day, {dated.format(51)} AS day, CAST(n % 3 = 0 AS BIGINT) AS isthmus_new, {columns}
    FROM range({rows}) AS r(n)""")
    sql = cells_sql(SPEC, metrics, unit="visitor_id", arms=2)
    answer, of_ours = measured(engine, sql[sql.rindex("\nSELECT ") :], {})
    by_hand, of_hand = measured(engine, scan(GROWN, KEYS), {})
    _, of_plain_cells = measured(engine, scan(PLAIN, KEYS), {})
    _, of_plain = measured(engine, scan(PLAIN, "arm"), {})
    print(
        f"{rows:,} unit rows x {SEVEN} ratios, {len(answer)} cells: the last stage {of_ours:.2f} s"
    )
    print(f"  by hand, the same answer, {of_hand:.2f} s: {of_ours / of_hand:.2f} x (goal 1.1)")
    print(
        f"  plain sums, which say one look: by cell {of_plain_cells:.2f} s, "
        f"{of_ours / of_plain_cells:.2f} x;",
        end=" ",
    )
    print(f"by arm {of_plain:.2f} s, {of_ours / of_plain:.2f} x")
    return multiset(answer, ("segment",)) == multiset(by_hand)


def drawn(name, below, seed):
    """Return SQL for a total and what it was the day before, at most as much."""
    total = f"CAST(hash(n + {seed}) % {below} AS BIGINT)"
    return (
        f"{total} AS {name}, {total} - CAST(hash(n + {seed + 100}) % 100 AS BIGINT) % ({total} + "
        f"1) AS {name}_0"
    )


def scan(sums, keys):
    return (
        f"SELECT {keys}, sum(isthmus_new), "
        f"{', '.join(sums.format(m=f'm{number}') for number in range(SEVEN))} FROM steps "
        f"GROUP BY {keys}"
    )


def multiset(rows, without=()):
    return sorted(
        tuple(str(value) for name, value in row.items() if name not in without) for row in rows
    )


def measured(engine, sql, values):
    """Return the rows and the least CPU seconds of three runs."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        answer = engine.execute(sql, values)
        names, rows = [column[0] for column in answer.description], answer.fetchall()
        taken.append(time.process_time() - began)
    return [dict(zip(names, row, strict=True)) for row in rows], min(taken)


if __name__ == "__main__":
    sys.exit(main())
