"""The answers of an experiment's verbs, as structs and as the console shows them. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ...endpoints.gateway.decide.live_document import BucketRanges, Change
from ...endpoints.gateway.smoke import SmokeResult
from ...endpoints.split import percent_text
from ...project.specs.rules import Condition
from ...reports.columns import plural
from ...reports.results import Shown
from ..design import buckets
from ..design.definition_text import parameters_text

Span = tuple[datetime, datetime]  # of simulated time, from its beginning to where it stands

RunState = Literal["running", "shipped", "stopped", "closed"]
FOLLOW = "5 s"  # in which gateways read the document


class Started(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run that was started.

    `answers`: by arm, of the requests that were tried; empty where the endpoint is not deployed.
    `already`: nothing was changed.
    """

    target: str
    run: str
    endpoint: str
    layer: str
    share: Decimal  # percent of the layer
    ranges: BucketRanges
    weights: dict[str, float]  # percent by arm
    holdout: Decimal
    targeting: tuple[Condition, ...] = ()
    git: str | None
    config: int
    owner_before: str | None = None  # None: the traffic is not this run's, or was before
    answers: dict[str, SmokeResult] = {}
    already: bool = False

    def __str__(self) -> str:
        weights = " / ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        parts = [
            self.run,
            f"layer {self.layer}",
            f"{self.share:.2f} % of units, buckets {buckets.text(self.ranges)}",
            weights,
        ]
        parts += [f"holdout {percent_text(self.holdout)} %"] if self.holdout else []
        parts.append(f"git {self.git}" if self.git else "no git revision")
        head = f"{self.target:<7} " + "   ".join(parts)
        return "\n".join(
            [
                head,
                *(
                    [f"  runs already (config {self.config}); nothing was changed"]
                    if self.already
                    else self._change_lines()
                ),
            ]
        )

    def _change_lines(self) -> list[str]:
        """Return lines of text on what the start of a run changed."""
        tried = [f"{smoke.answered}" for smoke in self.answers.values()][:1]
        answers = (
            f"{tried[0]} invocations of each arm answered"
            if tried
            else f"{self.endpoint} is not deployed here: no arm was tried"
        )
        taken = (
            f"traffic of {self.endpoint}: owner {self.owner_before} -> experiment {self.run}; "
            if self.owner_before
            else ""
        )
        return [f"  {taken}{answers}", f"  gateways take it within {FOLLOW} (config {self.config})"]


class Ramped(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run whose share of its layer was changed."""

    target: str
    run: str
    before: Decimal
    after: Decimal
    ranges_before: BucketRanges
    ranges: BucketRanges
    config: int

    def __str__(self) -> str:
        head = f"{self.target:<7} {self.run}   {self.before:.2f} % -> {self.after:.2f} %"
        if self.ranges_before == self.ranges:
            return (
                f"{head}   buckets {buckets.text(self.ranges)}   it has them already; nothing "
                "was changed"
            )
        moved = f"{buckets.text(self.ranges_before)} -> {buckets.text(self.ranges)}"
        return f"{head}   buckets {moved}   nobody changes arm   config {self.config}"


class Stopped(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run that was ended.

    `ships` "": nothing does. `released`: endpoints whose traffic was given back.
    """

    target: str
    run: str
    ended: Literal["stopped", "closed"] = "stopped"
    ships: str = ""
    parameters: dict[str, Any] = {}  # of the arm that ships
    holdout: Decimal = Decimal(0)
    config: int
    aims: bool = False
    already: bool = False
    released: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.target:<7} {self.run}   {self.ended}{' already' * self.already}"
        parts = [head, *([self._ships()] if self.ships else []), f"config {self.config}"]
        if self.ships and self.aims:
            parts.append("traffic owner stays until `close`")
        parts += [f"traffic of {endpoint} is free" for endpoint in self.released]
        return "   ".join(parts)

    def _ships(self) -> str:
        """Return a clause on which arm all units get, and which parameters they get now."""
        held_out = f" except the holdout ({percent_text(self.holdout)} %)" if self.holdout else ""
        return f"{self.ships} ships: units get {parameters_text(self.parameters)}{held_out}"


class RunStatus(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands.

    `units` by arm is None where the log cannot be asked; `differs`: keys that project.yaml says
    otherwise by now.
    """

    target: str
    run: str
    state: RunState
    layer: str
    share: Decimal
    ranges: BucketRanges = ()
    ships: str = ""
    weights: dict[str, float]
    interleave: tuple[str, str] | None = None  # the two variants whose orders are made one
    holdout: Decimal
    aims: bool
    owner: str = ""  # of the endpoint's traffic, where the run aims
    units: dict[str, int] | None = None
    seen: int | None = (
        None  # the newest config version under which a gateway logged a unit of this run
    )
    config: int
    digest: str
    git: str | None
    started: datetime
    last: Change | None = None
    differs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        """Return an experiment run's status as lines of text for the command line."""
        state = f"{self.ships} ships" if self.state == "shipped" else self.state
        share = (
            f"   {self.share:.2f} % of layer {self.layer}, buckets {buckets.text(self.ranges)}"
            if self.ranges
            else f"   layer {self.layer}"
        )
        since = (
            f"{' since' if self.state == 'running' else '   started'} "
            f"{self.started:%Y-%m-%d %H:%M} UTC"
        )
        lines = [f"{self.target:<7} {self.run}   {state}{since}{share}   config {self.config}"]
        arms = (f"{name} {weight:g} %{self._units(name)}" for name, weight in self.weights.items())
        both = f"   {' with '.join(self.interleave)}" if self.interleave else ""
        lines.append(
            f"  arms    {'   '.join(arms)}{both}"
            + (f"   holdout {percent_text(self.holdout)} %" if self.holdout else "")
        )
        if self.seen is not None:
            lines.append(f"  log     units up to config {self.seen}")
        if self.owner:
            lines.append(f"  traffic {self.owner}")
        if self.last is not None:
            lines.append(f"  last    {change_text(self.last)}")
        if self.differs:
            lines.append(
                f"  project.yaml says otherwise by now: {', '.join(self.differs)}. This run "
                f"stays as it started (digest {self.digest}); "
                "the next run takes it"
            )
        return lines

    def _units(self, arm: str) -> str:
        """Return an arm's number of units as text in brackets; "" if it is unknown."""
        return "" if self.units is None else f" ({plural(self.units.get(arm, 0), 'unit')})"


def change_text(change: Change, simulated: Span | None = None) -> str:
    """Return a change of a run as a line of text, for its history.

    A time that lies in `simulated` is marked as one of a simulated clock.
    """
    clock = (
        " (simulated)"
        if simulated is not None and simulated[0] <= change.at <= simulated[1]
        else ""
    )
    moved = f"   {change.before} -> {change.after}" if change.before else f"   {change.after}"
    because = f'   "{change.because}"' if change.because else ""
    return (
        f"{change.version:>4}  {change.at:%Y-%m-%d %H:%M:%S}{clock}  {change.who}  {change.run} "
        f"{change.what}{moved}{because}"
    )


def history_text(changes: tuple[Change, ...], simulated: Span | None = None) -> str:
    """Return the changes of runs as lines of text."""
    lines = (change_text(change, simulated) for change in changes)
    return "\n".join(lines) or "nothing was ever started"
