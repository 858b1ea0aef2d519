"""What BigQuery's handlers work with: the catalog, the warehouse, the jobs and the stack's clock."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from .....core.clock import Clock
from .catalog import Catalog
from .warehouse import Warehouse


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    catalog: Catalog
    warehouse: Warehouse
    clock: Clock

    def now(self) -> datetime:
        """In whole milliseconds, as BigQuery notes times."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def moment(written: str | int) -> datetime:
    return datetime.fromtimestamp(int(written) / 1000, UTC)
