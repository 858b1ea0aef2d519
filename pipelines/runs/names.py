"""Name runs: r1, r2, ... Each name is given once.

A training run that has ended has a record under its name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Conflict
from ...storage import BlobStore
from .document import runs_folder

if TYPE_CHECKING:
    from ...core.runtime.project import Project

COUNTER = "runs/counter"


class Counter(StoredDocument, frozen=True, kw_only=True):
    """The number of the newest run, in the state `runs/counter`."""

    last: int

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        """Convert a counter of runs of an earlier release to the present format."""
        return {"last": old}  # a bare number


def next_name(project: Project) -> str:
    """Return a new run name (r1, r2, ...), unique also when several processes ask at once."""
    state = project.target.state
    while True:
        stored = state.get(COUNTER)
        number = decode(stored.value, Counter, what=f"state {COUNTER}").last + 1 if stored else 1
        try:
            state.put(
                COUNTER,
                msgspec.json.encode(Counter(last=number)),
                expect=stored.token if stored else None,
            )
        except Conflict:
            continue  # somebody else took it
        return f"r{number}"


def names(blobs: BlobStore) -> tuple[str, ...]:
    """Return the names of training runs that have ended, oldest first."""
    record = re.compile(re.escape(runs_folder(blobs.root)) + r"/([^/]+)/record\.json")
    hits = (record.fullmatch(info.uri) for info in blobs.list(f"{runs_folder(blobs.root)}/"))
    return tuple(sorted((hit[1] for hit in hits if hit), key=_age))


def _age(name: str) -> tuple[int, str]:
    """Return a sort key that puts run names in the order of their number: r9 before r10."""
    digits = name[1:]
    return (int(digits) if digits.isdigit() else 0, name)


def pending_names(project: Project) -> tuple[str, ...]:
    """Return the run names that were given after the newest training run that has ended."""
    stored = project.target.state.get(COUNTER)
    last = decode(stored.value, Counter, what=f"state {COUNTER}").last if stored else 0
    ended = max((_age(name)[0] for name in names(project.target.blobs)), default=0)
    return tuple(f"r{number}" for number in range(ended + 1, last + 1))
