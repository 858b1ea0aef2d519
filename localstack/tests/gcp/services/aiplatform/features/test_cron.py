"""When a schedule is due, judged by looking at every minute."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_stack.gcp.services.aiplatform.features.cron import next_time, parse

ZONES = ("UTC", "America/New_York", "Asia/Kolkata")


@settings(max_examples=40, deadline=None)
@given(
    minute=st.one_of(st.none(), st.integers(0, 59)),
    hour=st.one_of(st.none(), st.integers(0, 23)),
    weekday=st.one_of(st.none(), st.integers(0, 6)),
    zone=st.sampled_from(ZONES),
    after=st.integers(0, 353 * 86400).map(
        lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
)
def test_the_next_time_is_the_first_minute_that_fits(minute, hour, weekday, zone, after):
    schedule = parse(
        f"TZ={zone} "
        + " ".join(
            "*" if field is None else str(field) for field in (minute, hour, None, None, weekday)
        )
    )
    due = next_time(schedule, after)
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while moment < due:
        assert not fits(moment.astimezone(ZoneInfo(zone)), minute, hour, weekday)
        moment += timedelta(minutes=1)
    assert fits(due.astimezone(ZoneInfo(zone)), minute, hour, weekday)


def fits(moment, minute, hour, weekday):
    return (
        minute in (None, moment.minute)
        and hour in (None, moment.hour)
        and weekday in (None, moment.isoweekday() % 7)
    )


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        (
            "*/15 9-17 * * MON-FRI",
            datetime(2026, 11, 27, 17, 46, tzinfo=UTC),
            datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
        ),
        ("0 0 13 * FRI", datetime(2026, 11, 14, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)),
        ("0 0 29 FEB *", datetime(2026, 3, 1, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC)),
        (
            "CRON_TZ=Europe/Berlin 30 2 * * *",
            datetime(2026, 3, 28, 2, tzinfo=UTC),
            datetime(2026, 3, 30, 0, 30, tzinfo=UTC),
        ),
        ("0 0 30 2 *", datetime(2026, 1, 1, tzinfo=UTC), None),
    ],
)
def test_steps_names_leap_days_and_skipped_hours(text, after, due):
    assert next_time(parse(text), after) == due


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("* * * *", "has 4 fields"),
        ("60 * * * *", "not within 0-59"),
        ("TZ=Mars/Base 0 0 * * *", "no time zone"),
        ("a * * * *", "no number or name"),
        ("*/0 * * * *", "not within"),
    ],
)
def test_what_is_no_schedule_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)
