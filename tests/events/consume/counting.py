"""A kind of consumer for tests: it counts by key, as it goes and by minutes that have ended."""

import json
from collections import Counter
from datetime import datetime, timedelta

import msgspec

from isthmus.events.consume.consumer import Reaction, StreamInput
from isthmus.times import epoch_milliseconds, from_epoch

MINUTE = timedelta(minutes=1)


class Put(msgspec.Struct, frozen=True):
    """A value under a key: what was written under a greater moment stays."""

    key: str
    value: int

    def carry_out(self, target, *, written_at):
        target.world.put(self.key, self.value, written_at)
        return 1


class Counting:
    """`state` is {counts by key, counts by minute and key that still open, changed keys, late}."""

    kind = "counter"
    summary = "every 1m"
    digest = "1"
    history = timedelta(hours=1)

    def __init__(self, name="counts", events=("click",), lateness=timedelta(seconds=30), put=Put):
        self.name, self.lateness, self.put = name, lateness, put
        self.inputs = tuple(
            StreamInput(event=event, stream=f"{event}_raw", relation=f"events_{event}")
            for event in events
        )

    def empty(self):
        return {"counts": Counter(), "minutes": Counter(), "changed": set(), "late": 0, "rows": 0}

    def apply(self, state, stream, events, *, watermark):
        for row in events:
            moment = row["event_timestamp"]
            if moment < watermark:
                state["late"] += 1
                continue
            key = f"{stream.event}/{row['item_id']}"
            state["counts"][key] += 1
            state["minutes"][f"{_minute(moment)}/{key}"] += 1
            state["changed"].add(key)
        return state

    def advance(self, state, *, watermark, now):  # noqa: ARG002  the runner passes it
        effects = [self.put(key, state["counts"][key]) for key in sorted(state["changed"])]
        state["changed"] = set()
        ended = [
            minute
            for minute in state["minutes"]
            if from_epoch(int(minute.partition("/")[0])) + MINUTE <= watermark
        ]
        effects += [self.put(minute, state["minutes"].pop(minute)) for minute in sorted(ended)]
        state["rows"] += len(effects)
        return Reaction(state=state, effects=tuple(effects))

    def figures(self, state):
        return {"late": state["late"], "rows put": state["rows"]}

    def encode(self, state):
        return json.dumps(state | {"changed": sorted(state["changed"])}, sort_keys=True).encode()

    def decode(self, data):
        state = json.loads(data)
        return state | {
            "counts": Counter(state["counts"]),
            "minutes": Counter(state["minutes"]),
            "changed": set(state["changed"]),
        }


def expected(events):
    """What a world holds at the end, by brute force: `events` are (stream's event, row) pairs."""
    world = Counter()
    for event, row in events:
        key = f"{event}/{row['item_id']}"
        world[key] += 1
        world[f"{_minute(row['event_timestamp'])}/{key}"] += 1
    return dict(world)


def _minute(moment: datetime) -> int:
    return epoch_milliseconds(moment) // 60_000 * 60_000
