"""Whether the log's arms are those of the hash: every logged assignment is computed once more.

It follows from what was frozen at the run's start. Of an interleaved run so is every draft
(draft_audit.py). What is missing is counted, too: a number of `rankings.sequence` that no row of
its gateway has is an answer that was lost.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.assignment import bucket
from ...endpoints.gateway.decide.live_document import BucketRanges, Change
from ...endpoints.gateway.log.streams import ASSIGNMENTS, RANKINGS
from ...errors import NotFound
from ...reports.columns import plural
from ...reports.results import Shown
from ..design import buckets, runs
from ..design.definition import never_ran
from ..design.runs import FrozenRun
from . import draft_audit
from .draft_audit import Drafts

CHUNK = 200_000  # rows of one query
EXAMPLES = 5
# rows in the order of their units: whoever asks on begins after the last unit that was read whole
_ASSIGNED = f"""
SELECT DISTINCT unit, arm, reason, config FROM {ASSIGNMENTS.name}
WHERE run = $run AND segment = '' AND dt >= $first AND unit > $after ORDER BY unit LIMIT {{limit}}
"""
_ANSWERS = f"""
SELECT gateway, count(DISTINCT sequence) AS logged, max(sequence) - min(sequence) + 1 AS numbered
  FROM {RANKINGS.name}
WHERE endpoint = $endpoint AND dt >= $first GROUP BY gateway
"""


class Row(msgspec.Struct, frozen=True, order=True):
    """An assignment as it was logged."""

    unit: str
    arm: str
    reason: str
    config: int


class Audit(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """How many units were not assigned as the hash says.

    Counts are units. `examples`: some that are wrong, as they were logged.
    """

    run: str
    units: int
    differ: int  # another arm or reason than the hash's
    outside: int  # of buckets that the run did not have under the document's version
    twice: int  # with more than one arm
    examples: tuple[str, ...] = ()
    gateways: int | None = (
        None  # processes that answered since the run began; None: answers are not logged
    )
    answers: int = 0
    lost: int = 0
    drafts: Drafts | None = None  # of a run that interleaves

    @property
    def sound(self) -> bool:
        """Return whether every logged assignment equals the one computed from the hash."""
        return not (
            self.differ or self.outside or self.twice or (self.drafts and self.drafts.differ)
        )

    def __str__(self) -> str:
        head = (
            f"{self.run}   {plural(self.units, 'unit')}, {self.differ:,} differ from the hash, "
            f"{self.outside:,} outside their buckets"
        )
        lines = [
            f"{head}, {self.twice:,} in two arms",
            *(f"  {example}" for example in self.examples),
        ]
        if self.gateways is not None:
            lines.append(
                f"  answers   {self.answers:,} logged by {self.gateways:,} gateway "
                f"processes, {self.lost:,} lost"
            )
        if self.drafts is not None:
            lines += [
                f"  drafts    {self.drafts}",
                *(f"  {example}" for example in self.drafts.examples),
            ]
        return "\n".join(lines)


def audit(project: Project, name: str, *, chunk: int = CHUNK) -> Audit:
    """Check a run's logged assignments of units to arms by computing them again.

    Args:
        project: The project.
        name: The experiment.
        chunk: Rows of one query.

    Raises:
        NotFound: It never ran, or nothing is logged on this target.
    """
    changes = runs.history(project.target.state, name)
    if not changes:
        raise never_ran(project, name)
    if project.target.warehouse.observe(ASSIGNMENTS.name) is None:
        raise NotFound(
            f"{project.target.name} has no {ASSIGNMENTS.name} yet: no gateway has assigned anybody",
            remedy="isthmus apply",
        )
    frozen = runs.frozen_run(project.target.state, changes[-1].run)
    first = runs.first_day(frozen, project.spec).isoformat()
    judged = judge(_units(project, frozen.run, first, chunk), frozen, changes)
    answers = _answers(project, frozen.definition.layer.endpoint, first)
    interleaves = bool(answers) and frozen.definition.experiment.interleave is not None
    drafts = (
        draft_audit.audit(project, frozen, first, page=min(chunk, draft_audit.PAGE))
        if interleaves
        else None
    )
    return msgspec.structs.replace(judged, **answers, drafts=drafts)


def judge(units: Iterator[Sequence[Row]], frozen: FrozenRun, changes: Sequence[Change]) -> Audit:
    """Compare a run's logged assignments with those that are computed from the hash.

    Args:
        units: The logged rows, all rows of one unit at a time.
        frozen: The run as it was frozen.
        changes: The history of the experiment.
    """
    expected, ranges = _Expected(frozen), _ranges(changes, frozen.run)
    count = differ = outside = twice = 0
    examples: list[str] = []
    for rows in units:
        arm, reason, place = expected.assignment(rows[0].unit)
        differs = any((row.arm, row.reason) != (arm, reason) for row in rows)
        is_outside = any(not _held_bucket(ranges, row.config, place) for row in rows)
        count, differ, outside = count + 1, differ + differs, outside + is_outside
        twice += len({row.arm for row in rows}) > 1
        if (differs or is_outside) and len(examples) < EXAMPLES:
            examples.append(_example(rows[-1], arm, reason, place))
    return Audit(
        run=frozen.run,
        units=count,
        differ=differ,
        outside=outside,
        twice=twice,
        examples=tuple(examples),
    )


def _example(row: Row, arm: str, reason: str, place: int) -> str:
    """Return a line of text about a unit whose logged assignment differs from the hash.

    `arm`, `reason` and bucket `place` are the computed ones.
    """
    return (
        f"{row.unit}: logged {row.arm} ({row.reason}) under config {row.config}; the hash says "
        f"{arm} ({reason}), bucket {place}"
    )


class _Expected:
    """The arm that the hash gives each unit of a run."""

    def __init__(self, frozen: FrozenRun) -> None:
        experiment, layer = frozen.definition.experiment, frozen.definition.layer
        self._arms = frozen.arms
        self._uppers = [arm.upper for arm in frozen.arms]
        self._experiment, self._holdout = experiment.name, buckets.count(experiment.holdout)
        self._layer, self._salt = layer.name, layer.salted
        self._layer_holdout = buckets.count(layer.holdout)
        self._arm_salt = frozen.salt

    def assignment(self, unit: str) -> tuple[str, str, int]:
        """Return a unit's arm, the reason for it, and its hash bucket, all computed anew.

        The bucket is -1 in the layer's holdout, which is in no run.
        """
        place = (
            -1
            if bucket("holdout", self._layer, unit) < self._layer_holdout
            else bucket("layer", self._salt, unit)
        )
        if bucket("holdout", self._experiment, unit) < self._holdout:
            return self._arms[0].name, "holdout", place
        return (
            self._arms[bisect_right(self._uppers, bucket("arm", self._arm_salt, unit))].name,
            "split",
            place,
        )


def _ranges(changes: Sequence[Change], run: str) -> tuple[list[int], list[BucketRanges]]:
    """Return the versions at which a run's hash buckets changed, and the ranges from each on.

    They are versions of the document of all live runs.

    They are versions of the document of all live runs. `changes` is the run's history.
    """
    of_run = [change for change in changes if change.run == run]
    return [change.version for change in of_run], [change.ranges for change in of_run]


def _held_bucket(ranges: tuple[list[int], list[BucketRanges]], config: int, place: int) -> bool:
    """Return whether a run held a hash bucket under a version of the document of all live runs.

    `ranges` is what `_ranges` returns, `config` the version, `place` the bucket.
    """
    versions, ranges_since = ranges
    period = bisect_right(versions, config) - 1
    return period >= 0 and any(low <= place <= high for low, high in ranges_since[period])


def _units(project: Project, run: str, first: str, chunk: int) -> Iterator[list[Row]]:
    """Yield a run's logged assignments, those of one unit at a time, by queries of `chunk` rows.

    Rows from the date `first` on are read.
    """
    after, full = "", True
    while full:
        table = project.target.warehouse.query(
            _ASSIGNED.format(limit=chunk), {"run": run, "first": first, "after": after}
        )
        rows = [Row(**row) for row in table.to_pylist()]
        full = len(rows) >= chunk
        units = _rows_by_unit(rows)
        if full and len(units) > 1:
            units.pop()  # it may go on beyond this chunk
        if full:
            after = units[-1][0].unit
        project.progress(f"audit {run}", len(units), None)
        yield from units


def _rows_by_unit(rows: Sequence[Row]) -> list[list[Row]]:
    """Group logged assignments by unit; the rows of a unit follow each other."""
    units: list[list[Row]] = []
    for row in rows:
        if not units or units[-1][0].unit != row.unit:
            units.append([])
        units[-1].append(row)
    return units


def _answers(project: Project, endpoint: str, first: str) -> dict[str, int]:
    """Query how many gateways logged answers, how many answers, and how many were lost.

    Rows from the date `first` on are read.
    """
    if project.target.warehouse.observe(RANKINGS.name) is None:
        return {}
    rows = project.target.warehouse.query(
        _ANSWERS, {"endpoint": endpoint, "first": first}
    ).to_pylist()
    return {
        "gateways": len(rows),
        "answers": sum(row["logged"] for row in rows),
        "lost": sum(row["numbered"] - row["logged"] for row in rows),
    }
