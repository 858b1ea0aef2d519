"""The kinds of resources of ML Metadata and TensorBoard, and their ids."""

from __future__ import annotations

import re

from ....core.resources.standard_methods import ResourceKind

_NODE = (
    re.compile(r"[a-z0-9][a-z0-9-]{0,127}"),
    "up to 128 of a-z, 0-9 and -, the first no hyphen",
)

STORE = ResourceKind(word="MetadataStore", collection="metadataStores", ids=_NODE[0], rule=_NODE[1])
ARTIFACT = ResourceKind(word="Artifact", collection="artifacts", ids=_NODE[0], rule=_NODE[1])
CONTEXT = ResourceKind(word="Context", collection="contexts", ids=_NODE[0], rule=_NODE[1])
EXECUTION = ResourceKind(word="Execution", collection="executions", ids=_NODE[0], rule=_NODE[1])
SCHEMA = ResourceKind(
    word="MetadataSchema",
    collection="metadataSchemas",
    ids=re.compile(r"[A-Za-z0-9][\w.-]{0,127}"),
    rule="up to 128 letters, digits, . - and _",
)
TENSORBOARD = ResourceKind(
    word="Tensorboard", collection="tensorboards", ids=re.compile(r"\d+"), rule="digits"
)
EXPERIMENT = ResourceKind(
    word="TensorboardExperiment", collection="experiments", ids=_NODE[0], rule=_NODE[1]
)
RUN = ResourceKind(word="TensorboardRun", collection="runs", ids=_NODE[0], rule=_NODE[1])
SERIES = ResourceKind(
    word="TensorboardTimeSeries", collection="timeSeries", ids=_NODE[0], rule=_NODE[1]
)
