"""Hold a consumer's document: one worker at a time writes it, under a lease, by compare-and-swap.

What a worker does outside is done under a `written_at` that was taken while its lease held. A
worker that was paused, and whose lease another one took, so has an older one than the other's, and
a store does not put the older over the newer.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, final

import msgspec

from ...core import lease
from ...core.signals import lives
from ...errors import Busy, Conflict, IsthmusError, OutcomeUnknown
from ...storage import StateStore
from ...times import Clock, utc_milliseconds
from . import retries
from .checkpoint import StoredCheckpoint, StreamCheckpoint, checkpoint_key, read_checkpoint
from .retries import insist

_RENEW = timedelta(seconds=40)  # a lease that is shorter is renewed
_LOOK = timedelta(seconds=2)  # how often the document is looked at, for a wish to stop
_MILLISECOND = timedelta(milliseconds=1)
_PAUSE = 1.0  # seconds between two writes: a store takes one a second
_NONCE = os.urandom(4).hex()


def holder_name() -> str:
    """Return the name under which this process holds leases: host, machine, process, and a nonce.

    The machine is this boot and this process namespace, where the system says so: a process id has
    a meaning within it alone.
    """
    host = socket.gethostname().partition(".")[0] or "host"
    return f"{host}/{_machine()}/{os.getpid()}/{_NONCE}"


def holder_host(holder: str) -> str:
    """Return the host of a lease's holder, for people."""
    return holder.partition("/")[0]


def is_held(document: StreamCheckpoint, now: datetime) -> bool:
    """Return whether a worker that may be alive reads for a consumer.

    A worker of this machine whose process is gone holds nothing, whatever its lease says.
    """
    if lease.is_free(document.lease, now):
        return False
    parts = document.lease.holder.split("/")
    if len(parts) != 4:
        return True
    _, machine, process, nonce = parts
    if not machine or machine != _machine() or not process.isdigit():
        return True
    is_ours = int(process) == os.getpid()
    return nonce == _NONCE if is_ours else lives(int(process))


def busy(consumer: str, document: StreamCheckpoint) -> Busy:
    """Return the error of a consumer that another worker reads for."""
    until = document.lease.until
    return Busy(
        f"{consumer} is being read by {holder_host(document.lease.holder)} (lease until "
        f"{until:%H:%M:%S}, checkpoint {document.number}); two workers would both count",
        remedy=f"wait, or: isthmus stream stop {consumer}",
    )


@final
class Holding:
    """The hold of one worker on its consumer's document, from `take` to `give_back`."""

    def __init__(self, state: StateStore, consumer: str, *, clock: Clock) -> None:
        """Prepare to hold a consumer's document; nothing is read or written.

        Args:
            state: Where the document lies.
            consumer: The consumer's name.
            clock: This machine's clock, by which leases are judged.
        """
        self._state, self._consumer, self._clock = state, consumer, clock
        self._holder = holder_name()
        self._token: str | None = None
        self._looked = clock()
        self._wrote: float | None = None
        self.document = StreamCheckpoint()
        self.is_lost = False

    def take(self) -> None:
        """Take the lease.

        Raises:
            Busy: Another worker reads, or was quicker.
        """
        stored = self._read()
        self.document, self._token = stored.document, stored.token
        now = self._clock()
        if is_held(self.document, now):
            raise busy(self._consumer, self.document)
        try:
            self._put(lease=lease.take(self.document.lease, self._holder, now), stop=False)
        except Conflict:
            self.is_lost = True
            raise busy(self._consumer, self._read().document) from None

    def keep(self) -> bool:
        """Renew the lease where it has become short; return whether somebody asked to stop.

        Raises:
            Conflict: Another worker has taken it. This one must not go on.
        """
        now, until = self._clock(), self.document.lease.until
        if until is None or until - now < _RENEW:
            self.write()
        elif now - self._looked >= _LOOK:
            self._looked = now
            stored = self._read()
            if stored.token != self._token:
                self._adopt()
        return self.document.stop

    def write(self, **fields: Any) -> None:
        """Write fields of the document, and renew the lease.

        Raises:
            Conflict: Another worker has taken it. This one must not go on.
        """
        try:
            self._put(lease=lease.renew(self.document.lease, self._clock()), **fields)
        except Conflict:
            self._adopt()
            self._put(lease=lease.renew(self.document.lease, self._clock()), **fields)

    def next_written_at(self) -> datetime:
        """Return a moment that is greater than all before, and that lies within the lease.

        Raises:
            Conflict: Another worker has taken the lease. This one must not go on.
        """
        while True:
            last, now = self.document.written_at, utc_milliseconds(self._clock())
            moment = now if last is None else max(now, last + _MILLISECOND)
            until = self.document.lease.until
            if until is not None and moment < until and self._clock() < until:
                self.document = msgspec.structs.replace(self.document, written_at=moment)
                return moment
            self.write()

    def give_back(self) -> None:
        """Give the lease back, so that the next worker need not wait; do nothing if it is lost."""
        if self.is_lost or self.document.lease.holder != self._holder:
            return
        with suppress(IsthmusError):  # it runs out by itself
            try:
                self._put(lease=lease.give_back(self.document.lease), stop=False)
            except Conflict:
                self._adopt()
                self._put(lease=lease.give_back(self.document.lease), stop=False)

    def _adopt(self) -> None:
        """Take over what somebody else wrote into our document: a wish to stop, a run's name.

        Raises:
            Conflict: The lease is another's by now.
        """
        stored = self._read()
        theirs, ours = stored.document.lease, self.document.lease
        if (theirs.holder, theirs.epoch) != (ours.holder, ours.epoch):
            self.is_lost = True
            raise Conflict(
                f"{self._consumer}: {holder_host(theirs.holder) or 'somebody else'} took over, as "
                "the lease had run out",
                remedy="what was counted since the last checkpoint is counted there",
            )
        self.document = msgspec.structs.replace(
            self.document, stop=stored.document.stop, run=stored.document.run
        )
        self._token = stored.token

    def _put(self, **fields: Any) -> None:
        """Write the document with other fields by compare-and-swap; at most once a second."""
        if self._wrote is not None:
            retries.pause(max(0.0, self._wrote + _PAUSE - time.monotonic()))
        document = msgspec.structs.replace(self.document, **fields)
        key, value = checkpoint_key(self._consumer), msgspec.json.encode(document)

        def put() -> str:
            try:
                return self._state.put(key, value, expect=self._token)
            except (OutcomeUnknown, Conflict):  # it may be our own, whose answer was lost
                stored = self._state.get(key)
                if stored is None or stored.value != value:
                    raise
                return stored.token

        self._token = insist(put, clock=self._clock)
        self._wrote = time.monotonic()
        self.document = document

    def _read(self) -> StoredCheckpoint:
        """Return the document as it is stored, with the token of its version."""
        return insist(lambda: read_checkpoint(self._state, self._consumer), clock=self._clock)


def _machine() -> str:
    """Return a digest of this boot and this process namespace, or "" where they are not told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:12]
