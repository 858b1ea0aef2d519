"""Looks are spent of a plan: each is recorded once, whoever else looks at the same moment."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from isthmus.errors import Conflict
from isthmus.experiments.results import looks as recorded_looks
from isthmus.experiments.results.looks import Look, Looks
from isthmus.storage import Versioned

NOON = datetime(2026, 11, 12, 12, tzinfo=UTC)


class State:
    """One document. `meanwhile` is what somebody else does before each write."""

    def __init__(self, *meanwhile):
        self.value, self.version, self.meanwhile = None, 0, list(meanwhile)

    def get(self, key):
        assert key == "experiments/r.1/looks"
        return (
            Versioned(value=self.value, token=str(self.version), written_at=NOON)
            if self.value
            else None
        )

    def put(self, _key, value, *, expect):
        if self.meanwhile:
            self.meanwhile.pop(0)(self)
        if expect != (str(self.version) if self.value else None):
            raise Conflict("somebody else wrote")
        self.value, self.version = value, self.version + 1
        return str(self.version)


def look(units, planned=1000, *, hours=0):
    at = Look(until=NOON + timedelta(hours=hours), units=units)
    return lambda looks: looks.with_look(at, planned, {})


def recorded(state, change):
    return recorded_looks.record(state, "r.1", change)


def units_of(looks):
    return [of.units for of in looks.looks]


def test_the_same_data_and_less_than_a_thousandth_of_the_plan_are_no_new_look_and_the_plan_stays():
    state = State()
    recorded(state, look(300))
    recorded(state, look(300, planned=2000, hours=1))
    recorded(state, look(301, hours=2))
    looks = recorded(state, look(301.5, hours=3))
    assert (units_of(looks), looks.planned, state.version) == ([300, 301], 1000, 2)
    assert recorded_looks.read(state, "r.1") == looks


def test_two_who_look_at_once_are_two_looks_if_the_second_saw_more_and_one_if_not():
    def somebody(units, state):
        recorded(state, look(units))

    assert units_of(recorded(State(partial(somebody, 200)), look(300, hours=1))) == [200, 300]
    assert units_of(recorded(State(partial(somebody, 300)), look(300))) == [300]


def test_who_is_always_late_is_told():
    def busy(state):
        state.version += 1

    state = State(*[busy] * 99)
    state.value = b'{"schema":1}'
    with pytest.raises(Conflict):
        recorded(state, look(300))


def test_the_look_that_reaches_the_planned_units_ends_the_plan():
    looks = Looks(
        planned=1000,
        looks=tuple(
            Look(until=NOON + timedelta(days=day), units=400 * (day + 1)) for day in range(4)
        ),
    )
    assert looks.closed.units == 1200
    assert [look.units for look in looks.earlier(looks.closed.until)] == [400, 800]
    assert Looks(looks=looks.looks).closed is None
