"""Every port of a target: there, and the same at every touch, or refused by its name before any
call.
"""

import pytest

from isthmus.adapters.rows import ROWS
from isthmus.core.plugins import installed
from isthmus.errors import Unsupported
from isthmus.tests.conformance.rows import EXTRAS, PORTS


@pytest.mark.parametrize("port", PORTS)
def test_a_port_is_there_or_refused_by_its_name(target, port):
    if port in target.adapter.ports:
        assert getattr(target, port) is getattr(target, port)
        return
    with pytest.raises(Unsupported) as refusal:
        getattr(target, port)
    assert refusal.value.capability == port
    assert target.calls.calls == []


def test_an_adapter_has_no_port_that_nobody_asks_for(adapter):
    assert set(installed.adapter(adapter).ports) - set(PORTS) - set(ROWS) - set(EXTRAS) == set()
