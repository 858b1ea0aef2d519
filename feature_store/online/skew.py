"""Compare what is served online with what the views' SQL computes from the events (the skew)."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...reports.results import Shown
from ..joins.view_history import ViewSource, latest_sql
from ..offline import watermarks
from ..views.sources import view_sources

_EXAMPLES = 5


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    view: str
    key: str
    column: str  # a feature, or feature_timestamp
    served: object
    recomputed: object

    def __str__(self) -> str:
        return (
            f"{self.view} {self.key}: {self.column} is {self.served} online and "
            f"{self.recomputed} from the events"
        )


class SkewReport(Shown, msgspec.Struct, frozen=True, kw_only=True):
    keys: int  # compared
    differ: int  # keys of which something differs
    examples: tuple[Difference, ...]  # the first few

    def __str__(self) -> str:
        first = f"skew   {self.keys:,} keys served and recomputed: {self.differ:,} differ"
        return "\n".join([first, *(f"  {example}" for example in self.examples)])


def skew(project: Project, sample: int = 200, seed: int = 0) -> SkewReport:
    """Compare features served online with recomputed ones, over a random sample of entity keys.

    The sample is of (view, key) over all materialized views. Served is what OnlineStore.get returns
    now. Recomputed is the view's SQL over the events and tables, up to the moment that the online
    store was last synced to; not the history's row, which the store was copied from. A key that is
    only on one side differs. Floats that agree to nine significant digits agree. An event that came
    late since then is skew until the next `materialize`. Stream views are not compared: their
    consumer puts them online, with newer events than the warehouse has.
    """
    sources = {source.view.name: source for source in view_sources(project.description)}
    marks = {name: watermarks.read(project, name).mark for name in sources}
    synced = {name: mark.synced for name, mark in marks.items() if mark.synced is not None}
    if not any(mark.until for mark in marks.values()):
        raise Invalid("no view has been materialized", remedy="isthmus materialize")
    population = [
        (name, key) for name, moment in synced.items() for key in _keys(project, name, moment)
    ]
    chosen = sorted(random.Random(seed).sample(population, min(sample, len(population))))  # noqa: S311  a sample, not a secret
    differences_by_pair: list[list[Difference]] = []
    for name, pairs in groupby(chosen, key=lambda pair: pair[0]):
        differences_by_pair += _compare(
            project, sources[name], [key for _, key in pairs], synced[name]
        )
    differing = [differences for differences in differences_by_pair if differences]
    return SkewReport(
        keys=len(chosen),
        differ=len(differing),
        examples=tuple(difference for differences in differing for difference in differences)[
            :_EXAMPLES
        ],
    )


def _keys(project: Project, view: str, moment: datetime) -> list[str]:
    """Return the entity keys in a view's history as of a time."""
    sql = (
        f"SELECT DISTINCT entity_key FROM {view} WHERE created_timestamp <= $until ORDER BY "
        "entity_key"
    )
    return [
        str(key)
        for key in project.target.warehouse.query(sql, {"until": moment})["entity_key"].to_pylist()
    ]


def _compare(
    project: Project, source: ViewSource, keys: Sequence[str], moment: datetime
) -> list[list[Difference]]:
    """Return how the online features of some keys differ from recomputed ones.

    The result has one list for each key. `moment` is the time as of which they are recomputed.
    """
    names = [feature.name for feature in source.features]
    # Bounded by the sample: what leaves the warehouse is one row per chosen key.
    placeholders = ", ".join(f"$key_{n}" for n in range(len(keys)))
    sql = (
        f"SELECT * FROM (\n{latest_sql(source)}\n) AS isthmus_latest WHERE entity_key IN "
        f"({placeholders})"
    )
    params = {"until": moment, **{f"key_{n}": key for n, key in enumerate(keys)}}
    recomputed = {
        row["entity_key"]: row for row in project.target.warehouse.query(sql, params).to_pylist()
    }
    served = project.target.online.get({source.view.name: keys})[source.view.name]
    return [
        _differences(source.view.name, key, names, row, recomputed.get(key))
        for key, row in zip(keys, served, strict=True)
    ]


def _differences(
    view: str,
    key: str,
    names: Sequence[str],
    served: Mapping[str, object] | None,
    recomputed: Mapping[str, object] | None,
) -> list[Difference]:
    """Return one entity key's features whose online and recomputed values differ, with both."""
    ours, theirs_all = served or {}, recomputed or {}
    pairs = [
        ("feature_timestamp", ours.get("feature_timestamp"), theirs_all.get("event_timestamp"))
    ]
    pairs += [(name, ours.get(name), theirs_all.get(name)) for name in names]
    return [
        Difference(view=view, key=key, column=c, served=mine, recomputed=theirs)
        for c, mine, theirs in pairs
        if not _same(mine, theirs)
    ]


def _same(served: object, recomputed: object) -> bool:
    """Return whether a served and a recomputed value are equal, floats up to rounding."""
    if isinstance(served, float) and isinstance(recomputed, float):
        return math.isclose(served, recomputed, rel_tol=1e-9) or (
            math.isnan(served) and math.isnan(recomputed)
        )
    if isinstance(served, datetime) and isinstance(recomputed, datetime):
        return _utc(served) == _utc(recomputed)
    return served == recomputed


def _utc(moment: datetime) -> datetime:
    """Return a time in UTC; one without a zone is UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
