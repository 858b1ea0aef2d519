"""All capability rows for an adapter that keeps few of them."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.rows import ROWS, rows
from isthmus.errors import Invalid

QUANTITIES = {
    Decimal: st.decimals(0, 100, places=2),
    int: st.integers(1, 10**8),
    timedelta: st.timedeltas(timedelta(0), timedelta(days=1)),
}
LEVELS = {
    name: QUANTITIES.get(kind, st.sampled_from(["native", "emulated"]))
    for name, kind in ROWS.items()
}


@given(st.fixed_dictionaries({}, optional=LEVELS))
def test_every_row_is_there_and_what_is_not_said_is_refused_with_a_reason(levels):
    table = rows(**{name.replace(".", "_"): level for name, level in levels.items()})
    assert list(table) == list(ROWS)
    assert {name for name, row in table.items() if row.level != "refused"} == set(levels)
    assert all(
        row.name == name and (row.why or row.level != "refused") for name, row in table.items()
    )
    assert all(level in (table[name].level, table[name].value) for name, level in levels.items())


@pytest.mark.parametrize(
    ("levels", "remedy"),
    [
        ({"warehouse_asf": "native"}, r"did you mean warehouse_asof\?"),
        ({"warehouse.asof": "native"}, "rows are traffic_resolution"),
        ({"online_sync": "natve"}, "give native or emulated"),
        ({"online_sync": 3}, "give native or emulated"),
        ({"events_delay": "native"}, "its quantity, of type timedelta"),
        ({"events_delay": 90}, "its quantity, of type timedelta"),
        ({"invoke_max_bytes": True}, "its quantity, of type int"),
    ],
)
def test_what_is_no_row_or_no_level_of_it_is_invalid(levels, remedy):
    with pytest.raises(Invalid) as error:
        rows(**levels)
    assert re.search(remedy, error.value.remedy)
