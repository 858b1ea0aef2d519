"""The Vertex AI column of the parity table (PORTS.md, section 7).

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
        value=Decimal(1),
        known="sdk",
        why="traffic_split holds whole percents that sum to 100",
    ),
    Capability(
        name="traffic.fenced",
        level="native",
        known="guess",
        why="the token digests what a shift rests on, as each read has another etag (recorded); "
        "the call takes its own look's etag: that "
        "Google accepts any etag of the current version, and that one of an older version is "
        "ABORTED (AIP-154), is an assumption",
    ),
    Capability(
        name="traffic.touch",
        level="native",
        known="guess",
        why="each shift also writes a label, which the token digests: a split that is the same "
        "may change nothing else",
    ),
    Capability(
        name="capacity.instances",
        level="emulated",
        known="sdk",
        why="replicas: MutateDeployedModel, the fewest and the most",
    ),
    Capability(
        name="invoke.variant",
        level="refused",
        known="sdk",
        why="a request names no deployed model: under routing: weighted a variant at 0 % cannot "
        "be tried",
    ),
    Capability(
        name="routing.sticky",
        level="emulated",
        known="sdk",
        why="an endpoint of Vertex AI's for each variant, and an empty one that says what is "
        "wanted",
    ),
    Capability(
        name="invoke.max_bytes",
        level="native",
        value=10_000_000,
        known="docs",
        why="a dedicated endpoint's; with `endpoint: shared` it is 1,500,000",
    ),
    Capability(
        name="invoke.parameters",
        level="native",
        known="sdk",
        why="PredictRequest.parameters, a protobuf Value",
    ),
    Capability(
        name="counters",
        level="native",
        known="docs",
        why="Firestore: a database an endpoint, increments and deletions in one commit; an "
        "answer of over 500 places takes two",
    ),
    Capability(
        name="shadow.native", level="refused", known="sdk", why="Vertex AI mirrors no requests"
    ),
    Capability(
        name="guarded_replace",
        level="refused",
        known="sdk",
        why="Vertex AI has none: rollouts move traffic between variants",
    ),
    Capability(
        name="metrics.delay",
        level="native",
        value=timedelta(minutes=5),
        known="guess",
        why="sampled every 60 s, and they come late",
    ),
    Capability(
        name="metrics.percentiles",
        level="emulated",
        known="docs",
        why="ALIGN_PERCENTILE over the buckets of a histogram: as exact as its buckets",
    ),
    Capability(
        name="events.delay",
        level="native",
        value=timedelta(seconds=30),
        known="guess",
        why="a BigQuery subscription writes soon",
    ),
    Capability(
        name="events.read",
        level="native",
        known="docs",
        why="Pull from a subscription of each consumer; Pub/Sub keeps its place",
    ),
    Capability(
        name="events.replay",
        level="native",
        value=timedelta(days=1),
        known="docs",
        why="the topic keeps a day, to which a new consumer's subscription seeks; that Seek to a "
        "snapshot ends the leases of an earlier process at once is an assumption",
    ),
    Capability(
        name="warehouse.batch_atomic",
        level="native",
        known="docs",
        why="a load or query job appends all of its rows or none",
    ),
    Capability(
        name="warehouse.asof",
        level="refused",
        known="docs",
        why="BigQuery has no ASOF JOIN: the point-in-time join is window functions",
    ),
    Capability(
        name="online.sync",
        level="emulated",
        known="sdk",
        why="SyncFeatureView copies the whole view; FetchFeatureValues takes one key",
    ),
    Capability(
        name="online.put",
        level="native",
        known="docs",
        why="FeatureViewDirectWrite, a preview, into a Bigtable store; nothing is deleted there; "
        "that a value without content is served as null is an assumption",
    ),
    Capability(
        name="registry.alias",
        level="native",
        known="docs",
        why="MergeVersionAliases takes the alias from the version that has it",
    ),
    Capability(
        name="pipelines.fail_fast",
        level="emulated",
        known="docs",
        why="nothing more starts (PIPELINE_FAILURE_POLICY_FAIL_FAST); what runs is cancelled by "
        "who watches the run, else it goes on",
    ),
    Capability(
        name="import",
        level="native",
        known="sdk",
        why="labels, of 63 characters, written under a look's etag",
    ),
)

CAPABILITIES = {row.name: row for row in _ROWS}
