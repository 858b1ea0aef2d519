"""localstack/README.md's table is what a run gives."""

import pytest

from isthmus.tests.conformance.places import moto_server
from isthmus.tests.conformance.table import passes, published


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_moto_column_of_the_fast_ports_is_what_a_run_gives_today():
    ports = ("blobs", "state", "registry")
    with moto_server() as url:
        assert {port: passes(port, url) for port in ports} == {port: published()[port][1] for port in ports}
