"""Figures of an endpoint's shadow beside the variants that answered: `isthmus endpoints shadow`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound
from ...reports.results import Shown
from ..gateway.log.streams import SHADOWS
from ..traffic.resolution import endpoint_of

_PAIR = ("version", "shadow_version")
_COPIES = (  # a row of a stream may stand there twice
    "SELECT DISTINCT event_id, version, shadow_version, milliseconds, shadow_milliseconds, "
    f"failure, score_difference, agreement FROM {SHADOWS.name} WHERE endpoint = $endpoint AND dt "
    ">= $since"
)
FIGURES = f"""
SELECT version, shadow_version, count(*) AS copies, count(failure) AS failed,
       avg(score_difference) AS score_difference, avg(agreement) AS agreement
FROM ({_COPIES}) AS copies GROUP BY version, shadow_version
"""
LATENCIES = """
SELECT version, shadow_version, {column} AS milliseconds, count(*) AS copies
FROM ({copies}) AS copies WHERE shadow_version IS NOT NULL
GROUP BY version, shadow_version, {column}
"""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds, to 0.1."""

    p50: float
    p99: float


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Copies of requests that one version answered, as another one answered them.

    The figures are None where all copies failed.
    """

    version: str  # model@version
    shadow_version: str | None
    copies: int
    failed: int
    answered: Latency | None = None
    shadow: Latency | None = None
    score_difference: float | None = None  # the mean of the shadow's scores less the answer's
    agreement: float | None = None  # 0 .. 1, of the items that stand first by both

    def __str__(self) -> str:
        if (
            self.answered is None
            or self.shadow is None
            or self.score_difference is None
            or self.agreement is None
        ):
            return f"beside {self.version}   {self.failed:,} copies failed"
        parts = (
            f"{self.shadow_version} beside {self.version}",
            f"{self.copies:,} copies",
            f"p50 {self.shadow.p50:g} ms (answered {self.answered.p50:g})",
            f"p99 {self.shadow.p99:g} ms (answered {self.answered.p99:g})",
            f"scores {self.score_difference:+.4g} on average",
            f"first places alike {100 * self.agreement:.1f} %",
        )
        return "   ".join(parts)


class ShadowFigures(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The figures of an endpoint's shadow traffic, a pair of versions each."""

    target: str
    endpoint: str
    shadow: str
    share: float  # percent of the requests
    since: date
    pairs: tuple[Pair, ...]

    def __str__(self) -> str:
        head = (
            f"{self.target:<7} {self.endpoint}   {self.share:g} % of the requests to "
            f"{self.shadow} as well, since {self.since}"
        )
        return "\n".join([head, *(f"  {pair}" for pair in self.pairs or ("no copy yet",))])


def shadow_figures(project: Project, endpoint: str, *, days: int = 7) -> ShadowFigures:
    """Compare the shadow variant's answers with those of the live one.

    It gets copies of requests on the last `days` dates of the project's clock.

    Raises:
        NotFound: There is no such endpoint, or nothing was copied yet.
        Invalid: It has no shadow.
    """
    shadow = endpoint_of(project, endpoint).shadow
    if shadow is None:
        raise Invalid(
            f"endpoints.{endpoint} has no shadow",
            remedy="shadow: {variant: challenger, share: 10%}",
        )
    if project.target.warehouse.observe(SHADOWS.name) is None:
        raise NotFound(
            f"{project.target.name} has no {SHADOWS.name} yet: no gateway has copied a request",
            remedy="isthmus apply",
        )
    since = project.now().date() - timedelta(days=days - 1)
    parameters = {"endpoint": endpoint, "since": since.isoformat()}
    latencies = {
        column: _latencies(_query_rows(project, latency_sql(column), parameters))
        for column in ("milliseconds", "shadow_milliseconds")
    }
    pairs = (_pair(row, latencies) for row in _query_rows(project, FIGURES, parameters))
    return ShadowFigures(
        target=project.target.name,
        endpoint=endpoint,
        shadow=shadow.variant,
        share=float(shadow.share),
        since=since,
        pairs=tuple(sorted(pairs, key=lambda pair: (pair.version, pair.shadow_version or ""))),
    )


def latency_sql(column: str) -> str:
    """Return SQL that counts shadow copies of requests by latency, in steps of 0.1 ms.

    `column` is the latency's column.
    """
    return LATENCIES.format(column=column, copies=_COPIES)


def percentile(counts: Iterable[tuple[float, int]], share: float) -> float:
    """Return a percentile (`share` from 0 to 1) of values that come with their counts.

    It is the value of the nearest rank.
    """
    ordered = sorted(counts)
    rank = share * sum(count for _, count in ordered)
    below = 0
    for value, count in ordered:
        below += count
        if below >= rank:
            return value
    raise ValueError("a percentile of nothing")


def _query_rows(project: Project, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run a SQL query in the warehouse, and return its rows as dictionaries."""
    rows: list[dict[str, Any]] = project.target.warehouse.query(sql, parameters).to_pylist()
    return rows


def _latencies(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Latency]:
    """Return the p50 and p99 latency of copied requests by (live version, shadow version)."""
    counts: dict[tuple[str, str], list[tuple[float, int]]] = defaultdict(list)
    for row in rows:
        counts[row["version"], row["shadow_version"]].append((row["milliseconds"], row["copies"]))
    return {
        pair: Latency(p50=percentile(of_pair, 0.5), p99=percentile(of_pair, 0.99))
        for pair, of_pair in counts.items()
    }


def _pair(
    row: Mapping[str, Any], latencies: Mapping[str, Mapping[tuple[str, str], Latency]]
) -> Pair:
    """Return the comparison of a live version with its shadow, from a row of the query."""
    pair = row["version"], row["shadow_version"]
    return Pair(
        **{
            name: row[name]
            for name in (*_PAIR, "copies", "failed", "score_difference", "agreement")
        },
        answered=latencies["milliseconds"].get(pair),
        shadow=latencies["shadow_milliseconds"].get(pair),
    )
