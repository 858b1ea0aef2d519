"""Names that one part of a project uses and another declares."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..reading.names import did_you_mean
from ..reading.report import ProblemReport


class DeclaredNames(msgspec.Struct, frozen=True, kw_only=True):
    """Every name that is written down, sound or not, by section.

    So a broken event is not also an unknown one.
    """

    entities: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    feature_views: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    rollouts: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    monitors: tuple[str, ...] = ()
    predictions: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


def check_declared(
    name: str, names: Iterable[str], key: str, report: ProblemReport, *, noun: str, has: str
) -> bool:
    """Return whether a name is among the declared names; report it at `key` if not.

    `noun` says what it names, `has` begins the list of the declared ones.
    """
    names = tuple(names)
    if name not in names:
        report.add(key, f"{name} is not {noun}", did_you_mean(name, names, has=has))
    return name in names
