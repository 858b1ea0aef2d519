"""Faults that a test asks for: what goes wrong, where, and how many times."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection
from difflib import get_close_matches
from typing import Literal, Protocol, get_args

import msgspec

Kind = Literal[
    "throttle",
    "error",
    "latency",
    "cut-before",
    "cut-after",
    "silent-rollback",
    "eventual-consistency",
    "duplicate",
    "lost-deploy",
]
KINDS: tuple[str, ...] = get_args(Kind)
OF_THE_WIRE: tuple[Kind, ...] = (
    "latency",
    "throttle",
    "error",
    "cut-before",
    "cut-after",
)  # in the order in which the front applies them
OF_THE_HANDLERS: tuple[Kind, ...] = (
    "silent-rollback",
    "eventual-consistency",
    "duplicate",
    "lost-deploy",
)  # asked for by `Context.fault`


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that lets something go wrong. A member that is None fits everything.

    throttle, error: answered instead of being done. latency: `seconds` late. cut-before: the
    connection closes and nothing was done. cut-after: it was done, and the connection closes.
    silent-rollback: an update of an endpoint goes back without an error. eventual-consistency:
    reads show the state before a change for `seconds`. duplicate: what was put is delivered twice
    (streams). lost-deploy: an operation of Vertex AI ends in an error after minutes, without an
    effect.
    """

    kind: Kind
    service: str | None = None  # botocore's name; of GCP such as aiplatform, storage
    operation: str | None = (
        None  # CreateEndpoint; of GCP EndpointService.CreateEndpoint, storage.objects.insert
    )
    name: str | None = None  # of a resource that the call names
    times: int | None = 1  # None: until it is cleared. Each attempt of an SDK that retries counts
    seconds: float = 1.0
    code: str | None = None  # error: the error code to answer; default the service's own
    status: int | None = None
    id: int = 0


LONGEST = 3600.0  # seconds


class Named(Protocol):
    """The names that a cloud has."""

    def services(self) -> Collection[str]:
        """Return the names of the cloud services that faults can name."""
        ...

    def operations(self, service: str | None, /) -> Collection[str]:
        """Return the API operations of one service that faults can name; None: of all services."""
        ...


def check(fault: Fault, named: Named) -> None:
    """Raise ValueError for an injected fault that can never match or has senseless numbers.

    `named` has the services and operations that there are.
    """
    if fault.service is not None:
        _check_name("service", fault.service, named.services(), "")
    if fault.operation is not None:
        suffix = f" of {fault.service}" if fault.service else ""
        _check_name("operation", fault.operation, named.operations(fault.service), suffix)
    if fault.times is not None and fault.times < 1:
        raise ValueError(
            f"times is {fault.times}: a fault happens once at least, or until it is cleared "
            "(None; --times 0)"
        )
    if not 0 <= fault.seconds <= LONGEST:
        raise ValueError(f"seconds is {fault.seconds}: it has to be between 0 and {LONGEST:.0f}")
    if fault.status is not None and not 400 <= fault.status <= 599:
        raise ValueError(f"status is {fault.status}: a fault's is between 400 and 599")


def _check_name(what: str, name: str, names: Collection[str], suffix: str) -> None:
    """Raise ValueError, suggesting the closest name, if a name is none of `names`.

    `what` says what it names, and `suffix` follows it in the message.
    """
    if name in names:
        return
    folded = {other.lower(): other for other in names}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    meant = f"; did you mean {folded[close[0]]}?" if close else ""
    raise ValueError(f"there is no {what} {name}{suffix}{meant}")


class Faults:
    """The rules of one stack. Taking one uses it up by one."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Add an injected fault, and return it with its number."""
        with self._lock:
            rule = msgspec.structs.replace(fault, id=next(self._ids))
            self._rules.append(rule)
            return rule

    def list(self) -> tuple[Fault, ...]:
        """Return the injected faults that are still pending."""
        return tuple(self._rules)

    def clear(self, number: int | None = None) -> None:
        """Remove one injected fault, by its number, or all."""
        with self._lock:
            if number is None:
                self._rules, self._ids = [], itertools.count(1)
            else:
                self._rules = [rule for rule in self._rules if rule.id != number]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def take(
        self, kinds: tuple[Kind, ...], service: str, operation: str, names: tuple[str, ...] = ()
    ) -> Fault | None:
        """Use up one occurrence of the oldest injected fault that matches a call, and return it.

        `kinds` are the kinds that may match, and `names` the resources that the call names. None:
        no fault matches.
        """
        if not self._rules:  # the usual case costs no lock
            return None
        with self._lock:
            for position, rule in enumerate(self._rules):
                if rule.kind in kinds and _fits(rule, service, operation, names):
                    if rule.times is not None:
                        left = rule.times - 1
                        self._rules[position : position + 1] = (
                            [msgspec.structs.replace(rule, times=left)] if left > 0 else []
                        )
                    return rule
        return None


def _fits(rule: Fault, service: str, operation: str, names: tuple[str, ...]) -> bool:
    """Return whether an injected fault, `rule`, applies to a call.

    `names` are the resources that the call names.
    """
    return (
        rule.service in (None, service)
        and rule.operation in (None, operation)
        and (rule.name is None or rule.name in names)
    )
