"""Durations, percentages, windows, moments: what is written is what is meant, and nothing else is
taken.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.project.reading import quantities as q

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # hypothesis adds no zone of its own
READERS = [q.duration, q.percent, q.share, q.moment, q.window]


@given(st.integers(1, 3650 * 86_400))
def test_a_duration_survives_being_written_and_read(seconds):
    value = timedelta(seconds=seconds)
    assert q.duration(q.duration_text(value)) == value


@given(st.integers(1, 9999), st.sampled_from("smhdw"))
def test_a_duration_is_its_number_times_its_unit(number, unit):
    size = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    wanted = timedelta(seconds=number * size)
    if wanted > timedelta(days=3650):
        with pytest.raises(q.Mistake, match="ten years"):
            q.duration(f"{number}{unit}")
    else:
        assert q.duration(f"{number}{unit}") == wanted


@given(st.decimals(0, 100, places=2))
def test_a_percentage_is_exact_and_a_share_needs_no_sign(value):
    assert q.percent(f"{value}%") == value
    assert q.share(f"{value}") == q.share(f"{value}%") == value


@given(st.integers(0, 100))
def test_a_percentage_without_its_sign_is_not_taken_and_the_remedy_can_be(value):
    with pytest.raises(q.Mistake) as mistake:
        q.percent(str(value))
    assert q.percent(
        mistake.value.remedy.removeprefix("write ").removeprefix("it with the sign: ")
    ) in {Decimal(value), Decimal(5)}


@given(st.dates(date(1970, 1, 1), date(2200, 1, 1)), st.integers(0, 4000))
def test_a_window_holds_exactly_its_days(first, more):
    last = first + timedelta(days=more)
    start, end = q.window(f"{first} .. {last}")
    assert (start.date(), start.tzinfo, end - start) == (first, UTC, timedelta(days=more + 1))


@given(st.datetimes(EPOCH, EPOCH + timedelta(days=80_000)), st.integers(-12, 14))
def test_a_moment_is_utc_in_whole_milliseconds(naive, hours):
    zone = f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"
    found = q.moment(naive.isoformat(timespec="microseconds") + zone)
    exact = naive.replace(tzinfo=UTC) - timedelta(hours=hours)
    assert found.utcoffset() == timedelta(0)
    assert timedelta(0) <= exact - found < timedelta(milliseconds=1)
    assert found.microsecond % 1000 == 0


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
@given(st.text(max_size=30))
def test_any_other_text_is_a_mistake_and_nothing_worse(reader, text):
    with suppress(q.Mistake):
        reader(text)


@pytest.mark.parametrize(
    "text", ["0m", "-5m", "5", "m", "1.5h", "5 m", "1h30m", "9999999999d", "\u0663m", ""]
)
def test_these_are_no_durations(text):
    with pytest.raises(q.Mistake):
        q.duration(text)


@pytest.mark.parametrize("text", ["101%", "-1%", "5", "%", "nan%", "inf", "5 %", "1e1%", "\u0665%"])
def test_these_are_no_percentages(text):
    with pytest.raises(q.Mistake):
        q.percent(text)


@pytest.mark.parametrize(
    "text", ["9999-12-31 .. 9999-12-31", "2019-11-24..2019-13-01", "..", "0001-01-01T00:00+14:00"]
)
def test_the_ends_of_the_calendar_are_mistakes_too(text):
    for reader in (q.window, q.moment):
        with pytest.raises(q.Mistake):
            reader(text)
