"""A monitor of items against the log that it reads: values by a direct count, intervals by drawing
whole units again and again.
"""

import math
from collections import Counter
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from isthmus.errors import Invalid
from isthmus.experiments.monitors import items, spread
from isthmus.experiments.monitors import training_shares as trained
from isthmus.experiments.monitors.items_sql import OTHERS, items_sql
from isthmus.experiments.monitors.monitor import show as look
from isthmus.experiments.monitors.spread import ExposureSpread
from isthmus.feature_store.sql import subset as neutral
from isthmus.pipelines.evaluation.statistics import poisson_interval
from isthmus.tests.cli.running import isthmus as command

from .watched_shop import CATEGORIES, DAY, START, WEEKS, Watched, answers, category

WEEK = 7 * DAY
GROUPS = ("bags", "hats", "shoes")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Watched(tmp_path_factory.mktemp("watched"))
    with shop.project:
        yield shop


@pytest.fixture(scope="module")
def seen(shop):
    return look(shop.project, "category_bias")


def exposures(log):
    """(unit, group when it was shown, item, position, explored, clicked)."""
    return [
        (answer.unit, category(item, answer.at), item, position, answer.explored, clicked)
        for answer in log
        for position, (item, clicked) in enumerate(
            zip(answer.items, answer.clicked, strict=True), 1
        )
    ]


def last_week(shop):
    return exposures(answer for answer in shop.log if answer.week == WEEKS - 1)


@pytest.mark.parametrize("group", GROUPS)
def test_a_groups_figures_are_what_a_direct_count_says(shop, seen, group):
    rows = last_week(shop)
    own = [row for row in rows if row[1] == group]
    attention = {at: 1 / math.log2(1 + at) for at in (1, 2, 3)}
    organic = [row for row in rows if row[4] and row[5]]
    figures = {
        "shown": len(own) / len(rows),
        "seen": sum(attention[row[3]] for row in own) / sum(attention[row[3]] for row in rows),
        "organic": sum(row[1] == group for row in organic) / len(organic),
        "calibration": sum(row[5] for row in own) / (0.2 * len(own)),
    }
    figures["shown_to_organic"] = figures["shown"] / figures["organic"]
    assert {name: seen.by_group(name)[group].value for name in figures} == pytest.approx(figures)
    assert seen.by_group("shown")[group].count == len(own)


def test_the_value_at_the_time_of_the_exposure_counts(shop, seen):
    """Item 1 became bags in the middle of the week: both its names have exposures."""
    of_item = [row for row in last_week(shop) if row[2] == 1]
    assert {row[1] for row in of_item} == {"shoes", "bags"}
    assert sum(row.count for row in seen.by_group("shown").values()) == len(last_week(shop))


def test_the_catalogue_is_what_there_is_now_and_tells_what_is_never_shown(seen):
    assert {name: row.count for name, row in seen.by_group("catalogue").items()} == {
        "bags": 4,
        "hats": 3,
        "shoes": 2,
    }
    assert {name: row.value for name, row in seen.by_group("never_shown").items()} == pytest.approx(
        {"bags": 0, "hats": 1 / 3, "shoes": 0, "": 1 / 9}
    )


def test_clicks_over_scores_have_the_exact_interval_of_their_number(shop, seen):
    row = seen.by_group("calibration")["hats"]
    clicks = sum(of[5] for of in last_week(shop) if of[1] == "hats")
    expected = 0.2 * seen.by_group("shown")["hats"].count
    assert (row.low, row.high) == pytest.approx(
        tuple(end / expected for end in poisson_interval(clicks))
    )


def by_units(rows, figure, samples=1_500):
    """2.5 and 97.5 % of a figure over samples of whole units. `figure`: of the rows' weights."""
    names, unit = np.unique([row[0] for row in rows], return_inverse=True)
    drawn = np.random.default_rng(1).multinomial(
        len(names), np.full(len(names), 1 / len(names)), samples
    )[:, unit]
    return np.percentile([figure(weights) for weights in drawn], [2.5, 97.5])


@pytest.mark.parametrize("name", ["shown", "seen", "organic", "shown_to_organic"])
def test_an_interval_is_that_of_units_that_are_drawn_again(shop, seen, name):
    rows = last_week(shop)
    hats, organic = (
        np.array([bool(of(row)) for row in rows])
        for of in (lambda row: row[1] == "hats", lambda row: row[4] and row[5])
    )
    attention = np.array([1 / math.log2(1 + row[3]) for row in rows])

    def share(weights):
        return weights[hats].sum() / weights.sum()

    figures = {
        "shown": share,
        "seen": lambda weights: share(weights * attention),
        "organic": lambda weights: share(weights * organic),
        "shown_to_organic": lambda weights: share(weights) / share(weights * organic),
    }
    row = seen.by_group(name)["hats"]
    low, high = by_units(rows, figures[name])
    assert [math.log(row.low), math.log(row.high)] == pytest.approx(
        [math.log(low), math.log(high)], abs=0.12 * math.log(high / low)
    )


def test_concentration_is_that_of_all_items_with_the_interval_of_units_that_are_drawn_again(
    shop, seen
):
    rows = last_week(shop)
    item = np.array([row[2] for row in rows])

    def gini(weights):
        counts = np.sort(np.bincount(item, weights=weights, minlength=len(CATEGORIES) + 1)[1:])
        return float(
            (2 * np.arange(1, len(counts) + 1) - len(counts) - 1)
            @ counts
            / (len(counts) * counts.sum())
        )

    def effective(weights):
        shares = np.bincount(item, weights=weights)
        shares = shares[shares > 0] / shares.sum()
        return math.exp(-(shares * np.log(shares)).sum())

    for name, figure in (("gini", gini), ("effective_items", effective)):
        row = seen.by_group(name)[""]
        assert row.value == pytest.approx(figure(np.ones(len(rows))))
        low, high = by_units(rows, figure)
        assert row.high - row.low == pytest.approx(high - low, rel=0.1)


def test_days_and_versions_have_figures_of_their_own(shop, seen):
    assert len(seen.labels("day")) == 7
    assert seen.labels("version") == ("ranker@3",)
    earlier = look(shop.project, "category_bias", as_of=START + WEEK + 2 * DAY)
    assert earlier.labels("version") == ("ranker@1", "ranker@2")
    rows = exposures(
        a
        for a in shop.log
        if START + 2 * DAY <= a.at < START + WEEK + 2 * DAY and a.version == "ranker@2"
    )
    told = {
        name: row.count
        for name, row in earlier.by_group("shown", scope="version", label="ranker@2").items()
    }
    assert told == Counter(row[1] for row in rows)


def test_an_outcome_that_is_not_known_yet_is_no_miss(shop):
    """Half an hour after an exposure its clicks are known: what was shown in the last half hour is
    in no calibration.
    """
    moment = START + 5 * DAY + timedelta(hours=1)
    seen = look(shop.project, "category_bias", as_of=moment)
    log = [a for a in shop.log if a.at < moment]
    known = exposures(a for a in log if a.at + timedelta(minutes=30) <= moment)
    assert len(known) < len(exposures(log))
    assert seen.by_group("calibration")[""].value == pytest.approx(
        sum(row[5] for row in known) / (0.2 * len(known))
    )


def test_what_is_shown_beyond_its_organic_share_more_than_the_limit_is_an_alarm(shop):
    monitor = shop.project.spec.monitors["category_bias"]
    found = items.read(
        shop.project, monitor, items_reading(shop, monitor), items.grouping(shop.project, monitor)
    )
    strict = replace(monitor.alarm, shown_to_organic=0.5, calibration=(0.1, 0.2), gini_rise=-0.9)
    alarms = [row for row in items.rows(found, strict, outcomes=True, features=True) if row.alarm]
    assert {row.figure for row in alarms} == {"shown_to_organic", "calibration", "gini_rise"}
    assert {row.scope for row in alarms} == {"window", "version"}, "a day has none"


def items_reading(shop, monitor):
    from isthmus.experiments.monitors.windows import reading

    return reading(shop.project, monitor, items.STREAM, shop.project.now())


def test_what_is_served_is_told_beside_what_its_version_was_trained_on(shop, monkeypatch):
    begun, ended = START + 14 * DAY, START + 18 * DAY
    data = SimpleNamespace(start=begun, end=ended, as_of=shop.now)
    asked = []
    monkeypatch.setattr(
        trained,
        "of_version",
        lambda _blobs, version: (
            asked.append(version) or SimpleNamespace(objective="ctr", data=data)
        ),
    )
    seen = look(shop.project, "category_bias")
    log = Counter(
        row[1] for row in exposures(answer for answer in shop.log if begun <= answer.at < ended)
    )
    assert seen.trained["ranker@3"] == pytest.approx(
        {name: count / log.total() for name, count in log.items()}
    )
    shown = seen.by_group("shown", scope="version", label="ranker@3")
    quotients = {
        name: shown[name].value / share for name, share in seen.trained["ranker@3"].items()
    }
    told = seen.by_group("served_to_trained", scope="version", label="ranker@3")
    assert {name: row.value for name, row in told.items()} == pytest.approx(quotients)
    assert not any(row.alarm or row.low for row in told.values())
    assert (look(shop.project, "category_bias").trained, asked) == (seen.trained, ["ranker@3"]), (
        "a version's training set is asked once"
    )


def test_items_by_their_key_are_groups_and_the_catalogue_is_what_the_log_names(shop):
    seen = look(shop.project, "item_bias")
    assert {name: row.count for name, row in seen.by_group("shown").items()} == Counter(
        str(row[2]) for row in last_week(shop)
    )
    assert seen.by_group("never_shown")[""].count == 8
    assert not seen.by_group("catalogue")


def test_the_console_shows_shares_and_concentration(shop, seen):
    said = command(shop.folder, "monitor", "category_bias", "--last").out.splitlines()
    assert said[1].split() == [
        "item_category",
        "exposures",
        "shown",
        "by",
        "position",
        "catalogue",
        "organic",
        "clicks",
        "/",
        "scores",
    ]
    assert [line.split()[0] for line in said[2:5]] == list(GROUPS)
    assert said[5].startswith(f"  concentration   Gini {seen.by_group('gini')[''].value:.3f}   ")


def test_a_view_that_was_never_computed_is_told(tmp_path):
    (tmp_path / "new").mkdir()
    shop = Watched(tmp_path / "new", log=list(answers())[:20], materialized=False)
    with shop.project, pytest.raises(Invalid, match="item_profile has not been materialized"):
        look(shop.project, "category_bias")


@pytest.mark.parametrize("name", ["category_bias", "item_bias"])
def test_the_query_is_in_the_neutral_subset(shop, name):
    by = items.grouping(shop.project, shop.project.spec.monitors[name])
    assert (
        neutral.check(items_sql(shop.project.spec, shop.project.spec.endpoints["ranker"], by)) == ()
    )


def spread_of(counts):
    """Of items that one unit each was shown once."""
    counts = np.sort(np.asarray(counts)[np.asarray(counts) > 0])
    places, surprise = np.arange(1, len(counts) + 1), np.log(counts.sum() / counts)
    return ExposureSpread(
        items=len(counts),
        shown=counts.sum(),
        places=places @ counts,
        surprise=surprise @ counts,
        shown_shown=counts.sum(),
        places_places=places**2 @ counts,
        shown_places=places @ counts,
        surprise_surprise=surprise**2 @ counts,
        shown_surprise=surprise @ counts,
    )


@pytest.mark.parametrize(
    ("counts", "catalogue", "gini"),
    [([5, 5, 5, 5], 4, 0.0), ([20, 0, 0, 0], 4, 0.75), ([5, 5, 0, 0], 4, 0.5), ([7], 0, 0.0)],
)
def test_gini_counts_what_is_never_shown(counts, catalogue, gini):
    assert spread.gini(spread_of(counts), catalogue).value == pytest.approx(gini)


@pytest.mark.parametrize("shown", [2_000, 20_000])
def test_ten_times_fewer_exposures_of_the_same_items_are_no_rise(shown):
    """Chance alone makes few exposures look concentrated.

    Seed and bound fixed beforehand: 200 worlds, binomial 4 sigma of 2.5 %.
    """
    random, likely = np.random.default_rng(20261126), np.arange(1, 101) / 5050
    first = spread_of(random.multinomial(20_000, likely))
    rises = sum(
        spread.rise(spread_of(random.multinomial(shown, likely)), first, 100).low > 0
        for _ in range(200)
    )
    assert rises <= 200 * 0.025 + 4 * math.sqrt(200 * 0.025 * 0.975)


def test_groups_beyond_the_largest_are_one(shop, monkeypatch):
    monkeypatch.setattr("isthmus.experiments.monitors.items_sql.MOST_GROUPS", 3)
    shown = look(shop.project, "item_bias", as_of=shop.now).by_group("shown")
    whole = Counter(str(row[2]) for row in exposures(a for a in shop.log if a.week != 1))
    largest = [name for name, _ in sorted(whole.items(), key=lambda pair: (-pair[1], pair[0]))[:3]]
    assert sorted(shown) == sorted([*largest, OTHERS])
    assert sum(row.count for row in shown.values()) == len(last_week(shop))
