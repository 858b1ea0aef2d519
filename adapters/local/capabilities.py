"""The local column of the parity table (PORTS.md, section 7).

Each row is asserted by a conformance test.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from ...target import Capability

# how long a consumer of a stream may come back for its events, from when they were stored
EVENTS_KEPT = timedelta(hours=24)

_ROWS = (
    Capability(
        name="traffic.resolution",
        level="native",
        value=Decimal("0.01"),
        why="the router's own weights",
    ),
    Capability(
        name="traffic.fenced", level="native", why="the split is written under compare-and-swap"
    ),
    Capability(
        name="traffic.touch", level="native", why="each write of the split makes a new token"
    ),
    Capability(
        name="capacity.instances",
        level="emulated",
        why="processes: so many model servers behind the router",
    ),
    Capability(name="invoke.variant", level="native", why="a request header"),
    Capability(
        name="routing.sticky",
        level="native",
        why="the gateway splits by the unit; the router answers what names its variant",
    ),
    Capability(
        name="invoke.max_bytes",
        level="native",
        value=6_291_456,
        why="SageMaker's limit, kept here so that a model moves",
    ),
    Capability(
        name="invoke.parameters",
        level="native",
        why="`parameters` of the body, which the router passes on",
    ),
    Capability(name="counters", level="native", why="SQLite: a row a number"),
    Capability(
        name="shadow.native", level="refused", why="the laptop's router mirrors no requests"
    ),
    Capability(
        name="guarded_replace",
        level="refused",
        why="rollouts move traffic between variants instead",
    ),
    Capability(name="metrics.delay", level="native", value=timedelta(0)),
    Capability(name="metrics.percentiles", level="native", why="exact, from every request"),
    Capability(name="events.delay", level="native", value=timedelta(0)),
    Capability(
        name="events.read", level="native", why="the spool in SQLite, by its running number"
    ),
    Capability(
        name="events.replay",
        level="native",
        value=EVENTS_KEPT,
        why="compaction keeps what a consumer has not committed; without consumers nothing",
    ),
    Capability(
        name="warehouse.batch_atomic",
        level="native",
        why="a batch is a folder that one rename publishes",
    ),
    Capability(
        name="warehouse.asof",
        level="native",
        why="DuckDB's ASOF JOIN; elsewhere the point-in-time join is window functions",
    ),
    Capability(name="online.sync", level="native", why="incremental"),
    Capability(name="online.put", level="native", why="one transaction"),
    Capability(name="registry.alias", level="native"),
    Capability(
        name="pipelines.fail_fast",
        level="native",
        why="the runner ends what runs beside a step that failed",
    ),
    Capability(
        name="import", level="refused", why="every endpoint on this machine is a project's already"
    ),
)

CAPABILITIES = {row.name: row for row in _ROWS}
