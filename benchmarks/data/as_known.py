"""Measure the as-known check: its cost beside materialize, and the share of peeks that it finds.

The share is that of its three moments, by how far a peek looks ahead, over the example's log.
`python -m benchmarks.data.as_known [--draws N]`: draws of the three moments, each by a seed of its
own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..measure import Line, scaled, table

ROWS = scaled(100_000, 1_000)
VIEW = """
SELECT item_id, event_timestamp, created_timestamp{early} AS created_timestamp,
       count(*) OVER w AS item_impressions_7d, (sum(outcome) OVER w + 1.0) / (count(*) OVER w + 250) AS item_ctr_7d
FROM ctr WINDOW w AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND {end})
"""
AHEAD = scaled(("1 MINUTE", "10 MINUTE", "1 HOUR", "1 DAY"), ("1 DAY",))
EARLY = scaled(("1 MINUTE", "30 MINUTE"), ())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=scaled(10, 1))
    arguments, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as parent:
        cost(Path(parent))
        shares_found(Path(parent), arguments.draws)


def cost(parent: Path) -> None:
    """Print wall and CPU of the check beside a first materialize of the same view.

    The materialize's own check is taken out of it.
    """
    import pyarrow as pa

    import isthmus as im
    from isthmus.feature_store.as_known.check import check_as_known
    from isthmus.project.scaffold import create

    folder = parent / "large"
    create(folder, example="starter")
    moment = 1_767_225_600_000  # 2026-01-01; the starter's clock stands a week later
    shown = {
        "event_id": [f"i{n}" for n in range(ROWS)],
        "event_timestamp": pa.array(
            [moment + n * 6_000 for n in range(ROWS)], pa.timestamp("ms", "UTC")
        ),
        "item_id": [n * n % 997 % 200 for n in range(ROWS)],
        "position": [n % 5 + 1 for n in range(ROWS)],
    }
    with im.open(folder / "project.yaml") as project:
        im.apply(project)
        im.ingest(project, event="impression", data=pa.table(shown))
        check, check_cpu = timed(lambda: check_as_known(project))
        whole, whole_cpu = timed(lambda: im.materialize(project))
    table(
        f"first materialize of item_history over {ROWS:,} impressions",
        [
            Line(
                name="the check alone",
                value=f"{check:.2f} s, CPU {check_cpu:.2f} s",
                ratio=check / max(whole - check, 0.01),
            ),
            Line(name="materialize with it", value=f"{whole:.2f} s, CPU {whole_cpu:.2f} s"),
        ],
    )


def shares_found(parent: Path, draws: int) -> None:
    import isthmus as im
    from isthmus.core.runtime.project import Project
    from isthmus.feature_store.as_known.check import MOMENTS, examine, known_times
    from isthmus.feature_store.as_known.queries import inputs_of
    from isthmus.feature_store.views.sources import view_sources
    from isthmus.project.scaffold import create

    folder = parent / "openbandit"
    create(folder, example="openbandit")
    with im.open(folder / "project.yaml") as project:
        im.apply(project)
        im.ingest(project)

        def share(sql: str) -> str:
            view = msgspec.structs.replace(project.spec.feature_views["item_history"], sql=sql)
            spec = msgspec.structs.replace(
                project.spec, feature_views={"item_history": view}, models={}
            )
            description = msgspec.structs.replace(project.description, spec=spec)
            (source,) = view_sources(description)
            read = inputs_of(source, description)
            other = Project(description, project.target)
            reports = [
                examine(other, source, read, known_times(other, read, MOMENTS, seed=seed))
                for seed in range(draws)
            ]
            return f"{sum(report.peek is not None for report in reports)} of {draws}"

        peeks = {
            f"a frame that ends {ahead} FOLLOWING": VIEW.format(
                early="", end=f"INTERVAL {ahead} FOLLOWING"
            )
            for ahead in AHEAD
        }
        peeks |= {
            f"known {early} too early": VIEW.format(early=f" - INTERVAL {early}", end="CURRENT ROW")
            for early in EARLY
        }
        peeks["honest"] = VIEW.format(early="", end="CURRENT ROW")
        lines = [Line(name=name, value=share(sql)) for name, sql in peeks.items()]
    table(
        f"found by {MOMENTS} moments over the example's log, by how far the view looks ahead", lines
    )


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return wall and CPU seconds of one call."""
    started, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - cpu


if __name__ == "__main__":
    main()
