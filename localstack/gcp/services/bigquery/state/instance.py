"""One stack's BigQuery as handlers use it: the catalog, the warehouse, the stack's clock."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from .....core.clock import Clock
from .catalog import Catalog
from .warehouse import Warehouse


class BigQueryState(msgspec.Struct, frozen=True, kw_only=True):
    """One stack's BigQuery."""

    catalog: Catalog
    warehouse: Warehouse
    clock: Clock

    def now(self) -> datetime:
        """Return the stack's time in whole milliseconds, as BigQuery notes times."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def rest_time(time: datetime) -> str:
    """Return a time as the REST API writes it: milliseconds since 1970, as text."""
    return str(int(time.timestamp() * 1000))


def time_of_rest(written: str | int) -> datetime:
    """Parse a time of the REST API, milliseconds since 1970."""
    return datetime.fromtimestamp(int(written) / 1000, UTC)
