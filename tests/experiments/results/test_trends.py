"""The trend of a run's effect from its log, against a count visitor by visitor, and its words."""

import math

import msgspec
import numpy as np
import pytest

from isthmus.experiments.results.comparison import results
from isthmus.experiments.results.results import Trend
from isthmus.experiments.results.text import trend_text

from ..shop import DAY, START, Shop

MIDNIGHT = START.replace(hour=0)


def test_a_trends_interval_has_each_visitors_own_slope_in_it(tmp_path):
    shop = Shop(tmp_path).filled(a_day=2)
    until = MIDNIGHT + 6 * DAY  # the last visitors have had one day, or none
    with shop.project:
        (of,) = results(shop.project, "open_end", as_of=until, despite_split=True).trends
    slope, error = by_hand(shop, until)
    assert of.by_unit
    assert (of.a_day.value, of.a_day.high - of.a_day.value) == (
        pytest.approx(slope),
        pytest.approx(1.959964 * error),
    )


def by_hand(shop, until):
    """The slope over three days and its standard error: clicks of impressions by visitor and day."""
    arms = [totals(shop, arm, until) for arm in ("control", "treatment")]
    effects, parts, sizes = np.zeros(3), [], []
    for sign, (y, d) in zip((-1, 1), arms, strict=True):
        clicks, shown = y.sum(0), d.sum(0)
        z = (y - clicks / shown * d) / clicks
        effects += sign * np.log(clicks / shown)
        sizes.append(shown)
        parts.append(z)
    size = 1 / (1 / sizes[0] + 1 / sizes[1])
    day = np.arange(3) - np.average(np.arange(3), weights=size)
    weights = day * size / (day**2 * size).sum()
    squares = [((z @ weights) ** 2).sum() * len(z) / (len(z) - 1) for z in parts]
    return weights @ effects, math.sqrt(sum(squares))


def totals(shop, arm, until):
    visitors = [v for v in shop.log if (v["run"], v["arm"]) == ("open_end.1", arm)]
    rows = []
    for visitor in visitors:
        days = [visitor["came"].replace(hour=0, minute=0) + day * DAY for day in range(3)]
        had = [day + DAY <= until for day in days]
        counts = [
            [
                sum(day <= row["event_timestamp"] < day + DAY for row in visitor[event]) * over
                for day, over in zip(days, had, strict=True)
            ]
            for event in ("click", "impression")
        ]
        rows.append((*counts, had))
    of = np.array(rows)
    of = of[of[:, 2].any(1)]
    return of[:, 0], of[:, 1]


def test_what_an_earlier_release_stored_is_no_verdict_where_it_is_not_flat():
    stored = msgspec.json.decode(
        b'{"arm": "treatment", "a_day": {"value": -0.03, "low": -0.04, "high": -0.02}}', type=Trend
    )
    assert trend_text(stored) == (
        "no verdict: this look took no unit's own drift into account (-3.0 % a day, -4.0 .. -2.0 %)"
    )
    now = msgspec.structs.replace(stored, by_unit=True)
    assert trend_text(now) == "the effect changes (-3.0 % a day, -4.0 .. -2.0 %)"
