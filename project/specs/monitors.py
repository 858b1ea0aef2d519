"""A project's monitors of bias as frozen structs."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec


class AlarmLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of figures; None: it is told, and never an alarm."""

    # items: the share shown over the share of clicks where no model chose, at most
    shown_to_organic: float | None = None
    # items: clicks over the sum of scores, between these
    calibration: tuple[float, float] | None = None
    # items: Gini of what is shown less that of the first window, at most
    gini_rise: float | None = None
    # units: the lowest group's satisfied share over the highest one's, at least
    satisfied_ratio: float | None = None
    # units: a group's share of the active units less that of the first window, either way, at most
    mix_drift: float | None = None


class Monitor(msgspec.Struct, frozen=True, kw_only=True):
    """A watch over groups of one endpoint's items or units.

    `{endpoint: ranker, units: gender, window: 7d, alarm: {satisfied_ratio: 0.8}}`
    """

    name: str
    endpoint: str
    items: str = ""  # `view.feature`, or the key of an entity
    units: str = ""  # an attribute of the request
    window: timedelta = timedelta(days=7)  # whole UTC days
    alarm: AlarmLimits = AlarmLimits()

    @property
    def kind(self) -> Literal["items", "units"]:
        """Return whether the monitor compares groups of items or groups of units (users)."""
        return "items" if self.items else "units"

    @property
    def groups(self) -> str:
        """Return the feature of items, or the attribute of units, by which the monitor groups."""
        return self.items or self.units
