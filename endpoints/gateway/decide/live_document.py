"""`experiments/live`: which experiments run, as gateways know it.

Written by experiments/design/runs.py, read by live_reader.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from ....core.formats import StoredDocument
from ....project.specs.rules import Condition

LIVE = "experiments/live"  # the document's key in the StateStore
LARGEST = 64 * 1024  # bytes of it

What = Literal["started", "ramped", "shipped", "stopped", "closed"]
BucketRanges = tuple[tuple[int, int], ...]  # of buckets, both ends included


class LiveLayer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    endpoint: str
    salt: str
    holdout: int = 0  # the lowest buckets of purpose `holdout`


class LiveArm(msgspec.Struct, frozen=True, array_like=True):
    """An arm of a run and the end of its buckets.

    `upper`: the first bucket of purpose `arm` that it does not have; the arm before it has those
    below.
    """

    name: str
    upper: int
    parameters: dict[str, Any] = {}


class LiveRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of an experiment as gateways know it. Its first arm is the control.

    shipped: every unit of the endpoint has the parameters of arm `ships`, in the layer's holdout
    and the experiment's it has the control's. interleave: these two variants rank each request of
    its units. All of them are in the first arm; the others, one a variant, have no bucket, and are
    there to be shipped.
    """

    run: str  # <experiment>.<number>
    experiment: str
    layer: str
    state: Literal["running", "shipped"] = "running"
    ranges: BucketRanges = ()  # of the layer
    arms: tuple[LiveArm, ...]
    interleave: tuple[str, str] | None = None
    holdout: int = 0
    targeting: tuple[Condition, ...] = ()
    salt: str  # of purpose `arm`: the run's name, or what `salt:` says
    ships: str = ""
    segments: tuple[str, ...] = ()  # attributes of a request that are logged with an assignment
    started: datetime

    @property
    def aims(self) -> bool:
        """Return whether an arm of the run sets which model variant answers."""
        return any("variant" in arm.parameters for arm in self.arms)


class Change(StoredDocument, frozen=True, kw_only=True):
    """The change that made a version of the document.

    The next change moves it to `experiments/history/<version>`, where it is written once.
    """

    version: int
    at: datetime
    who: str
    run: str
    what: What
    before: str = ""
    after: str = ""
    because: str = ""
    ranges: BucketRanges = ()  # of the run from now on
    ships: str = ""  # the arm, of a run that has shipped


class LiveExperiments(StoredDocument, frozen=True, kw_only=True, tag=2):
    """`experiments/live`: all that a gateway needs, and the last change."""

    version: int = 0
    written: datetime
    layers: dict[str, LiveLayer] = {}
    runs: tuple[LiveRun, ...] = ()
    change: Change | None = None

    def run_of(self, experiment: str) -> LiveRun | None:
        """Return the live run of an experiment, or None; there is at most one."""
        return next((run for run in self.runs if run.experiment == experiment), None)
