"""Honest logs of people with sessions and drift, and features as they would be joined: histories
known after half an hour, traits, noise.

Nothing here has seen its label. Histories begin empty and grow, items come and go in favour, some
people are most of the log.
"""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from isthmus.pipelines.evaluation.leak_alarm import leak_alarm

WITHIN = 1800  # seconds until an outcome is known
DAY = 86_400
PAST = ("person_rate", "item_rate", "trait", "hour", "of_list", "noise", "leaky")  # joined earlier


def log(people, seed, days=14):
    random = np.random.default_rng([seed, people])
    lists = 1 + random.poisson(np.exp(random.normal(0.6, 0.9, people)))
    person_of_list = np.repeat(np.arange(people), lists)
    start_of_list = random.integers(0, days * DAY, len(person_of_list))
    of_row = np.repeat(np.arange(len(person_of_list)), random.integers(5, 16, len(person_of_list)))
    person, time = person_of_list[of_row], start_of_list[of_row]
    order = np.argsort(time, kind="stable")
    person, time, of_row = person[order], time[order], of_row[order]
    day = time // DAY
    item = random.integers(0, 80, len(person))
    liking = random.normal(0, 1.2, people)
    worth = random.normal(0, 0.6, 80) + np.cumsum(
        random.normal(0, 0.15, (days, 80)), axis=0
    )  # drifts
    weekend = 0.4 * (np.arange(days) % 7 >= 5)
    chance = 1 / (1 + np.exp(2 - liking[person] - worth[day, item] - weekend[day]))
    outcome = (random.random(len(person)) < chance).astype(int)
    return person, item, time, of_row, outcome, liking, worth.mean(axis=0)


def rate(key, time, outcome, ahead):
    """Smoothed rate of the key's rows whose outcome was known at `time - ahead`; NaN where there is
    none.
    """
    span = time.max() + 1 + 10 * DAY
    place = key * span + time
    order = np.argsort(place, kind="stable")
    hits = np.concatenate([[0], np.cumsum(outcome[order])])
    upto = np.searchsorted(
        place[order], key * span + np.maximum(time - WITHIN - ahead, -1), "right"
    )
    first = np.searchsorted(place[order], key * span, "left")
    upto = np.maximum(upto, first)
    seen = upto - first
    return np.where(seen > 0, (hits[upto] - hits[first] + 0.5) / (seen + 4), np.nan)


def features(drawn, ahead):
    person, item, time, of_row, outcome, liking, worth = drawn
    chance = np.random.default_rng(of_row.size)
    noise = chance.normal(size=person.size)
    trait = np.round(liking + chance.normal(0, 0.5, liking.size), 1)[person]
    return {
        "person_rate": rate(person, time, outcome, ahead),
        "item_rate": rate(item, time, outcome, ahead),
        "trait": trait,
        "hour": (time % DAY) // 3600.0,
        "of_list": chance.normal(size=of_row.max() + 1)[of_row],
        "noise": noise,
        **properties(item, person, liking, worth),
    }


def properties(item, person, liking, worth):
    """What a static table says of an item or a person, as numbers and texts; and ids."""
    chance = np.random.default_rng(item.size + 1)
    guess = worth + chance.normal(0, 0.4, worth.size)
    brand = np.argsort(np.argsort(worth + chance.normal(0, 1, worth.size))) // 8
    segment = np.digitize(liking + chance.normal(0, 0.7, liking.size), [-1, 0, 1])
    spoken = np.where(chance.random(liking.size) < 0.3, np.nan, liking)
    return {
        "quality": guess[item],  # an editor's
        "brand": np.array([f"brand {number}" for number in brand])[item],
        "name": np.array([f"item {number}" for number in range(worth.size)])[item],
        "segment": np.array(["rare", "some", "often", "always"])[segment][person],
        "survey": spoken[person],  # not all answer
        "row_id": np.arange(item.size),
        "person_id": np.array([f"p{number}" for number in range(liking.size)])[person],
    }


LEAKS = {
    "text": "a text that is the label",
    "flag": "the label as an int, 2 % wrong",
    "id": "a number that is given once the outcome is known",
    "table": "an item's rate over the whole log, in a static table",
    "filled": "a value that seven of ten clicks have, and nothing else",
    "daily": "an item's rate of the whole day, known when the day begins",
}


def leaky(kind, drawn, seed):
    """A feature that has seen the label, by the names of LEAKS."""
    _, item, time, _, outcome, *_ = drawn
    chance = np.random.default_rng([seed, 7])
    rows, day = outcome.size, time // DAY
    if kind == "text":
        return np.where(outcome == 1, "opened", "sent")
    if kind == "flag":
        return np.where(chance.random(rows) < 0.02, 1 - outcome, outcome)
    if kind == "id":
        given = time + outcome * chance.integers(0, DAY // 2, rows)
        return np.argsort(np.argsort(given, kind="stable"), kind="stable")
    if kind == "filled":
        return np.where((outcome == 1) & (chance.random(rows) < 0.7), time / 1000, np.nan)
    key = item if kind == "table" else item * 1000 + day
    place = np.unique(key, return_inverse=True)[1]
    return (np.bincount(place, outcome) / np.bincount(place))[place]


def tables(people, seed, leak=None):
    """(the training set, the same with what was known an hour earlier, the features' names).

    `leak`: what `leaky` is, if there is one.
    """
    drawn = log(people, seed)
    person, item, time, of_row, outcome, *_ = drawn
    stamps = pa.array((time * 1000).astype("int64")).cast(pa.timestamp("ms"))
    now, then = (features(drawn, ahead) for ahead in (0, 2 * WITHIN))
    if leak in LEAKS:
        now["leaky"] = leaky(leak, drawn, seed)
    elif (
        leak is not None
    ):  # a person's clicks as if they were known at once: their own list's are among them
        clicks = rate(person * 80 + item, time, outcome, -WITHIN)
        now["leaky"] = np.where(time < DAY, clicks, now["noise"]) if leak == "first day" else clicks
        then["leaky"] = rate(person * 80 + item, time, outcome, WITHIN)
    return (*sides(now, then, stamps, outcome, (person, item, of_row)), list(now))


def sides(now, then, stamps, outcome, keys):
    """Two tables of the same rows, with the features as they are joined and as they were before."""
    shared = {
        "event_timestamp": stamps,
        "outcome": outcome,
        **dict(zip(("user_id", "item_id", "list_id"), keys, strict=True)),
    }
    return [
        pa.table({**shared, **{name: pa.array(v, from_pandas=True) for name, v in side.items()}})
        for side in (now, then)
    ]


def alarmed(people, seed, leak=None):
    """What the alarm calls a leak, a line a feature."""
    table, earlier, names = tables(people, seed, leak)
    looked = leak_alarm(
        table,
        "outcome",
        names,
        unit="user_id",
        earlier=earlier.drop_columns([name for name in earlier.column_names if name not in PAST]),
        back=timedelta(seconds=2 * WITHIN),
        within="list_id",
        entities={"user": "user_id", "item": "item_id"},
    )
    return [str(one) for one in looked if one.warnings]
