"""Honest logs of an outcome that is a number, and features as they would be joined, or that have
seen it.

The people, items, days and features of honest_logs.py, with how long people stay in place of
whether they click. The worlds differ in their tails.
"""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from isthmus.pipelines.evaluation.leaks.number_alarm import number_leak_alarm

from .honest_logs import DAY, PAST, WITHIN, features, log, rate, sides

WORLDS = ("log-normal", "zero-inflated", "pareto with a cap")
CAP = 60.0
LEAKS = {
    "text": "a text that says whether it was long",
    "noisy": "the number itself, 10 % wrong",
    "id": "a number that is given once the visit has ended",
    "table": "an item's mean over the whole log, in a static table",
    "filled": "a value that seven of ten stays have, and nothing else",
    "daily": "an item's mean of the whole day, known when the day begins",
    "every day": "an outcome that is known at once, with the visit's own among them",
}


def stays(world, people, seed):
    """`honest_logs.log` with seconds for clicks; some people stay longer, with some items too."""
    person, item, time, of_row, clicked, liking, worth = log(people, seed)
    random = np.random.default_rng([seed, people, WORLDS.index(world)])
    scale = 10 * np.exp(0.4 * liking[person] + worth[item] + 0.2 * (time // DAY % 7 >= 5))
    if world == "zero-inflated":
        seconds = clicked * 10 * np.exp(0.3 * liking[person] + random.normal(-0.3, 0.8, len(item)))
    elif world == "log-normal":
        seconds = scale * np.exp(random.normal(-0.5, 1, len(item)))
    else:
        seconds = np.minimum(scale / 3 * (1 + random.pareto(1.5, len(item))), CAP)
    return person, item, time, of_row, seconds, liking, worth


def leaky(kind, drawn, seed):
    """A feature that has seen the number, by the names of LEAKS."""
    _, item, time, _, seconds, *_ = drawn
    random = np.random.default_rng([seed, 7])
    rows, day = seconds.size, time // DAY
    long = seconds > np.median(seconds[seconds > 0])
    if kind == "text":
        return np.where(long, "long", "short")
    if kind == "noisy":
        return seconds * np.exp(random.normal(0, 0.1, rows))
    if kind == "id":
        ended = time + (1 + np.argsort(np.argsort(seconds))) / rows * DAY / 2
        return np.argsort(np.argsort(ended, kind="stable"), kind="stable")
    if kind == "filled":
        some = seconds > 0 if (seconds == 0).any() else long
        return np.where(some & (random.random(rows) < 0.7), time / 1000, np.nan)
    key = item if kind == "table" else item * 1000 + day
    place = np.unique(key, return_inverse=True)[1]
    return (np.bincount(place, seconds) / np.bincount(place))[place]


def tables(world, people, seed, leak=None):
    """(the training set, the same with what was known an hour earlier, the features' names)."""
    drawn = stays(world, people, seed)
    person, item, time, of_row, seconds, *_ = drawn
    now, then = (features(drawn, ahead) for ahead in (0, 2 * WITHIN))
    if leak == "every day":
        now["leaky"], then["leaky"] = (
            rate(person * 80 + item, time, seconds, ahead) for ahead in (-WITHIN, WITHIN)
        )
    elif leak is not None:
        now["leaky"] = leaky(leak, drawn, seed)
    stamps = pa.array((time * 1000).astype("int64")).cast(pa.timestamp("ms"))
    return (*sides(now, then, stamps, seconds, (person, item, of_row)), list(now))


def looked_at(world, people, seed, leak=None):
    """What the alarm finds about each feature."""
    table, earlier, names = tables(world, people, seed, leak)
    return number_leak_alarm(
        table,
        "outcome",
        names,
        what="stay.seconds",
        unit="user_id",
        earlier=earlier.drop_columns([name for name in earlier.column_names if name not in PAST]),
        back=timedelta(seconds=2 * WITHIN),
        within="list_id",
        entities={"user": "user_id", "item": "item_id"},
    )


def alarmed(world, people, seed, leak=None):
    """What the alarm calls a leak, a line a feature."""
    return [str(one) for one in looked_at(world, people, seed, leak) if one.warnings]
