"""What a project says, as frozen structs: everything can be built in Python too. No file, no environment, no engine here."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import msgspec

AttributeType = Literal["bool", "int", "float", "string", "timestamp"]


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    key: str
    type: Literal["int", "string"]
    description: str = ""


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: AttributeType
    required: bool = True
    min: float | None = None
    max: float | None = None
    allowed: tuple[Any, ...] | None = None
    description: str = ""
    entity: str | None = None  # derived: the attribute is named as this entity's key
    event: str | None = None  # derived: the attribute is `<event>_id` and refers to that event


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`event_id` (string) and `event_timestamp` (UTC) come with every event and are not among the attributes."""

    name: str
    attributes: tuple[Attribute, ...]
    description: str = ""
    owner: str = ""
    max_lateness: timedelta = timedelta(days=30)
    max_ahead: timedelta = timedelta(minutes=2)  # what a producer's clock may be ahead of ours
    source: str | None = None  # a path from the project's folder or a URI; None: sources/<event>.sql, or nothing


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """`rate: <outcome> / <exposure>`. Also the table of its name: the exposure's columns, outcome, created_timestamp."""

    name: str
    outcome: str  # an event that refers to the exposure by `<exposure>_id`
    exposure: str
    within: timedelta
    goal: Literal["maximise", "minimise"] = "maximise"
    unit: str | None = None  # the exposure's attribute whose rows are not independent of each other: a person
    ranked_within: str | None = None  # ... whose rows, of one unit, were ranked against each other: a request


class StaticTable(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    path: str  # Parquet or CSV, relative to the project's folder


class FeatureView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    entity: str
    path: str  # features/<name>.sql
    sql: str
    ttl: timedelta | None = None
    outcome_events: Literal["known"] | None = None  # "known": it reads an objective's outcome event on purpose


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    model: str
    ref: str  # an alias or a version number, after the @
    traffic: Decimal  # percent, at creation


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    objective: str
    unit: str
    variants: tuple[Variant, ...]
    explore: Decimal = Decimal(0)  # percent of requests answered in random order
    routing: Literal["weighted"] = "weighted"


class Feature(msgspec.Struct, frozen=True, kw_only=True):
    """`view.feature`, or an attribute of the objective's exposure (view None)."""

    view: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.view is None else f"{self.view}.{self.name}"


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Train on what was known when a period begins, test on that period, again."""

    forward: timedelta | None = None  # None: a tenth of the days to test, in whole days
    after: timedelta = timedelta(days=2)


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a gate: the whole 95 % interval of a figure from `low` to `high`. None: no bound on that side."""

    metric: str  # project/metrics.py
    against: bool = False  # the difference to the champion's, paired on the same rows
    low: float | None = None
    high: float | None = None


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Each part passes, fails or is inconclusive."""

    bounds: tuple[Bound, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration: models/<name>.yaml."""

    name: str
    path: str
    model: str  # the registered model that a run becomes a version of
    objective: str
    features: tuple[Feature, ...]
    trainer: str  # module.function, the module beside project.yaml
    alias: str | None = None
    window: tuple[datetime, datetime] | None = None  # [start, end); None: `window_length` back from now
    window_length: timedelta = timedelta(days=28)
    serve_as: dict[str, Any] = {}
    parameters: dict[str, Any] = {}
    evaluate: Evaluation = Evaluation()
    gate: Gate = Gate()


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    now: datetime | None = None  # the replay clock of an old log
    entities: dict[str, Entity] = {}
    events: dict[str, Event] = {}
    objectives: dict[str, Objective] = {}
    tables: dict[str, StaticTable] = {}
    feature_views: dict[str, FeatureView] = {}
    endpoints: dict[str, Endpoint] = {}
    models: dict[str, Model] = {}  # by configuration name


class Place(msgspec.Struct, frozen=True, kw_only=True):
    file: str  # relative to the project's folder
    line: int


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed project: what it says, and where it says it, so that a later error can name file and line.

    `places` is keyed by path, e.g. "rollouts.ranker.guardrails[1]", "feature_views.item_history", "models/logistic.yaml:features[2]".
    """

    spec: ProjectSpec
    folder: str
    places: dict[str, Place] = {}
