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
    return person, item, time, of_row, outcome, liking


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
    person, item, time, of_row, outcome, liking = drawn
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
    }


def tables(people, seed, leak=None):
    """(the training set, the same with what was known an hour earlier, the features' names).

    `leak`: what `leaky` is, if there is one.
    """
    drawn = log(people, seed)
    person, item, time, _, outcome, _ = drawn
    stamps = pa.array((time * 1000).astype("int64")).cast(pa.timestamp("ms"))
    now, then = (features(drawn, ahead) for ahead in (0, 2 * WITHIN))
    if (
        leak is not None
    ):  # a person's clicks as if they were known at once: their own list's are among them
        clicks = rate(person * 80 + item, time, outcome, -WITHIN)
        now["leaky"] = np.where(time < DAY, clicks, now["noise"]) if leak == "first day" else clicks
        then["leaky"] = rate(person * 80 + item, time, outcome, WITHIN)
    shared = {"event_timestamp": stamps, "outcome": outcome, "user_id": person}
    sides = (
        pa.table({**shared, **{name: pa.array(v, from_pandas=True) for name, v in side.items()}})
        for side in (now, then)
    )
    return (*sides, list(now))


def alarmed(people, seed, leak=None):
    """What the alarm calls a leak, a line a feature."""
    table, earlier, names = tables(people, seed, leak)
    looked = leak_alarm(
        table, "outcome", names, unit="user_id", earlier=earlier, back=timedelta(seconds=2 * WITHIN)
    )
    return [str(one) for one in looked if one.warnings]
