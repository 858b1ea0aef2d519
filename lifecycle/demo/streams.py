"""`isthmus demo --streams`: the Open Bandit log through a stream view's arithmetic.

What a worker would serve is compared with what training would read, row by row.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...events.intake.ingest import IngestReport
from ...feature_store.streams.replay import ReplayReport
from ...project.scaffold import create
from ...reports.results import Shown
from .stages import OnStage, Stages, ingested_text, silent, view_rows_text

EXAMPLE = "openbandit_live"  # the example openbandit, with a stream view
VIEW = "item_live"
_FROM = "openbandit"
_BEFORE = "feature_views:"
_VIEW = """
  item_live:       # no SQL: a worker counts it from single events, materialize from the warehouse
    entity: item
    stream: {every: 1m, lateness: 5m, delay: 1m}
    ttl: 2h
    features:
      item_shown_10m:   {count: impression, window: 10m}
      item_clicked_10m: {count: click, window: 10m}
      item_shown_1h:    {count: impression, window: 1h}
"""
# by when the log's last event has left every window
_UNTIL = datetime(2019, 12, 1, 2, tzinfo=UTC)
_STAGES = 5


class StreamsDemo(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The figures that the log counted as a stream shares with the same log counted as a table."""

    target: str
    seconds: float
    ingested: tuple[IngestReport, ...]
    replay: ReplayReport

    def __str__(self) -> str:
        replayed = self.replay
        answer = "yes" if replayed.differ == 0 and replayed.rows else "no"
        compared = f"{answer}: {replayed.rows:,} rows, {replayed.differ:,} differ"
        lines = (
            f"done in {self.seconds:.0f} s   {replayed.events:,} events of a real fashion site",
            f"  Is what is served what is trained on?   {compared}",
            f"      {replayed.view}: counted from single events, as a worker does, and by SQL",
            *(f"      {example}" for example in replayed.examples),
        )
        return "\n".join(lines)


def write_project(folder: Path) -> None:
    """Write the example with a stream view into a folder; do nothing if it is there.

    Raises:
        AlreadyExists: The folder holds something else.
    """
    file = folder / "project.yaml"
    if not file.exists():
        create(folder, example=_FROM)
    text = file.read_text(encoding="utf-8")
    if not text.startswith(f"name: {_FROM}\n"):
        return
    start, key, rest = text.removeprefix(f"name: {_FROM}\n").partition(_BEFORE)
    line, _, views = rest.partition("\n")
    draft = file.with_suffix(".draft")
    draft.write_text(f"name: {EXAMPLE}\n{start}{key}{line}{_VIEW}{views}", encoding="utf-8")
    draft.replace(file)


def demo_streams(project: Project, *, on_stage: OnStage = silent) -> StreamsDemo:
    """Run the log through a stream view and compare its rows with the history; return the result.

    It may be run again: what is there already is used.

    Args:
        project: The project, as `write_project` writes it.
        on_stage: Called with the number, name and result of each stage.

    Raises:
        Invalid: The project is not this example.
    """
    from ...events.intake.ingest import ingest
    from ...feature_store.offline.materialize import materialize
    from ...feature_store.streams.replay import replay
    from ..resources.apply import apply
    from ..resources.plan import plan

    if project.spec.name != EXAMPLE:
        raise Invalid(
            f"demo --streams runs the example {EXAMPLE}; this project is {project.spec.name}",
            remedy="run it in an empty folder: it makes a folder of its own there",
        )
    started = time.monotonic()
    stage = Stages(_STAGES, on_stage, project.progress)
    with project.lock("demo"):
        planned = stage(
            "validate and plan",
            lambda: plan(project),
            lambda planned: f"{len(planned.items)} things declared",
        )
        stage(
            "apply",
            lambda: apply(project, planned),
            lambda applied: f"{sum(applied.made.values())} tables and views",
        )
        ingested = stage("ingest", lambda: ingest(project), ingested_text)
        stage(
            "materialize",
            lambda: materialize(project, (VIEW,), until=_UNTIL),
            view_rows_text,
        )
        replayed = stage(
            "replay the stream",
            lambda: replay(project, VIEW),
            lambda report: f"{report.rows:,} rows, {report.differ:,} differ",
        )
    return StreamsDemo(
        target=project.target.name,
        seconds=time.monotonic() - started,
        ingested=tuple(ingested),
        replay=replayed,
    )
