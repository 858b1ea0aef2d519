"""Google Vertex AI: so far its keys of profiles.yaml and BigQuery's SQL. Every port is refused by its name."""

from __future__ import annotations

from ...target import Adapter, Engine

ADAPTER = Adapter(
    name="vertex",
    title="Vertex AI",
    capabilities={},
    ports={},
    options=f"{__name__}.options:KEYS",
    engine=Engine(name="BigQuery", dialect=f"{__name__}.sql"),
    scheme="gs",
)
