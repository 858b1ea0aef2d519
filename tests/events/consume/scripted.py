"""A target in memory whose every call can be cut or interrupted, and streams with a script.

Arrivals are in disorder up to the consumer's lateness; some events arrive twice; a read gives what
has arrived by the clock, in pieces. The place is the caller's, or the provider's.
"""

import random
import re
import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from isthmus.errors import Conflict, NotFound
from isthmus.events.consume.worker import Worker
from isthmus.events.port import Column, EventBatch
from isthmus.feature_store.port import TableState
from isthmus.storage import BlobInfo, Versioned
from isthmus.target import Capability

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
AFTER = timedelta(minutes=4)  # for which the clock goes on after the last arrival


class Killed(BaseException):
    """The process is gone: it makes no call any more."""


class Call:
    """What happens at a process's calls: `cut` is a number and whether before or after it."""

    def __init__(self, cut=None, *, after=False, hook=None, times=1):
        self.count, self.cut, self.after, self.hook = 0, cut, after, hook
        self.times = times  # how many calls in a row are cut
        self.dead = False

    def __call__(self, act):
        if self.dead:
            raise Killed
        self.count += 1
        mine = self.cut is not None and 0 <= self.count - self.cut < self.times
        if mine and not self.after:
            self._hit()
        result = act()
        if mine and self.after:
            self._hit()
        return result

    def _hit(self):
        if self.hook is not None:
            self.hook()
            return
        self.dead = True
        raise Killed


def _of_items(random, _event):
    return {"item_id": random.randrange(4)}


class Script:
    """The world outside of processes: stores, streams, and what was put."""

    def __init__(
        self,
        consumer,
        seed,
        *,
        count=60,
        minutes=6,
        own_place=True,
        delay=timedelta(),
        make=_of_items,
        schemas=None,
        step=1,
    ):
        """Times are multiples of `step` milliseconds; `make` gives an event's attributes, `schemas` their Arrow types by relation."""
        self.schemas = schemas or {s.relation: {"item_id": pa.int64()} for s in consumer.inputs}
        self.random = random.Random(seed)
        self.own_place, self.delay = own_place, delay
        self.consumer = consumer
        self.now = BEGIN + timedelta(minutes=2)  # some events are in the warehouse before it begins
        self.documents, self.blobs, self.places = {}, {}, {}
        self.served = {}  # key -> (written_at, value)
        self.arrivals = {source.stream: [] for source in consumer.inputs}
        self.events = []
        for number in range(count):
            source = self.random.choice(consumer.inputs)
            moment = BEGIN + timedelta(
                milliseconds=self.random.randrange(0, minutes * 60_000, step)
            )
            row = {"event_id": f"e{number}", "event_timestamp": moment}
            row |= make(self.random, source.event)
            self.events.append((source.event, row))
            late = self.random.random() * consumer.lateness
            times = [moment + late] + [moment + consumer.lateness] * (self.random.random() < 0.2)
            self.arrivals[source.stream] += [(arrival, row) for arrival in times]
        for arrivals in self.arrivals.values():
            arrivals.sort(key=lambda arrival: arrival[0])
        self.end = BEGIN + timedelta(minutes=minutes) + consumer.lateness + AFTER

    def tick(self, most=15.0):
        self.now += timedelta(seconds=self.random.random() * most)

    def arrived(self, stream):
        return [row for arrival, row in self.arrivals[stream] if arrival <= self.now]

    def put(self, key, value, written_at):
        earlier = self.served.get(key)
        if earlier is None or earlier[0] <= written_at:
            self.served[key] = (written_at, value)

    def append(self, row):
        """Keep an event that a process appended; of copies the first counts."""
        own = {k: v for k, v in row.items() if k != "stored_timestamp"}
        assert self.served.setdefault(row["event_id"], (None, own))[1] == own

    def values(self):
        return {key: value for key, (_, value) in self.served.items()}


class Process:
    """A target as one process sees it; it has the shape of isthmus.target.Target."""

    def __init__(self, script, call):
        self._script, self._call = script, call
        self.state, self.blobs = _State(script, call), _Blobs(script, call)
        self.event_source, self.events = _Source(script, call), _Log(script, call)
        self.warehouse, self.world = _Warehouse(script, call), _World(script, call)
        self.capabilities = {
            "events.delay": Capability(name="events.delay", level="native", value=script.delay)
        }
        self.stop = threading.Event()

    def clock(self):
        self._script.now += timedelta(milliseconds=1)
        return self._script.now

    def work(self, consumer=None, *, until=None, every=timedelta(seconds=40)):
        """Run a worker until the script's clock is at `until`, by default at its end."""
        until = until or self._script.end

        def now():
            if self._script.now >= until:
                self.stop.set()
            return self._script.now

        worker = Worker(self, consumer or self._script.consumer, now=now, every=every)
        return worker.run(self.stop)


class _State:
    def __init__(self, script, call):
        self._script, self._call = script, call

    def get(self, key):
        return self._call(lambda: self._script.documents.get(key))

    def put(self, key, value, *, expect):
        def act():
            stored = self._script.documents.get(key)
            if (stored.token if stored else None) != expect:
                raise Conflict(f"{key} was written by somebody else")
            token = str(int(expect or 0) + 1)
            self._script.documents[key] = Versioned(
                value=value, token=token, written_at=self._script.now
            )
            return token

        return self._call(act)


class _Blobs:
    root = "memory://blobs"

    def __init__(self, script, call):
        self._script, self._call = script, call

    def get(self, uri):
        def act():
            if uri not in self._script.blobs:
                raise NotFound(uri)
            return self._script.blobs[uri]

        return self._call(act)

    def put(self, uri, data):
        self._call(lambda: self._script.blobs.__setitem__(uri, data))

    def delete(self, uri):
        self._call(lambda: self._script.blobs.pop(uri, None))

    def list(self, prefix):
        return self._call(
            lambda: [
                BlobInfo(uri=uri, size=1, modified=BEGIN)
                for uri in sorted(self._script.blobs)
                if uri.startswith(prefix)
            ]
        )


class _Source:
    def __init__(self, script, call):
        self._script, self._call = script, call
        self._read = {}  # where the provider keeps the place: up to where this process has read

    def apply(self, stream, consumer, *, since):
        def act():
            arrivals = self._script.arrivals[stream]
            first = sum(arrival < since for arrival, _ in arrivals)
            return self._script.places.setdefault((stream, consumer), first)

        return b"%d" % self._call(act)

    def read(self, stream, consumer, *, after, limit, patience):  # noqa: ARG002  the port passes them
        def act():
            script = self._script
            if (stream, consumer) not in script.places:
                raise NotFound(f"{stream} has no consumer {consumer}")
            begin = int(after)
            if not script.own_place:
                begin = self._read.get(stream, script.places[stream, consumer])
            rows = script.arrived(stream)[begin:]
            some = rows[: script.random.randrange(1, 8)]
            if not rows:
                script.tick()
            end = begin + len(some)
            behind = timedelta() if end >= len(script.arrived(stream)) else timedelta(seconds=1)
            if not script.own_place:
                some = script.random.sample(some, len(some))
            return EventBatch(events=tuple(some), receipt=b"%d" % end, behind=behind)

        batch = self._call(act)
        self._read[stream] = int(batch.receipt)  # what a lost answer had comes again
        return batch

    def commit(self, stream, consumer, receipt):
        def act():
            place = (stream, consumer)
            if place in self._script.places:
                self._script.places[place] = max(self._script.places[place], int(receipt))

        self._call(act)

    def remove(self, stream, consumer):
        self._call(lambda: self._script.places.pop((stream, consumer), None))


class _Warehouse:
    """It answers the one query that the cold start asks, of what is visible by the clock."""

    def __init__(self, script, call):
        self._script, self._call = script, call

    def observe(self, table):
        names = ("event_id", "event_timestamp", *self._script.schemas[table], "dt")
        columns = tuple(Column(name=name, type="string") for name in names)
        return self._call(lambda: TableState(columns=columns, rows=None, size=None))

    def query(self, sql, params):
        def act():
            relation = re.search(r"FROM (\w+)", sql)[1]
            inputs = self._script.consumer.inputs
            (stream,) = (source.stream for source in inputs if source.relation == relation)
            limit = int(re.search(r"LIMIT (\d+)", sql)[1])
            visible = {
                row["event_id"]: row
                for arrival, row in self._script.arrivals[stream]
                if arrival + self._script.delay <= self._script.now
            }
            rows = sorted(visible.values(), key=_order)
            begin = (params["begin"], params.get("id", ""))
            rows = [row for row in rows if _order(row) > begin][:limit]
            rows = [row for row in rows if row["event_timestamp"] <= params["until"]]
            return pa.Table.from_pylist(
                rows,
                schema=pa.schema(
                    [
                        ("event_id", pa.string()),
                        ("event_timestamp", pa.timestamp("ms")),
                        *self._script.schemas[relation].items(),
                    ]
                ),
            )

        return self._call(act)


class _Log:
    def __init__(self, script, call):
        self._script, self._call = script, call

    def append(self, _stream, rows):
        def act():
            for row in rows:
                self._script.append(row)
            return ()

        return self._call(act)


def _order(row):
    return row["event_timestamp"], row["event_id"]


class _World:
    def __init__(self, script, call):
        self._script, self._call = script, call

    def put(self, key, value, written_at):
        self._call(lambda: self._script.put(key, value, written_at))
