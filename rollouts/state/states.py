"""A rollout's plan and state, the wishes of people, and the entries of its history.

They are frozen, and stored under `rollouts/<endpoint>`. Times are aware UTC. Percents are Decimal.
Nothing here reads a clock or does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from ...core.formats import StoredDocument
from ...core.lease import Lease
from ...endpoints.port import Bucket, EndpointSpec, EndpointState
from ...project.specs.description import Guardrail, Hold, OfficeHours, RolloutStep

Phase = Literal[
    "starting",
    "sizing",
    "shifting",
    "baking",
    "waiting",
    "promoted",
    "handing",
    "aborting",
    "ended",
]
End = Literal["promoted", "aborted", "refused", "lost"]
Verdict = Literal["no data", "fail", "pass", "inconclusive", "not judged"]
What = Literal[
    "started", "taken", "sized", "shifted", "converged", "bake", "check", "held", "data", "waiting",
    "step", "drift", "corrected", "paused", "resumed", "asked",
    "promoted", "alias", "handed", "abort", "aborted", "late", "lost", "ended",
]  # fmt: skip


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout of project.yaml with versions in the place of aliases.

    It does not change while the rollout runs.
    """

    source: str  # the old variant
    to: str  # the new one
    stages: tuple[RolloutStep, ...]  # from stage 1; the last one is 100 %
    guardrails: tuple[Guardrail, ...]
    false_alarm: float
    failure_limit: int
    on_no_data: Hold
    on_inconclusive: Hold
    on_drift: Literal["correct", "pause", "abort"]
    capacity: Literal["scale", "keep"]
    advance: OfficeHours
    spec: EndpointSpec  # version numbers, and how many instances each variant has by declaration
    initial: dict[str, Decimal]  # percent by variant when it was planned
    promote_alias: str | None
    alias_before: int = 0  # the version that it named when this was planned; 0: none
    # the alias by which the new variant is declared: taken off the version that was promoted
    retire_alias: str | None = None
    remove_old: timedelta
    webhook_env: str | None
    heir_of: str = ""  # the run of an experiment that leaves it the traffic
    # of the target:
    resolution: Decimal  # of a share, in percent
    metrics_delay: timedelta
    fenced: bool  # traffic.touch is native: a shift makes older tokens stale


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One guardrail's verdict over one window.

    `value` is compared with `limit`: a rate from 0 to 1, ms, times the old variant's, a relative
    shift.
    """

    guardrail: str  # Guardrail.name
    verdict: Verdict
    value: float | None = None
    figure: float | None = None  # the new variant's own: a rate, ms, a mean score
    base: float | None = None  # the old variant's
    limit: float | None = None
    n: int = 0  # requests of the new variant; of latencies and scores the minutes that count
    requests: int = 0  # of the new variant, in minutes that can be judged however few there are
    evidence: float | None = None
    needed: float | None = None  # 1 / alpha: fails from here
    outright: bool = False  # broken outright: fails at once, whatever the failure limit
    why: str = ""  # one clause, for people


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """A guardrail's newest check, until when it judges, and how many checks running failed."""

    check: Check
    until: datetime
    running: int = 0


class RequestPace(msgspec.Struct, frozen=True, kw_only=True):
    """How often requests came in the minutes that a rollout has judged so far, of all its bakes."""

    minutes: int = 0
    busy: int = 0  # of them, those with requests
    quiet: int = 0  # the newest ones, without a request since the last one
    lulls: int = 0  # stretches of minutes without a request
    longest: int = 0  # minutes from one with requests to the next, at most


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A person's wish.

    It is changed by compare-and-swap, and by a look only to take back one that is done (not abort).
    """

    who: str
    at: datetime
    because: str = ""


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """The wishes of people that are not done."""

    abort: Wish | None = None
    promote: Wish | None = None
    pause: Wish | None = None


class HistoryEntry(StoredDocument, frozen=True, kw_only=True):
    """One line of the history, `rollouts/<endpoint>/history/<id>/<seq>`. Written once."""

    seq: int
    at: datetime
    who: str  # the controller, or the person
    epoch: int
    what: What
    why: str = ""
    stage: int = 0
    attempt: int = 0
    percent: Decimal | None = None  # of the new variant
    checks: tuple[Check, ...] = ()
    window: tuple[datetime, datetime] | None = None  # [from, until) of the checks


class RolloutState(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The document of a rollout, at most 32 KiB."""

    id: str  # ro3
    endpoint: str
    plan: RolloutPlan
    phase: Phase
    stage: int = 1
    attempt: int = 0  # a whole new bake of the stage
    intent: dict[str, Decimal] = {}  # percent by variant, durable before the call
    sent: int = 0  # calls for this intent
    shift_by: datetime | None = None
    bake_from: datetime | None = None
    bake_until: datetime | None = None
    bake_token: str | None = None  # the endpoint's token at the bake's first look
    # of no data; what is inconclusive has until bake_until and its hold
    hold_until: datetime | None = None
    held_for: Literal["", "no data", "inconclusive", "drift"] = ""  # of which the history was told
    grace_until: datetime | None = None
    watch_until: datetime | None = None
    not_ready_since: datetime | None = None
    checks: dict[str, Tally] = {}  # by Guardrail.name
    pace: RequestPace = RequestPace()
    corrected: int = 0
    alias: Literal["unmoved", "moved", "back"] = "unmoved"
    # where `handing` is
    handover: Literal["", "resizing", "small", "whole", "removing", "done", "failed"] = ""
    wish: Wishes = Wishes()
    lease: Lease
    seq: int = 0  # of the newest entry
    notified: int = 0
    outbox: tuple[HistoryEntry, ...] = ()
    started: datetime
    ended: datetime | None = None
    taken: bool = False  # the traffic was seen to be ours
    released: bool = False  # the traffic was given back: nothing is left to do
    end: End | None = None
    cause: str = ""  # of an abort: by which guardrail, person, drift


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint and its surroundings as one look has read them.

    None of endpoint, owner, alias: it could not be read this time, so nothing is decided about it.
    """

    endpoint: EndpointState | None = None
    absent: bool = False  # the endpoint is not there: seen, not unknown
    owner: Literal["ours", "free", "other"] | None = None
    owner_text: str = ""  # of another's: who and since when
    # what the alias to be promoted names now; 0: nothing; None: not read
    alias_version: int | None = None
    retired_version: int | None = None  # ... and the alias to be retired
    # what is wrong with the variant that was tried; "": nothing; None: not tried
    smoke: str | None = None
    settled: datetime | None = None  # minutes before it are final; None: not read at this look
    minutes: Mapping[str, tuple[Bucket, ...]] = {}  # by variant, from bake_from up to `settled`
    # by variant and minute: how many, their mean
    scores: Mapping[str, Mapping[datetime, tuple[int, float]]] = {}
