"""A stack's BigQuery, opened at its first call."""

from __future__ import annotations

import threading

from ....core.call import Call
from ..pending_rows import PendingRows
from ..state.catalog import Catalog
from ..state.instance import BigQueryState
from ..state.jobs import Jobs
from ..state.warehouse import Warehouse
from ..tables import tables


class Store:
    """The catalog and the warehouse of a stack; a reset drops them."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.warehouse: Warehouse | None = None
        self.lock = threading.Lock()


def instance_of(call: Call) -> BigQueryState:
    """Return the stack's BigQuery, after writing pending rows and dropping expired tables.

    Handlers that read or write tables must get it by this function.
    """
    store = call.store(Store)
    with store.lock:
        if store.warehouse is None:
            store.warehouse = Warehouse(call.home, call.query_memory)
            call.on_stop(call.store(Jobs).stop)
            call.on_stop(store.warehouse.close)
    call.store(PendingRows).settle()
    instance = BigQueryState(catalog=store.catalog, warehouse=store.warehouse, clock=call.clock)
    tables.expire(instance)
    return instance
