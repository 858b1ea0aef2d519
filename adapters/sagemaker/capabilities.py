"""The SageMaker column of the parity table (PORTS.md, section 7).

Each row is asserted by a conformance test.

`known`: `sdk` or `docs` where only the provider says so, `guess` where nobody does; a local stack
cannot know.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from ...target import Capability

_ROWS = (
    Capability(
        name="traffic.resolution",
        level="native",
        value=Decimal("0.01"),
        known="sdk",
        why="weights are float32: shares are rounded to 0.01",
    ),
    Capability(
        name="traffic.fenced",
        level="emulated",
        known="sdk",
        why="UpdateEndpointWeightsAndCapacities has no precondition: checked before, seen and "
        "undone after",
    ),
    Capability(
        name="traffic.touch",
        level="emulated",
        known="sdk",
        why="a shift to the split that is there is accepted and fences nothing: a call that was "
        "checked before can still arrive",
    ),
    Capability(
        name="capacity.instances",
        level="native",
        known="sdk",
        why="UpdateEndpointWeightsAndCapacities, DesiredInstanceCount",
    ),
    Capability(
        name="invoke.variant", level="native", known="sdk", why="TargetVariant, also at weight 0"
    ),
    Capability(
        name="routing.sticky",
        level="native",
        known="sdk",
        why="the gateway splits by the unit and names TargetVariant",
    ),
    Capability(
        name="invoke.max_bytes",
        level="native",
        value=6_291_456,
        known="docs",
        why="the limit of InvokeEndpoint's body",
    ),
    Capability(
        name="invoke.parameters",
        level="native",
        known="docs",
        why="`parameters` of the body, which is the container's own",
    ),
    Capability(
        name="counters",
        level="native",
        known="sdk",
        why="DynamoDB: UpdateItem adds and removes in one call",
    ),
    Capability(
        name="shadow.native",
        level="refused",
        known="docs",
        why="SageMaker has it, this adapter not yet",
    ),
    Capability(
        name="guarded_replace",
        level="refused",
        known="docs",
        why="SageMaker has it, this adapter not yet: rollouts move traffic",
    ),
    Capability(
        name="metrics.delay",
        level="native",
        value=timedelta(minutes=3),
        known="guess",
        why="CloudWatch's minutes come late",
    ),
    Capability(
        name="metrics.percentiles",
        level="native",
        known="docs",
        why="GetMetricData's extended statistics",
    ),
    Capability(
        name="events.delay",
        level="native",
        value=timedelta(seconds=90),
        known="docs",
        why="Firehose's buffer of 60 s, up to 1.5 times",
    ),
    Capability(
        name="events.read",
        level="native",
        known="sdk",
        why="GetRecords of Kinesis, shard by shard; the place is the consumer's",
    ),
    Capability(
        name="events.replay",
        level="native",
        value=timedelta(hours=24),
        known="docs",
        why="a stream of Kinesis keeps its records so long unless told otherwise",
    ),
    Capability(
        name="warehouse.batch_atomic",
        level="refused",
        known="docs",
        why="one object a date; readers follow a watermark instead",
    ),
    Capability(
        name="warehouse.asof",
        level="refused",
        known="docs",
        why="Athena has no ASOF JOIN: the point-in-time join is window functions",
    ),
    Capability(
        name="online.sync",
        level="native",
        known="sdk",
        why="incremental: BatchWriteRecord of the entities that changed",
    ),
    Capability(
        name="online.put",
        level="native",
        known="sdk",
        why="BatchWriteRecord; the EventTime is the writer's moment, so an older row is not served",
    ),
    Capability(
        name="registry.alias", level="emulated", known="sdk", why="a tag of the model package group"
    ),
    Capability(
        name="pipelines.fail_fast",
        level="emulated",
        known="guess",
        why="who watches the run stops its execution; unwatched, other branches go on to their end",
    ),
    Capability(
        name="import",
        level="native",
        known="sdk",
        why="tags; checked before, as AddTags has no precondition",
    ),
)

CAPABILITIES = {row.name: row for row in _ROWS}
