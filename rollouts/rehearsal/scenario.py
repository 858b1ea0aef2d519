"""Scenarios: what happens around a rollout, and how it must end.

scenario_file.py reads them.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from ..state.states import End
from ..state.wishes import Verb
from ..world.traffic import VariantBehaviour

Operation = Literal["shift", "apply", "write"]
When = Literal["before", "after"]


class At(msgspec.Struct, frozen=True, kw_only=True):
    """A time from the start, or from when a stage's traffic had converged."""

    stage: int | None = None
    after: timedelta = timedelta(0)


class Answers(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A variant answers otherwise from now on; `changes` are fields of Behaviour."""

    variant: str
    changes: dict[str, float]


class Requests(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The endpoint gets another number of requests."""

    per_minute: int


class Outage(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The metrics cannot be read."""


class Provider(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A deed of the provider: to the next calls that change the endpoint, or (busy) at once."""

    does: Literal["throttled", "lost reply", "silent rollback", "busy"]
    times: int = 1
    span: timedelta = timedelta(0)


class Somebody(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Somebody else moves the traffic."""

    changes: dict[str, Decimal]  # percent; the other variant gets the rest


class Killed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The controller dies at its next such call; another one is started at once."""

    when: When
    operation: Operation


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The controller stands still before or after its next such call, while another one looks."""

    when: When
    operation: Operation
    span: timedelta


class Second(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Another controller starts, and both go on."""


class Person(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A person uses a verb of the rollout."""

    verb: Verb
    because: str = ""


Happening = Answers | Requests | Outage | Provider | Somebody | Killed | Stopped | Second | Person


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a scenario."""

    at: At
    happens: Happening
    lasts: timedelta | None = None  # None: from then on
    text: str  # as it was written: challenger error_rate 3%


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """The end that a scenario expects."""

    end: Literal[End, "waiting"]
    stage: int | None = None  # in which it was decided
    within: timedelta | None = None  # from the first event to the decision
    by: str = ""  # a guardrail's metric, or a word of the cause


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario."""

    name: str  # the file's
    rollout: str
    per_minute: int = 600
    usual: VariantBehaviour = VariantBehaviour()  # of every variant, until an event says otherwise
    room: int | None = None  # the most requests a minute that an instance answers
    events: tuple[Event, ...] = ()
    expect: Expect
