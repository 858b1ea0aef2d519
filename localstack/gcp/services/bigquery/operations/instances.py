"""A stack's BigQuery, opened at its first call."""

from __future__ import annotations

import threading

from ....core.call import Call
from ..pending_rows import LateRows
from ..state.catalog import Catalog
from ..state.instance import Place
from ..state.jobs import Jobs
from ..state.warehouse import Warehouse
from ..tables import tables


class Store:
    """One a stack; a reset drops it."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.warehouse: Warehouse | None = None
        self.lock = threading.Lock()


def place(call: Call) -> Place:
    store = call.store(Store)
    with store.lock:
        if store.warehouse is None:
            store.warehouse = Warehouse(call.home, call.query_memory)
            call.on_stop(call.store(Jobs).stop)
            call.on_stop(store.warehouse.close)
    call.store(LateRows).settle()
    here = Place(catalog=store.catalog, warehouse=store.warehouse, clock=call.clock)
    tables.expire(here)
    return here
