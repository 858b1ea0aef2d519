"""Show workers of streams as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ...events.consume.worker import WorkerReport


def report_line(target: str, report: WorkerReport) -> str:
    """Return a worker's report as a line of text."""
    return (
        f"{target:<7} {report.consumer}   {report.events:,} events   {report.rate:,.0f}/s   "
        f"{behind_text(report.behind)}{figures_text(report.figures)}   "
        f"checkpoint {report.checkpoint}"
    )


def behind_text(behind: timedelta | None) -> str:
    """Return how far a worker is behind as text."""
    if behind is None:
        return "behind unknown"
    seconds = behind.total_seconds()
    if seconds < 60:
        return f"behind {seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"behind {minutes} min" if minutes < 120 else f"behind {minutes // 60} h"


def figures_text(figures: Mapping[str, int]) -> str:
    """Return a kind's own counts as text that follows other text."""
    return "".join(f"   {name} {count:,}" for name, count in figures.items())
