"""localstack/docs/other-servers.md's table is what a run gives."""

import os

import pytest

from isthmus.tests.conformance.places import moto_server
from isthmus.tests.conformance.table import passes, published

PORTS = (
    ("blobs", "state", "registry") if os.environ.get("ISTHMUS_EVERY_KILL") else ("blobs",)
)  # `make test-often` sets it


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_moto_column_of_the_fast_ports_is_what_a_run_gives_today():
    with moto_server() as url:
        assert {port: passes(port, url) for port in PORTS} == {
            port: published()[port][1] for port in PORTS
        }
