"""Check whether a view's rows hold what became known only later (the as-known check).

For a moment T the view is computed twice more: over what was known at T, and over everything with
the outcomes that became known after T turned round (queries.py). Every row of the full result that
was known by T must be in both with the same values, else it has seen the future. Every row that was
there at T must still be there, whatever its created_timestamp is by now, else it disappears when
later data come.

The check finds peeks; a view in which it finds none is not proven right. Late events, corrections
and the loads of static tables are taken as they are now: they are materialize's business, not the
view's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Refused
from ...events.tables.relations import view_name
from ...project.profiles.options import budget
from ...project.specs.exposures import reference_to
from ..joins.view_history import ViewSource
from ..tables.relations import static_raw_name
from ..views.sources import view_sources
from .cost import Scan, scan
from .peeks import Peek, first_peek, likely_cause, peek_text
from .queries import (
    Input,
    blamed_sql,
    computations,
    inputs_of,
    known_times_sql,
    reads_outcomes,
    totals_sql,
)

MOMENTS = 3
# moments a query: more would save computations of the whole view, and make statements too long for
# Athena
_TOGETHER = 3
_TICK = timedelta(milliseconds=1)


class AsKnown(msgspec.Struct, frozen=True, kw_only=True):
    """The moments that the check looked at in one view, and what it found there.

    There are no moments when no data has come in yet, or when nothing that the view reads has a
    time.
    """

    view: str
    moments: tuple[datetime, ...] = ()
    rows: int = 0  # of the view, that became known within a day before the moments
    computations: int = 0  # of the view
    blamed: int = 0  # rows
    peek: Peek | None = None
    cause: str = ""  # the likely one, with its line
    notes: tuple[str, ...] = ()  # what cannot be judged, and why

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.view}   {self._verdict()}", *(f"  {note}" for note in self.notes)]
        )

    def _verdict(self) -> str:
        """Return text on how many past times were checked and whether a row of the view leaks."""
        if not self.moments:
            return "nothing to check: no data yet, or nothing that it reads has a time"
        looked = (
            f"{len(self.moments)} moment{'s' * (len(self.moments) != 1)}, {self.rows:,} rows "
            "that became known within a day before them"
        )
        return f"{looked}: " + (
            "none saw later data"
            if self.peek is None
            else f"{self.blamed:,} rows to blame\n  {peek_text(self.peek)}"
        )


def check_as_known(
    project: Project, views: Sequence[str] | None = None, *, moments: int = MOMENTS
) -> tuple[AsKnown, ...]:
    """Check feature views (default: all) for leaks of later data, as of some past times.

    The times are spread over the views' history by a fixed seed. Nothing is written. It checks
    `moments` times. A view is computed at most `usual_computations(moments)` times, and more often
    where a row leaks.

    Raises:
        NotFound: there is no such view.
        ProjectError: a view's SQL is wrong.
        Refused: the check would read more than an hour of the profile's budget pays for. Nothing is
            computed then.
    """
    _require_affordable(project, views, _require_moments(moments))
    return tuple(_reports(project, view_sources(project.description, views), moments))


def _require_moments(moments: int) -> int:
    """Return the number of points in time to check; raise Refused if it is less than one."""
    if moments < 1:
        raise Refused(f"{moments} moments check nothing", remedy="--moments 1 is the least")
    return moments


def require_as_known(
    project: Project, sources: Sequence[ViewSource], *, moments: int = MOMENTS
) -> dict[str, AsKnown]:
    """Check feature views for leaks of later data, and return their reports by view name.

    It is called before rows of a new or changed view are published.

    Raises:
        Refused: a view peeks (the error names row, values, moment and the likely cause), or the
            check would read more than an hour of the profile's budget pays for.
    """
    _require_affordable(
        project, [source.view.name for source in sources], _require_moments(moments)
    )
    reports: dict[str, AsKnown] = {}
    for report in _reports(project, sources, moments):
        if report.peek is not None:
            more = f" ({report.blamed - 1:,} more rows like it)" if report.blamed > 1 else ""
            again = f"look again: isthmus features check {report.view}"
            raise Refused(
                f"{report.view}: {peek_text(report.peek)}{more}",
                remedy=f"likely: {report.cause}\n{again}",
            )
        reports[report.view] = report
    return reports


def usual_computations(moments: int) -> int:
    """Return how often the leakage check computes a view at most, if no row leaks.

    It looks at `moments` times. That is two computations for each, and one more for each query of a
    few times. A view that reads no outcomes is computed less often.
    """
    return 2 * moments + _query_count(moments)


def price(moments: int = MOMENTS, *, scan: Scan | None = None) -> str:
    """Return a sentence on what the leakage check of a view costs, to show before it runs.

    `scan` has the bytes that a computation reads. Finding which row leaks takes further queries,
    and one more where its value is a float.
    """
    usual = usual_computations(moments)
    summary = (
        f"at most {usual} computations of each, {3 * usual + _query_count(moments)} where a row is "
        "to blame"
    )
    if scan is None:
        return summary
    least = "" if moments == 1 else f"; {scan.times(usual_computations(1))} with --moments 1"
    return f"{summary}; about {scan.times(usual)} read{least}"


def _require_affordable(project: Project, views: Sequence[str] | None, moments: int) -> None:
    """Raise Refused if the leakage check of views costs more than the hourly budget.

    The error names a cheaper check. Tables' sizes are read only where there are both a budget and a
    price.
    """
    if (
        views == []
        or project.target.adapter.priced is None
        or budget(project.target.profile) is None
    ):
        return
    read, usual, least = scan(project, views), usual_computations(moments), usual_computations(1)
    if read is None or read.is_affordable(usual):
        return
    raise Refused(
        f"the check for later data would read about {read.times(usual)}, and the budget is "
        f"{read.budget} USD/h; nothing was computed",
        remedy=f"--moments 1 reads {read.times(least)}"
        if read.is_affordable(least)
        else "a higher `budget:` in profiles.yaml",
    )


def _query_count(moments: int) -> int:
    """Return how many SQL queries it takes to check views as of so many times."""
    return -(-moments // _TOGETHER)


def _reports(project: Project, sources: Sequence[ViewSource], moments: int) -> Iterator[AsKnown]:
    """Yield for each view the report of its leakage check, and show the progress."""
    for done, source in enumerate(sources):
        project.progress(f"check {source.view.name}", done, len(sources))
        read = inputs_of(source, project.description)
        yield examine(project, source, read, known_times(project, read, moments))
    if sources:
        project.progress("check", len(sources), len(sources))


def known_times(
    project: Project, read: Sequence[Input], number: int, *, seed: int = 0
) -> tuple[datetime, ...]:
    """Draw random times, each just before some input row became known, and return them.

    The leakage check looks at these. One is drawn in each of `number` parts of the history, which
    hold equally many of the inputs' distinct times. Each is the last millisecond before such a
    time: nothing becomes known between two of them.
    """
    if not any(i.known for i in read):
        return ()
    generator = random.Random(seed)  # noqa: S311  which moments are looked at is no secret
    shares = [(place + generator.random()) / number for place in range(number)]
    times: list[Any] = project.target.warehouse.query(
        known_times_sql(read, shares), {"until": project.now()}
    )["isthmus_known"].to_pylist()
    return tuple(time.replace(tzinfo=UTC) - _TICK for time in times)


def examine(
    project: Project, source: ViewSource, read: Sequence[Input], moments: Sequence[datetime]
) -> AsKnown:
    """Check one view for leaks as of some times, and return the report.

    `read` are the relations that the view reads. A few times are checked in each SQL query.
    """
    report = AsKnown(view=source.view.name, moments=tuple(moments))
    if not moments:
        return report
    for start in range(0, len(moments), _TOGETHER):
        report = _report_with_moments(
            project, source, read, moments[start : start + _TOGETHER], report
        )
    cause = likely_cause(source, report.peek) if report.peek else ""
    return msgspec.structs.replace(
        report, cause=cause, notes=tuple(dict.fromkeys((*report.notes, *_notes(project, read))))
    )


def _report_with_moments(
    project: Project,
    source: ViewSource,
    read: Sequence[Input],
    moments: Sequence[datetime],
    report: AsKnown,
) -> AsKnown:
    """Check a view for leaks as of a few more times, and return the extended report.

    `read` are the relations that the view reads.
    """
    totals = _first_row(project, totals_sql(source, read, moments)) or {}
    report = msgspec.structs.replace(
        report,
        rows=report.rows + int(totals.get("isthmus_near") or 0),
        computations=report.computations + _query_computations(read, moments),
    )
    return (
        _report_with_peek(project, source, read, moments, report)
        if totals.get("isthmus_blamed")
        else report
    )


def _report_with_peek(
    project: Project,
    source: ViewSource,
    read: Sequence[Input],
    moments: Sequence[datetime],
    report: AsKnown,
) -> AsKnown:
    """Find the first leaking row of a view, and return the report with that row added.

    `read` are the relations that the view reads. A float that differs is checked once more: against
    its value over the same rows in another order.
    """
    row, notes, price = (
        _first_row(project, blamed_sql(source, read, moments, again=False)),
        report.notes,
        _query_computations(read, moments),
    )
    peek = first_peek(source, row, moments) if row else None
    if peek is not None and (isinstance(peek.value, float) or isinstance(peek.other, float)):
        row, price = (
            _first_row(project, blamed_sql(source, read, moments, again=True)),
            price + _query_computations(read, moments, again=True),
        )
        if row is None:
            notes += (
                (
                    f"{peek.feature} is not repeatable: it differs with the order in which the "
                    "same rows are added up"
                ),
            )
        peek = first_peek(source, row, moments, again=True) if row else None
    return msgspec.structs.replace(
        report,
        computations=report.computations + price,
        blamed=report.blamed + (int(row["isthmus_blamed"]) if row else 0),
        peek=report.peek or peek,
        notes=notes,
    )


def _query_computations(
    read: Sequence[Input], moments: Sequence[datetime], *, again: bool = False
) -> int:
    """Return how often one query of the leakage check computes the view.

    `again` says that it is computed once more, over its input in another order.
    """
    return computations(len(moments), flipped=reads_outcomes(read), again=again)


def _first_row(project: Project, query: tuple[str, dict[str, object]]) -> dict[str, Any] | None:
    """Run a query (SQL, parameters), and return its first row as a dict, or None without rows.

    Times in it are in UTC.
    """
    rows = project.target.warehouse.query(*query).to_pylist()
    if not rows:
        return None
    return {
        name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in rows[0].items()
    }


def _notes(project: Project, read: Sequence[Input]) -> tuple[str, ...]:
    """Return sentences on what the leakage check cannot judge in a view that reads these inputs."""
    spec, warehouse = project.spec, project.target.warehouse
    names = {i.relation for i in read}
    notes = []
    for table in (i.relation for i in read if i.known is None):
        loads = warehouse.query(
            "SELECT count(DISTINCT loaded_timestamp) AS isthmus_loads FROM "
            f"{static_raw_name(table)}",
            {},
        )["isthmus_loads"][0].as_py()
        if loads > 1:
            notes.append(
                f"warning: {table} changed since it was first loaded, and does not say when: "
                "every row sees its newest load"
            )
    for objective in spec.objectives.values():
        outcome, exposure = view_name(objective.outcome), view_name(objective.exposure)
        if outcome not in names:
            continue
        same = (
            f"SELECT count(*) AS isthmus_rows FROM {outcome} AS isthmus_hit JOIN {exposure} AS "
            f"isthmus_shown ON isthmus_hit.{reference_to(objective.exposure)} = "
            "isthmus_shown.event_id "
            "WHERE isthmus_hit.event_timestamp = isthmus_shown.event_timestamp"
        )
        if count := warehouse.query(same, {})["isthmus_rows"][0].as_py():
            notes.append(
                f"{count:,} {objective.outcome} events carry their {objective.exposure}'s time: "
                f"a row at the {objective.exposure}'s own time cannot be judged by time"
            )
    return tuple(dict.fromkeys(notes))
