"""Warehouse: several writers of one batch at once, and readers meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from isthmus.tests.conformance.data.clicks import ids_of, rows

pytestmark = pytest.mark.ports("warehouse")

COUNT = "SELECT count(*) AS n FROM clicks_raw"


def test_of_writers_of_one_batch_at_once_one_adds_it_and_readers_see_it_whole_or_not(warehouse):
    # of one day: a batch of several is whole where `warehouse.batch_atomic` says so
    ready, done, seen = threading.Barrier(4), threading.Event(), set()

    def write():
        ready.wait(60)
        warehouse.append("clicks_raw", rows(0, 3, 6), batch="b1")

    def read():
        ready.wait(60)
        while not done.is_set():
            seen.add(warehouse.query(COUNT, {})["n"][0].as_py())

    with ThreadPoolExecutor(4) as pool:
        reader = pool.submit(read)
        try:
            for writer in [pool.submit(write) for _ in range(3)]:
                writer.result()
        finally:
            done.set()
        reader.result()
    assert ids_of(warehouse) == ["e0", "e3", "e6"]
    assert seen <= {0, 3}
