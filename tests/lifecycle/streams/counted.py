"""`isthmus` with a kind of consumer for tests, which counts into a SQLite file beside project.yaml.

As a program: `python -m isthmus.tests.lifecycle.streams.counted ARGUMENTS`. KILL_AT=<number> kills
it at that call that changes something, before it; KILL_AT=<number>+ after it. CALLS_TO names a file
for their number.
"""

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from isthmus.lifecycle.streams import consumers
from isthmus.target import CallLog
from isthmus.tests.events.consume.counting import Counting

WORLD = "world.db"
_TABLE = "CREATE TABLE IF NOT EXISTS served (key TEXT PRIMARY KEY, value INTEGER, at TEXT)"


class PutInFile(msgspec.Struct, frozen=True):
    key: str
    value: int

    def carry_out(self, target, *, written_at):
        path = Path(target.profile.options["home"]).parent / WORLD
        with target.calls.mutating("world.put", self.key), closing(sqlite3.connect(path)) as db, db:
            db.execute(_TABLE)
            db.execute(
                "INSERT INTO served VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = "
                "excluded.value, at = excluded.at WHERE excluded.at >= served.at",
                (self.key, self.value, written_at.isoformat(timespec="milliseconds")),
            )
        return 1


def kind(_project):
    return [Counting("counts", events=("impression",), put=PutInFile)]


def world(folder):
    """What the consumer has put, by key."""
    with closing(sqlite3.connect(folder / WORLD)) as db:
        db.execute(_TABLE)
        return dict(db.execute("SELECT key, value FROM served"))


class _Killing(CallLog):
    def __init__(self, **settings):
        super().__init__(**settings)
        place = os.environ.get("KILL_AT", "0")
        self._at, self._count = int(place.rstrip("+")), 0
        self.before, self.after = self._before, self._after
        self._is_after = place.endswith("+")

    def _before(self, _call):
        self._count += 1
        self._kill(is_after=False)

    def _after(self, _call):
        self._kill(is_after=True)
        if path := os.environ.get("CALLS_TO"):
            Path(path).write_text(str(self._count))

    def _kill(self, *, is_after):
        if self._count == self._at and self._is_after is is_after:
            os.kill(os.getpid(), signal.SIGKILL)


def main():
    from isthmus import target
    from isthmus.cli.main import run

    target.CallLog = _Killing
    consumers.KINDS.append(kind)
    run()


if __name__ == "__main__":
    main()
