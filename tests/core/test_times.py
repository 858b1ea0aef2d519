"""Moments: one resolution, floored, and back."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.times import epoch_milliseconds, from_epoch, utc_milliseconds

UNHURRIED = settings(deadline=None)  # the machine may be busy

NAIVE = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))  # noqa: DTZ001
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@UNHURRIED
@given(NAIVE)
def test_milliseconds_are_floored_and_come_back(moment):
    aware = moment.replace(tzinfo=UTC)
    back = from_epoch(epoch_milliseconds(aware))
    assert timedelta() <= aware - back < timedelta(milliseconds=1)
    assert back == utc_milliseconds(aware)


@UNHURRIED
@given(NAIVE, ZONES)
def test_a_zone_is_only_a_way_to_show_a_moment(moment, zone):
    aware = moment.replace(tzinfo=UTC)
    elsewhere = (
        aware.astimezone(zone) if datetime(2, 1, 1) < moment < datetime(9998, 1, 1) else aware  # noqa: DTZ001
    )
    assert epoch_milliseconds(elsewhere) == epoch_milliseconds(aware)
    assert utc_milliseconds(elsewhere) == utc_milliseconds(aware)
    assert utc_milliseconds(elsewhere).tzinfo is UTC


@UNHURRIED
@given(NAIVE)
def test_without_a_zone_a_moment_is_utc_whatever_this_machines_zone_is(moment):
    assert epoch_milliseconds(moment) == epoch_milliseconds(moment.replace(tzinfo=UTC))
